"""What tools work on or stand in, as scene objects: a line, a bolt with a nut, a strip, a stand. Part of the schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from toolwright.sim.models.stand import DEPTH
from toolwright.sim.scene_base import Color, Friction, Length, SceneThing


class Line(SceneThing):
    """A line between two posts that stand firm, along its own x, strung so tightly that it gives no way."""

    fixed: ClassVar[bool] = True

    shape: Literal["line"]
    length: Length = Field(0.30, description="Between the posts [m].")
    height: Length = Field(0.22, description="Of the line's middle above the bottom [m].")
    radius: float = Field(0.003, ge=0.0005, le=0.01, description="Of the line [m].")
    color: Color = Field("white", description="Palette name or #rrggbb, of the line.")


class Bolt(SceneThing):
    """An upright bolt in a firm stand, with a hexagonal nut on top that friction holds."""

    fixed: ClassVar[bool] = True

    shape: Literal["bolt"]
    flats: float = Field(0.008, ge=0.002, le=0.05, description="Width of the nut across flats [m].")
    nut_height: float = Field(0.008, ge=0.002, le=0.05, description="Height of the nut [m].")
    stand: Length = Field(0.06, description="Height from the bottom to the nut [m].")
    torque: float = Field(0.01, ge=0, le=1, description="Friction with which the thread resists turning [N m].")
    color: Color = Field("yellow", description="Palette name or #rrggbb, of the nut.")

    @model_validator(mode="after")
    def _stands_free(self) -> Bolt:
        if self.stand < 0.02:
            raise ValueError(f"a stand of {self.stand} leaves the jaws no room below the nut; at least 0.02")
        return self


class Strip(SceneThing):
    """A strip on edge, clamped at one end in a firm stand, along its own x: pieces, each held by the one before."""

    fixed: ClassVar[bool] = True

    shape: Literal["strip"]
    pieces: int = Field(6, ge=2, le=12, description="How many pieces it is made of.")
    piece: float = Field(0.012, ge=0.006, le=0.05, description="Length of a piece [m].")
    width: float = Field(0.012, ge=0.004, le=0.03, description="Width of the strip, upright [m].")
    thickness: float = Field(0.0015, ge=0.0005, le=0.005, description="Thickness [m].")
    height: Length = Field(0.12, description="Of its middle above the bottom [m].")
    strength: float = Field(1.0, ge=0.05, le=50, description="With which both blades have to press to part it [N].")
    color: Color = Field("green", description="Palette name or #rrggbb, of the strip.")


class Stand(SceneThing):
    """A pocket on the table, firmly held, in which an articulated tool stands upright with its tips down.

    Its x is the direction in which the tool opens. `pos` is the center of the box around it.
    """

    fixed: ClassVar[bool] = True

    shape: Literal["stand"]
    inner: tuple[Length, Length] | None = Field(
        None, description="Free width along x and y [m]; by default as the scene's tool needs it."
    )
    depth: float = Field(DEPTH, ge=0.01, le=0.2, description="Of the pocket [m].")
    friction: Friction = Field(0.3, description="Sliding friction coefficient of the walls on the tool.")
    color: Color = Field("black", description="Palette name or #rrggbb.")
