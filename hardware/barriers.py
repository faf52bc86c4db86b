"""What the safety gate keeps a robot out of: walls around its workspace, and itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from toolwright.hardware.robot import F64


@dataclass(frozen=True)
class Barrier:
    """Configurations that are forbidden. Where one is ahead, its joints come to rest in front of it.

    From a forbidden configuration, only motion that does not make it worse is let through.
    """

    name: Literal["workspace", "self-collision"]
    violation: Callable[[F64], float]  # of joint positions (n,) [rad]; m, 0 where they are allowed
    joints: tuple[str, ...] | None = None  # those that come to rest; all by default


def workspace(points: Callable[[F64], F64], lower: F64, upper: F64, joints: tuple[str, ...] | None = None) -> Barrier:
    """Keeps points of the robot inside a box.

    Args:
        points: forward kinematics, from joint positions (n,) [rad] to points (3,) or (k, 3) [m]: the flange, the tips.
        lower: (3,) m, corner of the box.
        upper: (3,) m, corner of the box.
        joints: that come to rest at a wall, the arm's as a rule; all by default.
    """

    def violation(q: F64) -> float:
        at = np.asarray(points(q))
        return float(np.maximum(np.maximum(lower - at, at - upper), 0.0).max())

    return Barrier("workspace", violation, joints)


def self_collision(
    distance: Callable[[F64], float], margin: float = 0.01, joints: tuple[str, ...] | None = None
) -> Barrier:
    """Keeps a robot off itself.

    Args:
        distance: smallest distance [m] between parts that must not touch, from joint positions (n,) [rad].
        margin: m to keep.
        joints: that come to rest; all by default.
    """
    return Barrier("self-collision", lambda q: max(margin - float(distance(q)), 0.0), joints)
