"""How far points are from the surface of a shape."""

from __future__ import annotations

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.object_shapes import Part, Shape


def distance(shape: Shape, points: F64) -> F64:
    """Signed distance (n,) [m] of points (n, 3) [m], shape frame, from a shape; negative inside.

    Exact outside of boxes, cylinders and capsules; of hulls it is the largest distance from a plane, of ellipsoids an
    approximation to first order: near their surface both are right.
    """
    return np.min([_of_part(part, points) for part in shape.parts], axis=0)


def bounds(shape: Shape) -> tuple[F64, F64]:
    """Corners (3,) [m] of the bounding box, shape frame."""
    corners = np.concatenate([part.outline() for part in shape.parts])
    return corners.min(axis=0), corners.max(axis=0)


def _of_part(part: Part, points: F64) -> F64:
    x = rotations.rotate(rotations.conjugate(part.quat), points - part.pos)
    a, b, _ = part.size
    if part.kind == "box":
        return _to_box(np.abs(x) - part.size)
    if part.kind == "cylinder":
        return _to_box(np.stack([np.linalg.norm(x[:, :2], axis=1) - a, np.abs(x[:, 2]) - b], axis=1))
    if part.kind == "capsule":
        return np.asarray(np.linalg.norm(x - np.clip(x[:, 2:], -b, b) * [0, 0, 1], axis=1) - a)
    if part.kind == "ellipsoid":
        level = np.linalg.norm(x / part.size, axis=1)
        slope = np.linalg.norm(x / part.size**2, axis=1)
        return np.where(slope > 1e-9, level * (level - 1) / np.maximum(slope, 1e-9), -part.size.min())
    from scipy.spatial import ConvexHull

    planes = ConvexHull(part.points).equations
    return np.asarray((x @ planes[:, :3].T + planes[:, 3]).max(axis=1))


def _to_box(beyond: F64) -> F64:
    """From how far points are beyond each pair of sides (n, k) [m] to their distance (n,)."""
    return np.asarray(np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0))
