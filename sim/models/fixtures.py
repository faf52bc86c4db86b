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
_PIECE_MASS = 0.001  # kg, of a strip
_NUT_DENSITY = 7850.0  # kg/m^3
# MuJoCo lets a share of the load past a soft friction constraint, and a light nut would race away with it.
_HARD = (0.999, 0.9999, 0.001, 0.5, 2.0)
_ARMATURE = 1e-5  # kg m^2
# A rope gives a little; between harder surfaces light jaws bounce until they have left it.
_ROPE = ((0.02, 1.0), (0.99, 0.995, 0.001, 0.5, 2.0))
_LINE_FRICTION = 1.0
# Pieces as light as these need a stiff hold to stand out from their stand.
_HELD = ((0.01, 1.0), (0.9995, 0.9999, 0.001, 0.5, 2.0))
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


def strip_parts(pieces: int, piece: float, width: float, thickness: float, height: float) -> tuple[Part, ...]:
    """Post, foot, and the pieces of a strip from the post outwards, in the frame at the center of its box; in m."""
    length = pieces * piece
    middle = np.array([(length - POST) / 2, 0.0, (height + width / 2) / 2])
    top = height + width / 2
    post = Part("post", np.array([-POST / 2, 0, top / 2]) - middle, np.array([POST, POST, top]))
    foot = Part("foot", np.array([-POST / 2, 0, POST / 2]) - middle, np.array([POST, FOOT, POST]))
    size = np.array([piece, thickness, width])
    strip = [Part(f"piece{i}", np.array([(i + 0.5) * piece, 0, height]) - middle, size) for i in range(pieces)]
    return (post, foot, *strip)


def add_strip(spec: mujoco.MjSpec, body: mujoco.MjsBody, parts: tuple[Part, ...], rgba: F64) -> None:
    """A stand and loose pieces `<body>_piece<i>`, each held to the one before by an equality `<body>_joint<i>`.

    Args:
        spec: the model that it is in.
        body: fixed.
        parts: as from `strip_parts`.
        rgba: (4,) of the strip.
    """
    post, foot, *pieces = parts
    for part in (post, foot):
        _block(body, part, _GREY)
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, np.array(body.quat))
    before = body.name
    for i, part in enumerate(pieces):
        name = f"{body.name}_piece{i}"
        loose = objects.add_body(spec, name, body.pos + turn.reshape(3, 3) @ part.pos, body.quat)
        objects.add_box(loose, part.size * np.array([0.98, 1, 1]), _PIECE_MASS, 0.6, rgba)
        weld = spec.add_equality(name=f"{body.name}_joint{i}", type=mujoco.mjtEq.mjEQ_WELD, name1=before, name2=name)
        weld.objtype = mujoco.mjtObj.mjOBJ_BODY
        weld.solref, weld.solimp = _HELD
        weld.data = np.array([*[0.0] * 10, 1.0, 0.0])  # held where they are
        spec.add_exclude(bodyname1=before, bodyname2=name)
        before = name


def add_line(body: mujoco.MjsBody, parts: tuple[Part, ...], rgba: F64) -> None:
    """Posts, and a line strung so tightly that it gives no way.

    Args:
        body: fixed.
        parts: as from `line_parts`.
        rgba: (4,) of the line.
    """
    *posts, line = parts
    for part in posts:
        _block(body, part, _GREY)
    length, radius = line.size[0], line.size[1] / 2
    # In short pieces: MuJoCo loses contacts of a box with a capsule that is many times as long.
    pieces = max(1, round(length / _PIECE))
    for i, start in enumerate(np.linspace(-length / 2, length / 2, pieces + 1)[:-1]):
        geom = body.add_geom(
            name=f"{body.name}_line{i}",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[start, 0, line.pos[2], start + length / pieces, 0, line.pos[2]],
            size=[radius, 0, 0],
        )
        objects.surface(geom, _LINE_FRICTION, rgba)
        geom.priority, geom.solref, geom.solimp = 3, *_ROPE


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
