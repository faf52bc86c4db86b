"""What the articulated tools' jobs are measured by: volumes, nuts, lines. Geometry that actions and judges share."""

from __future__ import annotations

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.scene import HeldTool, ObjectPart, SceneObject

ML = 1e6  # ml in a m^3
DOSE_ML, DOSE_SHARE = 0.05, 0.1  # by how much a dose may be off: the larger of the two
TURNED = float(np.deg2rad(10))  # rad by which a nut's turn may be off
ON_AXIS = 0.004  # m between a line and the middle of the jaws that hold it
THIN = 0.6  # of a line's thickness that jaws on it stay open by
JAWS = 0.02  # m of jaw, from the tips, in which a line may lie
CLEAR = 0.06  # m from where it was in the hand, for a tool that is no longer in it


def dose_error(volume: float) -> float:
    """How far a dose of `volume` [ml] may be off [ml]."""
    return max(DOSE_ML, DOSE_SHARE * volume)


def ml_per_meter(tool: HeldTool) -> float:
    """Volume [ml] that a meter of the plunger's travel moves; 0 for what is no syringe."""
    return float(np.pi / 4 * tool.bore**2 * ML)


def volume_left(tool: HeldTool) -> float:
    """Volume [ml] that a syringe can still give."""
    return max(0.0, (tool.opening - tool.opening_min) * ml_per_meter(tool))


def nut_of(item: SceneObject) -> ObjectPart | None:
    """The nut of a bolt: across its flats along the part's y; None for what has none."""
    return next((part for part in item.parts if part.name == "nut"), None)


def line_of(item: SceneObject) -> tuple[F64, F64, float] | None:
    """Middle (3,) [m], direction (3,) and radius [m] of a strung line, world frame; None for what is no line."""
    part = next((part for part in item.parts if part.name == "line"), None)
    if part is None:
        return None
    along = rotations.rotate(item.quat, np.array([1.0, 0, 0]))
    return item.pos + rotations.rotate(item.quat, part.pos), along, float(part.size[1] / 2)


def strip_of(item: SceneObject) -> tuple[F64, F64, float, float] | None:
    """Start (3,) [m] and direction (3,) of a strip, length of a piece and width [m]; None for what is no strip."""
    pieces = [part for part in item.parts if part.name.startswith("piece")]
    if not pieces:
        return None
    along = rotations.rotate(item.quat, np.array([1.0, 0, 0]))
    length, _, width = (float(value) for value in pieces[0].size)
    return item.pos + rotations.rotate(item.quat, pieces[0].pos) - along * length / 2, along, length, width


def off_line(tool: HeldTool, item: SceneObject) -> float:
    """Distance [m] between a line's axis and the middle of the jaws, where the line crosses them.

    Infinite where the line does not pass between the ends of the jaws.
    """
    line = line_of(item)
    if line is None:
        return float("inf")
    middle, along, _ = line
    turn, tips = tool.T_world_tip[:3, :3], tool.T_world_tip[:3, 3]
    if tool.opening < THIN * 2 * line[2]:
        return float("inf")  # they have shut: it is beside them
    start, way = turn.T @ (middle - tips), turn.T @ along
    if abs(way[1]) < 0.5:
        return float("inf")  # it lies in the jaws lengthwise, or crosswise
    x, _, z = start - way * (start[1] / way[1])
    return float(abs(x)) if -JAWS < z < 0.001 else float("inf")


def in_hand(tool: HeldTool, pos_palm: F64) -> bool:
    """Whether a tool is still about where it was in the palm, (3,) [m]."""
    return bool(np.linalg.norm(tool.pos_palm - pos_palm) < CLEAR)
