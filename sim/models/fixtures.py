"""Things that stand firm and have a moving part for a tool: a taut line, a nut on a bolt."""

from __future__ import annotations

import mujoco
import numpy as np

from toolwright.hardware.robot import F64
from toolwright.sim.models import objects
from toolwright.sim.models.implements import Part

POST, FOOT = 0.012, 0.05  # m, edge of a post, and of what it stands on
STUD = 0.003  # m that a bolt looks out of its nut
_STEM = 0.6  # of the nut's flats: a bolt's stand, so that jaws have room around it
_PIECE = 0.02  # m of line
_SHARE = 0.5  # of a taut line's mass that moves with its middle
_DAMPING_RATIO = 1.0
_LINE_DENSITY = 1200.0  # kg/m^3
_NUT_DENSITY = 7850.0  # kg/m^3
# MuJoCo lets a share of the load past a soft friction constraint, and a light nut would race away with it.
_HARD = (0.999, 0.9999, 0.001, 0.5, 2.0)
_ARMATURE = 1e-5  # kg m^2
# A rope gives: hard contacts let a thing this light bounce between jaws.
_SOFT = ((0.02, 1.0), (0.9, 0.95, 0.001, 0.5, 2.0))
_LINE_FRICTION = 1.0
_GREY = np.array([0.3, 0.31, 0.33, 1.0])
_STEEL = np.array([0.72, 0.74, 0.78, 1.0])


def line_parts(length: float, height: float, radius: float) -> tuple[Part, ...]:
    """Two posts and the line between them, in the frame at the center of the box around them; lengths in m."""
    middle = (height + radius) / 2
    post = np.array([POST, POST, height + radius])
    foot = np.array([POST, FOOT, POST])
    at = (length + POST) / 2
    return (
        Part("left", np.array([-at, 0, 0]), post),
        Part("right", np.array([at, 0, 0]), post),
        Part("left_foot", np.array([-at, 0, POST / 2 - middle]), foot),
        Part("right_foot", np.array([at, 0, POST / 2 - middle]), foot),
        Part("line", np.array([0, 0, height - middle]), np.array([length, 2 * radius, 2 * radius])),
    )


def bolt_parts(flats: float, nut_height: float, stand: float) -> tuple[Part, ...]:
    """Foot, stand and nut of a bolt, in the frame at the center of the box around them; lengths in m."""
    middle = (stand + nut_height + STUD) / 2
    wide = 2 * flats / np.sqrt(3)
    return (
        Part("foot", np.array([0, 0, POST / 2 - middle]), np.array([FOOT, FOOT, POST])),
        Part("stand", np.array([0, 0, stand / 2 - middle]), np.array([_STEM * flats, _STEM * flats, stand])),
        Part("nut", np.array([0, 0, stand + nut_height / 2 - middle]), np.array([wide, flats, nut_height])),
        Part("stud", np.array([0, 0, middle - STUD / 2]), np.array([flats / 2, flats / 2, STUD])),
    )


def add_line(spec: mujoco.MjSpec, body: mujoco.MjsBody, parts: tuple[Part, ...], tension: float, rgba: F64) -> None:
    """Posts, and a line that moves sideways and up and down as one piece: body `<body>_line`.

    A taut line gives way at its middle with a stiffness of 4 T / L.

    Args:
        spec: the model that it is in.
        body: fixed.
        parts: as from `line_parts`.
        tension: N.
        rgba: (4,) of the line.
    """
    *posts, line = parts
    for part in posts:
        _block(body, part, _GREY)
    moving = body.add_body(name=f"{body.name}_line", pos=line.pos)
    length, radius = line.size[0], line.size[1] / 2
    mass = _SHARE * _LINE_DENSITY * np.pi * radius**2 * length
    stiffness = 4 * tension / length
    # In short pieces: MuJoCo loses contacts of a box with a capsule that is many times as long.
    pieces = max(1, round(length / _PIECE))
    for i, start in enumerate(np.linspace(-length / 2, length / 2, pieces + 1)[:-1]):
        geom = moving.add_geom(
            name=f"{body.name}_line{i}",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[start, 0, 0, start + length / pieces, 0, 0],
            size=[radius, 0, 0],
            mass=mass / pieces,
        )
        objects.surface(geom, _LINE_FRICTION, rgba)
        geom.priority, geom.solref, geom.solimp = 3, _SOFT[0], _SOFT[1]
    spec.add_exclude(bodyname1=body.name, bodyname2=moving.name)  # its ends lie in the posts


def add_bolt(spec: mujoco.MjSpec, body: mujoco.MjsBody, parts: tuple[Part, ...], torque: float, rgba: F64) -> None:
    """A stand with a nut on top; joint `<body>_turn` is how far the nut was turned, counter-clockwise from above.

    The nut turns in its place: what a thread lets it rise is less than a millimeter a turn.

    Args:
        spec: the model that it is in.
        body: fixed.
        parts: as from `bolt_parts`.
        torque: N m, friction of the thread.
        rgba: (4,) of the nut.
    """
    foot, stand, nut, stud = parts
    for part in (foot, stand):
        _block(body, part, _GREY)
    turning = body.add_body(name=f"{body.name}_nut", pos=nut.pos)
    turning.add_joint(
        name=f"{body.name}_turn",
        axis=[0, 0, 1],
        frictionloss=torque,
        damping=torque / 10,
        armature=_ARMATURE,
        solimp_friction=_HARD,
    )
    flats, side = nut.size[1], nut.size[1] / np.sqrt(3)
    mass = _NUT_DENSITY * np.sqrt(3) / 2 * flats**2 * nut.size[2]
    for i in range(3):  # three boxes fill a hexagon
        angle = i * np.pi / 3
        geom = turning.add_geom(
            name=f"{body.name}_nut{i}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[side / 2, flats / 2, nut.size[2] / 2],
            quat=[np.cos(angle / 2), 0, 0, np.sin(angle / 2)],
            mass=mass / 3,
        )
        objects.surface(geom, 0.6, rgba)
    end = turning.add_geom(
        name=f"{body.name}_stud",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[stud.size[0] / 2, stud.size[2] / 2, 0],
        pos=stud.pos - nut.pos,
        rgba=_STEEL,
    )
    end.contype = end.conaffinity = 0
    end.density = 0.0
    spec.add_exclude(bodyname1=body.name, bodyname2=turning.name)  # the thread's friction says it all


def _block(body: mujoco.MjsBody, part: Part, rgba: F64) -> None:
    geom = body.add_geom(
        name=f"{body.name}_{part.name}", type=mujoco.mjtGeom.mjGEOM_BOX, size=part.size / 2, pos=part.pos
    )
    objects.surface(geom, 0.6, rgba)
