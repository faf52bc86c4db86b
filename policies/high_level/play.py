"""Episodes of the pick task, one in each world, played by the heuristic or a policy, and judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.high_level.actor import HighLevelActor
from toolwright.policies.high_level.env import combine, with_plan
from toolwright.policies.high_level.heuristic import Heuristic
from toolwright.sim.tasks.pick import PERIOD, PickTask

Policy = Callable[[PickTask, Heuristic], F64]  # -> actions; the heuristic is there for those that build on it
BARELY = 0.02  # m that an object rose at most where it was not really lifted


@dataclass(frozen=True)
class Played:
    """Episodes, each array (N,)."""

    success: np.ndarray
    lost: np.ndarray
    thing: np.ndarray
    seconds: np.ndarray  # s until it had succeeded, or to the end
    measured: dict[str, np.ndarray]

    def cause(self, i: int, lifted: float) -> str:
        """Why episode `i` failed, in plain words."""
        m = {key: float(value[i]) for key, value in self.measured.items()}
        if m["lost"]:
            return "tool lost"
        if not np.isfinite(m["highest"]):
            return "simulation diverged"
        if m["away"] > 0.03 and m["highest"] < BARELY:
            return "knocked away"
        if m["highest"] < BARELY:
            return "missed"
        if m["highest"] < lifted:
            return "slipped while lifting"
        if m["risen"] < lifted:
            return "dropped while moving"
        return "timed out"


def heuristic(task: PickTask, plan: Heuristic) -> F64:
    """The heuristic alone."""
    return plan.act(task.goal)


def learned(actor: HighLevelActor) -> Policy:
    """A policy, alone or on top of the heuristic."""

    def act(task: PickTask, plan: Heuristic) -> F64:
        seen = task.interface.observe()
        if not actor.residual:
            return actor.act(seen, task.goal)
        planned = plan.act(task.goal)
        return combine(actor.act(with_plan(seen, planned, plan.phase), task.goal), planned, actor.residual)

    return act


def play(task: PickTask, policy: Policy, stop: Callable[[], bool] = lambda: False) -> Played:
    """Plays one episode in every world. Where it has succeeded, or the tool is lost, time stands still."""
    everyone = np.arange(task.n)
    task.active = None
    task.reset(everyone)
    plan = Heuristic(task.interface, task.tool.pad_length, not task.errors.blind)
    start = task.object_pos().copy()
    done, seconds = np.zeros(task.n, dtype=bool), np.full(task.n, task.horizon * PERIOD)
    success, lost = np.zeros(task.n, dtype=bool), np.zeros(task.n, dtype=bool)
    kept: dict[str, np.ndarray] = {}
    for k in range(task.horizon):
        task.act(policy(task, plan))
        task.advance()
        broken = ~np.isfinite(task.qpos).all(axis=1)
        task.qpos[broken], task.qvel[broken] = task.qpos[~broken][:1], 0.0
        task.sense()
        now = task.measure() | {"away": np.linalg.norm((task.object_pos() - start)[:, :2], axis=1)}
        now["highest"] = np.where(broken, np.nan, now["highest"])
        kept = {key: np.where(done, kept.get(key, value), value) for key, value in now.items()}  # type: ignore[misc]
        ends = ~done & (task.success(now) | task.failed(now) | broken)
        success |= ends & task.success(now) & ~task.failed(now) & ~broken
        lost |= ends & task.failed(now)
        seconds[ends] = (k + 1) * PERIOD
        done |= ends
        task.active = np.flatnonzero(~done)
        if done.all() or stop():
            break
    task.active = None
    return Played(success, lost, task.thing.copy(), seconds, kept)
