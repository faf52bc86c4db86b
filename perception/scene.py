"""What is on the table and in the hand, as measured: the only picture of the world that planning and skills get.

A `Scene` is a value: it does not change after it was made. Whoever wants to know what happened looks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from toolwright.hardware.robot import F64


@dataclass(frozen=True)
class ObjectPart:
    """A cuboid that an object is made of: a bar's handle, bar and head, a tube's walls."""

    name: str
    pos: F64  # (3,) m, center in the object's frame
    size: F64  # (3,) m, along the object's axes


@dataclass(frozen=True)
class Mark:
    """A direction of an object that has a name: the face of a die with six points, the tip of a screwdriver."""

    name: str
    direction: F64  # (3,) unit, in the object's frame


@dataclass(frozen=True)
class SceneObject:
    """One thing in the scene.

    `size` is the full extent along the object's own axes. `shape` is one of sphere, box, cylinder, capsule, cup, mesh,
    bar (a rigid tool with an upright handle), tube, button, line, bolt, strip, tool, die, screwdriver, letter.
    """

    name: str
    shape: str
    pos: F64  # (3,) m, centre, world frame
    quat: F64  # (4,) w, x, y, z, world frame
    size: F64  # (3,) m
    mass: float  # kg
    fixed: bool
    opening: float = 0.0  # m, inner diameter of a container's mouth; 0 where it holds nothing
    color: str = ""
    parts: tuple[ObjectPart, ...] = ()
    travel: float = 0.0  # m that a button is pressed
    travel_max: float = 0.0  # m, to its stop
    magnetic: bool = False
    contents: float = 0.0  # ml of liquid in a cup
    length: float = 0.0  # m of a strip that its stand still holds
    turn: float = 0.0  # rad that a bolt's nut was turned, counter-clockwise from above
    marks: tuple[Mark, ...] = ()

    @property
    def top(self) -> float:
        """Height of its highest point above the world origin [m], for an upright object."""
        return float(self.pos[2] + self.size[2] / 2)


@dataclass(frozen=True)
class HeldTool:
    """The articulated tool in the hand. Its tip frame has z along the limbs, outwards, and x along the opening."""

    name: str
    family: str  # for instance tweezers
    opening: float  # m between the working tips
    opening_max: float  # m, widest goal that the hand reaches with this tool
    pos_palm: F64  # (3,) m, tool frame in the palm frame
    quat_palm: F64  # (4,) tool frame in the palm frame
    T_world_tip: F64  # (4, 4) midpoint between the tips
    angle: float  # rad at the tool's joint
    opening_min: float = 0.0  # m, narrowest goal that the hand reaches
    bore: float = 0.0  # m, inner diameter of a syringe's barrel


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in the world frame."""

    lower: F64  # (3,) m
    upper: F64  # (3,) m

    def contains(self, pos: F64) -> bool:
        return bool((pos >= self.lower).all() and (pos <= self.upper).all())


@dataclass(frozen=True)
class Scene:
    """Everything measured at one moment."""

    stamp: float  # s
    objects: dict[str, SceneObject]
    tool: HeldTool | None
    workspace: Box  # where the tips may go
    table_height: float  # m
    notes: tuple[str, ...] = field(default=())  # what perception could not make out, in plain words
    loose: HeldTool | None = None  # an articulated tool that is not in the hand: in its stand, or where it fell
    in_palm: str = ""  # what lies loose in the palm-up hand


class Perception(Protocol):
    """Whatever turns sensors into a scene: privileged state in simulation, a camera on the robot."""

    def look(self) -> Scene: ...
