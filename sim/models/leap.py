"""The LEAP hand (right), built from its published kinematics with primitive collision geometry.

Palm frame: fingers along +x, the palm faces -z, the index finger at +y.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware.joints import LEAP
from toolwright.sim.models.physics import collide_as_robot

FINGERS = ("if", "mf", "rf")
TIPS = ("if_tip", "mf_tip", "rf_tip", "th_tip")  # sites at the end of each fingertip's core
TIP_PRIORITY = 1  # the rubber decides what a fingertip's contact is like
# As stiff as the time step allows: softer tips sink two millimeters into a tool.
TIP_SOLREF, TIP_SOLIMP = [0.01, 1.0], [0.94, 0.98, 0.001, 0.5, 2.0]
_DATA = Path(__file__).parent / "data" / "leap.json"
_SHELL, _RUBBER = (0.27, 0.29, 0.33, 1.0), (0.55, 0.57, 0.6, 1.0)


@dataclass(frozen=True)
class HandMotors:
    """Current-limited position servos with a bus latency (Dynamixel XC330-M288 in current-based position mode)."""

    kp: float = 3.0  # N m/rad
    kv: float = 0.05  # N m s/rad
    damping: float = 0.03  # N m s/rad, of the gearbox
    armature: float = 0.002  # kg m^2, rotor inertia behind the gear
    frictionloss: float = 0.005  # N m
    latency: float = 0.01  # s from a command to its effect
    latency_max: float = 0.045  # s, the longest that a randomised model may ask for


@dataclass(frozen=True)
class HandSurface:
    """Friction of the shell and of the rubber fingertips (sliding, torsional in m)."""

    tip: float = 0.9
    tip_torsion: float = 0.005
    shell: float = 0.3


@cache
def _data() -> dict[str, Any]:
    return json.loads(_DATA.read_text())


def add_leap(
    spec: mujoco.MjSpec,
    parent: mujoco.MjsBody,
    pos: np.ndarray,
    quat: np.ndarray,
    motors: HandMotors = HandMotors(),
    surface: HandSurface = HandSurface(),
) -> mujoco.MjsBody:
    """Adds the hand below `parent`; returns its palm body.

    Args:
        spec: the model to extend.
        parent: body that carries the palm.
        pos: (3,) m, palm frame in the parent's.
        quat: (4,) palm frame in the parent's.
        motors: servo parameters, the same for all sixteen joints.
        surface: friction of tips and shell.
    """
    data = _data()
    palm = parent.add_body(name="palm", pos=pos, quat=quat)
    _inertia(palm, data["palm"])
    for box in data["palm"]["boxes"]:
        _box(palm, box, surface)
    for finger in FINGERS:
        chain = [dict(data["finger"][0], pos=data["finger_roots"][finger]["pos"], quat=data["finger_roots"]["quat"])]
        chain += data["finger"][1:]
        _chain(palm, finger + "_", chain, data["tip_capsules"]["finger"], motors, surface)
    thumb = [
        dict(link, body=link["body"].removeprefix("th_"), joint=link["joint"].removeprefix("th_"))
        for link in data["thumb"]
    ]
    _chain(palm, "th_", thumb, data["tip_capsules"]["thumb"], motors, surface)
    for name, effort in zip(LEAP.names, LEAP.effort, strict=True):
        servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=motors.kp, kv=motors.kv)
        servo.forcerange = [-effort, effort]
        servo.delay = motors.latency
        servo.nsample = int(np.ceil(motors.latency_max / spec.option.timestep)) + 1
    return palm


def _chain(
    palm: mujoco.MjsBody,
    prefix: str,
    links: list[dict[str, Any]],
    tip: dict[str, float],
    motors: HandMotors,
    surface: HandSurface,
) -> None:
    body = palm
    for link in links:
        body = body.add_body(name=prefix + link["body"], pos=link["pos"], quat=link["quat"])
        _inertia(body, link)
        limit = LEAP.names.index(prefix + link["joint"])
        body.add_joint(
            name=prefix + link["joint"],
            axis=[0, 0, -1],
            range=[LEAP.lower[limit], LEAP.upper[limit]],
            damping=motors.damping,
            armature=motors.armature,
            frictionloss=motors.frictionloss,
        )
        distal = link is links[-1]
        for box in link["boxes"]:
            _box(body, box, surface, distal)
    capsule = body.add_geom(
        name=prefix + "tip",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[0, tip["y0"], tip["z"], 0, tip["y1"], tip["z"]],
        size=[tip["radius"], 0, 0],
        condim=4,
        friction=[surface.tip, surface.tip_torsion, 1e-4],
        solref=TIP_SOLREF,
        solimp=TIP_SOLIMP,
        priority=TIP_PRIORITY,
        rgba=_RUBBER,
        mass=0,
    )
    collide_as_robot(capsule, fingertip=True)
    body.add_site(name=prefix + "tip", pos=[0, tip["y1"], tip["z"]], size=[0.003, 0, 0], group=4)


def _inertia(body: mujoco.MjsBody, link: dict[str, Any]) -> None:
    body.mass, body.ipos, body.inertia = link["mass"], link["com"], link["diaginertia"]
    body.iquat = np.array(link["inertia_quat"]) / np.linalg.norm(link["inertia_quat"])
    body.explicitinertial = True


def _box(body: mujoco.MjsBody, box: dict[str, Any], surface: HandSurface, fingertip: bool = False) -> None:
    geom = body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=box["half"],
        pos=box["pos"],
        quat=box.get("quat", [1, 0, 0, 0]),
        friction=[surface.shell, 0.005, 1e-4],
        rgba=_SHELL,
        mass=0,
    )
    collide_as_robot(geom, fingertip)
