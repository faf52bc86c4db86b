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
        from toolwright.perception.affordance.compiled import chain  # not where only the values are needed

        rest, cross, _ = self._fixed
        angle = np.where(self.joint < 0, 0.0, q[self.joint])[:, None, None]
        local = rest @ (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
        pos, rotation = np.zeros((len(self.parent), 3)), np.zeros((len(self.parent), 3, 3))
        rotation[0] = np.eye(3)
        chain(self.parent, self.pos, local, pos, rotation)
        return pos, rotation

    def distance(self, points: NDArray[Any], q: F64, far: float = FAR) -> F64:
        """Signed distance (n,) [m] of points (n, 3) [m] of the palm frame from the hand, at most `far`."""
        return self.surface(points, q, far)[0]

    def surface(self, points: NDArray[Any], q: F64, far: float = FAR) -> tuple[F64, F64, NDArray[np.intp]]:
        """The hand's surface nearest to points.

        Args:
            points: (n, 3) m, palm frame.
            q: (16,) rad.
            far: m, from where on it is all the same how far a point is.

        Returns:
            Signed distance (n,) [m], at most `far`; the way out (n, 3), zero from `far` on; the link (n,).
        """
        from toolwright.perception.affordance.compiled import nearest

        pos, rotation = self.poses(q)
        of_link = rotation[self.link]
        center = pos[self.link] + (of_link @ self.at[..., None])[..., 0]
        axes = (of_link @ self._fixed[2]).transpose(0, 2, 1)
        gap, way, solid = nearest(points, center, axes, *self._rounded, self.round, far)
        return gap, way, np.where(solid < 0, 0, self.link[solid])

    @cached_property
    def _rounded(self) -> tuple[F64, F64]:
        """Half edges (k, 3) and rounding radii (k,) [m] of the solids: a capsule is a line, rounded."""
        line = self.size[:, 1:2] * np.array([0.0, 0.0, 1.0])
        return np.where(self.round[:, None], line, self.size), np.where(self.round, self.size[:, 0], 0.0)

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


def _matrix(quat: F64) -> F64:
    """Quaternions (n, 4) to rotations (n, 3, 3)."""
    return rotations.rotate(quat[:, None], np.eye(3)[None]).transpose(0, 2, 1)
