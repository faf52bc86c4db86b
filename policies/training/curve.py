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
