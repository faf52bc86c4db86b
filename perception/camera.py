"""Pinhole geometry between depth images and points. Camera axes follow OpenCV: x right, y down, z forward.

Pixel (u, v) is column and row; whole numbers are pixel centers.
"""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64


def deproject(depth: F64, K: F64) -> F64:
    """Points seen by a depth image, row by row, without the pixels that had no return.

    Args:
        depth: (H, W) m along the optical axis, 0 where the sensor had no return.
        K: (3, 3) px, pinhole intrinsics.

    Returns:
        (N, 3) m, camera frame.
    """
    v, u = np.nonzero(depth > 0)
    z = np.asarray(depth, dtype=float)[v, u]
    return np.column_stack([(u - K[0, 2]) * z / K[0, 0], (v - K[1, 2]) * z / K[1, 1], z])


def project(points: F64, K: F64) -> F64:
    """Pixels at which points appear.

    Args:
        points: (N, 3) m, camera frame.
        K: (3, 3) px, pinhole intrinsics.

    Returns:
        (N, 2) px, column and row; NaN for points at or behind the camera.
    """
    points = np.asarray(points, dtype=float)
    z = np.where(points[:, 2:3] > 0, points[:, 2:3], np.nan)
    return points[:, :2] / z * [K[0, 0], K[1, 1]] + [K[0, 2], K[1, 2]]


def transform(T: F64, points: F64) -> F64:
    """Points in another frame.

    Args:
        T: (4, 4), for instance T_world_cam, which takes camera coordinates to world coordinates.
        points: (N, 3) m.

    Returns:
        (N, 3) m.
    """
    return np.asarray(points, dtype=float) @ T[:3, :3].T + T[:3, 3]
