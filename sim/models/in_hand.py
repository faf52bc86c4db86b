"""The hand with one loose object whose shape can differ from world to world.

Every world has the same geoms, `PARTS` of them on the body "object"; which shape they are is in model fields that a
batch gives each world for itself. Parts that a shape does not need touch nothing and lie in its middle.

On a GPU a geom is of one kind in all worlds. There, the object has as many geoms of each kind as any of the shapes
needs, and those that a shape does not need are tiny and a meter away, where nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch

from toolwright.hardware.robot import F64
from toolwright.sim.models.leap import FINGERS, HandSurface, add_leap
from toolwright.sim.models.physics import THING, TIMESTEP, collide_as_thing, new_spec
from toolwright.sim.object_shapes import KINDS, PARTS, Part, Shape

# Softer lets fingers sink in, stiffer lets small things jump: see the test of contacts.
SOLREF, SOLIMP = (0.012, 1.2), (0.96, 0.99, 0.001, 0.5, 2.0)
TORSION, ROLLING = 0.003, 0.0001  # m, of the object on anything
SURFACE = HandSurface(tip=0.5, shell=0.2)  # the frictions that the public models of this hand have
_TYPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "hull": mujoco.mjtGeom.mjGEOM_MESH,
}
_GEOM = (
    "geom_type",
    "geom_dataid",
    "geom_pos",
    "geom_quat",
    "geom_size",
    "geom_rbound",
    "geom_aabb",
    "geom_contype",
    "geom_conaffinity",
)
_OF_ALL_WORLDS = ("geom_type", "geom_contype", "geom_conaffinity")  # on a GPU
_AWAY, _TINY = 1.0, 1e-4  # m, where a part that is not needed lies there, and how large it is
_BODY = ("body_mass", "body_inertia", "body_ipos", "body_iquat")


@dataclass(frozen=True)
class InHandModel:
    """A compiled hand with an object, and the fields that make the object any of V shapes."""

    model: mujoco.MjModel
    geoms: np.ndarray  # (P,) ids of the object's geoms
    body: int  # id of the object's body
    variants: dict[str, np.ndarray]  # geom fields (V, P, ...), body fields (V, ...); mass for density 1 kg/m^3

    def rows(self, name: str) -> np.ndarray | int:
        """Where a field of `variants` stands in the model's."""
        return self.geoms if name.startswith("geom_") else self.body

    def give(self, field: Mapping[str, np.ndarray], ids: np.ndarray, variant: np.ndarray, mass: F64 | float) -> None:
        """Gives worlds of a batch their objects; `set_const` has to follow.

        Args:
            field: the batch's expanded fields, those of `variants` among them.
            ids: (k,) which worlds.
            variant: (k,) their shapes.
            mass: (k,) kg.
        """
        for name, values in self.variants.items():
            where = (ids[:, None], self.geoms) if name.startswith("geom_") else (ids, self.body)
            field[name][where] = values[variant]
        share = mass / self.variants["body_mass"][variant]
        field["body_mass"][ids, self.body] *= share
        field["body_inertia"][ids, self.body] *= share[:, None]

    def set_const(self, batch: Batch, rbound: np.ndarray, ids: np.ndarray, variant: np.ndarray) -> None:
        """Derived quantities of the worlds `ids`, whose objects are the shapes `variant` (len(ids),).

        `Batch.set_const` on its own gives hulls the bounding sphere of the compiled box: contacts of what lies outside
        that sphere would be missed. `rbound` is the batch's expanded field "geom_rbound".
        """
        batch.set_const(ids)
        rbound[ids[:, None], self.geoms] = self.variants["geom_rbound"][variant]

    def single(self, variant: int, mass: float) -> mujoco.MjModel:
        """A model whose object is one of the shapes, with a mass [kg], for pictures and single worlds."""
        model = copy(self.model)
        share = mass / float(self.variants["body_mass"][variant])
        for name, values in self.variants.items():
            scale = share if name in ("body_mass", "body_inertia") else 1
            getattr(model, name)[self.rows(name)] = scale * values[variant]
        data = mujoco.MjData(model)
        mujoco.mj_setConst(model, data)
        return model


def build(shapes: Sequence[Shape], fixed_kinds: bool = False) -> InHandModel:
    """Compiles the hand, palm frame at the origin, with an object that can be any of the shapes.

    Args:
        shapes: V of them.
        fixed_kinds: each geom is of one kind in all worlds, as on a GPU.
    """
    seats = _seats(shapes) if fixed_kinds else (None,) * PARTS
    spec = _spec(shapes, seats)
    add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]), surface=SURFACE)
    soften(spec.geoms)
    thing = spec.worldbody.add_body(name="object", pos=[0, 0, -0.2])
    thing.add_freejoint(name="object")
    thing.mass, thing.inertia, thing.explicitinertial = 1.0, [1e-3] * 3, True
    for i, kind in enumerate(seats):
        if kind is None:
            geom = thing.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.01] * 3, mass=0)
            collide_as_thing(geom)
        else:
            geom = _add_away(thing, kind)
        geom.name = f"object_{i}"
        _surface(geom)
    # The tree of boxes around a body's geoms is that of one shape; spheres around geoms sort out pairs as fast here.
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
    # The solver may stop when it is done: nearly half the time, with the same contacts.
    spec.option.iterations, spec.option.tolerance = 20, 1e-6
    model = spec.compile()
    geoms = np.array([model.geom(f"object_{i}").id for i in range(len(seats))])
    return InHandModel(model, geoms, model.body("object").id, _variants(shapes, seats))


def speeds(qvel: F64) -> tuple[F64, F64, F64]:
    """(N,) each, of N such hands: fastest joint [rad/s], object [m/s] and [rad/s]."""
    hand, linear, angular = qvel[:, :16], qvel[:, 16:19], qvel[:, 19:]
    return np.abs(hand).max(axis=1), np.linalg.norm(linear, axis=1), np.linalg.norm(angular, axis=1)


def coarsen(model: mujoco.MjModel) -> None:
    """Makes such a hand cheaper to compute, in place: for learning, never to judge by.

    Steps are twice as long, the solver stops sooner, joints have no dry friction (0.005 N m), contacts do not resist
    twisting, and the roots of the fingers, which hardly meet the object, touch nothing: less than half the cost.
    """
    model.opt.timestep = 2 * TIMESTEP
    model.opt.tolerance = 1e-5
    model.dof_frictionloss[:] = 0
    model.geom_condim[model.geom_condim == 4] = 3
    roots = np.isin(model.geom_bodyid, [model.body(f"{finger}_bs").id for finger in FINGERS])
    model.geom_contype[roots] = model.geom_conaffinity[roots] = 0


def soften(geoms: Sequence[mujoco.MjsGeom]) -> None:
    """Gives the geoms of a hand the contacts with which loose things in it are simulated."""
    for geom in geoms:
        geom.solref, geom.solimp = SOLREF, SOLIMP
        geom.priority = 0


def add_parts(
    spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, shape: Shape, mass: float, rgba: np.ndarray
) -> None:
    """Makes a body of the scene one of the shapes, with the surface that things in the hand have here.

    Args:
        spec: the model to extend.
        body: without geoms as yet.
        name: prefix of the meshes.
        shape: its frame is the body's.
        mass: kg.
        rgba: (4,) color.
    """
    _add_hulls(spec, name, shape)
    for p, part in enumerate(shape.parts):
        _add_part(body, f"{name}_{p}", part)
    moments, quat = shape.principal()
    body.mass, body.explicitinertial = mass, True
    body.ipos, body.iquat, body.inertia = np.zeros(3), quat, moments * mass / shape.volume
    for geom in body.geoms:
        _surface(geom)
        geom.rgba = rgba


def _add_hulls(spec: mujoco.MjSpec, name: str, shape: Shape) -> None:
    for p, part in enumerate(shape.parts):
        if part.kind == "hull":
            mesh = spec.add_mesh(name=f"{name}_{p}", uservert=part.points.astype(np.float32).ravel())
            mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX


def _spec(shapes: Sequence[Shape], seats: Sequence[str | None]) -> mujoco.MjSpec:
    """An empty world with the meshes of all shapes."""
    spec = new_spec()
    for s, shape in enumerate(shapes):
        _add_hulls(spec, str(s), shape)
    if "hull" in seats:
        corners = _TINY * np.vstack([np.zeros(3), np.eye(3)])
        mesh = spec.add_mesh(name="tiny", uservert=corners.astype(np.float32).ravel())
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    return spec


def _seats(shapes: Sequence[Shape]) -> tuple[str | None, ...]:
    """The kinds of geoms with which each of the shapes can be made."""
    kinds = [[part.kind for part in shape.parts] for shape in shapes]
    return tuple(kind for kind in KINDS for _ in range(max(mine.count(kind) for mine in kinds)))


def _variants(shapes: Sequence[Shape], seats: Sequence[str | None]) -> dict[str, np.ndarray]:
    """The fields of all shapes, as the compiler makes them of one body for each; a seat of no kind takes any part."""
    spec = _spec(shapes, seats)
    for s, shape in enumerate(shapes):
        body = spec.worldbody.add_body(name=str(s))
        left = [(f"{s}_{p}", part) for p, part in enumerate(shape.parts)]
        for kind in seats:
            mine = next((i for i, (_, part) in enumerate(left) if kind in (None, part.kind)), None)
            if mine is not None:
                _add_part(body, *left.pop(mine))
            elif kind is None:
                _add_part(body, "", None)
            else:
                _add_away(body, kind)
        body.mass, body.explicitinertial = shape.volume, True
        body.inertia, body.iquat = shape.principal()
    model = spec.compile()
    names = [name for name in _GEOM if name not in _OF_ALL_WORLDS or seats[0] is None]
    fields = {name: getattr(model, name).copy() for name in names}
    fields = {name: values.reshape(len(shapes), len(seats), *values.shape[1:]) for name, values in fields.items()}
    return fields | {name: getattr(model, name)[1:].copy() for name in _BODY}


def _add_away(body: mujoco.MjsBody, kind: str) -> mujoco.MjsGeom:
    """Adds a part that is not needed."""
    geom = body.add_geom(type=_TYPES[kind], pos=[0, 0, _AWAY], mass=0)
    if kind == "hull":
        geom.meshname = "tiny"
    else:
        geom.size = [_TINY] * 3
    collide_as_thing(geom)
    return geom


def _add_part(body: mujoco.MjsBody, name: str, part: Part | None) -> None:
    if part is None:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[1e-4, 0, 0], contype=0, conaffinity=0, mass=0)
        return
    geom = body.add_geom(type=_TYPES[part.kind], pos=part.pos, quat=part.quat, mass=0)
    if part.kind == "hull":
        geom.meshname = name
    else:
        geom.size = part.size
    collide_as_thing(geom)


def _surface(geom: mujoco.MjsGeom) -> None:
    geom.condim = 4
    geom.friction = [0.0, TORSION, ROLLING]  # the larger of two frictions counts: the hand's
    geom.solref, geom.solimp = SOLREF, SOLIMP
    geom.rgba = [0.85, 0.55, 0.25, 1.0]
    assert geom.contype == THING


def add_shape(spec: mujoco.MjSpec, name: str, shape: Shape, pos: np.ndarray, rgba: np.ndarray) -> mujoco.MjsBody:
    """A fixed body with the geoms of a shape, to look at."""
    body = spec.worldbody.add_body(name=name, pos=pos)
    _add_hulls(spec, name, shape)
    for p, part in enumerate(shape.parts):
        _add_part(body, f"{name}_{p}", part)
    for geom in body.geoms:
        geom.rgba = rgba
    return body
