"""What a scene file may say. The models below are the schema: every field carries its meaning and its unit.

Lengths are full sizes in meters (a box's three edges, a cylinder's whole height), except that round things are given by
their radius. `pos` is the center of the object's bounding box in the world frame; with two numbers the object rests on
the table there. World frame: z up, robot base at the origin by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from toolwright.sim.models.objects import CUP_FLOOR
from toolwright.sim.models.stand import seat
from toolwright.sim.models.tools import ToolError, family
from toolwright.sim.scene_base import (
    COLORS,
    Color,
    Friction,
    Length,
    Posed,
    SceneError,
    SceneThing,
    Strict,
    Vec2,
    Vec3,
    suggestion,
)
from toolwright.sim.scene_fixtures import Bolt, Line, Stand, Strip
from toolwright.sim.scene_turnables import Die, Letter, Screwdriver

__all__ = ["COLORS", "SceneError", "suggestion"]

MAX_OBJECTS = 40
DEFAULT_DENSITY = 1200.0  # kg/m^3, a filled plastic
RESERVED_NAMES = ("world", "table", "floor", "workspace", "camera", "overview", "closeup")


def _pair_to_range(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"must be [low, high], has {len(value)} numbers")
        return {"low": value[0], "high": value[1]}
    return value


class RobotSpec(Posed):
    """The robot and where it stands."""

    arm: Literal["fr3"] | None = Field("fr3", description="Arm, or null for a hand alone.")
    hand: Literal["leap"] | None = Field("leap", description="Hand on the arm's flange, or null.")
    pos: Vec3 = Field((0.0, 0.0, 0.0), description="Base (or palm, where there is no arm), world frame [m].")


class HeldToolSpec(Strict):
    """A tool that the hand holds from the start, or fetches from its stand."""

    family: str = Field(description="Tool family, for instance tweezers.")
    params: dict[str, float] = Field(default_factory=dict, description="Parameters that differ from the nominal [SI].")
    name: str | None = Field(None, description="Name in the scene; the family's name by default.")
    stand: str | None = Field(None, description="The stand in which it starts; in the hand by default.")


class WorkspaceSpec(Strict):
    """Where tool tips and free objects may be: an axis-aligned box, world frame."""

    lower: Vec3 = Field((0.35, -0.20, 0.0), description="Lower corner [m].")
    upper: Vec3 = Field((0.60, 0.20, 0.40), description="Upper corner [m].")

    @model_validator(mode="after")
    def _ordered(self) -> WorkspaceSpec:
        if not (np.array(self.lower) < np.array(self.upper)).all():
            raise ValueError(f"lower {list(self.lower)} must be below upper {list(self.upper)} on every axis")
        return self


class TableSpec(Strict):
    """The table."""

    height: float = Field(0.0, ge=-2, le=2, description="Height of its top, world frame [m].")
    center: Vec2 = Field((0.55, 0.0), description="Center of its top, world frame [m].")
    size: tuple[Length, Length] = Field((0.8, 1.2), description="Full edges along x and y [m].")
    color: Color = Field("#e0d2bd", description="Palette name or #rrggbb.")
    friction: Friction = Field(0.6, description="Sliding friction coefficient.")


class CameraSpec(Strict):
    """The depth camera."""

    preset: Literal["d435"] = Field("d435", description="Sensor whose intrinsics and noise it has.")
    pos: Vec3 = Field((0.82, 0.0, 0.42), description="Position, world frame [m].")
    lookat: Vec3 = Field((0.47, 0.0, 0.02), description="Point at the image center, world frame [m].")
    resolution: tuple[Annotated[int, Field(ge=16, le=1920)], Annotated[int, Field(ge=16, le=1200)]] = Field(
        (640, 480), description="Width and height [px]."
    )

    @model_validator(mode="after")
    def _looks_somewhere(self) -> CameraSpec:
        if np.linalg.norm(np.subtract(self.lookat, self.pos)) < 1e-6:
            raise ValueError("pos and lookat are the same point")
        return self


class _Solid(SceneThing):
    """What every object of one piece has."""

    mass: float | None = Field(None, ge=1e-5, le=50, description="Mass [kg]. Give mass or density, not both.")
    density: float | None = Field(
        None, ge=10, le=25000, description=f"Density [kg/m^3], {DEFAULT_DENSITY:g} by default."
    )
    friction: Friction = Field(0.6, description="Sliding friction coefficient.")
    color: Color = Field("gray", description="Palette name or #rrggbb.")
    fixed: bool = Field(False, description="True: part of the furniture. False: it moves.")

    @model_validator(mode="after")
    def _one_mass(self) -> _Solid:
        if self.mass is not None and self.density is not None:
            raise ValueError("has both mass and density; give one")
        return self


class Sphere(_Solid):
    """A ball."""

    shape: Literal["sphere"]
    radius: Length = Field(description="Radius [m].")


class BoxObject(_Solid):
    """A cuboid."""

    shape: Literal["box"]
    size: tuple[Length, Length, Length] = Field(description="Full edges along its own x, y, z [m].")
    magnet: float = Field(0.0, ge=0, le=50, description="Pull of a magnet behind each upright side [N]; 0 for none.")


class Cylinder(_Solid):
    """An upright cylinder."""

    shape: Literal["cylinder"]
    radius: Length = Field(description="Radius [m].")
    height: Length = Field(description="Full height [m].")


class Capsule(_Solid):
    """A cylinder with round caps, along its own z."""

    shape: Literal["capsule"]
    radius: Length = Field(description="Radius [m].")
    height: Length = Field(description="Full height, caps included [m].")

    @model_validator(mode="after")
    def _longer_than_wide(self) -> Capsule:
        if self.height <= 2 * self.radius:
            raise ValueError(f"height {self.height} must exceed twice the radius {self.radius}; else use a sphere")
        return self


class Cup(_Solid):
    """A round container, open at the top."""

    shape: Literal["cup"]
    inner_diameter: Length = Field(description="Inner diameter of the mouth [m].")
    height: Length = Field(description="Full height [m].")
    wall: float = Field(0.003, ge=0.0005, le=0.05, description="Thickness of the wall [m]; the bottom is thicker.")

    @model_validator(mode="after")
    def _has_room(self) -> Cup:
        if self.height <= 2 * CUP_FLOOR:
            raise ValueError(f"height {self.height} must exceed twice the thickness of the bottom, {CUP_FLOOR}")
        return self


class Bar(_Solid):
    """A rigid tool: a bar that lies flat along its own x, an upright handle at its near end, a crossbar at its far end.

    `pos` is the center of the bounding box, handle and crossbar included.
    """

    shape: Literal["bar"]
    length: Length = Field(description="From the middle of the handle to the far end [m].")
    width: Length = Field(0.03, description="Of bar and crossbar [m].")
    height: Length = Field(0.024, description="Of bar and crossbar [m].")
    handle: tuple[Length, Length, Length] = Field(
        (0.07, 0.044, 0.14), description="Upright handle: along the bar, across it, height from the table [m]."
    )
    head: float = Field(0.0, ge=0, le=0.3, description="How far the crossbar stands out from the bar's side [m].")
    side: Literal["left", "right", "both"] = Field("left", description="Where it stands out, seen from the handle.")
    magnet: float = Field(0.0, ge=0, le=50, description="Pull of a magnet behind the far end [N]; 0 for none.")

    @model_validator(mode="after")
    def _holds_together(self) -> Bar:
        deep, _, high = self.handle
        if self.length <= deep / 2 + self.width:
            raise ValueError(f"length {self.length} leaves no bar between the handle, {deep} deep, and the far end")
        if high <= self.height:
            raise ValueError(f"a handle {high} high must exceed the bar's height {self.height}")
        return self


class Tube(_Solid):
    """A square tube, open at both ends, along its own x."""

    shape: Literal["tube"]
    inner: Length = Field(description="Free width and height inside [m].")
    length: Length = Field(description="Full length [m].")
    wall: float = Field(0.006, ge=0.002, le=0.05, description="Thickness of the walls [m].")


class Button(SceneThing):
    """A push button in a fixed housing. Its plate faces along its own -x and comes back by a spring."""

    fixed: ClassVar[bool] = True

    shape: Literal["button"]
    plate: Length = Field(0.06, description="Edge of the square plate [m].")
    travel: float = Field(0.012, ge=0.002, le=0.05, description="From rest to the stop [m].")
    force: float = Field(1.5, gt=0, le=50, description="Of the spring when the plate is at the stop [N].")
    color: Color = Field("red", description="Palette name or #rrggbb, of the plate.")


class Mesh(_Solid):
    """A body from a user's file. It collides as its convex hull."""

    shape: Literal["mesh"]
    file: str = Field(description="Path of an .obj or .stl file, relative to the scene file.")
    scale: float = Field(1.0, gt=0, le=1000, description="Factor from the file's unit to meters.")


class ToolObject(SceneThing):
    """An articulated tool lying on its side on the table. `pos` is the origin of its tool frame, at the joint."""

    fixed: ClassVar[bool] = False
    color: ClassVar[str] = ""

    shape: Literal["tool"]
    family: str = Field(description="Tool family, for instance tweezers.")
    params: dict[str, float] = Field(default_factory=dict, description="Parameters that differ from the nominal [SI].")

    @property
    def rotation(self) -> tuple[float, float, float, float]:
        """Orientation w, x, y, z. Without a `quat` the tool lies with its limbs flat, then turned by yaw."""
        if self.quat is not None:
            return self.quat
        half, side = (self.yaw or 0.0) / 2, float(np.sqrt(0.5))
        c, s = float(np.cos(half)), float(np.sin(half))
        return (c * side, c * side, s * side, s * side)


ObjectSpec: TypeAlias = Annotated[
    Sphere
    | BoxObject
    | Cylinder
    | Capsule
    | Cup
    | Bar
    | Tube
    | Button
    | Line
    | Bolt
    | Strip
    | Stand
    | Mesh
    | ToolObject
    | Die
    | Screwdriver
    | Letter,
    Field(discriminator="shape"),
]
SHAPES = (
    "sphere",
    "box",
    "cylinder",
    "capsule",
    "cup",
    "bar",
    "tube",
    "button",
    "line",
    "bolt",
    "strip",
    "stand",
    "mesh",
    "tool",
    "die",
    "screwdriver",
    "letter",
)


class Range(Strict):
    """An interval to draw from; `[low, high]` is short for a uniform one."""

    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")
    log: bool = Field(False, description="True: uniform in the logarithm.")

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low {self.low} exceeds high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be > 0 for a logarithmic draw, is {self.low}")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.log:
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


DrawnRange: TypeAlias = Annotated[Range, BeforeValidator(_pair_to_range)]


class Region(Strict):
    """A rectangle on the table for the object's center."""

    lower: Vec2 = Field(description="Lower corner, world frame [m].")
    upper: Vec2 = Field(description="Upper corner, world frame [m].")

    @model_validator(mode="after")
    def _ordered(self) -> Region:
        if not (np.array(self.lower) <= np.array(self.upper)).all():
            raise ValueError(f"lower {list(self.lower)} must not exceed upper {list(self.upper)}")
        return self


class ObjectRandomization(Strict):
    """What is drawn anew for one object. Sizes need a shape that has them."""

    region: Region | Literal["workspace"] | None = Field(
        None, description="Where its center may be on the table: a rectangle, or `workspace` for all of it."
    )
    follows: str | None = Field(None, description="An object with a region: this one is shifted as that one is.")
    yaw: DrawnRange | None = Field(None, description="Turn about the vertical [rad].")
    radius: DrawnRange | None = Field(None, description="Sphere, cylinder, capsule [m].")
    height: DrawnRange | None = Field(None, description="Cylinder, capsule, cup, line [m].")
    inner_diameter: DrawnRange | None = Field(None, description="Cup [m].")
    length: DrawnRange | None = Field(None, description="Bar, tube [m].")
    head: DrawnRange | None = Field(None, description="Bar [m].")
    force: DrawnRange | None = Field(None, description="Button [N].")
    torque: DrawnRange | None = Field(None, description="Bolt [N m].")
    strength: DrawnRange | None = Field(None, description="Strip [N].")
    flats: DrawnRange | None = Field(None, description="Bolt [m].")
    edge: DrawnRange | None = Field(None, description="Die [m].")
    scale: DrawnRange | None = Field(None, description="Mesh.")
    mass: DrawnRange | None = Field(None, description="Mass [kg].")
    density: DrawnRange | None = Field(None, description="Density [kg/m^3]; the mass follows the drawn size.")
    friction: DrawnRange | None = Field(None, description="Sliding friction coefficient.")

    def ranges(self) -> Iterator[tuple[str, Range]]:
        """The declared ranges by field, in a fixed order."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Range):
                yield name, value


class Randomization(Strict):
    """What a new seed changes."""

    separation: float = Field(
        0.01, ge=0, le=0.5, description="Clear distance kept between two outlines on the table [m]."
    )
    objects: dict[str, ObjectRandomization] = Field(default_factory=dict, description="Ranges by object name.")


class GoalSpec(Strict):
    """One thing that has to be so in the end, measured on the objects. Give one of the kinds."""

    raised: str | None = Field(None, description="This object is off the table, by at least 3 cm.")
    pressed: str | None = Field(None, description="This button is pressed, by at least half of its travel.")
    inside: tuple[str, str] | None = Field(None, description="[object, container or tube]: the one is in the other.")
    outside: tuple[str, str] | None = Field(None, description="[object, container or tube]: the one is not in it.")
    within: tuple[str, ...] | None = Field(None, description="These objects' centers are inside the workspace.")
    filled: tuple[str, float] | None = Field(
        None, description="[cup, ml]: so much liquid was dispensed into it, to 0.05 ml or a tenth."
    )
    turned: tuple[str, float] | None = Field(
        None, description="[bolt, degrees]: its nut was turned so far counter-clockwise, to 10 degrees."
    )
    clipped: str | None = Field(None, description="The clothespin hangs on this line, clear of the hand.")
    cut: tuple[str, float] | None = Field(
        None, description="[strip, mm]: so much of it is left at the stand, to half a piece."
    )
    up: tuple[str, str] | None = Field(
        None, description="[die, six]: this side of the thing in the palm points up, to 0.4 rad."
    )
    down: tuple[str, str] | None = Field(None, description="[screwdriver, tip]: it points down, to 0.4 rad.")
    beside: tuple[str, str] | None = Field(None, description="[object, object]: they are 3 cm or less apart.")
    unmoved: str | None = Field(None, description="This object is where it was, to 2 cm.")

    @model_validator(mode="after")
    def _one_kind(self) -> GoalSpec:
        if len(self.kinds()) != 1:
            raise ValueError(f"needs exactly one of {', '.join(type(self).model_fields)}")
        return self

    def kinds(self) -> dict[str, tuple[str, ...]]:
        """The kind that is given, with the objects that it names."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        named = {name: (value,) if isinstance(value, str) else value for name, value in given.items() if value}
        named |= {name: named[name][:1] for name in ("up", "down") if name in named}  # the other is a side of it
        return {name: tuple(item for item in value if isinstance(item, str)) for name, value in named.items()}

    @property
    def amount(self) -> float:
        """The number that is given with an object: ml, degrees or mm."""
        given = self.filled or self.turned or self.cut
        return given[1] if given else 0.0


class SceneSpec(Strict):
    """A scene: robot, table, camera and objects."""

    name: str = Field(description="Name of the scene.", min_length=1)
    description: str = Field("", description="What it is for, in a sentence.")
    robot: RobotSpec = Field(default_factory=RobotSpec, description="The robot and where it stands.")
    tool: HeldToolSpec | None = Field(None, description="Tool held from the start, or null.")
    in_palm: str | None = Field(
        None, description="Object that lies in the palm-up hand at the start: a die, a screwdriver or a letter."
    )
    workspace: WorkspaceSpec = Field(default_factory=WorkspaceSpec, description="Where tips and free objects may be.")
    table: TableSpec = Field(default_factory=TableSpec, description="The table.")
    camera: CameraSpec = Field(default_factory=CameraSpec, description="The depth camera.")
    objects: dict[str, ObjectSpec] = Field(default_factory=dict, description="Objects by name.")
    randomize: Randomization = Field(default_factory=Randomization, description="What a new seed changes.")
    sentence: str = Field("", description="What one asks for in this scene; `toolwright eval language` says it.")
    goal: tuple[GoalSpec, ...] = Field((), description="What has to be so after the sentence was carried out.")

    @model_validator(mode="after")
    def _pocket_fits(self) -> SceneSpec:
        """Gives the tool's stand the pocket that the tool needs, where the file says none."""
        stand = self.tool and self.tool.stand and self.objects.get(self.tool.stand)
        if isinstance(stand, Stand) and stand.inner is None and self.tool is not None:
            try:
                tool = family(self.tool.family)
                inner = seat(tool, tool.params(**self.tool.params), stand.depth).inner
            except ToolError:
                return self  # `problems` says what is wrong with the tool
            assert self.tool.stand is not None
            self.objects[self.tool.stand] = stand.model_copy(update={"inner": inner})
        return self

    @property
    def tool_name(self) -> str | None:
        """Name of the held tool, None where there is none."""
        return None if self.tool is None else self.tool.name or self.tool.family


def color_name(color: str) -> str:
    """The palette's name for a color; of the nearest one for #rrggbb."""
    if color in COLORS:
        return color
    return min(COLORS, key=lambda name: float(np.linalg.norm(np.subtract(rgb(COLORS[name]), rgb(color)))))


def rgb(color: str) -> tuple[float, float, float]:
    """Red, green, blue in 0..1 of a palette name or #rrggbb."""
    code = COLORS.get(color, color).removeprefix("#")
    return (int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255)
