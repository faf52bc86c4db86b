"""How much faster a tool is learned by a policy that already holds all the others: curves, and the ratio of steps.

No feedback stands beneath these policies: with the controller's, one that does nothing is nearly as good as the best.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.training import checkpoint
from toolwright.policies.training.config import PPOConfig, TrainConfig, held_tool, held_tools
from toolwright.policies.training.curve import Point
from toolwright.policies.training.resumable import ROOT
from toolwright.policies.training.train import Training
from toolwright.sim.models.tools import family
from toolwright.sim.tasks.held_tool import HeldToolConfig

SHARE = 0.9  # of what learning from nothing gains, at which steps are counted
LAST = 3  # evaluations at the end that count as what a training reached
EVALUATIONS = 15  # of each training
EXPLORATION = -1.6  # log of the actions' standard deviation
STARTS = {"after the other tools": "shared", "from nothing": ""}


@dataclass(frozen=True)
class TransferReport:
    """Environment steps until success has risen by `SHARE` of what learning from nothing gains."""

    tool: str
    seeds: int
    steps: dict[str, float]  # by start; infinite if it was never reached
    ratio: float
    folder: str


def main(
    tool: str,
    seeds: int = 3,
    steps: int = 150_000,
    shared_steps: int = 600_000,
    show: Callable[[str], None] | None = None,
    **common: Any,
) -> TransferReport:
    """Trains a policy of all tools but one, then that one, after it and from nothing. A second call goes on.

    Args:
        tool: the family that is left out.
        seeds: trainings of each kind.
        steps: of each of them.
        shared_steps: of the policy of the other tools.
        show: called with lines of progress.
        **common: values of every `TrainConfig`, such as `envs`.

    Raises:
        ToolError: unknown family.
    """
    folder = ROOT / "transfer" / family(tool).name
    each, ppo = HeldToolConfig(tool=tool, shape=True, alone=True), PPOConfig(log_std=EXPLORATION)
    config = replace(held_tools(), ppo=ppo)
    task = replace(config.task, without=tool, each=each)
    _run("others", _with(config, common, task=task, steps=shared_steps), folder / "shared", show)
    often = steps // EVALUATIONS
    one = replace(
        held_tool(), task=each, ppo=ppo, steps=steps, evaluate_every=often, evaluation_worlds=256, video=False
    )
    curves: dict[str, list[list[Point]]] = {}
    for title, start in STARTS.items():
        start = str(folder / start) if start else ""
        configs = [_with(one, common, seed=seed, start=start) for seed in range(1, seeds + 1)]
        curves[title] = [_run(title, c, folder / f"{title.replace(' ', '_')}_{c.seed}", show) for c in configs]
    _write(curves, folder / "curves.csv")
    reached = steps_to_gain(curves)
    _plot(curves, reached, tool, folder / "curves.png")
    ratio = reached["from nothing"] / max(reached["after the other tools"], one.envs * one.ppo.rollout)
    return TransferReport(tool, seeds, reached, ratio, str(folder))


def _with(config: TrainConfig, common: dict[str, Any], **values: Any) -> TrainConfig:
    return replace(config, **(values | common))


def _run(title: str, config: TrainConfig, folder: Path, show: Callable[[str], None] | None) -> list[Point]:
    """The curve of a training, which is taken from its checkpoint if it is complete."""
    state = checkpoint.load(folder) if (folder / checkpoint.NEWEST).is_file() else None
    if state is None or state["steps"] < config.steps:
        Training(title, state["config"] if state else config, folder, state, show).run()
        state = checkpoint.load(folder)
    return list(state["curve"])


def steps_to_gain(curves: dict[str, list[list[Point]]]) -> dict[str, float]:
    """Environment steps by start, read from the curves' mean over seeds, linear between evaluations."""
    nothing = _mean(curves["from nothing"], "success")
    aim = nothing[0] + SHARE * (nothing[-LAST:].mean() - nothing[0])
    reached = {}
    for title, runs in curves.items():
        mean, at = _mean(runs, "success"), np.array([point.steps for point in runs[0]], dtype=float)
        above = np.flatnonzero(mean >= aim)
        if not len(above):
            reached[title] = float("inf")
            continue
        i = above[0]
        reached[title] = float(np.interp(aim, mean[i - 1 : i + 1], at[i - 1 : i + 1])) if i else 0.0
    return reached


def _mean(runs: list[list[Point]], name: str) -> F64:
    shortest = min(len(run) for run in runs)
    return np.mean([[getattr(point, name) for point in run[:shortest]] for run in runs], axis=0)


def _write(curves: dict[str, list[list[Point]]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "seed", *Point._fields])
        for title, runs in curves.items():
            writer.writerows([title, seed, *point] for seed, run in enumerate(runs, 1) for point in run)


def _plot(curves: dict[str, list[list[Point]]], reached: dict[str, float], tool: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    labels = {"returned": "mean return of an episode", "success": "success"}
    for axes, (name, label) in zip(figure.subplots(1, 2), labels.items(), strict=True):
        for (title, runs), color in zip(curves.items(), ("#1f6f8b", "#b3432b"), strict=True):
            for run in runs:
                axes.plot(
                    [p.steps / 1000 for p in run], [getattr(p, name) for p in run], color=color, lw=0.6, alpha=0.5
                )
            mean = _mean(runs, name)
            axes.plot([p.steps / 1000 for p in runs[0][: len(mean)]], mean, color=color, lw=2, label=title)
            if name == "success" and np.isfinite(reached[title]):
                axes.axvline(reached[title] / 1000, color=color, lw=1, ls=":")
        axes.set(xlabel="environment steps (thousands)", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize="small")
    figure.suptitle(f"Learning to hold the {tool}, which the shared policy never saw", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
