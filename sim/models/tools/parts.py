"""What tools are made of: limbs that fingers hold, soft working surfaces, and parts that are only there to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from toolwright.sim.models.leap import TIP_PRIORITY, TIP_SOLIMP, TIP_SOLREF
from toolwright.sim.models.objects import SOLIMP, SOLREF
from toolwright.sim.models.physics import collide_as_thing

STEEL, DARK, BLUE = (0.72, 0.74, 0.78, 1.0), (0.16, 0.17, 0.2, 1.0), (0.15, 0.35, 0.75, 1.0)
Vec = Sequence[float] | np.ndarray


def box(body: mujoco.MjsBody, name: str, size: Vec, pos: Vec, turn: float = 0.0, **look: Any) -> mujoco.MjsGeom:
    """A solid box.

    Args:
        body: gets the geom.
        name: after the body's.
        size: (3,) m, full edges.
        pos: (3,) m.
        turn: rad about y.
        look: density, friction, rgba as for `_solid`.
    """
    geom = body.add_geom(
        name=f"{body.name}_{name}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=np.asarray(size) / 2,
        pos=pos,
        quat=[np.cos(turn / 2), 0, np.sin(turn / 2), 0],
    )
    return _solid(geom, **look)


def rod(body: mujoco.MjsBody, name: str, start: Vec, end: Vec, radius: float, **look: Any) -> mujoco.MjsGeom:
    """A capsule between two points (3,) [m]."""
    geom = body.add_geom(
        name=f"{body.name}_{name}",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[*start, *end],
        size=[radius, 0, 0],
    )
    return _solid(geom, **look)


def tube(body: mujoco.MjsBody, name: str, start: Vec, end: Vec, radius: float, **look: Any) -> mujoco.MjsGeom:
    """A cylinder between two points (3,) [m]."""
    geom = body.add_geom(
        name=f"{body.name}_{name}",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        fromto=[*start, *end],
        size=[radius, 0, 0],
    )
    return _solid(geom, **look)


def grips(geom: mujoco.MjsGeom, friction: float) -> None:
    """Makes a geom a working surface: it holds light things without swallowing or flinging them."""
    geom.friction = [friction, 0.01, 1e-3]
    geom.condim, geom.priority = 6, 2
    geom.solref, geom.solimp = SOLREF, SOLIMP


def sleeve(geom: mujoco.MjsGeom) -> None:
    """Makes a geom a ribbed rubber sleeve: between it and a fingertip the greater of both frictions counts."""
    geom.priority, geom.solref, geom.solimp = TIP_PRIORITY, TIP_SOLREF, TIP_SOLIMP


def shown(geom: mujoco.MjsGeom) -> None:
    """Makes a geom one to look at: it touches nothing and weighs nothing."""
    geom.contype = geom.conaffinity = 0
    geom.density = 0.0


def _solid(
    geom: mujoco.MjsGeom, density: float = 0.0, friction: float = 0.9, rgba: Sequence[float] = STEEL
) -> mujoco.MjsGeom:
    geom.density, geom.friction, geom.condim, geom.rgba = density, [friction, 0.005, 1e-4], 4, rgba
    collide_as_thing(geom)
    return geom
