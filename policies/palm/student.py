"""A policy that turns things by what a real hand has: joints, servo targets, the goal, and a cloud of the thing.

Recurrent: what a single cloud does not show, its memory may. The cloud stands beside that of the thing as it shall be;
each point of the one knows the way to the nearest of the other, so that nothing is left of them where both agree. A
head of its own says when to stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.reorient import ACTIONS, CENTER
from toolwright.hardware.robot import F64
from toolwright.policies.palm.aim import aim
from toolwright.policies.palm.control import DECLARED, SPEED_STEP, STILL, Log
from toolwright.policies.palm.eye import CAMERA, TaskEyes
from toolwright.policies.palm.surface import Surfaces
from toolwright.policies.weights import elu, read, write
from toolwright.sim.randomize_reorient import SIZES
from toolwright.sim.tasks.reorient import ReorientTask

FOLDER = Path(__file__).parents[1] / "weights" / "reorient" / "student"
FILE = "student.safetensors"
SEEN = 64  # points of a cloud, and of the goal's
POINT = 7  # numbers about a point
EVERY = 2  # control steps between two looks, as the planner's labels have it
STATE = 3 * ACTIONS + 3 + 16  # numbers beside the cloud
_SIZE = 25.0  # 1/m, brings a thing's points to order one
BEGIN, KEEP = 0.6, 0.4  # probability at which a hand begins to hold still, and down to which it goes on


def state(body: F64, gravity: F64, start: F64, goal: F64) -> NDArray[np.float32]:
    """(N, STATE): what is known beside the cloud.

    Args:
        body: (N, 3 * ACTIONS) of `ReorientInterface.observe`.
        gravity: (N, 3).
        start: (N, 4), of things when their goals were set: all that is commanded is a turn from there.
        goal: (N, 4).
    """
    return np.concatenate([body, gravity, aim(start, goal)], axis=1).astype(np.float32)


def pair(seen: F64, goal: F64) -> NDArray[np.float32]:
    """(N, 2 SEEN, POINT): both clouds, each point with its place, its way to the nearest of the other, and a sign.

    Args:
        seen: (N, SEEN, 3) m, of the thing, palm frame; zeros where nothing was seen.
        goal: (N, SEEN, 3) m, of the thing at its goal, about anywhere: it is moved to where the thing is.
    """
    middle = seen.mean(axis=1, keepdims=True)
    a, b = seen.astype(np.float32), (goal - goal.mean(axis=1, keepdims=True) + middle).astype(np.float32)
    squared = (a**2).sum(axis=2)[:, :, None] - 2 * a @ b.transpose(0, 2, 1) + (b**2).sum(axis=2)[:, None]
    to_goal = np.take_along_axis(b, squared.argmin(axis=2)[:, :, None], axis=1) - a
    to_seen = np.take_along_axis(a, squared.argmin(axis=1)[:, :, None], axis=1) - b
    center = CENTER.astype(np.float32)
    rows = [
        np.concatenate([_SIZE * (points - center), 2 * _SIZE * way, np.full((*points.shape[:2], 1), sign)], axis=2)
        for points, way, sign in ((a, to_goal, 1.0), (b, to_seen, -1.0))
    ]
    return np.concatenate(rows, axis=1).astype(np.float32)


def goal_points(surfaces: Surfaces, variant: np.ndarray, goal: F64, visible: bool) -> F64:
    """(N, SEEN, 3) m: things as they shall be; with `visible` only the sides that face the camera."""
    points = surfaces.seen(variant, np.zeros((len(goal), 3)), goal)
    if not visible:
        return points[:, :SEEN]  # the first ones are spread evenly
    normals = surfaces.facing(variant, goal)
    shown = (normals @ ((CAMERA - CENTER) / np.linalg.norm(CAMERA - CENTER))) > 0.1
    order = np.argsort(~shown, axis=1, kind="stable")[:, :SEEN]
    return np.take_along_axis(points, order[:, :, None], axis=1)


def sample(points: F64, rng: np.random.Generator) -> F64:
    """(SEEN, 3) of the points (m, 3) of a cloud; zeros where it has too few."""
    if len(points) < SEEN // 4:
        return np.zeros((SEEN, 3))
    return points[rng.choice(len(points), SEEN, replace=len(points) < SEEN)]


@dataclass(frozen=True)
class Student:
    """The network's arrays by name, as torch calls them; see `policies.training.student`."""

    weights: Mapping[str, NDArray[np.float32]]
    card: dict[str, Any]

    @property
    def memory(self) -> int:
        """How many numbers the hand remembers."""
        return self.weights["gru.weight_hh_l0"].shape[1]

    def step(
        self, known: NDArray[np.float32], points: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[F64, F64, NDArray[np.float32]]:
        """Actions (N, ACTIONS), the probability (N,) that the thing is where it shall be, and the new memory (N, h).

        Args:
            known: (N, STATE) of `state`.
            points: (N, k, POINT) of `pair`.
            memory: (N, h), zeros where a goal was just set.
        """
        w = self.weights
        inner = elu(elu(points @ w["point.0.weight"].T + w["point.0.bias"]) @ w["point.2.weight"].T + w["point.2.bias"])
        x = np.concatenate([inner.max(axis=1), inner.mean(axis=1), known], axis=1)
        x = elu(x @ w["join.weight"].T + w["join.bias"])
        given = np.split(x @ w["gru.weight_ih_l0"].T + w["gru.bias_ih_l0"], 3, axis=1)
        kept = np.split(memory @ w["gru.weight_hh_l0"].T + w["gru.bias_hh_l0"], 3, axis=1)
        reset, update = _sigmoid(given[0] + kept[0]), _sigmoid(given[1] + kept[1])
        memory = (1 - update) * np.tanh(given[2] + reset * kept[2]) + update * memory
        out = memory @ w["head.weight"].T + w["head.bias"]
        return np.tanh(out[:, :ACTIONS]).astype(np.float64), _sigmoid(out[:, ACTIONS]).astype(np.float64), memory

    def save(self, folder: Path = FOLDER) -> None:
        """Writes it into a folder."""
        write(folder, FILE, {name: array.astype(np.float16) for name, array in self.weights.items()}, self.card)

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Self:
        """The one in a folder.

        Raises:
            WeightsError: there is none, or it is damaged.
        """

        mend = "train one with `toolwright train reorient_student`, then add --weights FOLDER"
        tensors, card = read(folder, FILE, lambda *both: both, f"no student in {folder}; {mend}")
        return cls({name: array.astype(np.float32) for name, array in tensors.items()}, card)


class StudentControl:
    """Controls all worlds of a task, whose own stop has to be off.

    Args:
        task: freshly made.
        student: the policy.
        rng: of the sensor's noise and of the choice of points.
        by_camera: sees by depth camera; else the thing's whole surface.
    """

    def __init__(self, task: ReorientTask, student: Student, rng: np.random.Generator, by_camera: bool) -> None:
        self.task, self.student, self.rng = task, student, rng
        self.surfaces = Surfaces.of(task.shapes)  # of things as they are known, not in their true size
        self.eyes = TaskEyes(task, rng) if by_camera else None
        self._true = Surfaces.of(task.shapes, SIZES) if task.sizes > 1 else self.surfaces
        self._memory = np.zeros((task.n, student.memory), np.float32)
        self._start, self._points = task.goal.copy(), np.zeros((0, 0, 0))
        self._action, self._stop = np.zeros((task.n, ACTIONS)), np.zeros(task.n, dtype=bool)
        self._calm, self._last = np.zeros(task.n, dtype=np.intp), task.measured().copy()
        self._steps = 0
        self.declared = np.zeros(task.n, dtype=bool)
        self.log = Log()

    def __call__(self, task: ReorientTask, active: np.ndarray) -> F64:
        q = task.measured().copy()
        speed = SPEED_STEP * np.round(task.qvel[:, :16] / SPEED_STEP)
        if self._steps % EVERY == 0:
            self._look(np.flatnonzero(active), q)
        self._steps += 1
        calm = self._stop & (np.abs(speed).max(axis=1) < STILL)
        self._calm = np.where(calm, self._calm + 1, 0)
        self.declared |= self._calm >= DECLARED
        task.hold(self._stop & active)
        return np.where((active & ~self._stop)[:, None], self._action, 0.0)

    def _look(self, ids: np.ndarray, q: F64) -> None:
        task, shape = self.task, self.task.variant // self.task.sizes
        if self._steps == 0:
            self._start = task.qpos[:, 19:].copy()
            self._points = goal_points(self.surfaces, shape, task.goal, self.eyes is not None)
        if self.eyes is not None:
            seen = np.stack([sample(points, self.rng) for points in self.eyes.cloud(ids, q)])
        else:
            chosen = self.rng.permutation(self._true.points.shape[1])[:SEEN]
            seen = self._true.seen(task.variant[ids], task.qpos[ids, 16:19], task.qpos[ids, 19:])[:, chosen]
        body = task.interface.observe(q)[ids]
        known = state(body, task.gravity[ids], self._start[ids], task.goal[ids])
        action, near, memory = self.student.step(known, pair(seen, self._points[ids]), self._memory[ids])
        self._action[ids], self._memory[ids] = action, memory
        self._stop[ids] = near > np.where(self._stop[ids], KEEP, BEGIN)
        self._note(ids, seen)

    def _note(self, ids: np.ndarray, seen: F64) -> None:
        log, unknown = self.log, np.full(len(ids), np.nan)  # there is no pose that could be wrong
        log.world.append(ids)
        log.turn.append(unknown)
        log.shift.append(unknown)
        log.good.append((seen != 0).any(axis=(1, 2)))
        log.truth.append(self.task.error()[ids])
        log.rest.append(self.task.resting()[ids])
        log.stop.append(self._stop[ids].copy())


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), dtype=np.float32)
