"""Labels for a teacher: what the planner would do, on states that the planner, or a student, brings about.

One shard after the other goes into a folder, each made from the seed and its own number alone: a run that was stopped
goes on at the first shard that is missing, and several machines can share the numbers among them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from toolwright.policies.palm.planner import Planner, PlannerConfig
from toolwright.policies.weights import Actor
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.randomize_reorient import SIZES
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

ROOT = Path("runs/plan-data/reorient")


@dataclass(frozen=True)
class DataConfig:
    """What a shard holds."""

    task: ReorientConfig = field(default_factory=ReorientConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    worlds: int = 16
    steps: int = 64  # control steps of a shard
    noise: float = 0.3  # standard deviation on the actions carried out: states beside the planner's own path
    student_share: float = 0.7  # of worlds and moments that a student, where there is one, moves the hand
    threads: int = 0  # of the physics; 0: all cores


@dataclass(frozen=True)
class DataReport:
    """What is in the folder now."""

    shards: int
    labels: int
    settled: int  # goals, in the shards made by this run
    dropped: int
    folder: str


def generate(
    folder: Path,
    shards: int,
    seed: int = 0,
    config: DataConfig | None = None,
    student: Actor | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> DataReport:
    """Makes the shards that are missing.

    Args:
        folder: where they are, or shall be.
        shards: how many there shall be in all.
        seed: of all of them.
        config: what a shard holds.
        student: moves the hand in a share of the time; the planner labels its states (DAgger, arXiv 1011.0686).
        report: called with a line of progress.
    """
    config = config or DataConfig()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(shards) if not _path(folder, i).exists()]
    begun, settled, dropped, made = time.monotonic(), 0, 0, 0
    for done, i in enumerate(missing, 1):
        arrays = _shard(np.random.default_rng([seed, i]), config, student)
        settled, dropped = settled + int(arrays["settled"]), dropped + int(arrays["dropped"])
        made += len(arrays["action"])
        temporary = folder / f".shard_{i:05d}.tmp"
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, _path(folder, i))
        rate = (time.monotonic() - begun) / done
        left = rate * (len(missing) - done)
        report(
            f"{shards - len(missing) + done}/{shards} shards  {made / (rate * done):,.1f} labels/s  "
            f"{int(left // 3600)}:{int(left // 60 % 60):02d} h left  {settled} goals settled, {dropped} dropped"
        )
    count = sum(len(np.load(_path(folder, i))["action"]) for i in range(shards))
    return DataReport(shards, count, settled, dropped, str(folder))


def _path(folder: Path, i: int) -> Path:
    return folder / f"shard_{i:05d}.npz"


def _shard(rng: np.random.Generator, config: DataConfig, student: Actor | None) -> dict[str, np.ndarray]:
    task = ReorientTask(config.task, config.worlds, rng, config.threads)
    task.frozen = True
    task.cone[:] = rng.uniform(0, config.task.palm[1]) if config.task.palm[1] > 0 else 0.0
    everyone = np.arange(task.n)
    task.reset(everyone)
    planner = Planner(task, config.planner, rng, config.threads)
    labels: list[dict[str, np.ndarray]] = []
    settled = dropped = 0
    for step in range(config.steps):
        seen, state = task.observe(), _state(task)
        action = planner.act()
        if step % config.planner.every == 0:
            done = {"action": action, "spread": planner.spread, "toward": planner.goal}
            labels.append(_short({"observation": seen["observation"], **state, **done}))
            theirs = rng.random(task.n) < config.student_share if student is not None else np.zeros(task.n, bool)
        moved = action + config.noise * rng.normal(size=action.shape)
        if student is not None:
            moved = np.where(theirs[:, None], student.act(*seen.values()), moved)
        task.act(moved)
        task.batch.step(nstep=SUBSTEPS)
        task.sense()
        info = task.measure()
        settled += int(info["settled"].sum())
        lost = task.failed(info) | ~np.isfinite(info["error"])
        dropped += int(lost.sum())
        ended = np.flatnonzero(lost | (task.age >= task.horizon))
        if len(ended):
            # Their next planning is due with everybody's: labels stay in step.
            task.reset(ended)
    joined = {name: np.concatenate([label[name] for label in labels]) for name in labels[0]}
    return joined | {"settled": np.array(settled), "dropped": np.array(dropped)}


def _state(task: ReorientTask) -> dict[str, np.ndarray]:
    """Where everything is, one row for each world: what a cloud can be seen from later."""
    names = np.array([task.shapes[v // task.sizes].name for v in task.variant])
    size = np.array(SIZES if task.sizes > 1 else (1.0,))[task.variant % task.sizes]
    what = {"world": np.arange(task.n), "shape": names, "size": size}
    return what | {"pose": task.qpos[:, 16:], "gravity": task.gravity, "goal": task.goal}


def _short(label: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A copy in single precision."""
    return {name: a.astype(np.float32) if a.dtype == np.float64 else a.copy() for name, a in label.items()}
