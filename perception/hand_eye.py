"""Where the camera is, from views of a board that the arm holds in different poses.

With T_base_hand of each view from the arm, and T_cam_board from the image, two transforms are unknown: T_base_cam and
T_hand_board, and T_base_hand T_hand_board = T_base_cam T_cam_board holds for every view. The start is in closed form
(relative rotations by a least-squares fit of their axes, then translations: F. C. Park and B. J. Martin, "Robot sensor
calibration: solving AX = XB on the Euclidean group", IEEE T-RA 1994); then all corners' pixels are fitted at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.board import CalibrationError, Sighting, project

LEAST_VIEWS = 6
_LEAST_TURN = 0.15  # rad, spread of the second axis of rotation
_PIXEL = 0.3  # px, least error that a corner is taken to have
_OUTLIER = (4.0, 0.005)  # times the median, m: a view this far off does not belong to the others
_WORST = (0.002, np.deg2rad(0.5))  # m, rad: standard deviations above which the result is not good for anything


class TooFewViews(CalibrationError):
    """Not enough views of the board."""


class DegenerateMotion(CalibrationError):
    """The hand was not turned enough, or about one axis only."""


class InconsistentViews(CalibrationError):
    """Arm and camera tell different stories."""


@dataclass(frozen=True)
class View:
    """One pose of the arm, and what the camera saw."""

    T_base_hand: F64  # (4, 4)
    sighting: Sighting


@dataclass(frozen=True)
class HandEye:
    """The result."""

    T_base_cam: F64  # (4, 4)
    T_hand_board: F64  # (4, 4)
    residuals: F64  # (views,) m, between the board's middle by arm and by image; NaN for views that were left out
    pixels: float  # px, root mean square over all corners
    position_std: float  # m, standard deviation of the camera's position, estimated from the fit
    angle_std: float  # rad

    @property
    def left_out(self) -> list[int]:
        """Views that do not fit the others."""
        return [int(i) for i in np.flatnonzero(np.isnan(self.residuals))]


def solve(views: list[View], K: F64) -> HandEye:
    """The camera's pose in the arm's base frame.

    Args:
        views: at least six, of a hand turned about two axes or more.
        K: (3, 3) px.

    Raises:
        TooFewViews: says how many more.
        DegenerateMotion: says how to move.
        InconsistentViews: no rigid arrangement explains the views.
    """
    if len(views) < LEAST_VIEWS:
        raise TooFewViews(
            f"{len(views)} views of the board, at least {LEAST_VIEWS} are needed, better 15: move on, take more"
        )
    kept = list(range(len(views)))
    result = _solve(views, K)
    distances = result.residuals
    limit = max(_OUTLIER[0] * float(np.median(distances)), _OUTLIER[1])
    if (distances > limit).any():
        kept = [i for i in kept if distances[i] <= limit]
        if len(kept) < max(LEAST_VIEWS, 0.7 * len(views)):
            raise _inconsistent(distances)
        result = _solve([views[i] for i in kept], K)
        if np.median(result.residuals) > _OUTLIER[1]:
            raise _inconsistent(distances)
    elif np.median(distances) > _OUTLIER[1]:
        raise _inconsistent(distances)
    if result.position_std > _WORST[0] or result.angle_std > _WORST[1]:
        raise DegenerateMotion(
            f"the camera's place is known only to {1e3 * result.position_std:.1f} mm and "
            f"{np.rad2deg(result.angle_std):.2f} degrees: take more views, nearer, and turn the hand further (30 "
            "degrees and more about different axes)"
        )
    residuals = np.full(len(views), np.nan)
    residuals[kept] = result.residuals
    return HandEye(
        result.T_base_cam, result.T_hand_board, residuals, result.pixels, result.position_std, result.angle_std
    )


def check(calibrated: HandEye, views: list[View]) -> F64:
    """(views,) m: how far the board's middle is, by the camera, from where the arm holds it."""
    return _residuals(calibrated.T_base_cam, calibrated.T_hand_board, views)


def _inconsistent(distances: F64) -> InconsistentViews:
    worst = ", ".join(f"{i} ({1e3 * distances[i]:.0f} mm)" for i in np.argsort(distances)[::-1][:3])
    return InconsistentViews(
        f"the views do not fit together, worst {worst}: is the board fixed to the hand, the camera to the table, the "
        "printed size right, and was the arm at rest at each view?"
    )


def _solve(views: list[View], K: F64) -> HandEye:
    T_base_cam, T_hand_board = _closed_form(views)
    return _refine(views, K, T_base_cam, T_hand_board)


def _closed_form(views: list[View]) -> tuple[F64, F64]:
    hand = [view.T_base_hand for view in views]
    board = [view.sighting.T_cam_board for view in views]
    pairs = list(combinations(range(len(views)), 2))
    by_arm = [hand[j] @ np.linalg.inv(hand[i]) for i, j in pairs]
    by_eye = [board[j] @ np.linalg.inv(board[i]) for i, j in pairs]
    arm_turns, eye_turns = (np.array([_log(T[:3, :3]) for T in motions]) for motions in (by_arm, by_eye))
    spread = np.linalg.svd(arm_turns, compute_uv=False) / np.sqrt(len(pairs))
    if spread[1] < _LEAST_TURN:
        how = "hardly turned" if spread[0] < _LEAST_TURN else "turned about one axis only"
        raise DegenerateMotion(
            f"between the views the hand was {how}: tilt it by 30 degrees and more about two different axes, for "
            "instance roll and pitch; shifting it does not count"
        )
    u, _, v = np.linalg.svd(arm_turns.T @ eye_turns)
    R = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
    rows = np.concatenate([T[:3, :3] - np.eye(3) for T in by_arm])
    sides = np.concatenate([R @ E[:3, 3] - A[:3, 3] for A, E in zip(by_arm, by_eye, strict=True)])
    T_base_cam = np.eye(4)
    T_base_cam[:3, :3], T_base_cam[:3, 3] = R, np.linalg.lstsq(rows, sides, rcond=None)[0]
    each = [np.linalg.inv(A) @ T_base_cam @ B for A, B in zip(hand, board, strict=True)]
    return T_base_cam, _mean(each)


def _refine(views: list[View], K: F64, T_base_cam: F64, T_hand_board: F64) -> HandEye:
    """Fits both transforms to the pixels of all corners, with less weight on those that are far off."""
    from scipy.optimize import least_squares

    def moved(x: F64) -> tuple[F64, F64]:
        return T_base_cam @ _exp(x[:6]), T_hand_board @ _exp(x[6:])

    def errors(x: F64) -> F64:
        base_cam, hand_board = moved(x)
        cam_base = np.linalg.inv(base_cam)
        off = [
            project(view.sighting.points, cam_base @ view.T_base_hand @ hand_board, K) - view.sighting.pixels
            for view in views
        ]
        return np.concatenate([one.ravel() for one in off])

    fit = least_squares(errors, np.zeros(12), loss="soft_l1", x_scale="jac")
    X, Y = moved(fit.x)
    off = errors(fit.x)
    spread = _spread(fit.jac, off, [2 * len(view.sighting.points) for view in views])
    return HandEye(
        T_base_cam=X,
        T_hand_board=Y,
        residuals=_residuals(X, Y, views),
        pixels=float(np.sqrt(2 * (off**2).mean())),
        position_std=float(np.linalg.norm(spread[:3])),
        angle_std=float(np.linalg.norm(spread[3:])),
    )


def _spread(jacobian: F64, off: F64, sizes: list[int]) -> F64:
    """(6,) m and rad: standard deviations of the camera's pose.

    What is off in a view is off alike in its corners, by the arm's error, so views count and not corners: the
    covariance is the one that is robust to errors that are correlated within groups.
    """
    bread = np.linalg.pinv(jacobian.T @ jacobian)
    ends = np.cumsum(sizes)
    pulls = [jacobian[end - size : end].T @ off[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    meat = sum(np.outer(pull, pull) for pull in pulls) * len(sizes) / max(len(sizes) - 6, 1)
    covariance = bread @ meat @ bread + _PIXEL**2 * bread
    return np.sqrt(np.diag(covariance)[:6])


def _residuals(T_base_cam: F64, T_hand_board: F64, views: list[View]) -> F64:
    by_eye = np.array([(T_base_cam @ view.sighting.T_cam_board)[:3, 3] for view in views])
    by_arm = np.array([(view.T_base_hand @ T_hand_board)[:3, 3] for view in views])
    return np.linalg.norm(by_eye - by_arm, axis=1)


def _mean(transforms: list[F64]) -> F64:
    T = np.mean(transforms, axis=0)
    u, _, v = np.linalg.svd(T[:3, :3])
    T[:3, :3] = u @ v
    return T


def _log(R: F64) -> F64:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(R).as_rotvec())


def _exp(x: F64) -> F64:
    """(4, 4) of a shift [m] and a rotation vector [rad]."""
    q = rotations.from_rotvec(x[3:])
    T = np.eye(4)
    T[:3, :3] = rotations.rotate(q, np.eye(3)).T
    T[:3, 3] = x[:3]
    return T
