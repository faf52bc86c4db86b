"""Where a known tool is in the hand, by fitting: depth points, measured joints and the fingers' hold speak together.

First the hand's own points tell by how much camera and joints are wrong, then the tool is fitted to the others by
robust Gauss-Newton steps. Fingers hold what the camera does not see: a limb behind the hand, a plunger under a thumb.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.affordance.tool_model import ToolModel

F32 = NDArray[np.float32]
_NOISE = 0.0014  # m, of a point
_CAMERA = np.array([0.003] * 3 + [0.0016] * 3)  # rad, m: how wrong the camera's place is, seen from the hand
_ZERO = 0.016  # rad, how wrong a joint is
_ON_HAND = 0.004  # m within which a point near the hand is taken for the hand's
_TAKEN = np.array([0.25] * 3 + [0.012] * 3)  # rad, m: how far a held tool is from where it was taken
_JOINT = 0.6  # of the joint's reach: how little is known of it beforehand
_ALONG, _ACROSS = 0.004, 0.0008  # m: how far a fingertip has gone on its limb, and how deep it presses
_SCALES = (0.008, 0.004, 0.0025, 0.0015, 0.0015)  # m, of residuals that still count, from step to step
_FELT_STEPS = 2  # without points
_FRONT = 0.0015  # m by which points are taken nearer to the camera, so that the side that it sees is the nearest
_PLAY = 0.1  # of the joint's reach by which soft limbs may be pressed beyond it


@dataclass(frozen=True)
class Aligned:
    """A tool as it was fitted."""

    rotation: F64  # (3, 3) of the mid frame in the palm frame
    place: F64  # (3,) m
    joint: float
    sure: F64  # (7, 7) information on turn, shift (palm frame) and joint
    tips: F64  # (3, 3) m: fingertips as they were found to be, palm frame


@dataclass(frozen=True)
class Mended:
    """By how much camera and joints are wrong, as the hand's own points say."""

    turn: F64  # (3,) rad, of the cloud about `pivot`
    shift: F64  # (3,) m
    pivot: F64  # (3,) m
    q: F64  # (16,) rad
    doubt: F64  # (16, 16) covariance of these

    def applied(self, points: F64) -> F64:
        """A cloud (n, 3) [m] put right."""
        return points + self.shift + _cross(self.turn, points - self.pivot)

    @property
    def matrix(self) -> F64:
        """(4, 4) that puts a cloud right."""
        T = np.eye(4)
        T[:3, :3] = rotations.matrix(self.turn)
        T[:3, 3] = self.shift + self.pivot - T[:3, :3] @ self.pivot
        return T


def mend(points: F32, q: F64, hand: HandModel, rounds: int = 2) -> Mended:
    """Fits the hand's model to points (n, 3) [m] on or near it."""
    pivot = np.array([0.0, 0.03, -0.08])
    x, fixed = np.zeros(22), np.concatenate([_CAMERA, np.full(16, _ZERO)]) ** -2
    information = np.diag(fixed)
    for _ in range(rounds if len(points) else 0):
        now = q + x[6:]
        moved = points + x[3:6] + _cross(x[:3], points - pivot)
        gap, way, link = hand.surface(moved.astype(np.float32), now, 3 * _ON_HAND)
        axis, origin = hand.turning(now)
        weight = 1 / (1 + (gap / _ON_HAND) ** 2) ** 2
        jacobian = np.empty((len(points), 22))
        jacobian[:, :3], jacobian[:, 3:6] = _cross(moved - pivot, way), way
        # way . (axis x (point - origin)), for every point and joint
        swept = _cross(moved, way) @ axis.T - way @ _cross(axis, origin).T
        jacobian[:, 6:] = -swept * hand.moved_by[link]
        scaled = jacobian * weight[:, None] / _NOISE**2
        information = scaled.T @ jacobian + np.diag(fixed)
        x = x - np.linalg.solve(information, scaled.T @ gap + fixed * x)
    return Mended(x[:3], x[3:6], pivot, q + x[6:], np.linalg.inv(information)[6:, 6:])


def align(points: F64, eye: F64, tool: ToolModel, mended: Mended, hand: HandModel) -> Aligned:
    """Fits a tool.

    Args:
        points: (n, 3) m, palm frame, put right and without the hand.
        eye: (3,) m, the camera in the palm frame.
        tool: what is known of it.
        mended: the hand's joints.
        hand: its model.
    """
    from toolwright.perception.affordance import compiled  # not where only the values are needed

    low, high = tool.reach
    span = high - low
    R, t, joint, sure = compiled.fit(
        points,
        rays(points, eye),
        *(tips := _fingertips(mended, hand)),
        tool.solids,
        tool.grips,
        tool.slide,
        (low - _PLAY * span, high),
        (tool.taken[:3, :3].copy(), tool.taken[:3, 3].copy(), 0.5 * (low + high)),
        np.append(_TAKEN, _JOINT * span) ** -2,
        np.array((0.0,) * _FELT_STEPS + (_SCALES if len(points) else (0.0,))),
        (_FRONT, _NOISE, _ALONG, _ACROSS),
    )
    return Aligned(R, t, joint, sure, tips[0])


def felt(q: F64, tool: ToolModel, hand: HandModel) -> Aligned:
    """Where a tool is by the joints (16,) [rad] alone."""
    nothing = np.zeros((0, 3))
    return align(nothing, np.zeros(3), tool, mend(nothing.astype(np.float32), q, hand), hand)


def rays(points: F64, eye: F64) -> F64:
    """(n, 3) unit vectors from points (n, 3) to a place (3,)."""
    towards = eye - points
    return towards / np.linalg.norm(towards, axis=1, keepdims=True)


def seen_surface(tool: ToolModel, points: F64, towards: F64, joint: float) -> tuple[F64, F64, NDArray[np.intp]]:
    """As `ToolModel.surface`, of the sides that a camera sees, which stands towards (n, 3); all in the mid frame.

    A limb is hardly thicker than a point is uncertain: the side that is turned away must not win.
    """
    gap, way, limb = tool.surface(points + _FRONT * towards, joint)
    return gap - _FRONT * np.einsum("ni,ni->n", way, towards), way, limb


def _fingertips(mended: Mended, hand: HandModel) -> tuple[F64, F64]:
    """Middles (3, 3) [m] of the fingertips that hold, palm frame, and their covariances (3, 3, 3)."""
    pos, rotation = hand.poses(mended.q)
    axis, origin = hand.turning(mended.q)
    centers, spreads = [], []
    for solid in hand.fingertips[[0, 1, 3]]:
        link = hand.link[solid]
        at = pos[link] + rotation[link] @ hand.at[solid]
        centers.append(at)
        swept = _cross(axis, at - origin) * hand.moved_by[link][:, None]
        spreads.append(swept.T @ mended.doubt @ swept)
    return np.array(centers), np.array(spreads)


def quaternion(R: F64) -> F64:
    """(4,) of a rotation (3, 3) that is not near half a turn."""
    vee = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    w = np.sqrt(max(1 + np.trace(R), 1e-12)) / 2
    return np.array([w, *(vee / (4 * w))])


def _cross(a: F64, b: F64) -> F64:
    """Vector product over the last axis: `np.cross` without its overhead."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    ax, ay, az, bx, by, bz = a[..., 0], a[..., 1], a[..., 2], b[..., 0], b[..., 1], b[..., 2]
    out[..., 0], out[..., 1], out[..., 2] = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    return out
