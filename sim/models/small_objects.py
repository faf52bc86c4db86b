"""Small things to pick with the tips of a tool: 24 of them in one table, half of them never used in training.

Bores of nuts and washers are in their mass and in their picture, not in their contact shape: nothing that grips from
outside feels them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.models import objects
from toolwright.sim.models.physics import collide_as_thing, new_spec, solve_thoroughly
from toolwright.sim.object_shapes import Part, Shape, box, capsule, cylinder, ellipsoid, finish, hull

PARTS = 2  # most convex parts of one of them: every world carries as many geoms
POINTS = 240  # of a surface, see `surface_points`
_SPACING = 0.0015  # m between them, at most
_GRAIN = 0.05  # share by which the corners of a stone stand out or in, standard deviation


@dataclass(frozen=True)
class SmallObject:
    """One thing, in its own frame with the center of mass as origin."""

    shape: Shape
    mass: float  # kg
    friction: float
    rgba: tuple[float, float, float, float]
    round: bool  # it rolls
    bore: float  # m, radius of a hole along z that is only drawn

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def held_out(self) -> bool:
        return self.shape.held_out


def _prism(sides: int, across: float, height: float, top: float = 1.0) -> F64:
    """Corners of a prism with regular ends [m]; `across` opposite sides, the upper end smaller by `top`."""
    turn = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    ring = across / 2 / np.cos(np.pi / sides) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    ends = [np.column_stack([ring * scale, np.full(sides, z)]) for scale, z in ((1.0, -height / 2), (top, height / 2))]
    return np.concatenate(ends)


def _stone(size: tuple[float, float, float], seed: int) -> F64:
    """Corners of a rounded irregular body with about these edges [m]."""
    rng = np.random.default_rng(seed)
    n = 26
    z = 1 - 2 * (np.arange(n) + 0.5) / n
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    ball = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)
    return ball * np.array(size) / 2 * (1 + _GRAIN * rng.normal(size=(n, 1)))


_MM = 1e-3
_STEEL, _WOOD, _RED, _BLUE, _GREEN = (
    (0.62, 0.64, 0.68, 1.0),
    (0.72, 0.53, 0.33, 1.0),
    (0.80, 0.20, 0.18, 1.0),
    (0.22, 0.36, 0.68, 1.0),
    (0.32, 0.58, 0.34, 1.0),
)
_WHITE, _YELLOW, _BERRY, _STONE, _GOLD = (
    (0.93, 0.92, 0.88, 1.0),
    (0.93, 0.76, 0.22, 1.0),
    (0.30, 0.22, 0.45, 1.0),
    (0.55, 0.53, 0.50, 1.0),
    (0.80, 0.63, 0.28, 1.0),
)
_ALONG_X = (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0)  # turns z onto x


# name, parts [mm], density [kg/m^3], friction, color, rolls, radius of a drawn bore [mm]
_Row = tuple[str, list[Part], float, float, tuple[float, float, float, float], bool, float]


def _ball(radius: float) -> list[Part]:
    return [ellipsoid([radius] * 3)]


_SEEN: tuple[_Row, ...] = (
    ("glass bead", _ball(3), 2500, 0.4, _BLUE, True, 0),
    ("wooden bead", _ball(6), 700, 0.6, _WOOD, True, 0),
    ("capsule pill", [capsule(3.0, 5.0)], 1100, 0.5, _RED, True, 0),
    ("tablet", [cylinder(4.5, 2.2)], 1300, 0.5, _WHITE, True, 0),
    ("peg", [cylinder(3.0, 10.0)], 700, 0.6, _WOOD, True, 0),
    ("nut M8", [hull(_prism(6, 13, 6.5))], 4800, 0.4, _STEEL, False, 4),
    ("washer M6", [cylinder(6.0, 0.8)], 5600, 0.4, _STEEL, True, 3.2),
    ("die", [box([5.0, 5.0, 5.0])], 1200, 0.5, _WHITE, False, 0),
    ("blueberry", [ellipsoid([6.5, 6.5, 5.5])], 950, 0.7, _BERRY, True, 0),
    ("cone", [hull(_prism(12, 12, 12, 0.4))], 1200, 0.5, _YELLOW, False, 0),
    ("screw M5", [cylinder(2.5, 7.0), cylinder(4.5, 1.8, [0, 0, 8.8])], 7800, 0.4, _STEEL, True, 0),
    ("pebble", [hull(_stone((14, 11, 8), 3))], 2600, 0.6, _STONE, False, 0),
)
_HELD_OUT: tuple[_Row, ...] = (
    ("seed bead", _ball(2), 2500, 0.4, _GREEN, True, 0),
    ("marble", _ball(8), 2500, 0.4, _GREEN, True, 0),
    ("soft gel", [ellipsoid([4, 4, 7.5])], 1050, 0.6, _GOLD, True, 0),
    ("button", [cylinder(7.0, 1.3)], 1300, 0.5, _BLUE, True, 0),
    ("square rod", [box([3.0, 3.0, 9.0])], 700, 0.6, _WOOD, False, 0),
    ("nut M5", [hull(_prism(6, 8, 4))], 4800, 0.4, _STEEL, False, 2.5),
    ("washer M8", [cylinder(8.0, 0.9)], 5600, 0.4, _GOLD, True, 4.2),
    ("brick", [box([4.0, 5.5, 8.0])], 1200, 0.5, _RED, False, 0),
    ("grape", [ellipsoid([6, 6, 8.5])], 1050, 0.6, _GREEN, True, 0),
    ("pyramid", [hull(_prism(4, 12, 10, 0.15))], 1200, 0.5, _GOLD, False, 0),
    ("bolt M6", [cylinder(3.0, 6.0), hull(_prism(6, 10, 4), [0, 0, 8.0])], 7800, 0.4, _STEEL, True, 0),
    ("shard", [hull(_stone((16, 9, 7), 8)[::2])], 2400, 0.6, _RED, False, 0),
)


def _thing(row: _Row, held_out: bool) -> SmallObject:
    name, parts, density, friction, rgba, rolls, bore = row
    longest = max(np.ptp(np.concatenate([part.outline() for part in parts]), axis=0)) * _MM
    shape = finish(name, "small", held_out, parts, float(longest))
    return SmallObject(shape, density * shape.volume, friction, rgba, rolls, bore * _MM)


@cache
def small_objects() -> tuple[SmallObject, ...]:
    """All of them, the seen ones first."""
    return tuple(_thing(row, False) for row in _SEEN) + tuple(_thing(row, True) for row in _HELD_OUT)


@cache
def surface_points(index: int) -> F64:
    """(POINTS, 3) m on the surface of an object, dense enough to measure widths between any two sides."""
    from scipy.spatial import ConvexHull

    thing, found = small_objects()[index], []
    for part in thing.shape.parts:
        corners = part.outline()
        for triangle in corners[ConvexHull(corners).simplices]:
            edge = max(np.linalg.norm(triangle - np.roll(triangle, 1, axis=0), axis=1))
            k = int(np.ceil(edge / _SPACING))
            shares = np.array([(i, j, k - i - j) for i in range(k + 1) for j in range(k + 1 - i)]) / k
            found.append(shares @ triangle)
    points = np.unique(np.concatenate(found).round(6), axis=0)
    order = np.random.default_rng(0).permutation(len(points))
    extremes = np.unique(np.argmax(points @ _directions().T, axis=0))  # without which a width would be too small
    chosen = np.concatenate([extremes, order[~np.isin(order, extremes)]])[:POINTS]
    return np.resize(points[chosen], (POINTS, 3))


def _directions() -> F64:
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(240, 3))
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


# -- bodies ---------------------------------------------------------------------------------------------------------

_TYPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "hull": mujoco.mjtGeom.mjGEOM_MESH,
}


def add_meshes(spec: mujoco.MjSpec) -> None:
    """Adds the hulls of all objects to a model, in an order that `variants` relies on."""
    for thing in small_objects():
        for p, part in enumerate(thing.shape.parts):
            if part.kind == "hull":
                mesh = spec.add_mesh(name=_mesh(thing, p), uservert=part.points.astype(np.float32).ravel())
                mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX


def add_small_object(
    spec: mujoco.MjSpec, index: int, name: str, pos: F64, quat: F64 | None = None, bore: bool = True
) -> mujoco.MjsBody:
    """A free body that is one of the objects, in a model that `add_meshes` has seen.

    Args:
        spec: the model to extend.
        index: of the object.
        name: of body and joint.
        pos: (3,) m, of its center of mass.
        quat: (4,); upright by default.
        bore: draw the hole where it has one.
    """
    thing = small_objects()[index]
    body = objects.add_body(spec, name, pos, np.array([1.0, 0, 0, 0]) if quat is None else quat)
    for p in range(PARTS):
        _add_part(body, f"{name}_{p}", thing, p)
    # At zero, some would be "simple" bodies, and those have a sparser mass matrix: worlds could not be mixed.
    body.mass, body.ipos, body.explicitinertial = thing.mass, np.full(3, 1e-6), True
    moments, body.iquat = thing.shape.principal()
    body.inertia = moments * thing.mass / thing.shape.volume
    if bore and thing.bore:
        half = float(thing.shape.extent[2]) / 2
        hole = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[thing.bore, half + 2e-5, 0], mass=0)
        hole.contype = hole.conaffinity = 0
        hole.rgba = [0.1, 0.1, 0.11, 1.0]
    return body


def _mesh(thing: SmallObject, part: int) -> str:
    return f"small_{thing.name}_{part}"


def _add_part(body: mujoco.MjsBody, name: str, thing: SmallObject, p: int) -> None:
    if p >= len(thing.shape.parts):
        # Deep inside, where nothing gets to; it counts in the tree of boxes around a body's geoms.
        grain = body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[1e-4, 0, 0], mass=0)
        objects.surface(grain, thing.friction, np.array(thing.rgba))
        return
    part = thing.shape.parts[p]
    geom = body.add_geom(name=name, type=_TYPES[part.kind], pos=part.pos, quat=part.quat, mass=0)
    if part.kind == "hull":
        geom.meshname = _mesh(thing, p)
    elif part.kind == "ellipsoid" and np.ptp(part.size) < 1e-6:
        geom.type, geom.size = mujoco.mjtGeom.mjGEOM_SPHERE, [part.size[0], 0, 0]
    else:
        geom.size = part.size
    radius = float(part.size[:2].min()) if thing.round else 0.0
    objects.surface(geom, thing.friction, np.array(thing.rgba), objects.ROLLING * radius if radius else None)


# -- how they lie, and where tips close on them ---------------------------------------------------------------------

_DROPS, _DROP_TIME, _DROP_FROM = 12, 6.0, 0.012  # of each object, s, m
_YAWS = 24  # directions tried within half a turn
_STAY = 0.002  # m/rad that a wider side may be wider where the tool need not turn so far
_BESIDE = 0.001  # m, points this far beside the pads still count


@cache
def resting() -> tuple[F64, F64]:
    """Orientations (objects, k, 4) in which the objects came to lie when dropped, and heights (objects, k) [m]."""
    from mujoco.batch import Batch

    rng, count = np.random.default_rng(0), len(small_objects())
    models, starts = [], []
    for i in range(count):
        spec = new_spec()
        solve_thoroughly(spec.option)
        ground = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
        ground.friction = [0.6, 1e-5, 1e-7]
        ground.solref, ground.solimp = objects.SOLREF, objects.SOLIMP
        collide_as_thing(ground)
        add_meshes(spec)
        add_small_object(spec, i, "thing", np.zeros(3), bore=False)
        models += [spec.compile()] * _DROPS
        quat = rotations.from_rotvec(rng.normal(size=(_DROPS, 3)))
        low = rotations.rotate(quat[:, None], surface_points(i))[..., 2].min(axis=1)
        starts.append(np.concatenate([np.zeros((_DROPS, 2)), _DROP_FROM - low[:, None], quat], axis=1))
    batch = Batch(models[0], len(models), 1)
    batch.set_models(models)
    batch.bind("qpos")[:] = np.concatenate(starts)
    batch.step(nstep=round(_DROP_TIME / models[0].opt.timestep))
    qpos = batch.bind("qpos").reshape(count, _DROPS, 7)
    return qpos[..., 3:].copy(), qpos[..., 2].copy()


def sides(thing: np.ndarray, quat: F64, aim: F64, pad_width: float) -> tuple[F64, F64, F64, F64]:
    """The two sides that tips close on best: the narrowest, with as little turning as that allows.

    Args:
        thing: (N,) indices of objects.
        quat: (N, 4) how they lie.
        aim: (N,) rad, present direction of the opening.
        pad_width: m, of what touches them.

    Returns:
        Direction (N,) [rad] nearest to `aim`, width (N,) [m], middle (N,) [m] of the two sides along it against the
        center of mass, and height (N,) [m] of the highest point above that center.
    """
    points = rotations.rotate(quat[:, None, :], _all_points()[thing])  # (N, POINTS, 3)
    turn = np.linspace(-np.pi / 2, np.pi / 2, _YAWS, endpoint=False)
    yaws = aim[:, None] + turn
    c, s = np.cos(yaws), np.sin(yaws)
    along = points[:, None, :, 0] * c[..., None] + points[:, None, :, 1] * s[..., None]  # (N, yaws, POINTS)
    aside = points[:, None, :, 1] * c[..., None] - points[:, None, :, 0] * s[..., None]
    beside = np.abs(aside) > pad_width / 2 + _BESIDE
    high, low = np.where(beside, -np.inf, along).max(axis=2), np.where(beside, np.inf, along).min(axis=2)
    width = high - low
    best = np.argmin(width + _STAY * np.abs(turn), axis=1)
    row = np.arange(len(thing))
    return yaws[row, best], width[row, best], (high + low)[row, best] / 2, points[:, :, 2].max(axis=1)


@cache
def _all_points() -> F64:
    return np.stack([surface_points(i) for i in range(len(small_objects()))])
