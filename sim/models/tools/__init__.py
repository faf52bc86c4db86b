"""The articulated tools. A module of this folder that defines `FAMILY` is a tool; nothing else needs to know it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.scene import HeldTool
from toolwright.sim.models.tools.family import Contact, Part, ToolError, ToolFamily

__all__ = ["TOOLS", "Contact", "Part", "ToolError", "ToolFamily", "add_tool", "family", "held_tool_state"]


def _discover() -> dict[str, ToolFamily]:
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {module.FAMILY.name: module.FAMILY for module in modules if hasattr(module, "FAMILY")}


TOOLS: dict[str, ToolFamily] = _discover()


def family(name: str) -> ToolFamily:
    """The family of this name.

    Raises:
        ToolError: there is none.
    """
    if name not in TOOLS:
        raise ToolError(f"unknown tool '{name}'; there are {', '.join(TOOLS)}")
    return TOOLS[name]


def add_tool(
    spec: mujoco.MjSpec,
    tool: ToolFamily,
    params: Any,
    name: str,
    pos: Sequence[float] | F64 = (0.0, 0.0, 0.0),
    quat: Sequence[float] | F64 = (1.0, 0.0, 0.0, 0.0),
) -> mujoco.MjsBody:
    """Adds a free tool to the world: bodies `name` and `name_b`, joints `name_free` and `name_hinge` (a slide, too).

    Args:
        spec: the model to extend.
        tool: the family.
        params: its parameters.
        name: of the body.
        pos: (3,) m, of limb A's frame, world.
        quat: (4,) of limb A's frame, world.
    """
    body = spec.worldbody.add_body(name=name, pos=pos, quat=quat)
    body.add_joint(name=f"{name}_free", type=mujoco.mjtJoint.mjJNT_FREE)
    tool.build(body, params, name)
    return body


def held_tool_state(model: mujoco.MjModel, data: mujoco.MjData, tool: ToolFamily, params: Any, name: str) -> HeldTool:
    """The true state of a tool, with respect to the palm.

    Args:
        model: with a body "palm".
        data: with current kinematics.
        tool: its family.
        params: its parameters.
        name: of its body.
    """
    joint = model.joint(f"{name}_hinge")
    angle = float(data.qpos[joint.qposadr[0]])
    body, palm = data.body(name), data.body("palm")
    quat = rotations.multiply(body.xquat, rotations.about_y(tool.turn * angle))
    tip = np.eye(4)
    tip[:3, :3] = rotations.rotate(quat, np.eye(3)).T
    tip[:3, 3] = body.xpos + rotations.rotate(quat, tool.tip(params))
    inverse = rotations.conjugate(palm.xquat)
    return HeldTool(
        name=name,
        family=tool.name,
        opening=float(tool.opening(params, angle)),
        opening_max=float(tool.opening(params, tool.reach[1] * params.max_angle)),
        pos_palm=rotations.rotate(inverse, body.xpos - palm.xpos),
        quat_palm=rotations.multiply(inverse, quat),
        T_world_tip=tip,
        angle=angle,
        opening_min=float(tool.opening(params, tool.reach[0] * params.max_angle)),
        bore=float(getattr(params, "bore", 0.0)),
    )
