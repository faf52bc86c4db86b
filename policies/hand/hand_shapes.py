"""Shapes of the bare hand: a wrap around something upright, and the thumb stretched down as one finger.

All in the palm frame of the LEAP hand: fingers along +x, the palm faces -z. In the wrap the fingers point along -z and
lie over one another, the thumb opposes them along x, and the palm's +y is down. Numbers come from a search in
simulation: grasps of a post, a can and a carton, shaken with 1.2 g sideways.
"""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64


def _hand(finger: tuple[float, ...], thumb: tuple[float, ...]) -> F64:
    return np.array([*finger * 3, *thumb])


# Joint order of `hardware.joints.LEAP`: (mcp, rot, pip, dip) of three fingers, then (cmc, axl, mcp, ipl) of the thumb.
OPEN = _hand((0.95, 0.0, 0.06, 0.10), (1.70, 0.0, -0.25, 0.0))  # rad
CLOSED = _hand((2.00, 0.0, 0.06, 0.49), (1.70, 0.0, 0.90, 1.50))  # rad, if nothing were between
POINT = _hand((1.80, 0.0, 1.60, 1.20), (0.0, 0.0, 0.0, 0.0))  # rad: thumb down, fingers curled
# How far a servo's target goes ahead of the joint: with the servo's stiffness, the torque of the grip.
SQUEEZE = _hand((0.20, 0.10, 0.03, 0.03), (0.17, 0.17, 0.13, 0.13))  # rad
CLOSING = 0.9  # 1/s, share of the way from OPEN to CLOSED

AXES = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])  # columns: closing axis, fingers, down
WIDEST = 0.068  # m, widest thing that the wrap holds
NARROWEST = 0.036  # m
BELOW, ABOVE = 0.078, 0.10  # m that the hand reaches below and above the middle of the wrap
SPAN = 0.045  # m, from the middle of the wrap to the axis of the lowest finger, rounded up
LONGEST_DEPTH = 0.085  # m, room along the fingers


def wrap_frame(depth: float) -> F64:
    """Pose (4, 4) in the palm frame of the middle of the wrap, around something of this depth along the fingers [m]."""
    T = np.eye(4)
    T[:3, :3] = AXES
    T[:3, 3] = [-0.038, -0.03, -0.046 - depth / 2]
    return T


def point_frame() -> F64:
    """Pose (4, 4) in the palm frame of the end of the stretched thumb, axes as in the wrap."""
    T = np.eye(4)
    T[:3, :3] = AXES
    T[:3, 3] = [-0.082, 0.1365, -0.0215]
    return T


def upright(pos: F64, yaw: float) -> F64:
    """Pose (4, 4) of a frame of the hand with the fingers level, pointing along (cos yaw, sin yaw).

    Args:
        pos: (3,) m, world.
        yaw: rad about the vertical.
    """
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:3, :3] = np.array([[-s, c, 0], [c, s, 0], [0, 0, -1.0]])
    T[:3, 3] = pos
    return T
