"""The closing directions among which a grasp of an object is chosen: by yaw, and by tilt out of the horizontal."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64

YAWS, TILTS = 18, (-0.5, -0.25, 0.0, 0.25, 0.5)  # around half a turn; rad
YAW_STEP = np.pi / YAWS
LEVEL = TILTS.index(0.0)


def closing(yaw: float = 0.0) -> F64:
    """(YAWS * len(TILTS), 3) unit vectors, tilts of the first yaw first, turned about z by `yaw` [rad]."""
    yaws = yaw + YAW_STEP * np.arange(YAWS)[:, None]
    tilts = np.array(TILTS)[None]
    ones = np.ones((YAWS, len(TILTS)))
    return np.stack(
        [np.cos(yaws) * np.cos(tilts), np.sin(yaws) * np.cos(tilts), np.sin(tilts) * ones], axis=-1
    ).reshape(-1, 3)


def approach(direction: F64) -> F64:
    """(3,) unit: the way down that is perpendicular to a closing direction (3,)."""
    down = np.array([0.0, 0.0, -1.0])
    across = down - (down @ direction) * direction
    return across / np.linalg.norm(across)
