"""Signed distance of a known shape on a grid: how far measured points are from its surface, and in which direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolwright.hardware.robot import F64

CELL = 0.002  # m
MARGIN = 0.02  # m around the shape


@dataclass(frozen=True)
class ShapeField:
    """Values at the corners of cubic cells; in between they are trilinear."""

    values: F64  # (nx, ny, nz) m, negative inside
    lower: F64  # (3,) m, of the first corner, in the shape's frame
    cell: float  # m

    @classmethod
    def sample(
        cls, distance: Callable[[F64], F64], lower: F64, upper: F64, cell: float = CELL, margin: float = MARGIN
    ) -> ShapeField:
        """Samples a distance function.

        Args:
            distance: of points (n, 3) [m], signed (n,) [m].
            lower: (3,) m, corner of the shape's bounding box.
            upper: (3,) m, likewise.
            cell: m.
            margin: m beyond the box.
        """
        start = np.asarray(lower) - margin
        counts = np.ceil((np.asarray(upper) + margin - start) / cell).astype(int) + 1
        axes = [a + cell * np.arange(k) for a, k in zip(start, counts, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return cls(distance(grid.reshape(-1, 3)).reshape(counts), start, cell)

    def at(self, points: F64) -> tuple[F64, F64]:
        """Distances (n,) [m] of points (n, 3) [m], and their gradients (n, 3).

        A point outside the grid counts as at the grid's border, plus its way to there.
        """
        top = np.array(self.values.shape) - 1
        x = (points - self.lower) / self.cell
        inside = np.clip(x, 0, top - 1e-9)
        i = inside.astype(np.intp)
        f = inside - i
        corners = self._corners(i)  # (n, 2, 2, 2)
        wx, wy, wz = (np.stack([1 - f[:, k], f[:, k]], axis=1) for k in range(3))
        along_z = np.einsum("nabc,nc->nab", corners, wz)
        along_y = np.einsum("nab,nb->na", along_z, wy)
        value = np.einsum("na,na->n", along_y, wx)
        gradient = np.stack(
            [
                along_y[:, 1] - along_y[:, 0],
                np.einsum("na,na->n", along_z[:, :, 1] - along_z[:, :, 0], wx),
                np.einsum("nab,na,nb->n", corners[..., 1] - corners[..., 0], wx, wy),
            ],
            axis=1,
        )
        return value + self.cell * np.linalg.norm(x - inside, axis=1), gradient / self.cell

    def _corners(self, i: np.ndarray) -> F64:
        flat, (_, ny, nz) = self.values.ravel(), self.values.shape
        base = (i[:, 0] * ny + i[:, 1]) * nz + i[:, 2]
        step = np.array([0, 1, nz, nz + 1, ny * nz, ny * nz + 1, ny * nz + nz, ny * nz + nz + 1])
        return np.asarray(flat[base[:, None] + step]).reshape(-1, 2, 2, 2)
