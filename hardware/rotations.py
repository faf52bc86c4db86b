"""Batched rotations on arrays: quaternions are w, x, y, z with shape (..., 4)."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64


def multiply(a: F64, b: F64) -> F64:
    """Quaternion product a b, broadcast."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q: F64) -> F64:
    """Inverse of a unit quaternion."""
    return np.asarray(q) * np.array([1.0, -1.0, -1.0, -1.0])


def rotate(q: F64, v: F64) -> F64:
    """Vectors (..., 3) turned by quaternions (..., 4)."""
    q, v = np.asarray(q), np.asarray(v)
    t = 2 * np.cross(q[..., 1:], v)
    return v + q[..., :1] * t + np.cross(q[..., 1:], t)


def from_rotvec(r: F64) -> F64:
    """Rotation vectors (..., 3) [rad] to quaternions."""
    r = np.asarray(r, dtype=np.float64)
    half = np.linalg.norm(r, axis=-1, keepdims=True) / 2
    return np.concatenate([np.cos(half), r / 2 * np.sinc(half / np.pi)], axis=-1)


def to_rotvec(q: F64) -> F64:
    """Quaternions to the shortest rotation vectors (..., 3) [rad]."""
    q = np.asarray(q)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return np.where(sine > 1e-9, q[..., 1:] / np.maximum(sine, 1e-9) * angle, 2 * q[..., 1:])


def matrix(r: F64) -> F64:
    """(3, 3) rotation by one vector (3,) [rad] (Rodrigues)."""
    angle = float(np.sqrt(r @ r))
    x, y, z = r / max(angle, 1e-12)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K)


def about_y(angle: F64 | float) -> F64:
    """Quaternions that turn by `angle` (...) [rad] about y."""
    half = np.asarray(angle, dtype=np.float64) / 2
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), zero, np.sin(half), zero], axis=-1)
