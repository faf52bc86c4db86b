"""From a depth image to what the encoder reads: cropping, leaving out hand and table, a fixed number of points.

The very same code prepares clouds for training and on the robot. What is hand is decided by the hand's model at the
measured joints, what is table by its known height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.robot import F64, Frame
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.camera import deproject, project, transform

F32 = NDArray[np.float32]

# Tool
REACH = np.array([[-0.10, -0.13, -0.20], [0.15, 0.18, -0.03]])  # m, palm frame: where parts of a held tool may be
TABLE_MARGIN = 0.004  # m above the table that is left out with it
HAND_NEAR, HAND_DEEP = 0.004, -0.012  # m from the hand's model: its own points
CONSIDERED = 800  # points whose distance from the hand is computed
LEAST = 24  # points away from the hand without which there is nothing to be read

# Object
OBJECT = 256  # points
OBJECT_SCALE = 0.02  # m, unit of what the network reads
LEAST_OBJECT = 8  # points
_MARGIN, _SPREADS = 0.0015, 2.5  # m, and standard deviations of the table's points, above the table
_TABLE = 0.006  # m around the table's height where its points are looked for
_CLUSTER = 0.004  # m between neighbors of one thing


class AffordanceError(ValueError):
    """The encoder cannot say anything."""


class CloudError(AffordanceError):
    """A cloud that cannot be read; the message says why."""


def checked(cloud: F64, what: str) -> F64:
    """The cloud as (N, 3) float64.

    Raises:
        CloudError: another shape, no points, NaN.
    """
    try:
        cloud = np.asarray(cloud, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CloudError(f"{what} is no array of points: {error}") from error
    if cloud.ndim != 2 or cloud.shape[1] != 3:
        raise CloudError(f"{what} has shape {cloud.shape}, expected (N, 3) in m")
    if not len(cloud):
        raise CloudError(f"{what} is empty: does the camera see it, is its range right?")
    if not np.isfinite(cloud).all():
        bad = int((~np.isfinite(cloud).all(axis=1)).sum())
        raise CloudError(f"{what} has {bad} points that are not finite: leave out pixels without a return (depth 0)")
    return cloud


@dataclass(frozen=True)
class ToolCloud:
    """What is seen near the hand, in the palm frame, sorted by what it may be."""

    free: F32  # (a, 3) m, away from the hand: tool, and what is near it
    free_gap: F32  # (a,) m from the hand
    hand: F32  # (b, 3) m, on the hand
    hand_gap: F32  # (b,) m


def split(cloud: F64, q: F64, hand: HandModel, rng: np.random.Generator) -> ToolCloud:
    """Crops a cloud to where a held tool may be, and tells the hand's own points from the others.

    Args:
        cloud: (N, 3) m, palm frame.
        q: (16,) rad, measured.
        hand: its model.
        rng: chooses among many points.
    """
    near = _cropped(cloud)
    if len(near) > CONSIDERED:
        near = near[rng.choice(len(near), CONSIDERED, replace=False, shuffle=False)]
    points = near.astype(np.float32)
    gap = hand.distance(points, q).astype(np.float32)
    free, own = gap > HAND_NEAR, (gap <= HAND_NEAR) & (gap > HAND_DEEP)
    return ToolCloud(points[free], gap[free], points[own], gap[own])


def sample(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` indices below n: without repetition where n suffices."""
    if n >= count:
        return rng.choice(n, count, replace=False, shuffle=False)
    return np.concatenate([np.arange(n), rng.integers(n, size=count - n)])


def tool_cloud(frame: Frame, T_world_palm: F64, table_height: float | None = None) -> F64:
    """What a depth frame shows near the hand.

    Args:
        frame: with the camera's calibrated pose.
        T_world_palm: (4, 4), from the arm's joints.
        table_height: m, leaves out the table; None where there is none.

    Returns:
        (N, 3) m, palm frame.
    """
    T_palm_cam = _inverse(T_world_palm) @ frame.T_world_cam
    seen = transform(_inverse(T_palm_cam), _corners(REACH))
    points = transform(T_palm_cam, _window(frame, seen))
    points = _cropped(points)
    if table_height is not None:
        points = points[points @ T_world_palm[2, :3] + T_world_palm[2, 3] > table_height + TABLE_MARGIN]
    return points


def _cropped(points: F64) -> F64:
    """Those in the hand's reach; a column at a time, which is several times faster than a row at a time."""
    inside = np.ones(len(points), dtype=bool)
    for axis in range(3):
        column = points[:, axis]
        inside &= (column > REACH[0, axis]) & (column < REACH[1, axis])
    return points[inside]


def _inverse(T: F64) -> F64:
    return np.asarray(np.linalg.inv(T), dtype=np.float64)


def _corners(box: F64) -> F64:
    """(8, 3) of an axis-aligned box (2, 3)."""
    return np.stack(np.meshgrid(*box.T), axis=-1).reshape(-1, 3).astype(np.float64)


def _window(frame: Frame, corners: F64) -> F64:
    """Points (N, 3) [m] in the camera frame, from the part of the image in which a box with these corners (8, 3) is."""
    height, width = frame.depth.shape
    low, high = np.zeros(2, int), np.array([width, height])
    if (corners[:, 2] > 0.01).all():
        pixels = project(corners, frame.K)
        low = np.clip(np.floor(pixels.min(axis=0)).astype(int), 0, high)
        high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 1, low, high)
    K = frame.K.copy()
    K[:2, 2] -= low
    return deproject(frame.depth[low[1] : high[1], low[0] : high[0]], K)


def object_cloud(frame: Frame, near: F64, table_height: float, radius: float = 0.04, ceiling: float = math.inf) -> F64:
    """The points of the one thing that stands at a place on the table.

    Args:
        frame: with the camera's calibrated pose.
        near: (2,) or (3,) m, the place, world frame.
        table_height: m.
        radius: m around the place that is looked at.
        ceiling: m, world frame; what is higher is something else, such as the hand.

    Returns:
        (N, 3) m, world frame; empty where nothing is.
    """
    box = np.append(np.asarray(near)[:2], table_height) + radius * np.array([[-1, -1, 0], [1, 1, 2]])
    points = transform(frame.T_world_cam, _window(frame, transform(_inverse(frame.T_world_cam), _corners(box))))
    points = points[np.linalg.norm(points[:, :2] - np.asarray(near)[:2], axis=1) < radius]
    table = points[np.abs(points[:, 2] - table_height) < _TABLE, 2]
    margin = _MARGIN
    if len(table) > 50:
        # Where the table is seen tells by how much the camera's calibration is off in height, and how rough it sees.
        offset = float(np.median(table))
        spread = 1.48 * float(np.median(np.abs(table - offset)))
        points = points - [0.0, 0.0, offset - table_height]
        margin = max(margin, _SPREADS * spread)
    points = points[(points[:, 2] > table_height + margin) & (points[:, 2] < ceiling)]
    return points[cluster(points, np.append(np.asarray(near, dtype=np.float64)[:2], table_height))]


def object_input(cloud: F64, table_height: float, rng: np.random.Generator) -> tuple[F32, F64]:
    """(OBJECT, 3) what the network reads, and the point (3,) m on the table that it is relative to.

    Raises:
        CloudError: too few points.
    """
    if len(cloud) < LEAST_OBJECT:
        raise CloudError(
            f"an object of {len(cloud)} points cannot be judged, {LEAST_OBJECT} are needed: look from nearer"
        )
    middle = (cloud[:, :2].min(axis=0) + cloud[:, :2].max(axis=0)) / 2
    origin = np.append(middle, table_height)
    chosen = cloud[sample(len(cloud), OBJECT, rng)]
    return ((chosen - origin) / OBJECT_SCALE).astype(np.float32), origin


def cluster(points: F64, foot: F64) -> np.ndarray:
    """Indices of one group of neighboring points: large, near a place, and reaching down to it.

    Args:
        points: (N, 3) m.
        foot: (3,) m, the place on the table.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if len(points) < 2:
        return np.arange(len(points))
    pairs = cKDTree(points).query_pairs(_CLUSTER, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    count, label = connected_components(graph, directed=False)
    size = np.bincount(label, minlength=count)
    middle = np.stack([np.bincount(label, points[:, axis], count) / size for axis in range(2)], axis=1)
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, label, points[:, 2])
    away = np.linalg.norm(middle - foot[:2], axis=1) + np.maximum(lowest - foot[2] - 2 * _CLUSTER, 0)
    return np.flatnonzero(label == (size * np.exp(-away / 0.01)).argmax())
