"""What tools work on, as scene objects: a line for clothespins, a bolt with a nut for pliers. Part of the schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from toolwright.sim.scene_base import Color, Length, SceneThing


class Line(SceneThing):
    """A taut line between two posts that stand firm, along its own x. It gives way sideways against its tension."""

    fixed: ClassVar[bool] = True

    shape: Literal["line"]
    length: Length = Field(0.30, description="Between the posts [m].")
    height: Length = Field(0.22, description="Of the line's middle above the bottom [m].")
    radius: float = Field(0.003, ge=0.0005, le=0.01, description="Of the line [m].")
    tension: float = Field(30.0, ge=1, le=1000, description="With which it is strung [N].")
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
