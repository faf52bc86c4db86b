"""Points on the surfaces of shapes: what a hand's controller knows of the thing in the hand, or sees of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.object_shapes import Shape
from toolwright.sim.shape_distance import bounds, distance

POINTS = 384  # of each shape
_DRAWN = 1000  # before the most evenly spread ones are chosen
_SLOPE = 1e-4  # m, over which a normal is taken
_ON = 5e-4  # m from the surface


@dataclass(frozen=True)
class Surfaces:
    """V shapes by points on them, shape frame."""

    points: F64  # (V, POINTS, 3) m, in single precision
    normals: F64  # (V, POINTS, 3) unit, outwards

    @classmethod
    def of(
        cls, shapes: Sequence[Shape], factors: Sequence[float] = (1.0,), used: Collection[int] | None = None
    ) -> Self:
        """Shapes in all sizes, those of one shape next to each other, as the worlds of a task number them.

        Args:
            shapes: which.
            factors: on their size.
            used: indices of those that are asked for, where that is known; the others get no points, which saves time.
        """
        nothing = np.zeros((POINTS, 3))
        wanted = range(len(shapes)) if used is None else used
        rows = [_sample(shape) if i in wanted else (nothing, nothing) for i, shape in enumerate(shapes)]
        points = np.stack([factor * points for points, _ in rows for factor in factors])
        normals = np.stack([normals for _, normals in rows for _ in factors])
        return cls(points.astype(np.float32), normals.astype(np.float32))  # type: ignore[arg-type]

    def seen(self, variant: np.ndarray, pos: F64, quat: F64) -> F64:
        """(n, POINTS, 3) m: the points of things of these shapes at poses (n, 3), (n, 4)."""
        return pos[:, None] + rotations.rotate(quat[:, None], self.points[variant])

    def facing(self, variant: np.ndarray, quat: F64) -> F64:
        """(n, POINTS, 3) unit: the normals of things of these shapes at orientations (n, 4)."""
        return rotations.rotate(quat[:, None], self.normals[variant])


def _sample(shape: Shape) -> tuple[F64, F64]:
    """(POINTS, 3) m and their normals: points drawn in the bounding box, moved to the surface, spread evenly."""
    rng = np.random.default_rng(0)
    low, high = bounds(shape)
    points = rng.uniform(low - 0.005, high + 0.005, (_DRAWN, 3))
    for _ in range(3):
        value, slope = _distance(shape, points)
        points -= value[:, None] * slope
    value, slope = _distance(shape, points)
    on = np.abs(value) < _ON
    points, slope = points[on], slope[on]
    chosen = _spread(points, min(POINTS, len(points)))
    chosen = np.resize(chosen, POINTS)  # some twice, where a shape is so odd that too few are left
    return points[chosen], slope[chosen]


def _distance(shape: Shape, points: F64) -> tuple[F64, F64]:
    """Signed distances (n,) and their slopes (n, 3), of length one."""
    shifts = np.concatenate([np.zeros((1, 3)), _SLOPE * np.eye(3)])
    values = distance(shape, (points + shifts[:, None]).reshape(-1, 3)).reshape(4, -1)
    slope = ((values[1:] - values[0]) / _SLOPE).T
    return values[0], slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)


def _spread(points: F64, count: int) -> np.ndarray:
    """Indices (count,) of points far from each other: each the farthest from those before it."""
    chosen = np.zeros(count, dtype=np.intp)
    left = np.full(len(points), np.inf)
    for i in range(1, count):
        left = np.minimum(left, ((points - points[chosen[i - 1]]) ** 2).sum(axis=1))
        chosen[i] = left.argmax()
    return chosen
