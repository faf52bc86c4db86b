"""The articulated tools. A module of this folder that defines `FAMILY` is a tool; nothing else needs to know it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import mujoco
import numpy as np

from toolwright.sim.models.tools.family import Contact, Part, ToolError, ToolFamily

__all__ = ["TOOLS", "Contact", "Part", "ToolError", "ToolFamily", "add_tool", "family"]


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
    pos: np.ndarray = np.zeros(3),
    quat: np.ndarray = np.array([1.0, 0, 0, 0]),
) -> mujoco.MjsBody:
    """Adds a free tool to the world: body and joints are called `name`, `name_free`, `name_b`, `name_hinge`.

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
