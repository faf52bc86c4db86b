"""Tweezers: two limbs joined at one end, sprung open, with rubber pads that meet at the tips."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from toolwright.sim.models.objects import SOLIMP, SOLREF
from toolwright.sim.models.physics import collide_as_thing
from toolwright.sim.models.tools.family import Contact, ToolFamily


@dataclass(frozen=True)
class Tweezers:
    """Geometry and physics of one pair."""

    length: float = 0.13  # m, joint to tip
    width: float = 0.012  # m, of a limb where fingers hold it
    thickness: float = 0.003  # m
    gap: float = 0.008  # m between the limbs at the joint
    pad_length: float = 0.012  # m
    pad_width: float = 0.008  # m
    stiffness: float = 0.25  # N m/rad
    rest_angle: float = 0.8  # rad, where the spring would rest; beyond max_angle, so it always pushes
    max_angle: float = 0.34  # rad
    damping: float = 0.006  # N m s/rad
    density: float = 2600.0  # kg/m^3
    friction: float = 0.9  # limbs
    pad_friction: float = 1.2


def _build(body: mujoco.MjsBody, p: Tweezers, name: str) -> None:
    limb_b = body.add_body(name=f"{name}_b")
    limb_b.add_joint(
        name=f"{name}_hinge",
        axis=[0, 1, 0],
        range=[0, p.max_angle],
        stiffness=p.stiffness,
        springref=p.rest_angle,
        damping=p.damping,
    )
    for limb, side in ((body, -1), (limb_b, 1)):
        box = limb.add_geom(
            name=f"{limb.name}_limb",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[p.thickness / 2, p.width / 2, p.length / 2],
            pos=[side * (p.gap + p.thickness) / 2, 0, p.length / 2],
            density=p.density,
            friction=[p.friction, 0.005, 1e-4],
            condim=4,
            rgba=[0.72, 0.74, 0.78, 1],
        )
        pad = limb.add_geom(
            name=f"{limb.name}_pad",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[p.gap / 4, p.pad_width / 2, p.pad_length / 2],
            pos=[side * p.gap / 4, 0, p.length - p.pad_length / 2],
            density=1100.0,
            friction=[p.pad_friction, 0.01, 1e-3],
            condim=6,
            solref=SOLREF,
            solimp=SOLIMP,
            priority=2,
            rgba=[0.15, 0.35, 0.75, 1],
        )
        for geom in (box, pad):
            collide_as_thing(geom)


def _arm(p: Tweezers) -> float:
    return p.length - p.pad_length / 2


FAMILY = ToolFamily(
    name="tweezers",
    summary="two limbs sprung open, pads that meet at the tips",
    job="pinch",
    nominal=Tweezers(),
    train={
        "length": (0.115, 0.145),
        "width": (0.010, 0.016),
        "thickness": (0.0025, 0.004),
        "gap": (0.006, 0.010),
        "stiffness": (0.2, 0.3),
        "damping": (0.004, 0.010),
        "density": (1500.0, 4000.0),
        "friction": (0.6, 1.1),
    },
    held_out={"length": ((0.110, 0.115), (0.126, 0.130), (0.145, 0.150)), "width": ((0.009, 0.010), (0.0125, 0.0135))},
    build=_build,
    opening=lambda p, angle: 2 * _arm(p) * np.sin(np.asarray(angle) / 2),
    angle=lambda p, opening: 2 * np.arcsin(np.clip(np.asarray(opening) / (2 * _arm(p)), -1, 1)),
    tip=lambda p: np.array([0.0, 0.0, p.length]),
    contacts=lambda p: (
        Contact("th", 0, (-(p.gap / 2 + p.thickness), 0.0, 0.46 * p.length), (-1, 0, 0)),
        Contact("if", 1, (p.gap / 2 + p.thickness, 0.0, 0.54 * p.length), (1, 0, 0)),
        Contact("mf", 1, (p.gap / 2 + p.thickness, 0.0, 0.23 * p.length), (1, 0, 0)),
    ),
    spring=lambda p, angle: p.stiffness * (p.rest_angle - np.asarray(angle)),
)
