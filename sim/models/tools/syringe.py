"""Syringe: a barrel with finger wings and a plunger that a spring pushes back out, as in dosing syringes."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from toolwright.sim.models.tools import parts
from toolwright.sim.models.tools.family import Contact, ToolFamily

_GLASS, _LIQUID = (0.80, 0.88, 0.93, 0.45), (0.25, 0.55, 0.85, 0.8)
_WHITE = (0.93, 0.93, 0.92, 1.0)
_WALL = 0.0012  # m, of the barrel


@dataclass(frozen=True)
class Syringe:
    """Geometry and physics of one: 3 ml, of glass and steel, with wide wings."""

    barrel: float = 0.080  # m, wings to the end of the barrel
    radius: float = 0.007  # m, outer, of the barrel
    nozzle: float = 0.022  # m beyond the barrel
    wing: float = 0.030  # m, from the axis to the end of a wing
    wing_width: float = 0.014  # m
    wing_thickness: float = 0.005  # m
    head: float = 0.010  # m, radius of the plunger's head
    head_thickness: float = 0.004  # m
    clear: float = 0.024  # m between wings and head when the plunger is in
    stroke: float = 0.030  # m
    stiffness: float = 20.0  # N/m
    rest: float = 0.18  # m, where the spring would rest; beyond the stroke, so it always pushes
    damping: float = 1.0  # N s/m
    density: float = 2500.0  # kg/m^3, barrel and wings
    plunger_density: float = 6500.0  # kg/m^3
    friction: float = 0.9

    @property
    def bore(self) -> float:
        """Inner diameter of the barrel [m]."""
        return 2 * (self.radius - _WALL)

    @property
    def max_angle(self) -> float:
        """The stroke [m]: what the joint's coordinate may reach."""
        return self.stroke


def _build(body: mujoco.MjsBody, p: Syringe, name: str) -> None:
    plunger = body.add_body(name=f"{name}_b")
    plunger.add_joint(
        name=f"{name}_hinge",
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[0, 0, -1],
        range=[0, p.stroke],
        stiffness=p.stiffness,
        springref=p.rest,
        damping=p.damping,
    )
    glass = {"density": p.density, "friction": p.friction}
    steel = {"density": p.plunger_density, "friction": p.friction, "rgba": parts.STEEL}
    parts.tube(body, "barrel", [0, 0, 0], [0, 0, p.barrel], p.radius, rgba=_GLASS, **glass)
    end = p.barrel + p.nozzle
    parts.rod(body, "nozzle", [0, 0, p.barrel], [0, 0, end - 0.0015], 0.0015, rgba=parts.STEEL, **glass)
    size = [2 * p.wing, p.wing_width, p.wing_thickness]
    parts.box(body, "wings", size, [0, 0, -p.wing_thickness / 2], rgba=_WHITE, **glass)
    top = -(p.wing_thickness + p.clear)
    parts.tube(plunger, "rod", [0, 0, top], [0, 0, p.barrel - 0.008], 0.0035, **steel)
    cap = [0, 0, top - p.head_thickness]
    parts.tube(plunger, "head", cap, [0, 0, top], p.head, **steel)
    parts.shown(
        parts.tube(plunger, "piston", [0, 0, p.barrel - 0.008], [0, 0, p.barrel - 0.002], p.bore / 2, rgba=parts.DARK)
    )


def _forces(p: Syringe, travel: np.ndarray) -> dict[str, np.ndarray]:
    push = p.stiffness * (p.rest - np.asarray(travel))
    return {"th": push, "if": push / 2, "mf": push / 2}


def _contacts(p: Syringe) -> tuple[Contact, ...]:
    across = (1.0, 0.0, 0.0)
    # A fingertip beside the barrel.
    x = p.radius + 0.0125
    head = -(p.wing_thickness + p.clear + p.head_thickness)
    return (
        Contact("th", 1, (0.0, 0.0, head), (0, 0, -1), (0, 0, 0)),
        Contact("if", 0, (x, 0.0, 0.0), (0, 0, 1), across),
        Contact("mf", 0, (-x, 0.0, 0.0), (0, 0, 1), across),
    )


FAMILY = ToolFamily(
    name="syringe",
    summary="a barrel with finger wings, a plunger that a spring pushes back out",
    job="dispense",
    nominal=Syringe(),
    train={
        "barrel": (0.070, 0.095),
        "radius": (0.006, 0.0085),
        "wing": (0.029, 0.034),
        "wing_width": (0.012, 0.018),
        "head": (0.009, 0.012),
        "clear": (0.021, 0.027),
        "stiffness": (17.0, 22.5),
        "damping": (0.5, 3.0),
        "density": (2000.0, 3200.0),
        "friction": (0.6, 1.1),
    },
    held_out={
        "clear": ((0.019, 0.021), (0.0235, 0.0245), (0.027, 0.029)),
        "radius": ((0.0055, 0.006), (0.007, 0.0076)),
    },
    build=_build,
    opening=lambda p, angle: np.asarray(angle) * 1.0,
    angle=lambda p, opening: np.asarray(opening) * 1.0,
    tip=lambda p: np.array([0.0, 0.0, p.barrel + p.nozzle]),
    contacts=_contacts,
    spring=lambda p, angle: p.stiffness * (p.rest - np.asarray(angle)),
    joint="slide",
    measures="left of the plunger's stroke",
    reach=(0.1, 0.94),
    give=-0.0007,
    forces=_forces,
    search_from="postures",
    trials=9,
    load=20.0,  # N for each N m
)
