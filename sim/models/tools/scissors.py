"""Scissors: two blades crossed at a pivot, unsprung; fingers go through the loops, so the hand opens them as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from toolwright.sim.models.tools import parts
from toolwright.sim.models.tools.family import Contact, ToolFamily

_BLADE = (0.52, 0.55, 0.60, 1.0)
_RUBBER = (0.85, 0.33, 0.16, 1.0)
# N with which index and middle finger press apart in their loop, and the thumb in its own: with less, encoders that are
# off by a few degrees press a finger out of its corner.
_SPREAD, _THUMB = 5.0, 4.0
_POINT = np.pi / 4  # rad, half the angle at a loop's point
_TIP = 0.0115  # m, radius of a fingertip
_DEPTH = 0.009  # m that a fingertip reaches through its loop; a little further on the finger widens and stops it
_EASE = 0.0006  # m that a fingertip has room towards its bow before it presses, as it may lie askew


@dataclass(frozen=True)
class Scissors:
    """Geometry and physics of one pair: general-purpose shears with a long lower loop."""

    handle: float = 0.075  # m, pivot to the middle of the loops, along the tool
    blade: float = 0.085  # m, pivot to the tip
    blade_width: float = 0.010  # m
    blade_thickness: float = 0.002  # m
    loop: float = 0.0140  # m, radius of the largest circle in the thumb's loop and in the ends of the other one
    long: float = 0.036  # m between the middles of the ends of the fingers' loop
    wire: float = 0.0026  # m, radius of the loops' bows
    max_angle: float = 0.42  # rad
    damping: float = 0.01  # N m s/rad
    rub: float = 0.015  # N m, friction of the pivot
    density: float = 1600.0  # kg/m^3, of the loops
    friction: float = 0.9  # loops


def _apart(p: Scissors) -> float:
    """From the plane in the middle to the middle of each loop, closed, m."""
    return p.loop + 2 * p.wire + 0.001


def _bow(p: Scissors, x: float, long: float) -> list[np.ndarray]:
    """Corners (3,) [m] of the middle of a loop's bow, in turn, around (x, -handle)."""
    r = p.loop + p.wire
    # Where a finger presses, the bow runs to a point: a finger in it touches both sides and lies without play.
    point = [(r, r * np.tan(_POINT / 2)), (0.0, r / np.sin(_POINT)), (-r, r * np.tan(_POINT / 2))]
    inner, outer = r * np.tan(np.pi / 8), r
    blunt = [(outer, inner), (inner, outer), (-inner, outer), (-outer, inner)]
    upper = [(dx, dz + long / 2) for dx, dz in point]
    lower = [(-dx, -dz - long / 2) for dx, dz in (point if long else blunt)]
    return [np.array([x + dx, 0.0, dz - p.handle]) for dx, dz in upper + lower]


def _build(body: mujoco.MjsBody, p: Scissors, name: str) -> None:
    blade_b = body.add_body(name=f"{name}_b")
    blade_b.add_joint(
        name=f"{name}_hinge",
        axis=[0, 1, 0],
        range=[0, p.max_angle],
        damping=p.damping,
        frictionloss=p.rub,
    )
    steel: Any = {"density": 7800.0, "friction": 0.4, "rgba": _BLADE}
    for blade, side, long in ((body, -1, 0.0), (blade_b, 1, p.long)):
        # Crossed: the blade and the loop of one body lie on opposite sides.
        y = side * p.blade_thickness / 2
        size = [p.blade_width, p.blade_thickness, p.blade]
        parts.box(blade, "blade", size, [side * p.blade_width / 2, y, p.blade / 2], **steel)
        x = -side * _apart(p)
        corners = _bow(p, x, long)
        rubber: Any = {"density": p.density, "friction": p.friction, "rgba": _RUBBER}
        for i, (start, end) in enumerate(zip(corners, corners[1:] + corners[:1], strict=True)):
            parts.rod(blade, f"loop{i}", start, end, p.wire, **rubber)
        top = max(corners, key=lambda c: c[2])[2]
        parts.rod(blade, "shank", [0, 0, 0], [x, 0, top], p.wire, **rubber)
    half = 2 * p.blade_thickness
    parts.shown(parts.tube(body, "pivot", [0, -half, 0], [0, half, 0], 0.005, rgba=parts.DARK))


def _contacts(p: Scissors) -> tuple[Contact, ...]:
    x, still = _apart(p), (0.0, 0.0, 0.0)
    there, back = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)
    # A fingertip in the loop's point touches both of its sides.
    end = (p.loop - _TIP) / np.sin(_POINT) + _TIP - _EASE
    # All three press along the tool, thumb and index towards the pivot, the middle finger away from it: pressed so, a
    # fingertip does not slip about in its loop when the blades turn the other way. The thumb comes from the other side:
    # loops that slide off the fingers slide onto the thumb.
    return (
        Contact("th", 0, (x, 0.0, -p.handle + end), (0, 0, -1), still, there, _DEPTH),
        Contact("if", 1, (-x, 0.0, -p.handle + p.long / 2 + end), (0, 0, -1), still, back, _DEPTH),
        Contact("mf", 1, (-x, 0.0, -p.handle - p.long / 2 - end), (0, 0, 1), still, back, _DEPTH),
    )


def _forces(p: Scissors, angle: np.ndarray) -> dict[str, np.ndarray]:
    one = np.ones(np.shape(angle))
    return {"th": _THUMB * one, "if": _SPREAD * one, "mf": (_SPREAD + _THUMB) * one}


FAMILY = ToolFamily(
    name="scissors",
    summary="two blades crossed at a pivot, unsprung, loops that fingers go through",
    job="cut",
    nominal=Scissors(),
    train={
        "handle": (0.070, 0.085),
        "blade": (0.070, 0.100),
        "blade_width": (0.008, 0.012),
        "loop": (0.0137, 0.0144),
        "long": (0.033, 0.039),
        "wire": (0.0022, 0.0030),
        "damping": (0.006, 0.015),
        "rub": (0.008, 0.022),
        "density": (1200.0, 2400.0),
        "friction": (0.6, 1.1),
    },
    held_out={
        "blade": ((0.064, 0.070), (0.083, 0.087), (0.100, 0.106)),
        "handle": ((0.067, 0.070), (0.0755, 0.0785), (0.085, 0.088)),
    },
    build=_build,
    opening=lambda p, angle: 2 * p.blade * np.sin(np.asarray(angle) / 2),
    angle=lambda p, opening: 2 * np.arcsin(np.clip(np.asarray(opening) / (2 * p.blade), -1, 1)),
    tip=lambda p: np.array([0.0, 0.0, p.blade]),
    contacts=_contacts,
    spring=lambda p, angle: 0.0 * np.asarray(angle),
    rest="free",
    measures="between the blades' tips",
    reach=(0.05, 0.95),
    give=0.0,
    forces=_forces,
    search_from="postures",
    trials=9,
)
