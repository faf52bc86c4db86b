"""Solver settings under which a hand of sixteen joints holds a hinged tool.

Measured on grasps of sprung tools: fewer solver iterations or a pyramidal cone let grasps collapse. MuJoCo 4.0.0 has a
bug with sparse Jacobians under Newton, hence the dense one.
"""

from __future__ import annotations

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


def collide_as_robot(geom: mujoco.MjsGeom, fingertip: bool = False) -> None:
    """Sets the collision bits of a robot link."""
    geom.contype = ROBOT | (FINGERTIP if fingertip else 0)
    geom.conaffinity = THING | (FINGERTIP if fingertip else 0)


def collide_as_thing(geom: mujoco.MjsGeom) -> None:
    """Sets the collision bits of tools, objects and furniture."""
    geom.contype = THING
    geom.conaffinity = ROBOT | THING
