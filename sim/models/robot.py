"""Robots as models: the arm, the hand, or the hand on the arm's flange."""

from __future__ import annotations

import mujoco
import numpy as np

from toolwright.sim.models.fr3 import add_fr3
from toolwright.sim.models.leap import HandSurface, add_leap
from toolwright.sim.models.physics import collide_as_robot

# The bracket between flange and hand. It turns the hand sideways, so that tweezers pinched by thumb, index and middle
# finger lie on the flange's axis and point along it, as a gripper would.
MOUNT_POS = np.array([-0.106, -0.033, 0.216])  # m, palm in the frame of the last link
MOUNT_QUAT = np.array([-0.4392, -0.5194, 0.6406, 0.3562])


def add_robot(
    spec: mujoco.MjSpec,
    arm: str | None,
    hand: str | None,
    pos: np.ndarray,
    quat: np.ndarray,
    surface: HandSurface | None = None,
) -> mujoco.MjsBody:
    """Adds an arm, a hand, or both; returns the outermost body (the palm where there is a hand).

    Args:
        spec: the model to extend.
        arm: "fr3" or None.
        hand: "leap" or None.
        pos: (3,) m, of the base (or of the palm where there is no arm), world.
        quat: (4,) likewise.
        surface: of the hand.

    Raises:
        ValueError: an unknown arm or hand, or neither.
    """
    if arm not in (None, "fr3") or hand not in (None, "leap") or arm is hand:
        raise ValueError(f"unknown robot: arm {arm!r}, hand {hand!r}; arms: fr3; hands: leap")
    if arm is None:
        return add_leap(spec, spec.worldbody, pos, quat, surface=surface or HandSurface())
    last = add_fr3(spec, spec.worldbody, pos, quat)
    if hand is None:
        return last
    palm = add_leap(spec, last, MOUNT_POS, MOUNT_QUAT, surface=surface or HandSurface())
    bracket = last.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[0, 0, 0.107, -0.07, -0.02, 0.125],
        size=[0.022, 0, 0],
        mass=0.25,
        rgba=[0.2, 0.2, 0.22, 1],
    )
    collide_as_robot(bracket)
    return palm
