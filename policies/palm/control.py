"""Turning things seen by a depth camera alone: tracker, twin, planner and stop, for the worlds of a task."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.pose_tracker import Fit
from toolwright.policies.palm.eye import TaskEyes
from toolwright.policies.palm.planner import Planner, PlannerConfig
from toolwright.policies.palm.stop import Memory, Stop
from toolwright.policies.palm.twin import PalmTwin
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

DECLARED = 8  # control steps at rest, told to stop, after which the controller says that it is done
STILL = 0.25  # rad/s, of any joint as measured
SPEED_STEP = 0.024  # rad/s, in which the hand's motors tell their speed


@dataclass
class Log:
    """What happened, one row for each world and look: for judging the tracker, and for learning to stop."""

    world: list[np.ndarray] = field(default_factory=list)
    turn: list[F64] = field(default_factory=list)  # rad, error of the estimate
    shift: list[F64] = field(default_factory=list)  # m, likewise
    good: list[np.ndarray] = field(default_factory=list)
    spin: list[F64] = field(default_factory=list)  # rad/s, true
    truth: list[F64] = field(default_factory=list)  # rad, true error to the goal
    rest: list[np.ndarray] = field(default_factory=list)  # object and joints are truly at rest
    features: list[F64] = field(default_factory=list)
    stop: list[np.ndarray] = field(default_factory=list)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything in rows."""
        return {name: np.concatenate(rows) for name, rows in vars(self).items() if rows}


class CameraControl:
    """Controls all worlds of a task, whose own stop has to be off. The first pose of each thing is known.

    Args:
        task: freshly made.
        config: of the planner.
        stop: says when hands hold still.
        rng: of planner and camera.
        eyes: by default a D435 over the hands.
    """

    def __init__(
        self,
        task: ReorientTask,
        config: PlannerConfig,
        stop: Stop,
        rng: np.random.Generator,
        eyes: TaskEyes | None = None,
    ) -> None:
        self.task, self.stop, self.eyes = task, stop, eyes or TaskEyes(task, rng)
        believed = ReorientConfig(tolerance=task.config.tolerance)
        self.twin = PalmTwin(task.shapes, task.n, believed, task.batch.nthread)
        self.planner = Planner(self.twin, config, rng, task.batch.nthread)
        self.memory = Memory.of(task.n)
        self.declared = np.zeros(task.n, dtype=bool)
        self.log = Log()
        self._calm = np.zeros(task.n, dtype=np.intp)
        self._begun = False

    def __call__(self, task: ReorientTask, active: np.ndarray) -> F64:
        """Actions (N, 16) in the active worlds."""
        ids, twin = np.flatnonzero(active), self.twin
        q = task.measured().copy()
        twin.gravity[:] = task.gravity
        if not self._begun:
            everyone = np.arange(task.n)
            pose = task.qpos[:, 16:].copy()
            twin.begin(everyone, task.variant // task.sizes, q, task.interface.command, pose[:, :3], pose[:, 3:])
            twin.aim(everyone, task.goal)
            self._begun = True
        else:
            twin.foresee(ids, task.interface.command)
        fits = self.eyes.look(ids, q, twin)
        speed = SPEED_STEP * np.round(task.qvel[:, :16] / SPEED_STEP)
        pos, quat = np.array([fit.pos for fit in fits]), np.array([fit.quat for fit in fits])
        twin.correct(ids, q[ids], speed[ids], pos, quat)
        self.memory.see(ids, twin, fits)
        stop = self.stop(twin, self.memory) & active
        self._note(ids, fits, stop)
        calm = stop & (np.abs(speed).max(axis=1) < STILL)
        self._calm = np.where(calm, self._calm + 1, 0)
        self.declared |= self._calm >= DECLARED
        task.hold(stop)
        return self.planner.act(active & ~stop)

    def _note(self, ids: np.ndarray, fits: list[Fit], stop: np.ndarray) -> None:
        true, log = self.task.qpos[ids, 16:], self.log
        quat, pos = np.array([fit.quat for fit in fits]), np.array([fit.pos for fit in fits])
        off = rotations.to_rotvec(rotations.multiply(quat, rotations.conjugate(true[:, 3:])))
        log.world.append(ids)
        log.turn.append(np.linalg.norm(off, axis=1))
        log.shift.append(np.linalg.norm(pos - true[:, :3], axis=1))
        log.good.append(np.array([fit.good for fit in fits]))
        log.spin.append(np.linalg.norm(self.task.qvel[ids, 19:], axis=1))
        log.truth.append(self.task.error()[ids])
        log.rest.append(self.task.resting()[ids])
        log.features.append(self.memory.features(self.twin)[ids])
        log.stop.append(stop[ids])
