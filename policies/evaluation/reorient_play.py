"""Episodes of turning an object in the hand: played, judged, and kept on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.evaluation.held_tool import rng_for
from toolwright.policies.palm.planner import Planner, PlannerConfig
from toolwright.policies.weights import Actor
from toolwright.sim.models.physics import CONTROL_PERIOD, SUBSTEPS
from toolwright.sim.tasks.reorient import ReorientTask

PLANNING = 7  # purpose of the planner's stream
WATCHED = 24  # worlds whose motion is kept for videos
Control = Callable[[ReorientTask, np.ndarray], F64]  # actions in the active worlds


class Columns:
    """Arrays whose rows belong together."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after the other."""
        names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class Judged(Columns):
    """Episodes, arrays (N,). Times [s] are of the first goal, infinite where it never happened."""

    settled: F64
    touched: F64
    dropped: F64
    error: F64  # rad, at the end
    family: np.ndarray
    shape: np.ndarray
    spin: F64  # rad/s, fastest of the object
    joint_speed: F64  # rad/s, fastest of any joint
    declared: F64  # s: when the controller said that it is done; infinite where never, or where it says nothing
    row: np.ndarray  # goals settled in a row until one was missed

    @property
    def success(self) -> np.ndarray:
        """(N,) bool: settled."""
        return np.isfinite(self.settled)

    def cause(self, i: int) -> str:
        """Why episode `i` failed, in plain words."""
        if np.isfinite(self.dropped[i]):
            return "dropped"
        if np.isfinite(self.declared[i]):
            return "called done in the wrong place"
        return "reached but did not come to rest" if np.isfinite(self.touched[i]) else "not reached in time"


@dataclass(frozen=True)
class Looks(Columns):
    """Every look of a camera, in the order of time for each episode, arrays (M,); what is true beside what was said."""

    world: np.ndarray  # which episode
    turn: F64  # rad, error of the pose seen
    shift: F64  # m, likewise
    good: np.ndarray  # the picture could be fitted
    truth: F64  # rad, true error to the goal
    rest: np.ndarray  # object and joints are truly at rest
    stop: np.ndarray  # the hand is told to hold still

    @classmethod
    def of(cls, log: Mapping[str, np.ndarray], first: int) -> Looks:
        """Those of a `policies.palm.control.Log`, whose first world is the episode `first`."""
        return cls(log["world"] + first, *(log[f.name] for f in fields(cls)[1:]))


@dataclass
class Watch:
    """What the first WATCHED worlds did, for videos."""

    goals: F64 = field(default_factory=lambda: np.zeros((0, 4)))
    states: list[F64] = field(default_factory=list)  # (WATCHED, nq) after every control step


@dataclass(frozen=True)
class Piece:
    """Some episodes of a condition."""

    judged: Judged
    looks: Looks | None = None  # of a controller that sees by camera

    @classmethod
    def joined(cls, parts: Sequence[Piece]) -> Piece:
        """One after the other."""
        looks = [part.looks for part in parts if part.looks is not None]
        return cls(Judged.joined([part.judged for part in parts]), Looks.joined(looks) if looks else None)


class Kept:
    """Pieces in a folder, written as they end, so that a run that was stopped goes on. Without one nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, first: int, count: int) -> Piece | None:
        """The episodes from `first` on, where they were played before."""
        if self._folder is None or not (path := self._path(first, count)).is_file():
            return None
        with np.load(path) as file:
            return Piece(
                Judged(*(file[f"judged.{f.name}"] for f in fields(Judged))),
                Looks(*(file[f"looks.{f.name}"] for f in fields(Looks))) if "looks.turn" in file.files else None,
            )

    def keep(self, piece: Piece, first: int) -> None:
        """Writes a piece, atomically."""
        if self._folder is None:
            return
        path = self._path(first, len(piece.judged.settled))
        arrays = {f"judged.{name}": array for name, array in vars(piece.judged).items()}
        if piece.looks is not None:
            arrays |= {f"looks.{name}": array for name, array in vars(piece.looks).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez_compressed(temporary, **arrays)
        os.replace(temporary, path)

    def _path(self, first: int, count: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{first:05d}_{count}.npz"


def learned(actor: Actor) -> Control:
    """Control by a policy."""

    def control(task: ReorientTask, active: np.ndarray) -> F64:
        seen = task.observe()
        return np.where(active[:, None], actor.act(*seen.values()), 0.0)

    return control


def planned(task: ReorientTask, config: PlannerConfig, seed: int) -> Control:
    """Control by the planner, made for this task."""
    planner = Planner(task, config, rng_for(seed, PLANNING), task.batch.nthread)

    def control(task: ReorientTask, active: np.ndarray) -> F64:
        return planner.act(active & ~task.stopped)

    return control


def judge(
    task: ReorientTask,
    control: Control,
    report: Callable[[str], None] = lambda line: None,
    pause: float = 15.0,
    watch: Watch | None = None,
    goals: int = 1,
) -> Judged:
    """Plays an episode in every world, which is left alone once its object has settled or dropped.

    With several goals each follows the one before in the same world, until one is missed.

    A controller that has `declared` (N,) bool says itself when it is done: then a world is left alone, and what counts
    is whether its object has settled at that moment.

    Args:
        task: freshly made; is reset.
        control: what to do.
        report: called with a line of progress.
        pause: s of wall-clock time between two lines.
        watch: gets the motion of the first worlds.
        goals: most of them in a row; more than one need a task that renews them.
    """
    n = task.n
    task.reset(np.arange(n))
    if watch is not None:
        watch.goals = task.goal[:WATCHED].copy()
    settled, touched, dropped = np.full(n, np.inf), np.full(n, np.inf), np.full(n, np.inf)
    error, spin, joints = task.error(), np.zeros(n), np.zeros(n)
    declared, says = np.full(n, np.inf), getattr(control, "declared", None)
    active, row = np.ones(n, dtype=bool), np.zeros(n, dtype=np.intp)
    said = time.monotonic()
    for step in range(task.horizon * goals):
        task.act(control(task, active))
        task.batch.step(np.flatnonzero(active), nstep=SUBSTEPS)
        task.sense()
        info, now = task.measure(), (step + 1) * CONTROL_PERIOD
        lost = active & (task.failed(info) | ~np.isfinite(info["error"]))
        first = active & (row == 0)
        dropped[first & lost] = now
        touched[first & (info["touched"] > 0)] = np.minimum(touched, now)[first & (info["touched"] > 0)]
        done = active & ~lost & (info["settled"] > 0)
        if says is not None:
            declared[active & ~lost & says] = now
            done &= says
        settled[first & done] = now
        row += done
        error = np.where(first, info["error"], error)
        spin = np.where(active, np.maximum(spin, info["spin"]), spin)
        joints = np.where(active, np.maximum(joints, info["joint_speed"]), joints)
        active &= ~lost & ~np.isfinite(declared) & (row < goals) & (task.age < task.horizon)
        if watch is not None:
            watch.states.append(task.qpos[:WATCHED].copy())
        if time.monotonic() - said > pause:
            said = time.monotonic()
            report(f"  {now:.1f} s: {np.isfinite(settled).sum()} settled, {np.isfinite(dropped).sum()} dropped of {n}")
        if not active.any():
            break
    shapes = [task.shapes[v // task.sizes] for v in task.variant]
    names = np.array([shape.name for shape in shapes]), np.array([shape.family for shape in shapes])
    return Judged(settled, touched, dropped, error, names[1], names[0], spin, joints, declared, row)
