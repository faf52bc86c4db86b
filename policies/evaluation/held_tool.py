"""Evaluation of the held-tool controllers: learned and closed-form on the same episodes, one episode in each world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.weights import Actor, load
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

# A seed alone is a training's stream; a spawn key beside it makes streams that no seed of a training can meet.
EVALUATION, SELECTION = 0, 1
TARGETS = {"moderate": (0.97, 0.01), "hard": (0.93, 0.03)}  # smallest success rate, largest share of drops
Control = Callable[[HeldToolTask], None]


@dataclass(frozen=True)
class Judged:
    """Episodes of a batch, each array (N,)."""

    success: np.ndarray
    dropped: np.ndarray
    measured: dict[str, np.ndarray]
    goal: np.ndarray
    returned: np.ndarray  # sum of rewards, until the tool was dropped

    def cause(self, i: int, config: HeldToolConfig) -> str:
        """Why episode `i` failed, in plain words."""
        if self.dropped[i]:
            return "dropped"
        if self.measured["moved"][i] >= config.moved:
            return "moved in the hand"
        if self.measured["turned"][i] >= config.turned:
            return "turned in the hand"
        return "opening off"


def learned(actor: Actor) -> Control:
    """Control by a policy."""

    def control(task: HeldToolTask) -> None:
        seen = task.observe()
        task.act(actor.act(seen["observation"], seen["achieved_goal"], seen["desired_goal"]))

    return control


def closed_form(task: HeldToolTask) -> None:
    """Control by the closed-form controller."""
    task.act_closed_form()


def judge(task: HeldToolTask, control: Control) -> Judged:
    """Plays one episode in every world. A dropped tool is put aside, so that it does not slow down the others."""
    everyone = np.arange(task.n)
    task.reset(everyone)
    start = task.qpos.copy()
    dropped, returned = np.zeros(task.n, dtype=bool), np.zeros(task.n)
    for _ in range(task.horizon):
        control(task)
        task.batch.step(nstep=SUBSTEPS)
        measured = task.measure()
        terms = task.reward(measured["opening"], task.goal, measured)
        returned += np.where(dropped, 0.0, np.nan_to_num(sum(terms.values())))
        dropped |= task.failed(measured)
        task.qpos[dropped], task.qvel[dropped] = start[dropped], 0.0
        task.sense()
    measured = task.measure()
    return Judged(task.success(measured) & ~dropped, dropped, measured, task.goal.copy(), returned)


def rng_for(seed: int, purpose: int = EVALUATION) -> np.random.Generator:
    """The stream of an evaluation with this seed, or of the selection of a training's best policy."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose,)))


def evaluate(
    episodes: int = 1000,
    seed: int = 0,
    target: float | None = None,
    tool: str = "tweezers",
    actor: Actor | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Learned policy and closed-form controller under moderate and hard randomization, both parts of the family.

    Args:
        episodes: of each condition and controller.
        seed: of the episodes.
        target: success rate to reach; by default each level has its own. The share of drops has a limit in any case.
        tool: the family.
        actor: weights to use instead of the shipped ones.
        report: called with a line of progress.

    Raises:
        WeightsError: no weights.
    """
    controls = {"learned": learned(actor or load(f"held_tool/{tool}")), "closed form": closed_form}
    groups, failures = [], []
    for level in TARGETS:
        for part in ("held_out", "train"):
            for name, control in controls.items():
                config = HeldToolConfig(tool=tool, part=part, level=level)
                judged = judge(HeldToolTask(config, episodes, rng_for(seed)), control)
                drops = float(judged.dropped.mean())
                title = f"{name}, {level}, {part.replace('_', '-')}"
                groups.append(Group(title, episodes, int(judged.success.sum()), {"drop_rate": drops}))
                report(f"{title}: {judged.success.mean():.3f}, drops {drops:.3f}")
                if name == "learned" and part == "held_out":
                    failures += [
                        Failure(i, f"{level}: {judged.cause(i, config)}", _numbers(judged, i))
                        for i in np.flatnonzero(~judged.success).tolist()
                    ]
    counted = [g for g in groups if g.name.startswith("learned") and g.name.endswith("held-out")]
    passed = all(_reached(g, target) for g in counted)
    n, successes = sum(g.n for g in counted), sum(g.successes for g in counted)
    lowest = min(rate for rate, _ in TARGETS.values()) if target is None else target
    return EvalReport(n, successes, lowest, passed, tuple(failures), tuple(groups))


def _reached(group: Group, target: float | None) -> bool:
    level = next(level for level in TARGETS if level in group.name)
    rate, drops = TARGETS[level]
    return group.success_rate >= (rate if target is None else target) and group.measured["drop_rate"] <= drops


def _numbers(judged: Judged, i: int) -> dict[str, float]:
    return {
        "goal": float(judged.goal[i]),
        "error": float(judged.measured["opening"][i] - judged.goal[i]),
        "moved": float(judged.measured["moved"][i]),
        "turned": float(judged.measured["turned"][i]),
    }
