"""Where the tool is in the hand, felt by the fingers that hold it: joint angles alone, no camera.

A fingertip rolls on the limb that it presses, and does not slip: from where it is, and how far it has turned against
the limb, follows where the limb is. Three fingertips give nine equations for the seven numbers of a hinged tool. What
slips is not felt; an error of a joint's zero is one of the opening, about a millimeter for 0.02 rad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64

_ITERATIONS = 2
_SMALL = 1e-6
_PRIOR = np.array([*[0.02] * 3, *[0.004] * 3, 0.0])  # m/rad, m/m: how much the last pose weighs against the fingertips


@dataclass(frozen=True)
class Fingertips:
    """The rounded ends of the fingers, in the palm frame."""

    center: F64  # (f, 3) m
    turn: F64  # (f, 3, 3)
    radius: F64  # (f,) m


@dataclass(frozen=True)
class Hold:
    """How a tool was held when it was known: at k openings, in the order of the openings."""

    limb: tuple[int, ...]  # that each of f fingers presses: 0 or 1
    pose: F64  # (k, 7) m and quaternion, limb 0 in the palm frame
    angle: F64  # (k,) of the joint
    tips: tuple[Fingertips, ...]  # k


class FeltTool:
    """Follows a tool.

    Args:
        hold: known places.
        other_limb: pose (4, 4) of limb 1 in the frame of limb 0 at a joint angle.
        start: which of the openings is there now.
    """

    def __init__(self, hold: Hold, other_limb: Callable[[float], F64], start: int) -> None:
        self._hold, self._other = hold, other_limb
        self.pose, self.angle = _matrix(hold.pose[start]), float(hold.angle[start])  # limb 0 in the palm; of the joint
        self._reference = self._on_limbs(hold.tips[start])

    def feel(self, tips: Fingertips) -> float:
        """Takes new fingertips; `pose` and `angle` follow.

        Returns:
            m, root mean square of what does not fit: large where the tool has slipped.
        """
        before, angle = self.pose.copy(), self.angle
        prior = np.zeros(7)
        for _ in range(_ITERATIONS):
            rest = self._rest(tips, self.pose, self.angle)
            jacobian = np.empty((len(rest), 7))
            for i in range(7):
                step = np.zeros(7)
                step[i] = _SMALL
                jacobian[:, i] = (self._rest(tips, *_moved(self.pose, self.angle, step)) - rest) / _SMALL
            a = np.concatenate([jacobian, np.diag(_PRIOR)])
            delta = np.linalg.lstsq(a, -np.concatenate([rest, _PRIOR * prior]), rcond=None)[0]
            prior += delta
            self.pose, self.angle = _moved(self.pose, self.angle, delta)
        if not np.isfinite(self.pose).all():
            self.pose, self.angle = before, angle
            return np.inf
        return float(np.sqrt((self._rest(tips, self.pose, self.angle) ** 2).mean()))

    def _limbs(self, pose: F64, angle: float) -> tuple[F64, F64]:
        return pose, pose @ self._other(angle)

    def correct(self, tips: Fingertips, pose: F64) -> None:
        """Takes another pose (4, 4) of limb 0 for the true one, as when a camera saw it; the fingers go on from there.

        Args:
            tips: at that moment.
            pose: in the palm frame.
        """
        self.pose = pose
        self._reference = self._on_limbs(tips)

    def _on_limbs(self, tips: Fingertips) -> tuple[F64, F64, F64]:
        """Fingertips in the frames of their limbs, and the way out of the limb there."""
        limbs = self._limbs(self.pose, self.angle)
        centers, turns, outward = [], [], []
        for finger, limb in enumerate(self._hold.limb):
            T = np.linalg.inv(limbs[limb])
            center = T[:3, :3] @ tips.center[finger] + T[:3, 3]
            centers.append(center)
            turns.append(T[:3, :3] @ tips.turn[finger])
            outward.append(np.array([np.sign(center[0]), 0.0, 0.0]))  # limbs are flat across x
        return np.array(centers), np.array(turns), np.array(outward)

    def _rest(self, tips: Fingertips, pose: F64, angle: float) -> F64:
        """(3 f,) m: where the fingertips are on their limbs, against where they have rolled to."""
        centers, turns, outward = self._reference
        limbs = self._limbs(pose, angle)
        rest = []
        for finger, limb in enumerate(self._hold.limb):
            R, at = limbs[limb][:3, :3], limbs[limb][:3, 3]
            center = R.T @ (tips.center[finger] - at)
            turned = _rotvec(R.T @ tips.turn[finger] @ turns[finger].T)
            rest.append(center - centers[finger] - np.cross(turned, tips.radius[finger] * outward[finger]))
        return np.concatenate(rest)


def _matrix(pose: F64) -> F64:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotations.rotate(pose[3:], np.eye(3)).T, pose[:3]
    return T


def _moved(pose: F64, angle: float, step: F64) -> tuple[F64, float]:
    """Turned by (3,) rad and shifted by (3,) m in the palm frame, and opened."""
    T = pose.copy()
    T[:3, :3] = rotations.rotate(rotations.from_rotvec(step[:3]), pose[:3, :3].T).T
    T[:3, 3] += step[3:6]
    return T, angle + float(step[6])


def _rotvec(R: F64) -> F64:
    """Of a turn that is not near half a turn."""
    vee = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2
    sine = np.linalg.norm(vee)
    angle = np.arctan2(sine, (np.trace(R) - 1) / 2)
    return vee * (angle / sine if sine > 1e-9 else 1.0)
