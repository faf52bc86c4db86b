"""A stand on the table: a pocket in which an articulated tool stands upright, tips down, where fingers do not need it.

Nothing holds the tool but the pocket's walls: a tool that is sprung open presses against them, any other one leans.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.models import objects
from toolwright.sim.models.implements import Part
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.tools import ToolFamily, add_tool

DEPTH, FLOOR = 0.028, 0.004  # m: a pocket's depth, and the thickness of its floor
# m, so thick that a thin limb which is pressed in for a moment comes out again on the same side.
WALL = 0.016
FOOT = 0.015  # m that the plate below stands out around the walls
# Of the tool's largest angle, how far a tool in its pocket is open, by where its spring drives it.
_OPEN = {"open": 0.8, "shut": 0.0, "free": 0.4}
_SLID = 0.97  # the same of a plunger, which its spring pushes out
# m beside the tool, x and y. A sprung one touches from the start: its light limbs would gather speed in any gap.
_ROOM = {"open": (-2e-5, 0.0010), "shut": (0.0015, 0.0010), "free": (0.0010, 0.0010)}
# Walls give a little: against harder ones light limbs, pushed from the other side, are flung away.
_GIVES = ((0.02, 1.0), (0.99, 0.995, 0.001, 0.5, 2.0))
_ABOVE = 0.0002  # m over the pocket's floor, from where it sinks to rest
_GRID = np.array(np.meshgrid(*[np.linspace(-1.0, 1.0, 9)] * 3)).reshape(3, -1).T  # (729, 3)
_SMOOTH = 3  # of all geoms: a stand's own friction counts, not the greater one of tool and stand


@dataclass(frozen=True)
class Seat:
    """How a tool stands in the pocket that is made for it."""

    inner: tuple[float, float]  # m, free width along the opening and across it
    angle: float  # rad (a slide: m), of the tool's joint
    below: float  # m, from the tool's origin to its lowest point


def seat(tool: ToolFamily, params: Any, depth: float = DEPTH) -> Seat:
    """The pocket that fits a tool.

    Args:
        tool: the family.
        params: its parameters.
        depth: m, of the pocket.
    """
    return _seat(tool.name, params, depth)


@cache
def _seat(name: str, params: Any, depth: float) -> Seat:
    from toolwright.sim.models.tools import family

    tool = family(name)
    share = _SLID if tool.joint == "slide" else _OPEN[tool.rest]
    angle = share * float(params.max_angle)
    points = _outline(tool, params, angle)
    below = float(points[:, 2].max())
    inside = np.abs(points[points[:, 2] > below - depth][:, :2]).max(axis=0)
    room = _ROOM["shut" if tool.joint == "slide" else tool.rest]
    return Seat((2 * float(inside[0] + room[0]), 2 * float(inside[1] + room[1])), angle, below)


def _outline(tool: ToolFamily, params: Any, angle: float) -> F64:
    """Points (n, 3) [m] of a tool's solid parts in its mid frame."""
    spec = new_spec()
    add_tool(spec, tool, params, "tool", quat=rotations.about_y(-tool.turn * np.asarray(angle)))
    model = spec.compile()
    data = mujoco.MjData(model)
    data.joint("tool_hinge").qpos[0] = angle
    mujoco.mj_kinematics(model, data)
    points = []
    for i in np.flatnonzero(model.geom_contype > 0):
        turn, center, half = data.geom_xmat[i].reshape(3, 3), model.geom_aabb[i, :3], model.geom_aabb[i, 3:]
        points.append(data.geom_xpos[i] + (center + _GRID * half) @ turn.T)
    return np.concatenate(points)


def stand_parts(inner: tuple[float, float], depth: float) -> tuple[Part, ...]:
    """Plate and walls of a stand, in the frame at the center of the box around them; lengths in m."""
    x, y = inner
    wide, long = x + 2 * WALL, y + 2 * WALL
    height = FLOOR + depth
    middle = height / 2
    up = FLOOR + depth / 2 - middle
    plate = np.array([wide + 2 * FOOT, long + 2 * FOOT, FLOOR])
    return (
        Part("plate", np.array([0, 0, FLOOR / 2 - middle]), plate),
        Part("left", np.array([-(x + WALL) / 2, 0, up]), np.array([WALL, long, depth])),
        Part("right", np.array([(x + WALL) / 2, 0, up]), np.array([WALL, long, depth])),
        Part("front", np.array([0, -(y + WALL) / 2, up]), np.array([x, WALL, depth])),
        Part("back", np.array([0, (y + WALL) / 2, up]), np.array([x, WALL, depth])),
    )


def add_stand(body: mujoco.MjsBody, parts: tuple[Part, ...], friction: float, rgba: F64) -> None:
    """Adds the parts of a stand to a fixed body; friction is the sliding coefficient, rgba (4,)."""
    for part in parts:
        geom = body.add_geom(
            name=f"{body.name}_{part.name}", type=mujoco.mjtGeom.mjGEOM_BOX, size=part.size / 2, pos=part.pos
        )
        objects.surface(geom, friction, rgba)
        geom.priority, geom.solref, geom.solimp = _SMOOTH, *_GIVES


def place_in_stand(
    model: mujoco.MjModel, data: mujoco.MjData, tool: ToolFamily, params: Any, name: str, stand: str, depth: float
) -> None:
    """Starts a world with a tool in a stand. An initial condition, for a world that has not begun to move.

    Args:
        model: with the stand as a fixed body, and the tool as a free one.
        data: at time zero.
        tool: the family.
        params: its parameters.
        name: of the tool's body.
        stand: name of the stand's body.
        depth: m, of its pocket.
    """
    if data.time > 0:
        raise ValueError(f"'{name}' cannot be put into '{stand}' at {data.time:.2f} s: the world has begun to move")
    seated = seat(tool, params, depth)
    mujoco.mj_kinematics(model, data)
    body = data.body(stand)
    height = FLOOR + depth
    up = FLOOR - height / 2 + seated.below + _ABOVE
    pos = body.xpos + rotations.rotate(body.xquat, np.array([0.0, 0.0, up]))
    middle = rotations.multiply(body.xquat, np.array([0.0, 1.0, 0.0, 0.0]))  # tips down
    data.joint(f"{name}_free").qpos[:3] = pos
    data.joint(f"{name}_free").qpos[3:] = rotations.multiply(middle, rotations.about_y(-tool.turn * seated.angle))
    data.joint(f"{name}_hinge").qpos[0] = seated.angle
    mujoco.mj_forward(model, data)
