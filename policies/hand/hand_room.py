"""Room for the hand beside other things, which count as what they are: round ones as circles, the rest as cuboids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.scene import ObjectPart, Scene, SceneObject
from toolwright.policies.tool.approach import NARROW, half_height

HAND = 0.09  # m that the hand takes around the middle of its wrap
LOW = 0.05  # m over the table: what ends below is under the hand that holds a handle
_ROUND = ("sphere", "cylinder", "cup", "capsule")


@dataclass(frozen=True)
class Footprint:
    """What stands on the table, seen from above."""

    name: str
    pos: F64  # (2,) m
    axes: F64  # (2, 2) columns: its own x and y, level
    half: F64  # (2,) m; of a round thing the radius twice
    round: bool
    top: float  # m

    def distance(self, points: F64) -> F64:
        """Level distance [m] of points (n, 2); negative inside."""
        if self.round:
            return np.asarray(np.linalg.norm(points - self.pos, axis=1) - self.half[0])
        away = np.abs((points - self.pos) @ self.axes) - self.half
        outside = np.linalg.norm(np.maximum(away, 0.0), axis=1)
        return np.asarray(np.where(outside > 0, outside, away.max(axis=1)))


def footprints(scene: Scene, without: Iterable[str] = ()) -> list[Footprint]:
    """Of everything but the objects named; of a tool every part."""
    left_out = set(without)
    return [one for name, item in scene.objects.items() if name not in left_out for one in of(item)]


def standing(scene: Scene, without: Iterable[str] = ()) -> list[Footprint]:
    """Of what stands as high as the hand that holds a handle: of a bar its handle alone."""
    return [one for one in footprints(scene, without) if one.top > scene.table_height + LOW]


def around(point: F64, things: list[Footprint]) -> float:
    """Least level distance [m] from a point (2,) to things; infinite where there are none."""
    return float(clearance(point[None], things)[0])


def clearance(points: F64, things: list[Footprint]) -> F64:
    """(n,) the same of points (n, 2)."""
    return np.min([thing.distance(points) for thing in things] or [np.full(len(points), np.inf)], axis=0)


def of(item: SceneObject) -> list[Footprint]:
    """Of one object."""
    matrix = rotations.rotate(item.quat, np.eye(3)).T
    upright = abs(matrix[2, 2]) > 0.9
    if item.shape in _ROUND and (upright or item.shape == "sphere"):
        half, top = np.full(2, item.size[0] / 2), float(item.pos[2]) + half_height(item)
        return [Footprint(item.name, item.pos[:2], np.eye(2), half, True, top)]
    if not upright:  # on its side: the box around it
        half3 = np.abs(matrix) @ item.size / 2
        return [Footprint(item.name, item.pos[:2], np.eye(2), half3[:2], False, float(item.pos[2] + half3[2]))]
    pieces = item.parts or (ObjectPart(item.name, np.zeros(3), item.size),)
    axes = matrix[:2, :2] / np.linalg.norm(matrix[:2, :2], axis=0)
    made = []
    for piece in pieces:
        center = item.pos + matrix @ piece.pos
        half = piece.size[:2] / 2
        made.append(Footprint(item.name, center[:2], axes, half, False, float(center[2] + piece.size[2] / 2)))
    return made


def room(points: F64, T_world_frame: F64, around: list[Footprint]) -> float:
    """Least level distance [m] between points of the hand (n, 3) and things that are as high; negative inside one."""
    world = points @ T_world_frame[:3, :3].T + T_world_frame[:3, 3]
    least = np.inf
    for thing in around:
        low = world[world[:, 2] < thing.top + NARROW]
        if len(low):
            least = min(least, float(thing.distance(low[:, :2]).min()))
    return least


def tallest(scene: Scene, without: Iterable[str] = ()) -> float:
    """Height [m] of the highest thing, or of the table."""
    return max([scene.table_height, *(thing.top for thing in footprints(scene, without))])
