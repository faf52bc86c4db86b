"""Rigid things with parts: a bar with a handle, a tube, a push button, magnets. Primitives in the body's own frame."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from toolwright.hardware.robot import F64
from toolwright.sim.models import objects

MAGNET = 8  # collision bit: magnets meet magnets and nothing else
_SKIN = 0.0002  # m that a magnet's face stands out, so that it and not the block meets the other magnet
_REACH = 0.002  # m over which a magnet pulls
_HOUSING = 0.05  # m, depth of a button's housing
_PLATE = 0.012  # m, thickness of a button's plate
_DAMPING_RATIO = 1.0
_PLATE_MASS = 0.05  # kg


@dataclass(frozen=True)
class Part:
    """A cuboid of a body."""

    name: str
    pos: F64  # (3,) m, center in the body's frame
    size: F64  # (3,) m, full edges


def bar_parts(
    length: float, width: float, height: float, handle: tuple[float, float, float], head: float, side: str
) -> tuple[Part, ...]:
    """Handle, bar and (where there is one) head of a bar, in the frame at the center of its bounding box.

    Args:
        length: m, from the handle's middle to the far end.
        width: m, of bar and head.
        height: m, of bar and head.
        handle: m, along the bar, across it, and its height.
        head: m that the head stands out from the bar's side; 0 for none.
        side: left (+y), right, or both.
    """
    left = width / 2 + (head if side in ("left", "both") else 0.0)
    right = width / 2 + (head if side in ("right", "both") else 0.0)
    if not head:
        left = right = width / 2
    deep, half = handle[0] / 2, handle[1] / 2
    outer = max(half, left), max(half, right)
    middle = np.array([(length - deep) / 2, (outer[0] - outer[1]) / 2, handle[2] / 2])

    def part(name: str, lower: tuple[float, float, float], upper: tuple[float, float, float]) -> Part:
        low, high = np.array(lower), np.array(upper)
        return Part(name, (low + high) / 2 - middle, high - low)

    w = width / 2
    parts = [
        part("handle", (-deep, -half, 0), (deep, half, handle[2])),
        part("bar", (deep, -w, 0), (length - (width if head else 0.0), w, height)),
    ]
    if head:
        parts.append(part("head", (length - width, -right, 0), (length, left, height)))
    return tuple(parts)


def tube_parts(inner: float, length: float, wall: float) -> tuple[Part, ...]:
    """Floor, roof and two sides of a square tube along x; all lengths in m."""
    outer, at = inner + 2 * wall, (inner + wall) / 2
    flat, upright = np.array([length, outer, wall]), np.array([length, wall, inner])
    return (
        Part("floor", np.array([0, 0, -at]), flat),
        Part("roof", np.array([0, 0, at]), flat),
        Part("left", np.array([0, at, 0]), upright),
        Part("right", np.array([0, -at, 0]), upright),
    )


def box_around(parts: tuple[Part, ...]) -> F64:
    """Full edges (3,) [m] of the box around parts, which is centered on their frame."""
    return 2 * np.max([np.abs(part.pos) + part.size / 2 for part in parts], axis=0)


def add_parts(body: mujoco.MjsBody, parts: tuple[Part, ...], mass: float, friction: float, rgba: F64) -> None:
    """Adds cuboids that share a mass [kg] by volume.

    Args:
        body: gets the geoms, named `<body>_<part>`.
        parts: in the body's frame.
        mass: kg, in all.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.
    """
    volumes = np.array([np.prod(part.size) for part in parts])
    for part, share in zip(parts, volumes / volumes.sum(), strict=True):
        geom = body.add_geom(
            name=f"{body.name}_{part.name}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=part.size / 2,
            pos=part.pos,
            mass=mass * share,
        )
        objects.surface(geom, friction, rgba)


def button_size(plate: float, travel: float) -> F64:
    """Full edges (3,) [m] of a button with its housing."""
    return np.array([_HOUSING + travel + _PLATE, plate + 0.02, plate + 0.02])


def add_button(body: mujoco.MjsBody, plate: float, travel: float, force: float, rgba: F64) -> None:
    """A housing and a plate on a spring; joint `<body>_travel` is 0 at rest and grows as the plate is pushed in.

    Args:
        body: fixed; its origin is the center of the button's box.
        plate: m, edge of the plate.
        travel: m, from rest to the stop.
        force: N of the spring at the stop; a third of it at rest, so that the plate comes back.
        rgba: (4,) of the plate.
    """
    size = button_size(plate, travel)
    housing = body.add_geom(
        name=f"{body.name}_housing",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[_HOUSING / 2, size[1] / 2, size[2] / 2],
        pos=[size[0] / 2 - _HOUSING / 2, 0, 0],
    )
    objects.surface(housing, 0.6, np.array([0.3, 0.31, 0.33, 1.0]))
    moving = body.add_body(name=f"{body.name}_plate", pos=[-size[0] / 2 + _PLATE / 2, 0, 0])
    front = moving.add_geom(
        name=f"{body.name}_plate",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[_PLATE / 2, plate / 2, plate / 2],
        mass=_PLATE_MASS,
    )
    objects.surface(front, 0.6, rgba)
    stiffness = force * 2 / 3 / travel
    moving.add_joint(
        name=f"{body.name}_travel",
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[1, 0, 0],
        range=[0, travel],
        stiffness=stiffness,
        springref=-travel / 2,
        damping=2 * _DAMPING_RATIO * np.sqrt(stiffness * _PLATE_MASS),
    )


def add_magnets(
    spec: mujoco.MjSpec, body: mujoco.MjsBody, size: F64, pull: float, center: F64 | None = None, sides: int = 4
) -> None:
    """Magnets behind the upright sides of a cuboid: each pulls on other magnets that it touches or nearly touches.

    The pull acts through contacts of magnets with magnets only, as adhesion, so tables and fingers do not feel it.
    Actuators `<body>_magnet<i>` have to be switched on, with a control of 1: see `switch_on_magnets`.

    Args:
        spec: the model that gets the actuators.
        body: it belongs to.
        size: (3,) m, full edges of the cuboid.
        pull: N, of one face on another.
        center: (3,) m, of the cuboid in the body's frame; the origin by default.
        sides: how many of +x, -x, +y, -y have a magnet.
    """
    for i, (axis, sign) in enumerate(((0, 1), (0, -1), (1, 1), (1, -1))[:sides]):
        normal = np.zeros(3)
        normal[axis] = sign
        radius = 0.45 * float(np.delete(size, axis).min())
        at = normal * (size[axis] / 2 - radius + _SKIN)
        face = body.add_body(name=f"{body.name}_magnet{i}", pos=at + (0 if center is None else center))
        # A dome: the pull then acts on the middle of the face, and the faces' edges keep the blocks in line.
        geom = face.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], mass=1e-4, margin=_REACH, gap=_REACH
        )
        objects.surface(geom, 0.9, np.array([0.75, 0.76, 0.8, 1.0]))
        geom.contype = geom.conaffinity = MAGNET
        actuator = spec.add_actuator(
            name=f"{body.name}_magnet{i}", target=face.name, trntype=mujoco.mjtTrn.mjTRN_BODY, ctrlrange=[0, 1]
        )
        actuator.set_to_adhesion(gain=pull)


def switch_on_magnets(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Sets the control of every magnet: a permanent magnet is always on."""
    for i in range(model.nu):
        if int(model.actuator_trntype[i]) == int(mujoco.mjtTrn.mjTRN_BODY):
            data.ctrl[i] = 1.0


__all__ = [
    "Part",
    "add_button",
    "add_magnets",
    "add_parts",
    "bar_parts",
    "box_around",
    "button_size",
    "switch_on_magnets",
    "tube_parts",
]
