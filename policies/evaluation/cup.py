"""Evaluation of whole runs: a bead anywhere on the table, picked up with the tweezers and dropped into a cup.

An episode succeeds if the bead rose by `LIFTED` and stayed up for `HELD` seconds while the arm moved on, and then came
to rest inside the cup. Both are judged on the simulation's true state; the robot itself acts on noisy measurements.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool.tool_use import ToolUse
from toolwright.policies.world import SimulatedWorld, simulate
from toolwright.sim.perception import StateNoise
from toolwright.sim.robot import SimulationDiverged
from toolwright.sim.scene import load_scene, sample
from toolwright.sim.scene_spec import Cup, Sphere

TARGET = 0.90
LIFTED, HELD = 0.10, 2.0  # m, s
# Scenes of evaluations are drawn from seeds that nothing else uses. `toolwright do --seed` shows one again.
FIRST_SEED, SEEDS_APART = 1_000_000, 100_000
CLEARANCE, SQUEEZE = 0.006, 0.004  # m: tips around the bead before, and commanded below its width, as the planner asks
_LIFT = 0.115  # m, asked for: more than is judged, since the tips may sag
_DROP_HEIGHT = 0.02  # m above the rim
_ASIDE = 0.12  # m that the arm carries the bead before it turns to the cup
_MARGIN = 0.05  # m that this stays away from the workspace's sides
_AT_REST = 0.01  # m/s
_SIZES = (0.002, 0.004, 0.006, 0.008)  # m, radii between which results are counted apart

State = Literal["privileged", "exact"]
Controller = Literal["learned", "closed_form"]


@dataclass(frozen=True)
class Episode:
    """One run, judged."""

    seed: int
    success: bool
    cause: str  # empty where it succeeded
    radius: float  # m
    seconds: float  # s of robot time
    measured: dict[str, float]


def evaluate(
    episodes: int = 200,
    seed: int = 0,
    target: float = TARGET,
    scene: str = "bead",
    controller: Controller = "learned",
    state: State = "privileged",
    processes: int = 2,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Runs and counts.

    Args:
        episodes: how many.
        seed: the same seed gives the same episodes, one by one, whatever `processes`.
        target: success rate below which the evaluation counts as missed.
        scene: with objects `bead`, a sphere, and `cup`.
        controller: of the hand.
        state: what the robot sees: the true state with a sensor's noise, or the exact one.
        processes: that share the episodes.
        report: called with a line of progress after every episode.

    Raises:
        SceneError: no such scene.
        ValueError: a scene without bead or cup.
    """
    objects = load_scene(scene).objects
    if not isinstance(objects.get("bead"), Sphere) or not isinstance(objects.get("cup"), Cup):
        raise ValueError(f"scene '{scene}' needs a sphere 'bead' and a cup 'cup' to be evaluated")
    seeds = [FIRST_SEED + SEEDS_APART * seed + i for i in range(episodes)]
    jobs = [(one, scene, controller, state) for one in seeds]
    done: list[Episode] = []
    start = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(max(1, min(processes, episodes))) as pool:
        for episode in pool.imap(_job, jobs):
            done.append(episode)
            report(_progress(done, episodes, time.monotonic() - start))
    failures = tuple(Failure(e.seed, e.cause, e.measured) for e in done if not e.success)
    successes = sum(e.success for e in done)
    return EvalReport(episodes, successes, target, successes / episodes >= target, failures, tuple(_groups(done)))


def run(seed: int, scene: str = "bead", controller: Controller = "learned", state: State = "privileged") -> Episode:
    """One episode."""
    world = simulate(
        sample(load_scene(scene), np.random.default_rng(seed)),
        np.random.default_rng((seed, 1)),
        controller,
        StateNoise() if state == "privileged" else None,
    )
    bead = world.spec.objects["bead"]
    assert isinstance(bead, Sphere)
    judge = Judge(world)
    world.robot.on_step = judge.watch
    try:
        cause = _act(world, bead.radius) or judge.end()
    except SimulationDiverged as error:
        cause = f"simulation diverged: {error}"
    seconds = world.robot.read().stamp
    measured = {"radius": bead.radius, "seconds": seconds, "risen": judge.highest, "held": judge.held}
    return Episode(seed, not cause, cause, bead.radius, seconds, measured)


class Judge:
    """Watches the true state during an episode."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world, self._rest = world, _bead(world)[2]
        self._since: float | None = None
        self.held = 0.0  # s, longest time that the bead was up
        self.highest = 0.0  # m above where it lay

    def watch(self, data: mujoco.MjData) -> None:
        """Called by the robot while time goes on."""
        risen = float(_bead(self._world)[2] - self._rest)
        self.highest = max(self.highest, risen)
        if risen < LIFTED:
            self._since = None
            return
        self._since = data.time if self._since is None else self._since
        self.held = max(self.held, data.time - self._since)

    def end(self) -> str:
        """What is wrong with the state after the last action; empty for nothing."""
        data, cup = self._world.data, self._world.spec.objects["cup"]
        assert isinstance(cup, Cup)
        away = _bead(self._world) - data.joint("cup").qpos[:3]
        speed = float(np.linalg.norm(data.joint("bead").qvel[:3]))
        if self.held < HELD:
            return f"not held: the bead was up for {self.held:.1f} s only"
        if np.hypot(*away[:2]) > cup.inner_diameter / 2 or abs(away[2]) > cup.height / 2:
            where = f"{np.hypot(*away[:2]) * 1e3:.0f} mm from its axis, {away[2] * 1e3:.0f} mm above its middle"
            return f"missed the container: the bead is not in the cup: {where}"
        return "" if speed < _AT_REST else f"not at rest: the bead still moves at {speed * 1e3:.0f} mm/s"


def _act(world: SimulatedWorld, radius: float) -> str:
    """Pick, carry aside, drop: the reason of the first action that failed, empty where none did."""
    actions, box = world.actions, world.spec.workspace
    assert isinstance(actions, ToolUse)  # the scene has a bead for the tweezers in the hand
    lower, upper = np.array(box.lower[:2]) + _MARGIN, np.array(box.upper[:2]) - _MARGIN
    x, y, _ = _bead(world)
    aside = np.clip([x, y - np.copysign(_ASIDE, y - (lower[1] + upper[1]) / 2)], lower, upper)
    height = world.spec.table.height + _LIFT + 0.01
    steps: tuple[Callable[[], Outcome], ...] = (
        lambda: actions.pick("bead", 2 * radius + CLEARANCE, max(2 * radius - SQUEEZE, 0.0), _LIFT),
        lambda: actions.move_tips(float(aside[0]), float(aside[1]), height),
        lambda: actions.drop_in("bead", "cup", _DROP_HEIGHT),
    )
    for step in steps:
        outcome = step()
        if not outcome.success:
            return outcome.reason
    return ""


def _bead(world: SimulatedWorld) -> F64:
    return world.data.joint("bead").qpos[:3].copy()


def _job(job: tuple[int, str, Controller, State]) -> Episode:
    return run(*job)


def _progress(done: list[Episode], episodes: int, elapsed: float) -> str:
    rate, share = len(done) / elapsed, sum(e.success for e in done) / len(done)
    left = (episodes - len(done)) / rate
    return f"cup {len(done)}/{episodes}, {60 * rate:.0f} episodes/min, {left:.0f} s left, success {share:.3f}"


def _groups(done: list[Episode]) -> list[Group]:
    groups = []
    for low, high in zip(_SIZES[:-1], _SIZES[1:], strict=True):
        some = [e for e in done if low <= e.radius < high or (high == _SIZES[-1] and e.radius == high)]
        if some:
            name = f"radius {low * 1e3:g} to {high * 1e3:g} mm"
            seconds = float(np.mean([e.seconds for e in some]))
            groups.append(Group(name, len(some), sum(e.success for e in some), {"seconds": seconds}))
    return groups
