"""How near the FR3 and the LEAP hand come to themselves, from the same capsules and boxes as in the simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import F64, JointSpec

FAR = 0.05  # m, beyond which distances are not told apart
# Which may meet at all: neighbors in the chain always touch, and fingers are to.
_BASE, _ELBOW, _WRIST, _HAND = 1, 2, 4, 8
_MEETS = {_BASE: _WRIST | _HAND, _ELBOW: _HAND, _WRIST: 0, _HAND: 0}


def own_distance(joints: JointSpec) -> Callable[[F64], float]:
    """Smallest distance [m] between parts of the robot that must not touch, at most `FAR`.

    Args:
        joints: of an FR3, with or without a LEAP hand; others do not matter.

    Returns:
        A function of joint positions (n,) [rad].
    """
    import mujoco

    from toolwright.sim.models.physics import new_spec
    from toolwright.sim.models.robot import add_robot

    hand = "leap" if set(LEAP.names) <= set(joints.names) else None
    spec = new_spec()
    add_robot(spec, "fr3", hand, np.zeros(3), np.array([1.0, 0, 0, 0]))
    links = {name: i for i, name in enumerate(_links(spec))}
    for geom in spec.geoms:
        kind = _kind(links.get(geom.parent.name, len(links)))
        geom.contype, geom.conaffinity, geom.margin = kind, _MEETS[kind], FAR / 2
    model = spec.compile()
    data = mujoco.MjData(model)
    names = FR3.names + (LEAP.names if hand else ())
    where, qpos = joints.indices(names), np.array([model.joint(name).qposadr[0] for name in names])

    def distance(q: F64) -> float:
        data.qpos[qpos] = q[where]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_collision(model, data)
        return float(min(data.contact.dist.min(), FAR)) if data.ncon else FAR

    return distance


def _links(spec: Any) -> list[str]:
    """Bodies of the arm, base first."""
    bodies = [body.name for body in spec.bodies]
    return bodies[bodies.index("fr3_base") : bodies.index("fr3_base") + 1 + len(FR3)]


def _kind(link: int) -> int:
    if link <= 2:  # base, shoulder and upper arm's first half
        return _BASE
    if link <= 4:
        return _ELBOW
    return _WRIST if link <= len(FR3) else _HAND
