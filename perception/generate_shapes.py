"""Small things to be grasped: beads, pegs, pills, washers, nuts, cones, pebbles, with a train and a held-out part.

Held-out things are other draws; some kinds (nut, cone, peanut, corner) are never seen in training at all. Convex hulls
come from a fixed list, since a renderer keeps their meshes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.object_shapes import Part, box, capsule, cylinder, ellipsoid, hull

TRAIN = ("ball", "egg", "box", "peg", "pill", "disc", "washer", "prism", "pebble")
HELD_OUT_ONLY = ("nut", "cone", "peanut", "corner")
WIDTH = (0.004, 0.030)  # m, shorter horizontal edge
_HULLS = {"prism": (40, 16), "pebble": (60, 24), "cone": (0, 24)}  # train, held out
_SEED = 20  # of the list of hulls


@dataclass(frozen=True)
class SmallShape:
    """Convex parts, in a frame with its origin somewhere inside. Hulls say which of `hulls` they are."""

    kind: str
    parts: tuple[Part, ...]
    mesh: int = -1

    def support(self, directions: F64) -> F64:
        """(n,) m: how far the shape reaches along unit vectors (n, 3) of its frame."""
        return np.max([_support(part, directions) for part in self.parts], axis=0)

    def width(self, directions: F64) -> F64:
        """(n,) m: extent along unit vectors (n, 3)."""
        return self.support(directions) + self.support(-directions)

    def outline(self) -> F64:
        """(k, 3) m: points on the surface, enough to find out how it can lie."""
        return np.concatenate([part.outline() for part in self.parts])


def _support(part: Part, directions: F64) -> F64:
    d = rotations.rotate(rotations.conjugate(part.quat), directions)
    a, b, _ = part.size
    if part.kind == "box":
        reach = np.abs(d) @ part.size
    elif part.kind == "ellipsoid":
        reach = np.linalg.norm(d * part.size, axis=-1)
    elif part.kind == "capsule":
        reach = a + b * np.abs(d[..., 2])
    elif part.kind == "cylinder":
        reach = a * np.hypot(d[..., 0], d[..., 1]) + b * np.abs(d[..., 2])
    else:
        reach = (d @ part.points.T).max(axis=-1)
    return directions @ part.pos + reach


@cache
def hulls() -> tuple[tuple[str, bool, F64], ...]:
    """Kind, held out or not, and corner points (k, 3) [m] of every convex hull."""
    found = []
    for kind, counts in _HULLS.items():
        for held_out, count in zip((False, True), counts, strict=True):
            for i in range(count):
                rng = np.random.default_rng([_SEED, len(kind), ord(kind[1]), held_out, i])
                found.append((kind, held_out, hull(_corners(kind, rng)).points))
    return tuple(found)


def _corners(kind: str, rng: np.random.Generator) -> F64:
    width = np.exp(rng.uniform(*np.log(WIDTH)))
    if kind == "pebble":
        count = int(rng.integers(7, 24))
        points = rng.normal(size=(count, 3))
        points *= rng.uniform(0.85, 1.0, (count, 1)) / np.linalg.norm(points, axis=1, keepdims=True)
        return points * width / 2 * np.array([1.0, rng.uniform(1.0, 1.7), rng.uniform(0.6, 1.0)])
    sides = int(rng.integers(3, 9)) if kind == "prism" else 16
    turn = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    top = 1.0 if kind == "prism" else rng.uniform(0.1, 0.6)
    height = width * rng.uniform(0.5, 2.0)
    bottom = np.column_stack([ring, np.full(sides, -0.5)]) * [width / 2, width / 2, height]
    return np.concatenate([bottom, np.column_stack([top * ring, np.full(sides, 0.5)]) * [width / 2, width / 2, height]])


def draw(rng: np.random.Generator, held_out: bool) -> SmallShape:
    """One thing of the train or the held-out part."""
    kinds = (*TRAIN, *HELD_OUT_ONLY) if held_out else TRAIN
    kind = kinds[rng.integers(len(kinds))]
    if kind in _HULLS:
        choices = [i for i, (one, held, _) in enumerate(hulls()) if one == kind and held == held_out]
        mesh = choices[rng.integers(len(choices))]
        points = hulls()[mesh][2]
        return SmallShape(kind, (Part("hull", np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(3), points),), mesh)
    width = np.exp(rng.uniform(*np.log(WIDTH)))
    return SmallShape(kind, tuple(_PARTS[kind](width / 2, rng)))


def _ring(half: float, rng: np.random.Generator, sides: int) -> list[Part]:
    """A ring of slabs, `half` its outer radius: a washer, or a nut where it has six sides."""
    half = max(half, 0.004)
    inner, height = half * rng.uniform(0.4, 0.7), half * rng.uniform(0.25, 1.0)
    middle, thick = (half + inner) / 2, (half - inner) / 2
    long = half * np.tan(np.pi / sides)
    turns = 2 * np.pi * np.arange(sides) / sides
    return [box([thick, long, height], [middle * np.cos(a), middle * np.sin(a), 0], _about_z(a)) for a in turns]


def _about_z(angle: float) -> list[float]:
    return [float(np.cos(angle / 2)), 0.0, 0.0, float(np.sin(angle / 2))]


_PARTS = {
    "ball": lambda h, rng: [ellipsoid([h, h, h])],
    "egg": lambda h, rng: [ellipsoid(h * np.array([1.0, rng.uniform(1.0, 1.8), rng.uniform(0.6, 1.0)]))],
    "box": lambda h, rng: [box(h * np.array([1.0, rng.uniform(1.0, 2.5), rng.uniform(0.4, 1.5)]))],
    "peg": lambda h, rng: [cylinder(h, h * rng.uniform(1.2, 3.0))],
    "pill": lambda h, rng: [capsule(h, h * rng.uniform(0.5, 2.5))],
    "disc": lambda h, rng: [cylinder(h, h * rng.uniform(0.2, 0.6))],
    "washer": lambda h, rng: _ring(h, rng, 16),
    "nut": lambda h, rng: _ring(h, rng, 6),
    "peanut": lambda h, rng: [
        ellipsoid([h, h, h], [0.8 * h, 0, 0]),
        ellipsoid(np.full(3, h * rng.uniform(0.6, 1.0)), [-0.7 * h, 0, 0]),
    ],
    "corner": lambda h, rng: [
        box([h, 0.4 * h, 0.5 * h], [0, -0.6 * h, 0]),
        box([0.4 * h, h * rng.uniform(0.8, 1.4), 0.5 * h], [-0.6 * h, 0.2 * h, 0]),
    ],
}


def resting(shape: SmallShape, rng: np.random.Generator, leaning: float = 0.12) -> tuple[F64, float]:
    """A pose in which the shape can lie on a table.

    Args:
        shape: the thing.
        rng: source of randomness.
        leaning: share of things that lean against something unseen: any orientation.

    Returns:
        Rotation (3, 3) and the height [m] of the shape's origin above the table.
    """
    from scipy.spatial import ConvexHull

    if rng.random() < leaning:
        down = rng.normal(size=3)
        down /= np.linalg.norm(down)
    else:
        corners = shape.outline()
        faces = ConvexHull(corners)
        normals = faces.equations[:, :3]
        # A face that the middle lies above; of a round thing every face is one.
        middle = np.mean([part.pos for part in shape.parts], axis=0)
        if shape.mesh >= 0:
            middle = corners.mean(axis=0)
        foot = middle + (-(normals @ middle) - faces.equations[:, 3])[:, None] * normals
        inside = np.array([_over(foot[i], normals[i], faces.equations[i, 3], corners) for i in range(len(foot))])
        area = _areas(corners[faces.simplices]) * inside
        down = normals[rng.choice(len(normals), p=area / area.sum())] if area.sum() > 0 else np.array([0.0, 0, -1])
    side = np.cross(down, rng.normal(size=3))
    side /= np.linalg.norm(side)
    rotation = np.stack([side, np.cross(side, down), -down])
    rotation[1] = np.cross(rotation[2], rotation[0])
    return rotation, float(shape.support(down[None])[0])


def _over(foot: F64, normal: F64, offset: float, corners: F64) -> bool:
    """Whether a point of a face's plane lies inside the face, or nearly so."""
    size = np.ptp(corners, axis=0).max()
    base = corners[corners @ normal + offset > -0.002 * size]
    spokes = base - foot
    side = np.cross(normal, [0.3, 0.5, 0.8])
    turn = np.sort(np.arctan2(spokes @ np.cross(normal, side), spokes @ side))
    gaps = np.diff(np.append(turn, turn[0] + 2 * np.pi))
    return bool(gaps.max() < np.pi + 0.05 or np.linalg.norm(spokes.mean(axis=0)) < 0.03 * size)


def _areas(triangles: F64) -> F64:
    return np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
