"""Follows a thing of known shape in the hand from frame to frame: points of a depth camera against its surface.

Each frame starts from where the controller's model expects the thing, which also stands for what the camera cannot
see: the turn of a round thing about its axis, a side that is hidden. Point-to-surface distances are minimised by
Gauss-Newton steps (Chen and Medioni, 1992), on the shape's distance field instead of pairs of points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.shape_field import ShapeField


@dataclass(frozen=True)
class TrackerConfig:
    """How a frame is fitted."""

    points: int = 400  # most that are used
    near: float = 0.015  # m from the expected surface: further away a point is something else, in the first step
    steps: int = 8  # of Gauss-Newton
    spread: float = 0.0015  # m, error of a point, as the camera has it
    huber: float = 2.0  # spreads, beyond which a point counts for less
    prior_pos: float = 0.006  # m, standard deviation of what is expected
    prior_turn: float = 0.25  # rad
    alike: float = 12.0  # points that err alike: so much less does each one count
    least: int = 40  # points, with fewer the frame says nothing
    poor: float = 0.0022  # m, mean distance of the near points above which the fit is none
    other: float = 0.35  # share of the points around that are not near the surface, above which it is something else
    jump: tuple[float, float] = (0.03, 0.9)  # m and rad between expected and fitted: more is a jump to somewhere else


@dataclass(frozen=True)
class Fit:
    """What a frame said."""

    pos: F64  # (3,) m, palm frame
    quat: F64  # (4,)
    good: bool  # otherwise pos and quat are what was expected
    points: int  # that were near the surface
    residual: float  # m, mean distance of those
    outside: float  # share of the object's points that are not near the surface
    loose: float  # rad, standard deviation of the turn that is known least
    reason: str = ""  # why it is not good


def fit(
    field: ShapeField, points: F64, pos: F64, quat: F64, config: TrackerConfig | None = None, expected: bool = True
) -> Fit:
    """The pose at which the shape explains the points.

    Args:
        field: of the shape.
        points: (n, 3) m, palm frame, without the hand's own.
        pos: (3,) m, expected.
        quat: (4,) expected.
        config: of the fit.
        expected: whether that has weight of its own; False: it is a start only.
    """
    c = config or TrackerConfig()
    start_pos, start_quat = pos, quat
    cloud = _thinned(points, c.points)
    prior = np.diag(np.repeat([c.prior_turn**-2, c.prior_pos**-2], 3)) if expected else 1e-6 * np.eye(6)
    used, residual = 0, np.inf
    information = prior
    for step in range(c.steps):
        near = c.near if step == 0 else max(0.4 * c.near, c.near * (1 - 0.2 * step))
        local = rotations.rotate(rotations.conjugate(quat), cloud - pos)
        value, gradient = field.at(local)
        close = np.abs(value) < near
        used = int(close.sum())
        if used < c.least:
            return Fit(start_pos, start_quat, False, used, float("inf"), 1.0, np.pi, "too few points")
        value, normal = value[close], rotations.rotate(quat, gradient[close])
        arm = cloud[close] - pos
        residual = float(np.abs(value).mean())
        weight = 1 / np.maximum(1.0, np.abs(value) / (c.huber * c.spread)) / c.spread**2 / c.alike
        # A turn w and a shift t of the shape change the distance of a point by -(n . (w x arm + t)).
        row = np.concatenate([np.cross(arm, normal), normal], axis=1)
        left = _left(start_pos, start_quat, pos, quat)
        information = prior + row.T @ (weight[:, None] * row)
        change = np.linalg.solve(information, row.T @ (weight * value) + prior @ left)
        quat = rotations.multiply(rotations.from_rotvec(change[:3]), quat)
        quat /= np.linalg.norm(quat)
        pos = pos + change[3:]
        if np.abs(change[:3]).max() < 1e-3 and np.abs(change[3:]).max() < 5e-5:
            break
    moved = _left(start_pos, start_quat, pos, quat)
    outside = 1 - used / max(1, int((np.linalg.norm(cloud - pos, axis=1) < _reach(field)).sum()))
    loose = float(np.sqrt(np.linalg.inv(information)[:3, :3].diagonal().max()))
    reason = ""
    if residual > c.poor:
        reason = "poor fit"
    elif outside > c.other:
        reason = "another shape"
    elif np.linalg.norm(moved[3:]) > c.jump[0] or np.linalg.norm(moved[:3]) > c.jump[1]:
        reason = "jump"
    if reason:
        return Fit(start_pos, start_quat, False, used, residual, outside, loose, reason)
    return Fit(pos, quat, True, used, residual, outside, loose)


USUAL = 20  # first looks whose residuals say how well this thing fits
UNUSUAL = (2.2, 0.001)  # times that, and m: a fit that is worse than both is doubtful
DOUBT = 4  # doubtful looks in a row after which a fit is believed no longer
_STARTS = np.concatenate([angle * sign * np.eye(3) for angle in (0.5, 1.0) for sign in (1, -1)])  # (12, 3) rad
_SEARCH = 3  # doubtful looks between two searches


class Follower:
    """Follows one thing: fits each look, notices that it fits worse than it used to, and then searches around.

    Args:
        field: of the thing's shape.
        config: of a fit.
    """

    def __init__(self, field: ShapeField, config: TrackerConfig | None = None) -> None:
        self.field, self.config = field, config or TrackerConfig()
        self.doubts = 0  # looks in a row that do not fit as well as usual
        self._usual: list[float] = []

    def look(self, points: F64, pos: F64, quat: F64) -> Fit:
        """The pose seen.

        Args:
            points: (n, 3) m, palm frame, without the hand's own.
            pos: (3,) m, expected.
            quat: (4,) expected.
        """
        found = fit(self.field, points, pos, quat, self.config)
        if self._fine(found):
            self.doubts = 0
            if len(self._usual) < USUAL:
                self._usual.append(found.residual)
            return found
        self.doubts += 1
        if self.doubts % _SEARCH == 1 and found.reason != "too few points":
            found = self._search(found, points, pos, quat)
            if self._fine(found):
                self.doubts = 0
                return found
        if self.doubts > DOUBT and found.good:
            return replace(found, pos=pos, quat=quat, good=False, reason="fits worse than it did")
        return found

    def _fine(self, found: Fit) -> bool:
        usual = float(np.median(self._usual)) if self._usual else UNUSUAL[1]
        return found.good and found.residual < max(UNUSUAL[0] * usual, UNUSUAL[1])

    def _search(self, found: Fit, points: F64, pos: F64, quat: F64) -> Fit:
        """The best of fits that start from elsewhere; what was found, where none is clearly better."""
        best = found
        for turn in _STARTS:
            start = rotations.multiply(rotations.from_rotvec(turn), quat)
            other = fit(self.field, points, pos, start, self.config)
            if other.good and other.residual < 0.7 * (best.residual if best.good else np.inf):
                best = other
        return best


def _left(to_pos: F64, to_quat: F64, pos: F64, quat: F64) -> F64:
    """(6,): turn [rad] and shift [m] that lead from a pose to another."""
    turn = rotations.to_rotvec(rotations.multiply(to_quat, rotations.conjugate(quat)))
    return np.concatenate([turn, to_pos - pos])


def _thinned(points: F64, most: int) -> F64:
    return points if len(points) <= most else points[np.linspace(0, len(points) - 1, most).astype(np.intp)]


def _reach(field: ShapeField) -> float:
    return float((np.array(field.values.shape) * field.cell).max() / 2)
