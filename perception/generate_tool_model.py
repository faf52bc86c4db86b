"""A tool of the simulation as the robot knows it: its dimensions, and how the hand took it."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.affordance.tool_model import FINGERS, ToolModel
from toolwright.sim import grasp, grasp_bank
from toolwright.sim.models.tools import ToolFamily

_BOX, _CAPSULE, _CYLINDER = (int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("BOX", "CAPSULE", "CYLINDER"))


def tool_model(tool: ToolFamily, params: Any, model: mujoco.MjModel, taken: F64, start: F64) -> ToolModel:
    """What the robot knows of a tool.

    Args:
        tool: its family.
        params: its dimensions.
        model: of hand and tool.
        taken: (4, 4) mid frame in the palm frame.
        start: (24,) coordinates of hand and tool as it was taken.
    """
    geoms = [(limb, g) for limb, name in enumerate(("tool", "tool_b")) for g in _of(model, name)]
    kind = np.array([model.geom_type[g] for _, g in geoms])
    size = np.array([model.geom_size[g] for _, g in geoms])
    if not np.isin(kind, (_BOX, _CAPSULE, _CYLINDER)).all():
        raise ValueError(f"a {tool.name} has solids that are no box, capsule or cylinder: the encoder cannot fit it")
    # A capsule is its axis, rounded; a cylinder is flat at the ends.
    half = np.where((kind == _BOX)[:, None], size, size[:, [0, 2, 1]] * [1.0, 0, 1])
    half[kind == _CAPSULE, 0] = 0.0
    data = mujoco.MjData(model)
    data.qpos[:] = start
    mujoco.mj_kinematics(model, data)
    limb_of = {contact.finger: contact.limb for contact in tool.contacts(params)}
    grip_limb = np.array([limb_of[finger] for finger in FINGERS])
    bodies = [data.body(("tool", "tool_b")[limb]) for limb in grip_limb]
    ends = [data.geom(f"{finger}_tip").xpos for finger in FINGERS]
    return ToolModel(
        slide=tool.joint == "slide",
        reach=(0.0, float(params.max_angle)),
        opening=lambda joint: float(tool.opening(params, joint)),
        tip=tool.tip(params),
        limb=np.array([limb for limb, _ in geoms]),
        at=np.array([model.geom_pos[g] for _, g in geoms]),
        turn=np.array([rotations.rotate(model.geom_quat[g], np.eye(3)).T for _, g in geoms]),
        box=kind == _BOX,
        half=half,
        radius=np.where(kind == _CAPSULE, size[:, 0], 0.0),
        taken=taken,
        grip_limb=grip_limb,
        grip=np.array([b.xmat.reshape(3, 3).T @ (end - b.xpos) for b, end in zip(bodies, ends, strict=True)]),
    )


@lru_cache(maxsize=256)
def of_bank(name: str, index: int = 0) -> ToolModel:
    """One tool of a family's grasp bank; the first is the nominal one."""
    bank = _bank(name)
    taken = np.eye(4)
    taken[:3, :3], taken[:3, 3] = rotations.rotate(bank.quat[index], np.eye(3)).T, bank.pos[index]
    params = bank.params[index]
    model = grasp.hand_and_tool(bank.family, params)
    return tool_model(bank.family, params, model, taken, bank.start[index, grasp.MIDDLE])


@cache
def _bank(name: str) -> grasp_bank.GraspBank:
    return grasp_bank.load(name)


def _of(model: mujoco.MjModel, body: str) -> np.ndarray:
    return np.flatnonzero(model.geom_bodyid == model.body(body).id)
