"""Pliers: two levers crossed at a pivot, sprung open, long-nosed jaws ahead of it, sleeved handles behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from toolwright.sim.models.tools import parts
from toolwright.sim.models.tools.family import Contact, ToolFamily

_SLEEVE = (0.13, 0.42, 0.36, 1.0)
_DEPTH = 0.004  # m behind the end of a fingertip's core: wide handles lie on the flat of the rubber


@dataclass(frozen=True)
class Pliers:
    """Geometry and physics of one pair: electronics pliers."""

    handle: float = 0.09  # m, pivot to the end of a handle
    jaw: float = 0.045  # m, pivot to the tip
    width: float = 0.020  # m, of a handle
    thickness: float = 0.007  # m
    gap: float = 0.010  # m between the closed handles
    jaw_width: float = 0.008  # m
    jaw_depth: float = 0.005  # m, of one jaw
    grip: float = 0.015  # m of jaw that works
    stiffness: float = 0.112  # N m/rad
    rest_angle: float = 1.5  # rad, where the spring would rest; far off, so that it hardly pushes less when open
    max_angle: float = 0.34  # rad
    damping: float = 0.006  # N m s/rad
    density: float = 2200.0  # kg/m^3, of steel handles in plastic sleeves
    friction: float = 1.1  # ribbed sleeves
    jaw_friction: float = 0.8


def _build(body: mujoco.MjsBody, p: Pliers, name: str) -> None:
    lever_b = body.add_body(name=f"{name}_b")
    lever_b.add_joint(
        name=f"{name}_hinge",
        axis=[0, 1, 0],
        range=[0, p.max_angle],
        stiffness=p.stiffness,
        springref=p.rest_angle,
        damping=p.damping,
    )
    # Crossed: a lever's jaw and its handle lie on opposite sides.
    for lever, side in ((body, -1), (lever_b, 1)):
        sleeve: Any = {"density": p.density, "friction": p.friction, "rgba": _SLEEVE}
        steel: Any = {"density": 7800.0, "friction": p.jaw_friction, "rgba": parts.STEEL}
        at = [-side * (p.gap + p.thickness) / 2, 0, -p.handle / 2]
        parts.sleeve(parts.box(lever, "limb", [p.thickness, p.width, p.handle], at, **sleeve))
        base, half = p.jaw - p.grip, side * p.jaw_depth / 2
        parts.box(lever, "jaw", [p.jaw_depth, p.jaw_width, base], [half, 0, base / 2], **steel)
        tip = parts.box(lever, "pad", [p.jaw_depth, p.jaw_width, p.grip], [half, 0, p.jaw - p.grip / 2], **steel)
        parts.grips(tip, p.jaw_friction)
    half = p.width / 2 + 0.0005
    parts.shown(parts.tube(body, "pivot", [0, -half, 0], [0, half, 0], p.gap / 2 + p.thickness / 2, rgba=parts.STEEL))
    parts.shown(parts.tube(body, "rivet", [0, -half - 1e-3, 0], [0, half + 1e-3, 0], 0.003, rgba=parts.DARK))


def _arm(p: Pliers) -> float:
    return p.jaw - p.grip / 2


FAMILY = ToolFamily(
    name="pliers",
    summary="two levers crossed at a pivot, sprung open, long-nosed jaws",
    job="hold",
    nominal=Pliers(),
    train={
        "handle": (0.085, 0.105),
        "jaw": (0.038, 0.055),
        "width": (0.018, 0.022),
        "thickness": (0.006, 0.009),
        "gap": (0.008, 0.013),
        "stiffness": (0.10, 0.125),
        "damping": (0.004, 0.010),
        "density": (1500.0, 3000.0),
        "friction": (0.9, 1.3),
    },
    held_out={"jaw": ((0.034, 0.038), (0.044, 0.047), (0.055, 0.059)), "width": ((0.017, 0.018), (0.0195, 0.0205))},
    build=_build,
    opening=lambda p, angle: 2 * _arm(p) * np.sin(np.asarray(angle) / 2),
    angle=lambda p, opening: 2 * np.arcsin(np.clip(np.asarray(opening) / (2 * _arm(p)), -1, 1)),
    tip=lambda p: np.array([0.0, 0.0, p.jaw]),
    contacts=lambda p: (
        Contact("th", 0, (p.gap / 2 + p.thickness, 0.0, -0.050), (1, 0, 0), depth=_DEPTH),
        Contact("if", 1, (-(p.gap / 2 + p.thickness), 0.0, -0.027), (-1, 0, 0), depth=_DEPTH),
        Contact("mf", 1, (-(p.gap / 2 + p.thickness), 0.0, -0.072), (-1, 0, 0), depth=_DEPTH),
    ),
    spring=lambda p, angle: p.stiffness * (p.rest_angle - np.asarray(angle)),
    measures="between the jaws' tips",
    search_from="postures",
    trials=9,
)
