"""The families of shapes, drawn from a seed: convex, composed, turned on a lathe, letters, tools, irregular.

Every shape is built from convex parts, so that no decomposition is needed. Held-out shapes are other letters, other
tools and other compositions than those of training, and other draws where a family is continuous. Units here are
arbitrary: `finish` scales a shape to its size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.object_shapes import Part, Shape, ShapeError, box, capsule, cylinder, ellipsoid, finish, hull
from toolwright.sim.randomize import directions

TRAIN, HELD_OUT = 26, 6  # shapes of each family
SIZE = (0.05, 0.09)  # m, longest edge of the bounding box
_BULKY = 0.07  # m, most of the second longest edge: what the fingers reach around
_THIN = 0.016  # m, least of the shortest: thinner things slip between the fingers
CUBE = "cube"  # the first shape of all, whatever the seed
CUBE_SIZE = 0.068  # m

Rng = np.random.Generator
X = tuple(rotations.from_rotvec(np.array([0, np.pi / 2, 0])))  # z onto x
Y = tuple(rotations.from_rotvec(np.array([-np.pi / 2, 0, 0])))  # z onto y


def make(seed: int) -> tuple[Shape, ...]:
    """All shapes of a seed: the cube, then every family with its train and its held-out part."""
    shapes = [finish(CUBE, "convex", False, [box([1, 1, 1])], CUBE_SIZE)]
    for index, (family, draw) in enumerate(FAMILIES.items()):
        for held_out, count in ((False, TRAIN), (True, HELD_OUT)):
            for i in range(count):
                rng = np.random.default_rng([seed, index, held_out, i])
                shapes.append(_fitting(rng, family, held_out, i, draw))
    return tuple(shapes)


def _fitting(
    rng: Rng, family: str, held_out: bool, i: int, draw: Callable[[Rng, int, bool], tuple[str, list[Part]]]
) -> Shape:
    for _ in range(100):
        kind, parts = draw(rng, i, held_out)
        part = "held" if held_out else "train"
        shape = finish(f"{family}_{kind}_{part}{i:02d}", family, held_out, parts, rng.uniform(*SIZE))
        short, middle, longest = np.sort(shape.extent)
        if middle > _BULKY:
            shape = finish(shape.name, family, held_out, parts, longest * _BULKY / middle)
        elif short < _THIN:
            shape = finish(shape.name, family, held_out, parts, SIZE[1])
        if shape.extent.min() >= _THIN:
            return shape
    raise ShapeError(f"{family} {kind} is too thin in every one of 100 draws")


def _convex(rng: Rng, i: int, held_out: bool) -> tuple[str, list[Part]]:
    u = rng.uniform
    kinds = ("box", "prism", "cylinder", "ellipsoid", "capsule", "cone", "wedge", "bipyramid", "polytope", "polytope")
    kind = "polytope" if held_out and i >= 4 else kinds[(i + (1 if held_out else 0)) % len(kinds)]
    if kind == "box":
        return kind, [box(u(0.5, 1, 3))]
    if kind == "prism":
        return kind, [hull(_frustum(int(rng.integers(3, 9)), 1, 1, -u(0.4, 1.2), u(0.4, 1.2)))]
    if kind == "cylinder":
        return kind, [cylinder(1, u(0.4, 1.4))]
    if kind == "ellipsoid":
        return kind, [ellipsoid(u(0.55, 1, 3))]
    if kind == "capsule":
        return kind, [capsule(1, u(0.3, 1.2))]
    if kind == "cone":
        return kind, [hull(_frustum(12, 1, u(0.15, 0.6), 0, u(1, 2)))]
    if kind == "wedge":
        x, y, z, tip = u(0.6, 1), u(0.6, 1), u(0.5, 1), u(0, 0.6)
        return kind, [hull(np.array([[sx * x, sy * y, sz * z * (1 if sx < 0 else tip)] for sx, sy, sz in _signs()]))]
    if kind == "bipyramid":
        ring = _frustum(int(rng.integers(4, 8)), 1, 1, 0, 0)
        return kind, [hull(np.concatenate([ring, [[0, 0, u(0.6, 1.2)], [0, 0, -u(0.6, 1.2)]]]))]
    return kind, [_lump(rng, u(0.7, 1, 3))]


def _composed(rng: Rng, i: int, held_out: bool) -> tuple[str, list[Part]]:
    u = rng.uniform
    train = ("L", "T", "plus", "U", "stairs", "slot", "corner", "stub", "I", "sandwich", "notch", "ring", "jack")
    kind = ("Z", "frame", "arch", "cross_pipe", "Z", "frame")[i] if held_out else train[i % len(train)]
    w, d = u(0.3, 0.45), u(0.35, 0.6)  # half width of a bar, half depth
    across = box([w, 1, d])
    along = {  # shapes that are bars in one plane
        "L": [across, box([0.7, w, d], [0.7 - w, -1 + w, 0])],
        "T": [across, box([1, w, d], [0, 1 - w, 0])],
        "plus": [across, box([1, w, d])],
        "U": [box([1, w, d], [0, -1, 0]), box([w, 0.7, d], [1 - w, 0, 0]), box([w, 0.7, d], [w - 1, 0, 0])],
        "I": [across, box([0.8, w, d], [0, 1, 0]), box([0.8, w, d], [0, -1, 0])],
        "Z": [across, box([0.5, w, d], [0.5, 1 - w, 0]), box([0.5, w, d], [-0.5, w - 1, 0])],
        "corner": [across, box([0.8, w, d], [0.8, w - 1, 0]), box([w, w, 0.8], [0, w - 1, 0.8])],
        "jack": [across, box([1, w, w]), box([w, w, 1])],
        "stairs": [
            box([1, d, 0.33], [0, 0, 0]),
            box([0.67, d, 0.33], [-0.33, 0, 0.66]),
            box([0.33, d, 0.33], [-0.66, 0, 1.3]),
        ],
        "slot": [box([1, 1, w]), box([0.3, 1, 0.4], [0.7, 0, w + 0.4]), box([0.3, 1, 0.4], [-0.7, 0, w + 0.4])],
        "notch": [box([1, 0.5, 0.7], [0, -0.5, 0]), box([0.4, 0.5, 0.7], [0.6, 0.4, 0])],
        "frame": [
            box([1, w * 0.8, d], [0, 1, 0]),
            box([1, w * 0.8, d], [0, -1, 0]),
            box([w * 0.8, 1, d], [0.8, 0, 0]),
            box([w * 0.8, 1, d], [-0.8, 0, 0]),
        ],
        "arch": [
            box([w, 0.6, d], [0.9, -0.4, 0]),
            box([w, 0.6, d], [-0.9, -0.4, 0]),
            *[
                box([0.35, w, d], [0.75 * np.cos(a), 0.1 + 0.75 * np.sin(a), 0], _about_z(a + np.pi / 2))
                for a in np.linspace(0.4, np.pi - 0.4, 4)
            ],
        ],
    }
    if kind in along:
        return kind, along[kind]
    if kind == "stub":
        return kind, [box([u(0.7, 1), u(0.7, 1), u(0.4, 0.6)]), cylinder(u(0.3, 0.5), 0.8, [0, 0, 0.8])]
    if kind == "sandwich":
        return kind, [cylinder(1, 0.25, [0, 0, 0.7]), cylinder(u(0.4, 0.6), 0.7), box([0.8, 0.8, 0.25], [0, 0, -0.7])]
    if kind == "cross_pipe":
        return kind, [cylinder(w, 1), cylinder(w, 1, quat=X)]
    angles = np.arange(8) * np.pi / 4
    thick = u(0.22, 0.35)
    return kind, [box([thick, 0.42, d], [0.9 * np.cos(a), 0.9 * np.sin(a), 0], _about_z(a)) for a in angles]


def _lathe(rng: Rng, i: int, held_out: bool) -> tuple[str, list[Part]]:
    """A profile of three to six radii over its heights: a frustum between any two."""
    del held_out
    count = 3 + i % 4
    heights = np.cumsum(rng.uniform(0.4, 1, count))
    radii = rng.uniform(0.25, 1, count) * heights[-1] * rng.uniform(0.35, 0.8)
    radii[rng.integers(1, count)] = heights[-1] * 0.4
    sides = 14
    pairs = zip(radii[:-1], radii[1:], heights[:-1], heights[1:], strict=True)
    return f"turned{count}", [hull(_frustum(sides, a, b, low, high)) for a, b, low, high in pairs]


def _letters(rng: Rng, i: int, held_out: bool) -> tuple[str, list[Part]]:
    from toolwright.sim.shape_glyphs import HELD_OUT_GLYPHS, TRAIN_GLYPHS

    glyphs = HELD_OUT_GLYPHS if held_out else TRAIN_GLYPHS
    name = list(glyphs)[i % len(glyphs)]
    thick, depth = rng.uniform(0.34, 0.45), rng.uniform(0.5, 0.8)
    parts = []
    for x0, y0, x1, y1 in glyphs[name]:
        length, angle = np.hypot(x1 - x0, y1 - y0), np.arctan2(y1 - y0, x1 - x0)
        parts.append(box([length / 2 + thick, thick, depth], [(x0 + x1) / 2, (y0 + y1) / 2, 0], _about_z(angle)))
    return name, parts


def _tools(rng: Rng, i: int, held_out: bool) -> tuple[str, list[Part]]:
    u = rng.uniform
    h, r = u(0.8, 1.1), u(0.2, 0.28)  # half length and radius of the handle
    handle = cylinder(r, h)
    train: dict[str, list[Part]] = {
        "hammer": [handle, box([0.75, 0.3, 0.3], [0, 0, h])],
        "mallet": [handle, cylinder(u(0.4, 0.5), 0.7, [0, 0, h], X)],
        "screwdriver": [
            capsule(u(0.32, 0.4), 0.45),
            cylinder(0.14, 0.7, [0, 0, 1.0]),
            box([0.18, 0.08, 0.15], [0, 0, 1.7]),
        ],
        "wrench": [
            box([r, 0.25, h]),
            box([0.45, 0.25, 0.2], [0, 0, h]),
            box([0.16, 0.25, 0.3], [0.32, 0, h + 0.35]),
            box([0.16, 0.25, 0.3], [-0.32, 0, h + 0.35]),
        ],
        "spoon": [box([0.18, 0.2, h]), ellipsoid([0.5, 0.28, 0.6], [0, 0, h + 0.4])],
        "mug": [
            cylinder(0.75, 0.8),
            box([0.35, 0.14, 0.14], [1.0, 0, 0.5]),
            box([0.35, 0.14, 0.14], [1.0, 0, -0.5]),
            box([0.14, 0.14, 0.6], [1.3, 0, 0]),
        ],
        "key": [cylinder(0.6, 0.32, quat=Y), box([0.2, 0.32, 0.8], [0, 0, 1.2]), box([0.2, 0.32, 0.12], [0.3, 0, 1.8])],
        "axe": [
            handle,
            hull(
                np.array(
                    [[sx * 0.2, sy * 0.22, h + sz * 0.3] for sx, sy, sz in _signs()]
                    + [[1, sy * 0.08, h + sz * 0.6] for sy in (-1, 1) for sz in (-1, 1)]
                )
            ),
        ],
        "brush": [handle, box([0.4, 0.3, 0.45], [0, 0, h + 0.3])],
        "bolt": [cylinder(0.32, 0.8), hull(_frustum(6, 0.75, 0.75, 0.7, 1.2))],
        "dumbbell": [cylinder(0.25, 0.9), cylinder(0.55, 0.25, [0, 0, 0.9]), cylinder(0.55, 0.25, [0, 0, -0.9])],
        "roller": [cylinder(0.4, 0.8, quat=X), box([0.12, 0.2, 0.5], [0, 0, 0.6]), cylinder(r, 0.6, [0, 0, 1.5])],
        "plane": [box([1, 0.4, 0.25]), capsule(0.22, 0.3, [0.5, 0, 0.5]), box([0.2, 0.22, 0.4], [-0.6, 0, 0.5])],
    }
    held: dict[str, list[Part]] = {
        "trowel": [
            handle,
            hull(
                np.array(
                    [
                        [0.5, 0.22, h],
                        [-0.5, 0.22, h],
                        [0.5, -0.22, h],
                        [-0.5, -0.22, h],
                        [0, 0.15, h + 1],
                        [0, -0.15, h + 1],
                    ]
                )
            ),
        ],
        "pipe": [capsule(0.22, 0.8, quat=X), cylinder(0.42, 0.5, [0.9, 0, 0.35])],
        "padlock": [
            box([0.7, 0.35, 0.6]),
            cylinder(0.16, 0.4, [0.45, 0, 0.9]),
            cylinder(0.16, 0.4, [-0.45, 0, 0.9]),
            capsule(0.16, 0.45, [0, 0, 1.3], X),
        ],
        "plug": [
            cylinder(0.6, 0.5),
            box([0.12, 0.2, 0.3], [0.3, 0, 0.8]),
            box([0.12, 0.2, 0.3], [-0.3, 0, 0.8]),
            capsule(0.2, 0.3, [0, 0, -0.7]),
        ],
        "pickaxe": [
            handle,
            hull(
                np.array(
                    [[0, y, h + z] for y in (-0.22, 0.22) for z in (-0.25, 0.25)]
                    + [[1, y, h - 0.2] for y in (-0.1, 0.1)]
                )
            ),
            hull(
                np.array(
                    [[0, y, h + z] for y in (-0.22, 0.22) for z in (-0.25, 0.25)]
                    + [[-1, y, h - 0.2] for y in (-0.1, 0.1)]
                )
            ),
        ],
        "tap": [cylinder(0.35, 0.8), box([0.8, 0.22, 0.15], [0, 0, 0.9]), capsule(0.24, 0.5, [0.6, 0, 0.2], X)],
    }
    table = held if held_out else train
    kind = list(table)[i % len(table)]
    return kind, table[kind]


def _irregular(rng: Rng, i: int, held_out: bool) -> tuple[str, list[Part]]:
    """Lumps grown onto each other; every second one a body with a head and legs."""
    del held_out
    u = rng.uniform
    if i % 2:
        legs = [capsule(0.2, 0.3, [0.5 * sx, 0.3 * sy, -0.55]) for sx in (-1, 1) for sy in (-1, 1)]
        nose = capsule(0.16, 0.2, [u(1.3, 1.5), 0, 0.5], X)
        return "animal", [
            ellipsoid([0.9, u(0.45, 0.6), u(0.4, 0.55)]),
            ellipsoid(u(0.35, 0.5, 3), [0.9, 0, 0.5]),
            nose,
            *legs,
        ]
    parts = [_lump(rng, u(0.5, 0.9, 3))]
    for direction in directions(rng, int(rng.integers(1, 4))):
        lump = _lump(rng, u(0.3, 0.6, 3))
        parts.append(hull(lump.points + 0.75 * direction))
    return "lumps", parts


FAMILIES: dict[str, Callable[[Rng, int, bool], tuple[str, list[Part]]]] = {
    "convex": _convex,
    "composed": _composed,
    "lathe": _lathe,
    "letter": _letters,
    "tool": _tools,
    "irregular": _irregular,
}


def _frustum(sides: int, low: float, high: float, z0: float, z1: float) -> F64:
    """(2 sides, 3): a ring of radius `low` at height z0 and one of radius `high` at z1."""
    turn = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate(
        [np.column_stack([low * ring, np.full(sides, z0)]), np.column_stack([high * ring, np.full(sides, z1)])]
    )


def _lump(rng: Rng, radii: F64) -> Part:
    """The hull of random points on an ellipsoid."""
    return hull(directions(rng, int(rng.integers(12, 25))) * radii)


def _signs() -> list[tuple[int, int, int]]:
    return [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]


def _about_z(angle: float) -> tuple[float, float, float, float]:
    return float(np.cos(angle / 2)), 0.0, 0.0, float(np.sin(angle / 2))
