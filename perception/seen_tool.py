"""What a depth camera sees of the held tool, to put right what the fingers feel of it.

A tool creeps in the fingertips by a millimeter or two a second, which no joint angle shows. Its limbs are flat bars:
points of them in the depth image say where they are, to a millimeter or so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.tabletop import View

_REACH = 0.009  # m from where a bar is expected to be
_HAND = 0.006  # m around the hand whose points may be the hand's
_CLEAR = 0.012  # m over the table below which points may be something else's
_LEAST = 25  # points
_MOST = 200
_NOISE = 0.0015  # m, of a point
_SURE = np.array([*[0.03] * 3, *[0.002] * 3])  # rad, m: how wrong the fingers may be
_SIDE = 0.0006  # m, of the middle of a bar's width as it is seen


@dataclass(frozen=True)
class Bar:
    """A straight part of the tool, as it is expected: a cuboid, its third axis along the tool towards the tips."""

    pos: F64  # (3,) m, world
    turn: F64  # (3, 3)
    half: F64  # (3,) m


@dataclass(frozen=True)
class Shift:
    """A small motion: a turn about `pivot` and then a shift, in the world."""

    pivot: F64  # (3,) m
    turn: F64  # (3,) rad
    shift: F64  # (3,) m
    points: int  # that it comes from

    def applied(self, T: F64, share: float) -> F64:
        """A pose (4, 4) after a share of it."""
        R = rotations.rotate(rotations.from_rotvec(share * self.turn), np.eye(3)).T
        moved = T.copy()
        moved[:3, :3] = R @ T[:3, :3]
        moved[:3, 3] = R @ (T[:3, 3] - self.pivot) + self.pivot + share * self.shift
        return moved


def find(seen: View, bars: list[Bar], hand: F64) -> Shift | None:
    """How the tool is away from where it is expected.

    Args:
        seen: the frame.
        bars: of the tool, where the fingers feel them.
        hand: (n, 3) m, points on the hand's surface, world.

    Returns:
        None where too little of the tool is seen.
    """
    points = _candidates(seen, bars, hand)
    if len(points) < _LEAST:
        return None
    pivot = np.mean([bar.pos for bar in bars], axis=0)
    middles = [_middle(bar, seen.eye) for bar in bars]
    owner = np.argmin([np.abs(_distance(bar, points)) for bar in bars], axis=0)

    def residuals(x: F64) -> F64:
        turned = rotations.rotate(rotations.from_rotvec(-x[:3]), points - pivot - x[3:]) + pivot
        off = np.min([np.abs(_distance(bar, turned)) for bar in bars], axis=0) / _NOISE
        rest = [np.sqrt(2 * (np.sqrt(1 + off**2 / 2) - 1)) / np.sqrt(len(points) / 40), x / _SURE]
        for i, bar in enumerate(bars):
            mine = turned[owner == i]
            if len(mine) < _LEAST // 2:
                continue
            local = (mine - bar.pos) @ bar.turn
            rest.append([(local[:, 1].mean() - middles[i]) / _SIDE])
        return np.concatenate(rest)

    fit = least_squares(residuals, np.zeros(6), x_scale=_SURE, max_nfev=12)
    return Shift(pivot, fit.x[:3], fit.x[3:], len(points))


def _candidates(seen: View, bars: list[Bar], hand: F64) -> F64:
    """Points (n, 3) near a bar, away from hand and table."""
    corners = np.concatenate([bar.pos + (np.array([[1, 1, 1], [-1, -1, -1]]) * bar.half) @ bar.turn.T for bar in bars])
    low, high = corners.min(axis=0) - 0.02, corners.max(axis=0) + 0.02
    with np.errstate(invalid="ignore"):
        here = ((seen.points > low) & (seen.points < high)).all(axis=-1) & (seen.height > _CLEAR)
    points = seen.points[here]
    if len(points) < _LEAST:
        return points
    points = points[np.min([np.abs(_distance(bar, points)) for bar in bars], axis=0) < _REACH]
    if len(points) and len(hand):
        points = points[cKDTree(hand).query(points, distance_upper_bound=_HAND)[0] > _HAND]
    return points[np.linspace(0, len(points) - 1, _MOST).astype(np.intp)] if len(points) > _MOST else points


def _middle(bar: Bar, eye: F64) -> float:
    """Where along its second axis [m] the middle of what is seen of a bar is: of a broad side and an edge."""
    towards = bar.turn.T @ (eye - bar.pos)
    broad, edge = abs(towards[0]) * bar.half[1], abs(towards[1]) * bar.half[0]
    return float(np.sign(towards[1]) * bar.half[1] * edge / max(broad + edge, 1e-9))


def _distance(bar: Bar, points: F64) -> F64:
    over = np.abs((points - bar.pos) @ bar.turn) - bar.half
    return np.linalg.norm(np.maximum(over, 0), axis=1) + np.minimum(over.max(axis=1), 0)
