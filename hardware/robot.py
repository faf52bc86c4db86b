"""The seam between everything that thinks and everything that moves: `Robot`, `Camera` and the values they exchange.

SI units throughout. A joint array is always in the order of `Robot.joints.names`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class JointSpec:
    """Names and limits of a robot's joints, in the one canonical order."""

    names: tuple[str, ...]
    lower: F64  # (n,) rad
    upper: F64  # (n,) rad
    velocity: F64  # (n,) rad/s
    effort: F64  # (n,) N m

    def __len__(self) -> int:
        return len(self.names)

    def indices(self, names: tuple[str, ...]) -> NDArray[np.intp]:
        """Positions of `names` in this spec.

        Raises:
            JointOrderError: a name is not a joint of this robot.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise JointOrderError(
                f"unknown joints {missing}; this robot has {list(self.names)}: see hardware/joints.py"
            )
        return np.array([self.names.index(name) for name in names], dtype=np.intp)


class JointOrderError(ValueError):
    """Joint names or array lengths that do not match the robot."""


@dataclass(frozen=True)
class RobotState:
    """What the robot measured, stamped where it was taken."""

    stamp: float  # s
    q: F64  # (n,) rad
    dq: F64  # (n,) rad/s
    effort: F64  # (n,) N m


@dataclass(frozen=True)
class JointTarget:
    """Position targets for every joint."""

    q: F64  # (n,) rad


@runtime_checkable
class Robot(Protocol):
    """A robot in simulation or on the bench. `send` returns what was really sent, after limits."""

    joints: JointSpec
    period: float  # s between two `send` calls

    def connect(self) -> None: ...
    def read(self) -> RobotState: ...
    def send(self, target: JointTarget) -> JointTarget: ...
    def stop(self, reason: str) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Frame:
    """One image pair of a depth camera. Camera axes follow OpenCV: x right, y down, z forward."""

    stamp: float  # s
    depth: F64  # (H, W) m, 0 where the sensor had no return
    rgb: NDArray[np.uint8]  # (H, W, 3)
    K: F64  # (3, 3) px
    T_world_cam: F64  # (4, 4)


@runtime_checkable
class Camera(Protocol):
    """A depth camera."""

    def read(self) -> Frame: ...
