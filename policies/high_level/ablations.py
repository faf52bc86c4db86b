"""What each part of the upper level's training is worth: the same short training with one part changed, three seeds."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies.high_level.config import PickTrainConfig, SACConfig
from toolwright.policies.high_level.train import PickTraining
from toolwright.policies.training import checkpoint
from toolwright.policies.training.resumable import ROOT, TrainReport
from toolwright.sim.tasks.pick import PickConfig

FOLDER = ROOT / "pick_ablations"
SEEDS = (1, 2, 3)
HEAD = ("variant", "seed", "actions", "success", "tool_lost", "success_exploring")


def base() -> PickTrainConfig:
    """The policy acts alone here: a residual would have the heuristic in it, replay or not.

    The actor starts as a clone, long enough trained to pick, and is guided: it opens the tips by 0.6 mm where it is off
    by 0.05.
    """
    return PickTrainConfig(
        sac=SACConfig(batch=128, offline=400, cloned=8000),
        demonstrations=96,
        steps=7_680,
        envs=32,
        threads=1,
        evaluate_every=1_920,
        evaluation_worlds=48,
        checkpoint_every=30.0,
    )


def variants() -> dict[str, PickTrainConfig]:
    """The whole system first; then one part changed at a time."""
    whole = base()
    return {
        "whole": whole,
        "no replay of the heuristic": replace(whole, demonstrations=0),
        "camera's errors": replace(whole, task=PickConfig(state="assumed")),
        "flat": replace(whole, task=PickConfig(flat=True)),
    }


def run(show: Callable[[str], None], folder: Path = FOLDER) -> TrainReport:
    """Runs what is missing, seed by seed, and draws what is there; the same command goes on after Ctrl-C.

    Args:
        show: takes lines of progress.
        folder: for everything.
    """
    jobs = [(name, seed) for seed in SEEDS for name in variants()]
    for i, (name, seed) in enumerate(jobs):
        config = replace(variants()[name], seed=seed)
        place = folder / f"{name.replace(' ', '_').replace(chr(39), '')}_{seed}"
        state = _state(place, config)
        if state is not None and state["steps"] >= config.steps:
            continue
        show(f"{i + 1}/{len(jobs)}: {name}, seed {seed}\n")
        PickTraining(f"pick, {name}", config, place, state, show).run()
        draw(folder)
    rows = draw(folder)
    last = [row["success"] for row in rows if row["variant"] == "whole" and row["actions"] >= base().steps]
    return TrainReport("pick_ablations", len(jobs) * base().steps, float(np.mean(last or [0.0])), str(folder))


def _state(place: Path, config: PickTrainConfig) -> dict[str, Any] | None:
    """Of an earlier run with this very configuration."""
    if not (place / checkpoint.NEWEST).is_file():
        return None
    state = checkpoint.load(place)
    return state if state["config"] == config else None


def draw(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Writes `curves.csv` and `curves.png` of all runs that are there, and returns the rows."""
    rows: list[dict[str, Any]] = []
    for name, config in variants().items():
        for seed in SEEDS:
            place = folder / f"{name.replace(' ', '_').replace(chr(39), '')}_{seed}"
            if (state := _state(place, replace(config, seed=seed))) is not None:
                points = [(p.steps, p.success, p.dropped, p.exploring) for p in state["curve"]]
                rows += [dict(zip(HEAD, (name, seed, *point), strict=True)) for point in points]
    temporary = folder / ".curves.csv.tmp"
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEAD)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, folder / "curves.csv")
    plot(rows, folder / "curves.png")
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Success over actions: mean of the seeds, and their spread."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, color in zip(variants(), ("#1f6f8b", "#b3432b", "#d59a2b", "#6b7280"), strict=True):
        mine = [row for row in rows if row["variant"] == name]
        if not mine:
            continue
        steps = sorted({row["actions"] for row in mine})
        found = [np.array([row["success"] for row in mine if row["actions"] == at]) for at in steps]
        mean = np.array([f.mean() for f in found])
        seeds = len({row["seed"] for row in mine})
        axes.plot(steps, mean, color=color, marker="o", ms=3, label=f"{name} ({seeds} seeds)")
        axes.fill_between(steps, [f.min() for f in found], [f.max() for f in found], color=color, alpha=0.15, lw=0)
    axes.set(xlabel="actions of all worlds", ylabel="success", ylim=(-0.02, 1.02))
    axes.set_title("Each line: mean of the seeds; band: lowest to highest", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc=(0.02, 0.46))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
