"""Where the hand's surface is, from its joints: which points of a cloud are the hand itself.

The hand is boxes and capsules on links, read from a small file that is made from the same model as the simulation's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64

FILE = Path(__file__).parent / "weights" / "hand.npz"
FAR = 0.03  # m


@dataclass(frozen=True)
class HandModel:
    """Links, each after its parent, with one joint each (the palm, which is link 0, has none); k solids on them."""

    parent: NDArray[np.intp]  # (l,)
    pos: F64  # (l, 3) m, in the parent's frame
    quat: F64  # (l, 4)
    joint: NDArray[np.intp]  # (l,) index into the measured joints, -1: none
    axis: F64  # (l, 3) unit
    link: NDArray[np.intp]  # (k,) that a solid belongs to
    round: NDArray[np.bool_]  # (k,) a capsule along its z; else a box
    size: F64  # (k, 3) m: half edges; or radius, half length
    at: F64  # (k, 3) m, in the link's frame
    turn: F64  # (k, 4)

    @classmethod
    def load(cls, path: Path = FILE) -> HandModel:
        """The model in a file.

        Raises:
            FileNotFoundError: there is none.
        """
        with np.load(path) as file:
            return cls(**{field.name: file[field.name] for field in fields(cls)})

    def save(self, path: Path = FILE) -> None:
        """Writes one compressed file."""
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @cached_property
    def _levels(self) -> list[NDArray[np.intp]]:
        """Links by how many joints they are away from the palm."""
        depth = np.zeros(len(self.parent), int)
        for i in range(1, len(self.parent)):
            depth[i] = depth[self.parent[i]] + 1
        return [np.flatnonzero(depth == level) for level in range(1, depth.max() + 1)]

    @cached_property
    def _fixed(self) -> tuple[F64, F64, F64]:
        """Rotations (l, 3, 3) of links at joint zero, cross products (l, 3, 3) with their axes, and of solids."""
        axis = self.axis
        cross = np.zeros((len(axis), 3, 3))
        for (i, j), (k, sign) in {(0, 1): (2, -1), (0, 2): (1, 1), (1, 2): (0, -1)}.items():
            cross[:, i, j], cross[:, j, i] = sign * axis[:, k], -sign * axis[:, k]
        return _matrix(self.quat), cross, _matrix(self.turn)

    def poses(self, q: F64) -> tuple[F64, F64]:
        """Position (l, 3) [m] and rotation (l, 3, 3) of each link in the palm frame, for joints (16,) [rad]."""
        key, last = q.tobytes(), self._last
        if last and (known := last[0])[0] == key:
            return known[1]
        found = self._walk(q)
        last[:] = [(key, found)]
        return found

    @cached_property
    def _last(self) -> list[tuple[bytes, tuple[F64, F64]]]:
        """Where the links were for the joints that were asked for last, which is asked for again in a moment."""
        return []

    def _walk(self, q: F64) -> tuple[F64, F64]:
        rest, cross, _ = self._fixed
        angle = np.where(self.joint < 0, 0.0, q[self.joint])[:, None, None]
        local = rest @ (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
        pos, rotation = np.zeros((len(self.parent), 3)), np.tile(np.eye(3), (len(self.parent), 1, 1))
        for links in self._levels:
            up = self.parent[links]
            pos[links] = pos[up] + np.einsum("lij,lj->li", rotation[up], self.pos[links])
            rotation[links] = rotation[up] @ local[links]
        return pos, rotation

    def distance(self, points: NDArray[np.float32], q: F64) -> NDArray[np.float32]:
        """Signed distance from the nearest solid, exact up to `FAR` and `FAR` beyond it.

        Args:
            points: (n, 3) m, palm frame.
            q: (16,) rad.

        Returns:
            (n,) m.
        """
        row, _, gap, *_ = self._pairs(points, *self._placed(q), FAR)
        return _least(row, gap, len(points), FAR)

    def surface(self, points: NDArray[np.float32], q: F64, far: float = FAR) -> tuple[F64, F64, NDArray[np.intp]]:
        """The hand's surface nearest to points that are not further than `far` [m] from it.

        Returns:
            Signed distance (n,) [m], the way out (n, 3), and the link (n,).
        """
        center, axes = self._placed(q)
        row, solid, gap, beyond, out, sign = self._pairs(points, center, axes, far)
        nearest = _least(row, gap, len(points), far)
        hit = np.flatnonzero(gap == nearest[row])
        chosen = np.full(len(points), -1)
        chosen[row[hit][::-1]] = hit[::-1]
        known = chosen >= 0
        way, link = np.zeros((len(points), 3)), np.zeros(len(points), np.intp)
        pair = chosen[known]
        length = np.linalg.norm(out[pair], axis=1)
        local = np.where((length > 1e-9)[:, None], out[pair] / np.maximum(length, 1e-9)[:, None], 0)
        inside = length <= 1e-9
        local[inside] = np.eye(3)[beyond[pair][inside].argmax(axis=1)]
        way[known] = np.einsum("pai,pa->pi", axes[solid[pair]], local * sign[pair])
        link[known] = self.link[solid[pair]]
        return nearest.astype(np.float64), way, link

    def _placed(self, q: F64) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Middles (k, 3) [m] and axes (k, axis, 3) of the solids in the palm frame."""
        pos, rotation = self.poses(q)
        of_link = rotation[self.link]
        center = (pos[self.link] + np.einsum("kij,kj->ki", of_link, self.at)).astype(np.float32)
        return center, (of_link @ self._fixed[2]).transpose(0, 2, 1).astype(np.float32)

    def _pairs(
        self, points: NDArray[np.float32], center: NDArray[np.float32], axes: NDArray[np.float32], far: float
    ) -> tuple[NDArray[Any], ...]:
        """Pairs of a point and a solid that may be the nearest, sorted by point: both indices, the signed distance
        [m], and in the solid's frame how far the point is beyond it on each axis, that above 0, its side."""
        around, within = self._spheres
        square = (points**2).sum(axis=1)[:, None] - 2 * points @ center.T + (center**2).sum(axis=1)
        away = np.sqrt(np.maximum(square, 0))
        most = np.minimum((away - within).min(axis=1), np.float32(far))
        row, solid = np.nonzero(away - around <= most[:, None] + np.float32(1e-5))
        local = np.einsum("pai,pi->pa", axes[solid], points[row] - center[solid])
        size, is_round = self.size.astype(np.float32)[solid], self.round[solid]
        # A capsule is a box without width, rounded; folded at the middle, its axis ends at its half length.
        half = np.where(is_round[:, None], size[:, 1:2] * np.array([0, 0, 1], np.float32), size)
        beyond = np.abs(local) - half
        out = np.maximum(beyond, 0)
        deepest = np.maximum(np.maximum(beyond[:, 0], beyond[:, 1]), beyond[:, 2])
        gap = np.sqrt(out[:, 0] ** 2 + out[:, 1] ** 2 + out[:, 2] ** 2) + np.minimum(deepest, 0)
        gap -= np.where(is_round, size[:, 0], np.float32(0))
        return row, solid, gap, beyond, out, np.sign(local)

    @cached_property
    def _spheres(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(k,) m: radii of the spheres around the solids and within them."""
        around = np.where(self.round, self.size[:, 0] + self.size[:, 1], np.linalg.norm(self.size, axis=1))
        within = np.where(self.round, self.size[:, 0], self.size.min(axis=1))
        return around.astype(np.float32), within.astype(np.float32)

    @cached_property
    def fingertips(self) -> NDArray[np.intp]:
        """(4,) solids: the rounded ends of index, middle, ring finger and thumb."""
        return np.flatnonzero(self.round & (self.link > 0))

    @cached_property
    def moved_by(self) -> NDArray[np.bool_]:
        """(l, 16): which joints move a link."""
        moved = np.zeros((len(self.parent), 16), bool)
        for i in range(1, len(self.parent)):
            moved[i] = moved[self.parent[i]]
            moved[i, self.joint[i]] = True
        return moved

    def turning(self, q: F64) -> tuple[F64, F64]:
        """Axes (16, 3) of the joints in the palm frame, and points (16, 3) [m] on them."""
        pos, rotation = self.poses(q)
        axis, origin = np.zeros((16, 3)), np.zeros((16, 3))
        axis[self.joint[1:]] = np.einsum("lij,lj->li", rotation[1:], self.axis[1:])
        origin[self.joint[1:]] = pos[1:]
        return axis, origin


def _least(row: NDArray[np.intp], gap: NDArray[np.float32], count: int, far: float) -> NDArray[np.float32]:
    """(count,) the least gap of each point in rows that are sorted by point; at most `far`."""
    nearest = np.full(count, far, np.float32)
    if len(row):
        first = np.flatnonzero(np.diff(row, prepend=-1))
        nearest[row[first]] = np.minimum(np.minimum.reduceat(gap, first), np.float32(far))
    return nearest


def _matrix(quat: F64) -> F64:
    """Quaternions (n, 4) to rotations (n, 3, 3)."""
    return rotations.rotate(quat[:, None], np.eye(3)[None]).transpose(0, 2, 1)
