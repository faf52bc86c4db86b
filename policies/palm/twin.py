"""Hands with a thing in them as they are believed to be: a simulation that follows what is measured.

A planner plans from it; between two looks it foresees where the thing will be. Nothing of the true world enters it but
what `begin` and `correct` are told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mujoco.batch import Batch

from toolwright.hardware import rotations
from toolwright.hardware.reorient import UP, ReorientInterface
from toolwright.hardware.robot import F64
from toolwright.sim import grasp, orientations
from toolwright.sim.models import in_hand
from toolwright.sim.models.physics import CONTROL_PERIOD
from toolwright.sim.object_shapes import Shape
from toolwright.sim.tasks.reorient import ReorientConfig

TIMESTEP = 0.01  # s, of the physics
MASS = 0.1  # kg, what a thing is taken to weigh
BELIEVED = 0.4  # share of the speed that a look shows in excess of what was foreseen
FASTEST = (1.0, 15.0)  # m/s, rad/s


class PalmTwin:
    """N hands.

    Args:
        shapes: that the things may have.
        n: how many.
        config: tolerance and stop.
        nthread: of the physics.
    """

    def __init__(self, shapes: Sequence[Shape], n: int, config: ReorientConfig | None = None, nthread: int = 1) -> None:
        self.n, self.config = n, config or ReorientConfig()
        self.scene = in_hand.build(shapes)
        self.model = self.scene.model
        self.model.opt.timestep = TIMESTEP
        self.batch = Batch(self.model, n, nthread)
        self._field = {name: self.batch.expand(name) for name in (*self.scene.variants, "opt.gravity")}
        self.qpos, self.qvel, self.ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self.interface = ReorientInterface(n)
        self.variant = np.zeros(n, dtype=np.intp)
        self.gravity = np.tile(UP, (n, 1))
        self.goal = np.tile([1.0, 0, 0, 0], (n, 1))
        self.age = np.zeros(n, dtype=np.intp)  # control steps since the goal was set
        self.time = np.zeros(n, dtype=np.intp)  # control steps since the beginning

    def begin(self, ids: np.ndarray, variant: np.ndarray, q: F64, command: F64, pos: F64, quat: F64) -> None:
        """Starts hands with a thing at rest.

        Args:
            ids: which hands.
            variant: (k,) index of their things' shapes.
            q: (k, 16) rad, measured.
            command: (k, 16) rad, targets in force.
            pos: (k, 3) m, of the things, palm frame.
            quat: (k, 4) likewise.
        """
        self.variant[ids] = variant
        self.scene.give(self._field, ids, variant, MASS)
        self._field["opt.gravity"][ids] = 9.81 * self.gravity[ids]
        self.scene.set_const(self.batch, self._field["geom_rbound"], ids, variant)
        self.batch.reset(ids, stage=0)
        self.qpos[ids, :16], self.qpos[ids, 16:19], self.qpos[ids, 19:] = q, pos, quat
        self.ctrl[ids] = command
        self.interface.reset(ids, command)
        grasp.fill_history(self.batch, ids)
        self.batch.forward(ids)
        self.time[ids] = self.age[ids] = 0

    def aim(self, ids: np.ndarray, goal: F64) -> None:
        """Sets goals (k, 4), palm frame."""
        self.goal[ids], self.age[ids] = goal, 0

    def foresee(self, ids: np.ndarray, command: F64) -> None:
        """Moves on by a control period with servo targets (n, 16) [rad]."""
        self.interface.command[ids] = command[ids]
        self.ctrl[ids] = command[ids]
        self._field["opt.gravity"][ids] = 9.81 * self.gravity[ids]
        self.batch.step(ids, nstep=round(CONTROL_PERIOD / TIMESTEP))
        self.age[ids] += 1
        self.time[ids] += 1

    def gravity_in(self, ids: np.ndarray, steps: F64) -> F64:
        """(k, 3): direction of gravity for hands `ids` (k,), control steps (k,) from now: it is believed to stay."""
        del steps
        return self.gravity[ids]

    def correct(self, ids: np.ndarray, q: F64, dq: F64, pos: F64, quat: F64) -> None:
        """Takes over what was measured.

        Args:
            ids: hands that were looked at.
            q: (k, 16) rad.
            dq: (k, 16) rad/s.
            pos: (k, 3) m, of the things.
            quat: (k, 4) likewise.
        """
        shift = pos - self.qpos[ids, 16:19]
        turn = rotations.to_rotvec(rotations.multiply(quat, rotations.conjugate(self.qpos[ids, 19:])))
        spin = rotations.rotate(self.qpos[ids, 19:], self.qvel[ids, 19:]) + BELIEVED * turn / CONTROL_PERIOD
        self.qpos[ids, :16], self.qvel[ids, :16] = q, dq
        self.qpos[ids, 16:19], self.qpos[ids, 19:] = pos, quat
        self.qvel[ids, 16:19] = _bounded(self.qvel[ids, 16:19] + BELIEVED * shift / CONTROL_PERIOD, FASTEST[0])
        # MuJoCo keeps the spin of a free body in the body's own frame.
        self.qvel[ids, 19:] = rotations.rotate(rotations.conjugate(quat), _bounded(spin, FASTEST[1]))

    def error(self) -> F64:
        """(n,) rad between the believed orientation and the goal."""
        return orientations.angle(self.goal, self.qpos[:, 19:])

    def speeds(self) -> tuple[F64, F64, F64]:
        """(n,) each, as believed: fastest joint [rad/s], thing [m/s] and [rad/s]."""
        return in_hand.speeds(self.qvel)


def _bounded(v: F64, most: float) -> F64:
    length = np.linalg.norm(v, axis=1, keepdims=True)
    return np.asarray(v * np.minimum(1.0, most / np.maximum(length, 1e-9)))
