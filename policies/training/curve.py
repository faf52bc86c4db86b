"""Learning curves: one line of block characters in the terminal, a plot in the folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_BLOCKS = " ▁▂▃▄▅▆▇█"


class Point(NamedTuple):
    """One evaluation of a training. Shares of episodes."""

    steps: int
    success: float  # of the deterministic policy
    dropped: float
    exploring: float  # success in training itself, with exploration noise: what learning changes first
    returned: float = float("nan")  # mean sum of rewards of the deterministic policy's episodes


def spark(curve: Sequence[Point], width: int = 30) -> str:
    """The last `width` successes while exploring, as block characters between bars."""
    tail = [point.exploring for point in curve][-width:]
    return "|" + "".join(_BLOCKS[round(s * (len(_BLOCKS) - 1))] for s in tail) + "|"


def plot_scores(scores: Sequence[tuple[int, str, dict[str, float]]], path: Path, title: str) -> None:
    """Writes how well actions and stops of a distillation are foretold, over epochs, as a picture.

    Args:
        scores: epoch, stage, and what was counted on labels kept aside; see `policies.training.student`.
        path: of the picture.
        title: above it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    epochs = [epoch for epoch, _, _ in scores]
    found = [s["right to stop"] / max(s["right to stop"] + s["missed"], 1) for _, _, s in scores]
    sure = [s["right to stop"] / max(s["right to stop"] + s["stopped wrongly"], 1) for _, _, s in scores]
    for name, values in (
        ("R² of actions", [s["R^2 of actions"] for _, _, s in scores]),
        ("stops found", found),
        ("stops that are right", sure),
    ):
        axes.plot(epochs, values, marker="o", label=name)
    first = [epoch for epoch, stage, _ in scores if stage == scores[0][1]]
    if len(first) < len(scores):
        axes.axvline(first[-1], color="gray", linestyle=":", label="rendered clouds from here on")
    axes.set(xlabel="epochs", ylabel="on labels kept aside", ylim=(-0.1, 1.02), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def plot(curve: Sequence[Point], path: Path, title: str) -> None:
    """Writes success and drops over environment steps as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    steps, success, drops, exploring, _ = zip(*curve, strict=True)
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.plot([s / 1000 for s in steps], success, marker="o", label="success")
    axes.plot([s / 1000 for s in steps], exploring, marker=".", label="success while exploring")
    axes.plot([s / 1000 for s in steps], drops, marker=".", label="dropped")
    axes.set(xlabel="environment steps (thousands)", ylabel="share of episodes", ylim=(-0.02, 1.02), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
