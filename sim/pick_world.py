"""The world of the pick task: one compiled model for each small object, and what a batch needs to tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import MODEL_FIELDS

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, FR3_HOME, FR3_LEAP
from toolwright.hardware.pick import Room
from toolwright.hardware.robot import F64
from toolwright.hardware.tip_motion import Chain, Poses
from toolwright.sim import grasp, grasp_bank
from toolwright.sim.models.kinematics import arm_chain
from toolwright.sim.models.small_objects import add_meshes, add_small_object, small_objects
from toolwright.sim.robot import SimRobot, place_in_hand
from toolwright.sim.scene import build, load_scene
from toolwright.sim.scene_spec import Randomization

ANCHOR = 1  # of the grasp: half open


@dataclass(frozen=True)
class World:
    """What all tasks share: models by object, what differs between them, the arm's kinematics and its load."""

    models: tuple[mujoco.MjModel, ...]
    variants: dict[str, np.ndarray]  # (objects, ...)
    frictions: F64  # (objects, parts, 3)
    bank: grasp_bank.GraspBank
    chain: Chain
    room: Room
    payload: Any
    palm_tip: Poses  # (1,) of the nominal grasp
    tip: F64  # (3,) m, the tips in the tool's mid frame
    arm_mass: np.ndarray  # (7, 7) where the arm's inertia stands in the sparse mass matrix


@cache
def world() -> World:
    """Compiles the scene once for every object."""
    bank = grasp_bank.load("tweezers")
    bank = bank.rows(np.array([0]))
    scene = load_scene("bead")
    scene = scene.model_copy(update={"name": "pick", "objects": {}, "randomize": Randomization()})
    models = []
    for i in range(len(small_objects())):
        spec = build(scene)
        add_meshes(spec)
        add_small_object(spec, i, "thing", np.array([0.48, 0.0, 0.05]), bore=False)
        models.append(spec.compile())
    data = mujoco.MjData(models[0])
    payload = None
    for model in models:
        data = mujoco.MjData(model)
        for joint, q in zip(FR3.names, FR3_HOME, strict=True):
            data.joint(joint).qpos[0] = q
        place_in_hand(model, data, bank, 0, ANCHOR, "tweezers")
        payload = payload or SimRobot(model, data, FR3_LEAP).payload  # makes motors of the arm's servos, and weighs
        SimRobot(model, data, FR3_LEAP, payload=payload)
    first = models[0]
    variants = {
        name: np.stack([getattr(m, name) for m in models])
        for name in MODEL_FIELDS
        if "." not in name and any((getattr(m, name) != getattr(first, name)).any() for m in models[1:])
    }
    frictions = np.stack([m.geom_friction[[m.geom(f"thing_{p}").id for p in range(2)]] for m in models])
    family, params = bank.family, bank.params[0]
    pos, quat = grasp.mid_pose(bank.start[0, ANCHOR, 16:][None])
    tip = family.tip(params)
    palm_tip = Poses(pos + rotations.rotate(quat, tip), quat)
    lower, upper = np.array(scene.workspace.lower), np.array(scene.workspace.upper)
    room = Room(lower, upper, scene.table.height)
    return World(tuple(models), variants, frictions, bank, arm_chain(), room, payload, palm_tip, tip, _arm_mass(first))


def _arm_mass(model: mujoco.MjModel) -> np.ndarray:
    where = np.zeros((len(FR3), len(FR3)), dtype=np.intp)
    for i in range(len(FR3)):
        start, count = int(model.M_rowadr[i]), int(model.M_rownnz[i])
        for k in range(start, start + count):
            j = int(model.M_colind[k])
            where[i, j] = where[j, i] = k
    return where
