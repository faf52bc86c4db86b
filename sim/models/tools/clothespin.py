"""Clothespin: two levers on a coil spring that shuts the jaws; squeezing the handles opens them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from toolwright.sim.models.tools import parts
from toolwright.sim.models.tools.family import SHUT_REACH, Contact, ToolFamily

_WOOD = (0.80, 0.62, 0.40, 1.0)
_SHARES = (0.50, 0.26, 0.76)  # of a handle, from the spring: where thumb, index and middle finger hold it


@dataclass(frozen=True)
class Clothespin:
    """Geometry and physics of one: a large one, as for beach towels."""

    handle: float = 0.090  # m, spring to the end of a handle
    jaw: float = 0.050  # m, spring to the tip
    width: float = 0.018  # m
    thickness: float = 0.007  # m
    gap: float = 0.012  # m between the levers at the spring
    splay: float = 0.40  # rad between the handles of the closed clothespin
    jaw_grip: float = 0.012  # m of jaw that works
    stiffness: float = 0.06  # N m/rad
    preload: float = 3.0  # rad by which the spring is wound when the jaws are shut
    max_angle: float = 0.34  # rad
    damping: float = 0.006  # N m s/rad
    density: float = 1400.0  # kg/m^3, of a lever with its share of the steel spring
    friction: float = 0.9  # handles
    pad_friction: float = 1.0


def _build(body: mujoco.MjsBody, p: Clothespin, name: str) -> None:
    lever_b = body.add_body(name=f"{name}_b")
    lever_b.add_joint(
        name=f"{name}_hinge",
        axis=[0, 1, 0],
        range=[0, p.max_angle],
        stiffness=p.stiffness,
        springref=-p.preload,
        damping=p.damping,
    )
    for lever, side in ((body, -1), (lever_b, 1)):
        wood: Any = {"density": p.density, "friction": p.friction, "rgba": _WOOD}
        # The handle, turned out by half the splay about the inner edge of the lever at the spring.
        half = p.splay / 2
        along, out = np.array([side * np.sin(half), 0, -np.cos(half)]), np.array([side * np.cos(half), 0, np.sin(half)])
        middle = np.array([side * p.gap / 2, 0, 0]) + along * p.handle / 2 + out * p.thickness / 2
        parts.box(lever, "limb", [p.thickness, p.width, p.handle], middle, -side * half, **wood)
        base = p.jaw - p.jaw_grip
        parts.box(lever, "jaw", [p.thickness, p.width, base], [side * (p.gap + p.thickness) / 2, 0, base / 2], **wood)
        depth = p.gap / 2 + p.thickness
        pad = parts.box(
            lever, "pad", [depth, p.width, p.jaw_grip], [side * depth / 2, 0, p.jaw - p.jaw_grip / 2], **wood
        )
        parts.grips(pad, p.pad_friction)
    half = p.width / 2 + 0.001
    parts.shown(parts.tube(body, "coil", [0, -half, 0], [0, half, 0], p.gap / 2 + 0.0015, rgba=parts.STEEL))


def _contact(p: Clothespin, finger: str, limb: int, share: float) -> Contact:
    side, half = (1 if limb else -1), p.splay / 2
    along, out = np.array([side * np.sin(half), 0, -np.cos(half)]), np.array([side * np.cos(half), 0, np.sin(half)])
    at = np.array([side * p.gap / 2, 0, 0]) + along * share * p.handle + out * p.thickness
    x, y, z = (float(v) for v in at)
    slide = (float(along[0]), 0.0, float(along[2]))
    return Contact(finger, limb, (x, y, z), (float(out[0]), 0.0, float(out[2])), slide)


def _arm(p: Clothespin) -> float:
    return p.jaw - p.jaw_grip / 2


FAMILY = ToolFamily(
    name="clothespin",
    summary="two levers on a coil spring that shuts the jaws",
    job="hold",
    nominal=Clothespin(),
    train={
        "handle": (0.085, 0.097),
        "jaw": (0.042, 0.060),
        "width": (0.015, 0.022),
        "thickness": (0.006, 0.009),
        "stiffness": (0.053, 0.067),
        "damping": (0.004, 0.010),
        "density": (1100.0, 2200.0),
        "friction": (0.6, 1.1),
    },
    held_out={"jaw": ((0.038, 0.042), (0.049, 0.052), (0.060, 0.064)), "width": ((0.014, 0.015), (0.018, 0.0195))},
    build=_build,
    opening=lambda p, angle: 2 * _arm(p) * np.sin(np.asarray(angle) / 2),
    angle=lambda p, opening: 2 * np.arcsin(np.clip(np.asarray(opening) / (2 * _arm(p)), -1, 1)),
    tip=lambda p: np.array([0.0, 0.0, p.jaw]),
    contacts=lambda p: (
        _contact(p, "th", 0, _SHARES[0]),
        _contact(p, "if", 1, _SHARES[1]),
        _contact(p, "mf", 1, _SHARES[2]),
    ),
    spring=lambda p, angle: -p.stiffness * (np.asarray(angle) + p.preload),
    rest="shut",
    measures="between the jaws' tips",
    reach=SHUT_REACH,
    give=-0.03,
    search_from="postures",
    trials=9,
)
