"""A turn as a network takes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64


def aim(quat: F64, goal: F64) -> NDArray[np.float32]:
    """(N, 16): the turn from orientations (N, 4) to goals (N, 4), as a vector, its direction, length and matrix."""
    turn = rotations.multiply(goal, rotations.conjugate(quat))
    vector = rotations.to_rotvec(turn)
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    sides = [rotations.rotate(turn, np.broadcast_to(axis, (len(turn), 3))) for axis in np.eye(3)]
    direction = vector / np.maximum(length, 1e-6)
    return np.concatenate([vector, direction, length, *sides], axis=1).astype(np.float32)
