"""A tool of the simulation as a surface of known dimensions, for the geometric baseline."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.affordance.geometric import KnownTool
from toolwright.sim.models.tools import ToolFamily

_DENSITY = 4e5  # points/m^2


def known_tool(
    tool: ToolFamily, params: Any, model: mujoco.MjModel, name: str = "tool", rng: np.random.Generator | None = None
) -> KnownTool:
    """The surface of a tool's two limbs.

    Args:
        tool: its family.
        params: its dimensions.
        model: with the bodies `name` and `name`_b.
        name: of the tool.
        rng: spreads the points.
    """
    rng = rng or np.random.default_rng(0)
    limbs = tuple(_limb(model, model.body(body).id, rng) for body in (name, f"{name}_b"))

    def move(limb: int, angle: float) -> F64:
        T = np.eye(4)
        if tool.joint == "slide":
            T[2, 3] = -angle if limb else 0.0
        else:
            T[:3, :3] = rotations.rotate(rotations.about_y((0.5 if limb else -0.5) * angle), np.eye(3)).T
        return T

    return KnownTool(
        limbs=limbs,
        move=move,
        opening=lambda angle: float(tool.opening(params, angle)),
        tip=tool.tip(params),
        reach=(0.0, float(params.max_angle)),
    )


def _limb(model: mujoco.MjModel, body: int, rng: np.random.Generator) -> tuple[F64, F64]:
    points, normals = [], []
    for g in np.flatnonzero(model.geom_bodyid == body):
        at, out = _surface(int(model.geom_type[g]), model.geom_size[g], rng)
        points.append(model.geom_pos[g] + rotations.rotate(model.geom_quat[g], at))
        normals.append(rotations.rotate(model.geom_quat[g], out))
    return np.concatenate(points), np.concatenate(normals)


def _surface(kind: int, size: F64, rng: np.random.Generator) -> tuple[F64, F64]:
    if kind == int(mujoco.mjtGeom.mjGEOM_BOX):
        return _box(size, rng)
    radius, half = size[0], size[1]
    count = max(int(4 * np.pi * radius * half * _DENSITY), 20)
    turn, along = rng.uniform(0, 2 * np.pi, count), rng.uniform(-half, half, count)
    out = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    points, normals = [radius * out + along[:, None] * [0, 0, 1]], [out]
    caps = max(int(2 * np.pi * radius**2 * _DENSITY), 10)
    if kind == int(mujoco.mjtGeom.mjGEOM_CAPSULE):
        ball = rng.normal(size=(2 * caps, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        points.append(radius * ball + np.sign(ball[:, 2:]) * [0, 0, half])
        normals.append(ball)
    else:
        turn, far = rng.uniform(0, 2 * np.pi, caps), radius * np.sqrt(rng.uniform(0, 1, caps))
        side = np.sign(rng.uniform(-1, 1, caps))
        points.append(np.stack([far * np.cos(turn), far * np.sin(turn), side * half], axis=1))
        normals.append(side[:, None] * [0.0, 0, 1])
    return np.concatenate(points), np.concatenate(normals)


def _box(size: F64, rng: np.random.Generator) -> tuple[F64, F64]:
    points, normals = [], []
    for axis in range(3):
        area = 4 * np.prod(np.delete(size, axis))
        count = max(int(2 * area * _DENSITY), 8)
        at = rng.uniform(-1, 1, (count, 3)) * size
        side = np.where(np.arange(count) % 2, 1.0, -1.0)
        at[:, axis] = side * size[axis]
        points.append(at)
        normals.append(side[:, None] * np.eye(3)[axis])
    return np.concatenate(points), np.concatenate(normals)
