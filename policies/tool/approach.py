"""Where to put the tips: grasp height, direction of the opening, room for the hand beside other things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.scene import HeldTool, Scene, SceneObject

if TYPE_CHECKING:
    from toolwright.policies.motion import ArmMotion

TABLE_GAP = 0.0007  # m between the ends of the pads and the table: a bead of 2 mm radius is held below its middle
HAND_ABOVE_TIPS = 0.034  # m that the tips stick out of the hand, less a margin
COMFORTABLE = 0.02  # m, room beyond which more does not help
NARROW = 0.004  # m, least room between hand and things
_STEPS = 24  # directions tried all around
_FLAT = 0.3  # rad by which a side may lean and still be gripped


class NoWay(RuntimeError):
    """No direction of the tool brings its tips there."""


def horizontal_sides(item: SceneObject) -> list[tuple[float, float | None]]:
    """Pairs of opposite sides that the tips can close on: (width [m], yaw [rad]), narrowest first.

    The yaw is None for things that are alike all around the vertical.
    """
    axes = rotations.rotate(item.quat, np.eye(3))  # rows: the object's axes in the world
    if item.shape == "sphere":
        return [(float(item.size[0]), None)]
    if item.shape in ("cylinder", "capsule", "cup") and abs(axes[2, 2]) > np.cos(_FLAT):
        return [(float(item.size[0]), None)]
    flat = [i for i in range(3) if abs(axes[i, 2]) < np.sin(_FLAT)]
    return sorted((float(item.size[i]), float(np.arctan2(axes[i, 1], axes[i, 0]))) for i in flat)


def width(item: SceneObject) -> float:
    """Smallest width between sides that the tips can close on [m]; infinite where there are none."""
    sides = horizontal_sides(item)
    return sides[0][0] if sides else float("inf")


def half_height(item: SceneObject) -> float:
    """Half of the vertical extent of an object's bounding box [m]."""
    if item.shape == "sphere":
        return float(item.size[2] / 2)
    return float(np.abs(rotations.rotate(item.quat, np.eye(3))[:, 2]) @ item.size / 2)


def reach_around(item: SceneObject) -> float:
    """Radius [m] of an upright cylinder around an object's center that holds it."""
    if item.shape in ("sphere", "cup"):
        return float(item.size[0] / 2)
    return float(np.linalg.norm(item.size[:2]) / 2) if abs(_up(item)) > 0.99 else float(np.linalg.norm(item.size) / 2)


def grasp_height(item: SceneObject, table: float, pad_length: float) -> float:
    """Height of the tips [m] at which the pads' middle meets the object's, as far as table and hand leave room.

    Args:
        item: what to grip.
        table: m, height of the table.
        pad_length: m.
    """
    middle = float(item.pos[2]) - pad_length / 2
    return max(middle, table + TABLE_GAP, float(item.pos[2]) + half_height(item) - HAND_ABOVE_TIPS)


@dataclass(frozen=True)
class Obstacle:
    """An upright cylinder around something that must not be touched."""

    pos: F64  # (2,) m
    radius: float  # m
    top: float  # m


def obstacles(scene: Scene, without: Iterable[str] = ()) -> list[Obstacle]:
    """Everything on the table but the objects named."""
    left_out = set(without)
    return [
        Obstacle(item.pos[:2], reach_around(item), float(item.pos[2]) + half_height(item))
        for name, item in scene.objects.items()
        if name not in left_out
    ]


class HandShape:
    """The hand and the tool as points, to tell how much room they have."""

    def __init__(self) -> None:
        import mujoco

        from toolwright.sim.models.leap import add_leap
        from toolwright.sim.models.physics import new_spec

        spec = new_spec()
        add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]))
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._kinematics = mujoco.mj_kinematics
        grid = np.array(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3)).reshape(3, -1).T  # (27, 3)
        self._local = self._model.geom_aabb[:, None, :3] + self._model.geom_aabb[:, None, 3:] * grid

    def points(self, q: F64, T_palm_tip: F64, opening: float) -> F64:
        """Points (n, 3) [m] of hand and tool in the tip frame.

        Args:
            q: (16,) rad, the hand's joints.
            T_palm_tip: (4, 4) where the tips are in the palm.
            opening: m between the tips.
        """
        self._data.qpos[:] = q
        self._kinematics(self._model, self._data)
        mats = self._data.geom_xmat.reshape(-1, 3, 3)
        palm = (self._data.geom_xpos[:, None] + np.einsum("gij,gnj->gni", mats, self._local)).reshape(-1, 3)
        hand = (palm - T_palm_tip[:3, 3]) @ T_palm_tip[:3, :3]
        # Two limbs that stand apart by the opening all the way up: a little more than they really take.
        across, aside = opening / 2 + 0.008, 0.006
        limbs = np.array(np.meshgrid([-across, across], [-aside, aside], np.linspace(-0.12, 0.0, 7))).reshape(3, -1).T
        return np.concatenate([hand, limbs])


def room(points: F64, T_world_tip: F64, around: list[Obstacle]) -> float:
    """Smallest horizontal distance [m] between points of the hand and things that are as high; negative inside one."""
    world = points @ T_world_tip[:3, :3].T + T_world_tip[:3, 3]
    least = np.inf
    for thing in around:
        low = world[world[:, 2] < thing.top + NARROW]
        if len(low):
            away = np.linalg.norm(low[:, :2] - thing.pos, axis=1) - thing.radius
            least = min(least, float(away.min()))
    return least


def yaw_of(T_world_tip: F64) -> float:
    """Direction of the opening about the vertical [rad]."""
    return float(np.arctan2(T_world_tip[1, 0], T_world_tip[0, 0]))


def candidates(item: SceneObject | None, opening: float, now: float) -> list[float]:
    """Directions of the opening [rad] in which the object fits between the tips, the nearest to `now` first.

    Args:
        item: what to grip; None for any direction.
        opening: m between the tips on the way down.
        now: rad, present direction.
    """
    sides = [(0.0, None)] if item is None else horizontal_sides(item)
    yaws: list[float] = []
    for across, yaw in sides:
        if across < opening:
            yaws += [now + 2 * np.pi * k / _STEPS for k in range(_STEPS)] if yaw is None else [yaw, yaw + np.pi]
    return sorted(yaws, key=lambda yaw: abs(_wrap(yaw - now)))


def choose(
    motion: ArmMotion,
    poses: dict[float, list[F64]],
    T_palm_tip: F64,
    q: F64,
    points: F64,
    around: list[Obstacle],
    now: float,
) -> tuple[float, F64]:
    """The direction with the least turning among those with room, and the arm joints at its first pose.

    Args:
        motion: the arm.
        poses: yaw [rad] -> tip poses (4, 4) that must all be within reach; the hand needs room at the last.
        T_palm_tip: (4, 4) where the tips are in the palm.
        q: (7,) rad, present arm joints.
        points: of hand and tool, tip frame.
        around: what not to touch.
        now: rad, present direction.

    Returns:
        yaw [rad], joints (7,) [rad] at the first pose.

    Raises:
        NoWay: says whether reach or room is missing.
        Unreachable: no direction is within the arm's reach; carries the smallest distance.
    """
    from toolwright.policies.motion import Unreachable

    free = {yaw: room(points, path[-1], around) for yaw, path in poses.items()}

    def effort(yaw: float) -> float:
        return abs(_wrap(yaw - now)) + 3 * max(0.0, 1 - free[yaw] / COMFORTABLE)

    with_room = sorted((yaw for yaw in poses if free[yaw] >= NARROW), key=effort)
    if not with_room:
        raise NoWay("other things stand too near for the hand")
    nearest: Unreachable | None = None
    for yaw in with_room:
        try:
            first = joints = motion.solve(poses[yaw][0], T_palm_tip, q)
            for T in poses[yaw][1:]:
                joints = motion.solve(T, T_palm_tip, joints)
            return yaw, first
        except Unreachable as error:
            if nearest is None or error.distance < nearest.distance:
                nearest = error
    assert nearest is not None
    raise nearest


def between_tips(item: SceneObject, tool: HeldTool, T_world_tip: F64, pad_length: float) -> bool:
    """Whether an object's center is between the pads, or less than half a pad away from that.

    Args:
        item: the object.
        tool: gives the opening.
        T_world_tip: (4, 4) tips, filtered.
        pad_length: m.
    """
    across, aside, along = T_world_tip[:3, :3].T @ (item.pos - T_world_tip[:3, 3])
    slack = pad_length / 2
    near = abs(aside) < slack and -pad_length - slack < along < slack + half_height(item) / 2
    return bool(abs(across) < tool.opening / 2 + slack / 2 and near)


def _up(item: SceneObject) -> float:
    return float(rotations.rotate(item.quat, np.array([0.0, 0, 1]))[2])


def _wrap(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
