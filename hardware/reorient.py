"""Turning an object in the hand, as the hand's controllers see it: action law and touch-free proprioception.

One code for training and robot, batched: N hands at once, N = 1 on a robot. Frames are the palm's.
"""

from __future__ import annotations

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import F64

ACTIONS = 16
STEP = 0.17  # rad, most that an action moves a servo target: 3.4 rad/s at 20 Hz, as Visual Dexterity allows
LEASH = 0.35  # rad, most that a target is ahead of its joint: beyond it the motor's current limit decides anyway
# rad, a cradle of bent fingers and thumb in which things of 5 to 9 cm come to rest when the palm faces up
HOME = np.array([0.5, 0.0, 0.7, 0.7] * 3 + [0.6, 0.9, 0.5, 0.4])
CENTER = np.array([-0.015, -0.03, -0.072])  # m, where such things lie
LOST = 0.12  # m from there: further away a thing has left the hand
UP = np.array([np.sin(np.deg2rad(20)), 0.0, np.cos(np.deg2rad(20))])  # gravity when the palm faces up, fingers lowered

# rad, arm joints (FR3) at which a palm on its flange faces up so, half a meter ahead and 30 cm over its base
PALM_UP = np.array([0.3264, 0.0990, 0.2283, -2.3144, -1.6046, 1.1960, 2.0194])
FACING = 0.5  # rad off that direction at which a palm still faces up


class ReorientInterface:
    """Servo targets from actions, and what the joints tell, with the little state kept between two steps."""

    SIZE = 3 * ACTIONS

    def __init__(self, n: int) -> None:
        self.command = np.zeros((n, ACTIONS))
        self.action = np.zeros((n, ACTIONS))

    def reset(self, ids: np.ndarray, command: F64) -> None:
        """Starts the hands `ids` from servo targets (len(ids), 16) [rad]."""
        self.command[ids] = command
        self.action[ids] = 0

    def observe(self, q: F64) -> F64:
        """(N, SIZE), every entry of order one, from measured joints (N, 16) [rad]."""
        return np.concatenate(
            [
                2 * (q - HOME),  # 16
                8 * (self.command - q),  # 16
                self.action,  # 16
            ],
            axis=1,
        )

    def target(self, action: F64, q: F64, stop: np.ndarray | None = None) -> F64:
        """Servo targets (N, 16) [rad] after actions (N, 16) in [-1, 1], with joints measured at q (N, 16) [rad].

        A target moves by the action; without one it stays, and so does the hand. Hands in `stop` (N,) bool, whose
        object is where it should be, stay whatever the action.
        """
        self.action = np.clip(action, -1, 1).astype(np.float64)
        if stop is not None:
            self.action[stop] = 0
        moved = advance(self.command, self.action, q)
        self.command = moved if stop is None else np.where(stop[:, None], self.command, moved)
        return self.command


def advance(command: F64, action: F64, q: F64) -> F64:
    """The action law alone, all arrays (..., 16)."""
    moved = np.clip(command + STEP * action, q - LEASH, q + LEASH)
    return np.clip(moved, LEAP.lower, LEAP.upper)


def lies_in_palm(pos: F64, quat: F64, item: F64, within: float = LOST) -> bool:
    """Whether a thing lies in a hand that faces up.

    Args:
        pos: (3,) m, of the palm, in a world whose z points up.
        quat: (4,) of the palm.
        item: (3,) m, of the thing.
        within: m from where things lie in the hand.
    """
    inverse = rotations.conjugate(quat)
    down = rotations.rotate(inverse, np.array([0.0, 0.0, -1.0]))
    away = np.linalg.norm(rotations.rotate(inverse, item - pos) - CENTER)
    return bool(away < within and np.arccos(np.clip(down @ UP, -1, 1)) < FACING)
