"""Tongs: two long limbs joined at one end, sprung open, with broad silicone ends."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from toolwright.sim.models.tools import parts
from toolwright.sim.models.tools.family import Contact, ToolFamily

_SILICONE = (0.82, 0.25, 0.16, 1.0)


@dataclass(frozen=True)
class Tongs:
    """Geometry and physics of one pair: small kitchen tongs."""

    length: float = 0.18  # m, joint to tip
    width: float = 0.018  # m, of a limb where fingers hold it
    thickness: float = 0.004  # m
    gap: float = 0.016  # m between the limbs at the joint
    pad_length: float = 0.040  # m
    pad_width: float = 0.026  # m
    stiffness: float = 0.35  # N m/rad
    rest_angle: float = 0.9  # rad, where the spring would rest; beyond max_angle, so it always pushes
    max_angle: float = 0.28  # rad
    damping: float = 0.006  # N m s/rad
    density: float = 1500.0  # kg/m^3, of a limb as if it were solid
    friction: float = 0.9  # limbs
    pad_friction: float = 1.2


def _build(body: mujoco.MjsBody, p: Tongs, name: str) -> None:
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
        x = side * (p.gap + p.thickness) / 2
        look = {"density": p.density, "friction": p.friction}
        parts.box(limb, "limb", [p.thickness, p.width, p.length], [x, 0, p.length / 2], **look)
        pad = parts.box(
            limb,
            "pad",
            [p.gap / 2, p.pad_width, p.pad_length],
            [side * p.gap / 4, 0, p.length - p.pad_length / 2],
            density=1100.0,
            rgba=_SILICONE,
        )
        parts.grips(pad, p.pad_friction)
    half = p.gap / 2 + p.thickness
    parts.shown(parts.tube(body, "bow", [0, -p.width / 2, 0], [0, p.width / 2, 0], half, rgba=parts.STEEL))


def _arm(p: Tongs) -> float:
    return p.length - p.pad_length / 2


FAMILY = ToolFamily(
    name="tongs",
    summary="two long limbs sprung open, broad silicone ends",
    job="pinch",
    nominal=Tongs(),
    train={
        "length": (0.165, 0.200),
        "width": (0.015, 0.022),
        "thickness": (0.003, 0.005),
        "gap": (0.012, 0.020),
        "stiffness": (0.30, 0.40),
        "damping": (0.004, 0.010),
        "density": (1000.0, 2000.0),
        "friction": (0.6, 1.1),
    },
    held_out={"length": ((0.158, 0.165), (0.178, 0.183), (0.200, 0.207)), "width": ((0.014, 0.015), (0.018, 0.0195))},
    build=_build,
    opening=lambda p, angle: 2 * _arm(p) * np.sin(np.asarray(angle) / 2),
    angle=lambda p, opening: 2 * np.arcsin(np.clip(np.asarray(opening) / (2 * _arm(p)), -1, 1)),
    tip=lambda p: np.array([0.0, 0.0, p.length]),
    # Places in meters, not shares of the length: a hand spreads its fingers as far on long tongs as on short ones.
    contacts=lambda p: (
        Contact("th", 0, (-(p.gap / 2 + p.thickness), 0.0, 0.082), (-1, 0, 0)),
        Contact("if", 1, (p.gap / 2 + p.thickness, 0.0, 0.103), (1, 0, 0)),
        Contact("mf", 1, (p.gap / 2 + p.thickness, 0.0, 0.060), (1, 0, 0)),
    ),
    spring=lambda p, angle: p.stiffness * (p.rest_angle - np.asarray(angle)),
    search_from="postures",
    trials=9,
)
