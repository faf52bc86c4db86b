"""The Franka Research 3 arm, built from the maker's kinematics and inertias, with capsules as collision geometry."""

from __future__ import annotations

import json
from pathlib import Path

import mujoco
import numpy as np

from toolwright.hardware.joints import FR3
from toolwright.sim.models.physics import collide_as_robot

_DATA = Path(__file__).parent / "data" / "fr3.json"
_WHITE = (0.93, 0.93, 0.92, 1.0)

# Capsules (from, to, radius) [m] in each link's frame, drawn around the published link shapes.
_CAPSULES: tuple[tuple[tuple[float, ...], float], ...] = (
    ((0, 0, -0.2, 0, 0, -0.02), 0.06),
    ((0, 0, 0, 0, -0.18, 0), 0.058),
    ((0, 0, -0.14, 0.0825, 0, 0), 0.055),
    ((0, 0, 0, -0.0825, 0.1, 0), 0.055),
    ((0, 0, -0.29, 0, 0.05, -0.03), 0.05),
    ((0, 0, 0, 0.088, 0, 0), 0.048),
    ((0, 0, -0.02, 0, 0, 0.065), 0.043),
)


def add_fr3(spec: mujoco.MjSpec, parent: mujoco.MjsBody, pos: np.ndarray, quat: np.ndarray) -> mujoco.MjsBody:
    """Adds the arm below `parent`; returns the body that carries what is screwed to the flange.

    The controller of the real arm cancels its own weight, so the links are weightless here too; what hangs on the
    flange is not.

    Args:
        spec: the model to extend.
        parent: body that carries the base.
        pos: (3,) m, base frame in the parent's.
        quat: (4,) base frame in the parent's.
    """
    data = json.loads(_DATA.read_text())
    body = parent.add_body(name="fr3_base", pos=pos, quat=quat)
    base = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[-0.06, 0, 0.07, 0, 0, 0.07], size=[0.07, 0, 0])
    base.rgba = _WHITE
    collide_as_robot(base)
    for i, (link, (fromto, radius)) in enumerate(zip(data["links"], _CAPSULES, strict=True)):
        body = body.add_body(name=link["body"], pos=link["pos"], quat=link["quat"], gravcomp=1.0)
        body.mass, body.ipos, body.inertia = link["mass"], link["com"], link["diaginertia"]
        body.iquat = np.array(link["inertia_quat"]) / np.linalg.norm(link["inertia_quat"])
        body.explicitinertial = True
        body.add_joint(
            name=link["joint"],
            axis=[0, 0, 1],
            range=[FR3.lower[i], FR3.upper[i]],
            damping=data["damping"],
            armature=data["armature"][i],
            frictionloss=data["frictionloss"][i],
        )
        capsule = body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=fromto, size=[radius, 0, 0], rgba=_WHITE, mass=0
        )
        collide_as_robot(capsule)
        servo = spec.add_actuator(name=link["joint"], target=link["joint"], trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=data["kp"][i], kv=data["kv"][i])
        servo.forcerange = [-FR3.effort[i], FR3.effort[i]]
    body.add_site(name="flange", pos=data["flange"], size=[0.005, 0, 0], group=4)
    return body
