"""What the student is distilled from: sequences of states and labels, and the clouds that are seen of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.reorient import ACTIONS, HOME
from toolwright.hardware.robot import F64
from toolwright.policies.palm.student import POINT, SEEN, goal_points, pair, sample, state
from toolwright.policies.palm.surface import POINTS, Surfaces
from toolwright.sim import orientations
from toolwright.sim.object_shapes import load
from toolwright.sim.randomize_reorient import SIZES
from toolwright.sim.tasks.reorient import ReorientConfig

KEPT = 192  # points kept of a rendered cloud


class StudentError(ValueError):
    """No labels, or labels without the states they belong to."""


@dataclass(frozen=True)
class Course:
    """One shard as sequences: T moments of W worlds, arrays (T, W, ...)."""

    known: NDArray[np.float32]  # (T, W, STATE)
    pose: F64  # (T, W, 7) m, of the things
    size: np.ndarray  # (T, W) of the true surface, among all shapes in all sizes
    shape: np.ndarray  # (T, W) of the known one
    goal: F64  # (T, W, 4)
    action: NDArray[np.float32]  # (T, W, ACTIONS)
    counts: NDArray[np.bool_]  # (T, W): the label belongs to the goal, not to a detour
    near: NDArray[np.bool_]  # (T, W): the thing is where it shall be
    fresh: NDArray[np.bool_]  # (T, W): the goal was just set


def read(file: Path, tolerance: float = ReorientConfig.tolerance, stop: float = ReorientConfig.stop) -> Course:
    """The sequences of a shard.

    Raises:
        StudentError: a shard without states.
    """
    with np.load(file) as opened:
        if "world" not in opened.files or "pose" not in opened.files:
            raise StudentError(f"{file} holds no states: make it anew with `toolwright plan-data`")
        shard = {name: opened[name] for name in opened.files}
    worlds = int(shard["world"].max()) + 1
    index = {shape.name: i for i, shape in enumerate(load())}
    shape = np.array([index[name] for name in shard["shape"]])
    size = np.abs(np.array(SIZES) - shard["size"][:, None]).argmin(axis=1)

    def by_time(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, worlds, *array.shape[1:])

    goal = by_time(shard["goal"].astype(np.float64))
    pose = by_time(shard["pose"].astype(np.float64))
    fresh = np.ones(goal.shape[:2], dtype=bool)
    fresh[1:] = np.abs(goal[1:] - goal[:-1]).max(axis=2) > 1e-5
    start = pose[..., 3:].copy()
    for t in range(1, len(start)):
        start[t] = np.where(fresh[t][:, None], start[t], start[t - 1])
    flat = (-1, 4)
    body = shard["observation"][:, : 3 * ACTIONS].astype(np.float64)
    known = state(body, shard["gravity"], start.reshape(flat), goal.reshape(flat))
    left = orientations.angle(goal.reshape(flat), pose[..., 3:].reshape(flat))
    return Course(
        by_time(known),
        pose,
        by_time(shape * len(SIZES) + size),
        by_time(shape),
        goal,
        by_time(shard["action"]),
        by_time(np.abs(shard["toward"] - shard["goal"]).max(axis=1) < 1e-5),
        by_time(left < stop * tolerance),
        fresh,
    )


class Clouds:
    """What is seen in a course, and the goal beside it."""

    def __init__(self, true: Surfaces, known: Surfaces) -> None:
        self.true, self.known = true, known

    def complete(self, course: Course, jitter: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """(T, W, 2 SEEN, POINT) from the whole surface, with other points each time."""
        chosen = rng.permutation(POINTS)[:SEEN]
        pose = course.pose.reshape(-1, 7)
        seen = self.true.seen(course.size.ravel(), pose[:, :3], pose[:, 3:])[:, chosen]
        return self._pair(course, seen + jitter * rng.normal(size=seen.shape), visible=False)

    def rendered(
        self, course: Course, points: NDArray[np.float16], count: np.ndarray, jitter: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """The same from points (T, W, KEPT, 3) m that a camera saw, the first `count` (T, W) of them."""
        flat = points.reshape(-1, KEPT, 3).astype(np.float64)
        seen = np.stack([sample(row[:k], rng) for row, k in zip(flat, count.ravel().tolist(), strict=True)])
        moved = seen + jitter * rng.normal(size=seen.shape) * (seen != 0).any(axis=(1, 2), keepdims=True)
        return self._pair(course, moved, visible=True)

    def _pair(self, course: Course, seen: F64, visible: bool) -> NDArray[np.float32]:
        goal = goal_points(self.known, course.shape.ravel(), course.goal.reshape(-1, 4), visible)
        return pair(seen, goal).reshape(*course.goal.shape[:2], 2 * SEEN, POINT)


def render(course: Course, rng: np.random.Generator, threads: int = 1) -> tuple[NDArray[np.float16], np.ndarray]:
    """Points (T, W, KEPT, 3) [m] that the depth camera sees of the things, and how many of them (T, W) count."""
    from toolwright.policies.palm.eye import TaskEyes
    from toolwright.policies.palm.twin import PalmTwin
    from toolwright.sim.object_shapes import scaled

    moments, worlds = course.goal.shape[:2]
    shapes, used = load(), np.unique(course.size)
    things = [scaled(shapes[i // len(SIZES)], SIZES[i % len(SIZES)]) for i in used.tolist()]
    hands: Any = PalmTwin(things, worlds, nthread=threads)
    eyes, everyone = TaskEyes(hands, rng), np.arange(worlds)
    points, count = np.zeros((moments, worlds, KEPT, 3), np.float16), np.zeros((moments, worlds), dtype=np.intp)
    for t in range(moments):
        q = (course.known[t, :, :ACTIONS] / 2 + HOME).astype(np.float64)  # as measured
        pose = course.pose[t]
        hands.begin(everyone, np.searchsorted(used, course.size[t]), q, q, pose[:, :3], pose[:, 3:])
        for w, cloud in enumerate(eyes.cloud(everyone, q)):
            kept = cloud if len(cloud) <= KEPT else cloud[rng.choice(len(cloud), KEPT, replace=False)]
            points[t, w, : len(kept)], count[t, w] = kept, len(kept)
    return points, count
