"""Solver settings under which a hand of sixteen joints holds a hinged tool.

Measured on grasps of sprung tools: fewer solver iterations or a pyramidal cone let grasps collapse. MuJoCo 4.0.0 has a
bug with sparse Jacobians under Newton, hence the dense one.
"""

from __future__ import annotations

from typing import Any

import mujoco

TIMESTEP = 0.005  # s
CONTROL_PERIOD = 0.05  # s, one action of the low-level policies
SUBSTEPS = round(CONTROL_PERIOD / TIMESTEP)

# Collision bits: robot links meet things, things meet each other, and of the hand only fingertips meet fingertips.
ROBOT, THING, FINGERTIP = 1, 2, 4


def new_spec(timestep: float = TIMESTEP) -> mujoco.MjSpec:
    """An empty world with the solver settings of every Toolwright model.

    Args:
        timestep: physics step [s].
    """
    spec = mujoco.MjSpec()
    spec.option.timestep = timestep
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.option.impratio = 10.0
    spec.option.iterations = 10
    spec.option.ls_iterations = 20
    spec.option.tolerance = 0.0
    spec.compiler.degree = False
    spec.compiler.autolimits = True
    return spec


def solve_thoroughly(option: Any) -> None:
    """More solver steps, for models with an arm or with small loose things.

    With an arm behind the hand, 13 of 24 carried grasps survived 20 line-search steps and all survived 50; of 100 beads
    dropped into a cup, 13 were flung away with 10 iterations and none with 50.

    Args:
        option: of a spec or of a compiled model.
    """
    option.iterations, option.ls_iterations, option.tolerance = 50, 50, 1e-8


def collide_as_robot(geom: mujoco.MjsGeom, fingertip: bool = False) -> None:
    """Sets the collision bits of a robot link."""
    geom.contype = ROBOT | (FINGERTIP if fingertip else 0)
    geom.conaffinity = THING | (FINGERTIP if fingertip else 0)


def collide_as_thing(geom: mujoco.MjsGeom) -> None:
    """Sets the collision bits of tools, objects and furniture."""
    geom.contype = THING
    geom.conaffinity = ROBOT | THING
