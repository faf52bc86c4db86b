"""Directions and orientations of many worlds at once."""

from __future__ import annotations

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64


def turns(rng: np.random.Generator, low: F64) -> F64:
    """Angles [rad] of rotations uniform over SO(3), those under `low` drawn again. Density (1 - cos a) / pi."""
    table = np.linspace(0, np.pi, 2001)
    distribution = (table - np.sin(table)) / np.pi
    return np.interp(rng.uniform(np.interp(low, table, distribution), 1), distribution, table)


def angle(a: F64, b: F64) -> F64:
    """(N,) rad between the orientations a and b, quaternions (N, 4)."""
    return np.asarray(2 * np.arccos(np.minimum(np.abs((a * b).sum(axis=1)), 1.0)))


def between(a: F64, b: F64, share: F64) -> F64:
    """Unit vectors (N, 3) a share (N, 1) of the way from a to b on the great circle; opposite ones have any of many."""
    dot = np.clip((a * b).sum(axis=1, keepdims=True), -1, 1)
    side = b - dot * a
    norm = np.linalg.norm(side, axis=1, keepdims=True)
    across = np.cross(a, np.eye(3)[np.abs(a).argmin(axis=1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    side = np.where(norm < 1e-9, across, side / np.maximum(norm, 1e-9))
    angle = share * np.arccos(dot)
    return np.cos(angle) * a + np.sin(angle) * side


def axes(quat: F64) -> F64:
    """(N, 6): the first two axes of a frame, which unlike a quaternion have no two signs."""
    x = rotations.rotate(quat, np.broadcast_to([1.0, 0, 0], (len(quat), 3)))
    y = rotations.rotate(quat, np.broadcast_to([0.0, 1, 0], (len(quat), 3)))
    return np.concatenate([x, y], axis=1)
