"""Shapes to turn in the hand: each a rigid union of a few convex parts, stored small in one file.

A shape's frame has its center of mass as origin. `toolwright objects` makes the file from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64

FILE = Path(__file__).parent / "shapes" / "reorient.npz"
KINDS = ("box", "cylinder", "capsule", "ellipsoid", "hull")  # stored by index
PARTS = 8  # most convex parts of a shape: every world carries as many geoms
_POINTS = 32  # most corners of a hull
_GRID = 36  # points along the longest side when mass is integrated


class ShapeError(ValueError):
    """A shape that cannot be built, or a missing file of shapes."""


@dataclass(frozen=True)
class Part:
    """One convex part. Sizes are MuJoCo's: half edges; radius and half length along z; radii."""

    kind: str
    pos: F64  # (3,) m
    quat: F64  # (4,)
    size: F64  # (3,) m, zero for a hull
    points: F64  # (k, 3) m in the part's frame, for a hull

    def moved(self, scale: float, shift: F64) -> Part:
        """The part scaled about the origin of the shape, then shifted by (3,) m."""
        return Part(self.kind, scale * self.pos + shift, self.quat, scale * self.size, scale * self.points)

    def outline(self) -> F64:
        """(k, 3) m: points of the surface whose hull is the part, or nearly so where it is round."""
        return self.pos + rotations.rotate(self.quat, _outline(self))


@dataclass(frozen=True)
class Shape:
    """A shape with unit density: volume instead of mass."""

    name: str
    family: str
    held_out: bool
    parts: tuple[Part, ...]
    volume: float  # m^3
    inertia: F64  # (3, 3) m^5 about the center of mass

    @property
    def extent(self) -> F64:
        """(3,) m: edges of the bounding box."""
        corners = np.concatenate([part.outline() for part in self.parts])
        return np.ptp(corners, axis=0)

    def principal(self) -> tuple[F64, F64]:
        """Principal moments (3,) [m^5] and the quaternion (4,) of their axes."""
        moments, axes = np.linalg.eigh(self.inertia)
        if np.linalg.det(axes) < 0:
            axes[:, 2] *= -1
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, axes.ravel())
        return moments, quat


def box(half: Sequence[float] | F64, pos: Sequence[float] = (0, 0, 0), quat: Sequence[float] = (1, 0, 0, 0)) -> Part:
    """A cuboid from half edges (3,)."""
    return Part("box", np.array(pos, float), np.array(quat, float), np.array(half, float), np.zeros((0, 3)))


def cylinder(
    radius: float, half: float, pos: Sequence[float] = (0, 0, 0), quat: Sequence[float] = (1, 0, 0, 0)
) -> Part:
    """A cylinder along its z, `half` its half length."""
    return Part(
        "cylinder", np.array(pos, float), np.array(quat, float), np.array([radius, half, 0.0]), np.zeros((0, 3))
    )


def capsule(radius: float, half: float, pos: Sequence[float] = (0, 0, 0), quat: Sequence[float] = (1, 0, 0, 0)) -> Part:
    """A capsule along its z, `half` the half length of its straight part."""
    return Part("capsule", np.array(pos, float), np.array(quat, float), np.array([radius, half, 0.0]), np.zeros((0, 3)))


def ellipsoid(
    radii: Sequence[float] | F64, pos: Sequence[float] = (0, 0, 0), quat: Sequence[float] = (1, 0, 0, 0)
) -> Part:
    """An ellipsoid from its radii (3,)."""
    return Part("ellipsoid", np.array(pos, float), np.array(quat, float), np.array(radii, float), np.zeros((0, 3)))


def hull(points: F64, pos: Sequence[float] = (0, 0, 0), quat: Sequence[float] = (1, 0, 0, 0)) -> Part:
    """The convex hull of points (k, 3).

    Raises:
        ShapeError: flat, or too many corners.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        corners = np.asarray(points, float)[ConvexHull(points).vertices]
    except QhullError as error:
        raise ShapeError("a hull needs four points that are not in one plane") from error
    if len(corners) > _POINTS:
        raise ShapeError(f"a hull has at most {_POINTS} corners, got {len(corners)}")
    return Part("hull", np.array(pos, float), np.array(quat, float), np.zeros(3), corners)


def finish(name: str, family: str, held_out: bool, parts: Sequence[Part], longest: float) -> Shape:
    """A shape scaled to its size, with its center of mass as origin.

    Args:
        name: unique among all shapes.
        family: kind of shape.
        held_out: not for training.
        parts: convex parts; they may overlap, mass counts once.
        longest: m, longest edge of the bounding box.

    Raises:
        ShapeError: too many parts.
    """
    if not 1 <= len(parts) <= PARTS:
        raise ShapeError(f"shape '{name}' has {len(parts)} convex parts; 1 to {PARTS} are possible")
    corners = np.concatenate([part.outline() for part in parts])
    scale = longest / np.ptp(corners, axis=0).max()
    scaled = [part.moved(scale, np.zeros(3)) for part in parts]
    volume, center, inertia = _mass(scaled)
    return Shape(name, family, held_out, tuple(p.moved(1.0, -center) for p in scaled), volume, inertia)


def scaled(shape: Shape, factor: float) -> Shape:
    """The shape made larger by a factor."""
    parts = tuple(part.moved(factor, np.zeros(3)) for part in shape.parts)
    return Shape(shape.name, shape.family, shape.held_out, parts, shape.volume * factor**3, shape.inertia * factor**5)


def _outline(part: Part) -> F64:
    a, b, _ = part.size
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    if part.kind == "box":
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
        return signs * part.size
    if part.kind == "cylinder":
        return np.concatenate([a * ring + [0, 0, b], a * ring - [0, 0, b]])
    heights = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 9))
    ball = np.concatenate([np.sqrt(1 - h * h) * ring + [0, 0, h] for h in heights])
    if part.kind == "ellipsoid":
        return ball * part.size
    if part.kind == "capsule":
        return a * ball + np.where(ball[:, 2:] >= 0, 1, -1) * np.array([0, 0, b])
    return part.points


def _inside(part: Part, points: F64) -> Any:
    """(k,) bool: which of the points (k, 3) of the shape's frame lie in the part."""
    from scipy.spatial import ConvexHull

    x = rotations.rotate(rotations.conjugate(part.quat), points - part.pos)
    a, b, _ = part.size
    if part.kind == "box":
        return (np.abs(x) <= part.size).all(axis=1)
    if part.kind == "cylinder":
        return (np.linalg.norm(x[:, :2], axis=1) <= a) & (np.abs(x[:, 2]) <= b)
    if part.kind == "capsule":
        return np.linalg.norm(x - np.clip(x[:, 2:], -b, b) * [0, 0, 1], axis=1) <= a
    if part.kind == "ellipsoid":
        return np.linalg.norm(x / part.size, axis=1) <= 1
    planes = ConvexHull(part.points).equations
    return (x @ planes[:, :3].T + planes[:, 3] <= 0).all(axis=1)


def _mass(parts: Sequence[Part]) -> tuple[float, F64, F64]:
    """Volume, center (3,) and inertia (3, 3) about it of a union of parts of unit density, counted on a grid."""
    corners = np.concatenate([part.outline() for part in parts])
    low, high = corners.min(axis=0), corners.max(axis=0)
    counts = np.ceil((high - low) / (high - low).max() * _GRID).astype(int)
    step = (high - low) / counts
    axes = [a + d * (np.arange(k) + 0.5) for a, d, k in zip(low, step, counts, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    filled = grid[np.any([_inside(part, grid) for part in parts], axis=0)]
    center = filled.mean(axis=0)
    x = filled - center
    # Second moments; a cell of the grid has one of its own.
    moments = x.T @ x + np.diag(len(x) * step**2 / 12)
    cell = float(np.prod(step))
    return cell * len(filled), center, cell * (np.trace(moments) * np.eye(3) - moments)


def save(shapes: Sequence[Shape], path: Path = FILE, seed: int = 0) -> None:
    """Writes one compressed file, numbers in single precision."""
    parts = [part for shape in shapes for part in shape.parts]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        seed=seed,
        name=[shape.name for shape in shapes],
        family=[shape.family for shape in shapes],
        held_out=[shape.held_out for shape in shapes],
        volume=[shape.volume for shape in shapes],
        inertia=[shape.inertia for shape in shapes],
        parts=[len(shape.parts) for shape in shapes],
        kind=np.array([KINDS.index(part.kind) for part in parts], np.uint8),
        pos=np.array([part.pos for part in parts], np.float32),
        quat=np.array([part.quat for part in parts], np.float32),
        size=np.array([part.size for part in parts], np.float32),
        corners=[len(part.points) for part in parts],
        points=np.concatenate([part.points for part in parts]).astype(np.float32),
    )


def load(path: Path = FILE) -> tuple[Shape, ...]:
    """The shapes of a file.

    Raises:
        ShapeError: there is none; says how to make it.
    """
    if not path.is_file():
        raise ShapeError(f"no shapes at {path}: make them with `toolwright objects make`")
    with np.load(path) as file:
        points = np.split(file["points"].astype(np.float64), np.cumsum(file["corners"])[:-1])
        columns = (file[key].astype(np.float64) for key in ("pos", "quat", "size"))
        parts = [
            Part(KINDS[kind], pos, quat / np.linalg.norm(quat), size, corners)
            for kind, pos, quat, size, corners in zip(file["kind"], *columns, points, strict=True)
        ]
        ends = np.cumsum(file["parts"])
        rows = zip(file["name"], file["family"], file["held_out"], file["volume"], file["inertia"], strict=True)
        return tuple(
            Shape(str(name), str(family), bool(held), tuple(parts[end - count : end]), float(volume), inertia)
            for (name, family, held, volume, inertia), count, end in zip(rows, file["parts"], ends, strict=True)
        )
