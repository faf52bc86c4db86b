"""The page on turning objects in the hand: rates with intervals, how they grow with time, where the videos are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.evaluation.report import EvalReport, Group
from toolwright.policies.evaluation.web_page import Page

_COLORS = ("#1f6f8b", "#b3432b", "#7fb3c4", "#d9a441", "#5a6775", "#8f6bb3")


@dataclass
class Looks:
    """Every look of a condition's episodes: how far the tracker was off, and what the stop predictor said."""

    turn: list[F64] = field(default_factory=list)  # rad
    shift: list[F64] = field(default_factory=list)  # m
    good: list[np.ndarray] = field(default_factory=list)
    last: list[F64] = field(default_factory=list)  # rad, error at the last look of each episode
    within: list[np.ndarray] = field(default_factory=list)  # truly within the tolerance
    stop: list[np.ndarray] = field(default_factory=list)

    def add(self, log: Mapping[str, np.ndarray], tolerance: float) -> None:
        """Takes in the log of some episodes (`policies/palm_control.py`)."""
        for name in ("turn", "shift", "good", "stop"):
            getattr(self, name).append(log[name])
        self.within.append(log["truth"] < tolerance)
        world = log["world"]
        self.last.append(np.array([log["turn"][world == w][-1] for w in np.unique(world)]))

    def tracker(self, title: str) -> dict[str, object]:
        """A row on the tracker."""
        turn, shift, last = np.concatenate(self.turn), np.concatenate(self.shift), np.concatenate(self.last)
        return {
            "condition": title.split(", ", 1)[1],
            "looks": len(turn),
            "turn, median": f"{np.median(turn):.3f} rad",
            "turn, 95 %": f"{np.quantile(turn, 0.95):.3f} rad",
            "place, median": f"{1e3 * np.median(shift):.1f} mm",
            "place, 95 %": f"{1e3 * np.quantile(shift, 0.95):.1f} mm",
            "looks without a fit": f"{1 - np.concatenate(self.good).mean():.1%}",
            f"episodes that end more than {OFF:g} rad off": f"{(last > OFF).sum()} of {len(last)}",
        }

    def confusion(self, title: str) -> dict[str, object]:
        """A row on the stop predictor."""
        within, stop = np.concatenate(self.within), np.concatenate(self.stop)
        return {
            "condition": title.split(", ", 1)[1],
            "there, told to hold still": int((within & stop).sum()),
            "there, not told": int((within & ~stop).sum()),
            "not there, told to hold still": int((~within & stop).sum()),
            "not there, not told": int((~within & ~stop).sum()),
            "precision": f"{(within & stop).sum() / max(1, stop.sum()):.1%}",
            "recall": f"{(within & stop).sum() / max(1, within.sum()):.1%}",
        }


OFF = 0.4  # rad


def write(
    result: EvalReport,
    settled: Mapping[str, F64],
    horizon: float,
    command: str,
    folder: Path,
    looks: Mapping[str, Looks] | None = None,
) -> Path:
    """Writes `index.html`, and returns its path.

    Args:
        result: of the evaluation.
        settled: of each condition, by its title: when its episodes settled (N,) [s], infinite where never.
        horizon: s for an episode.
        command: that remakes the page.
        folder: where to; videos are below.
        looks: of each condition that was played by camera.
    """
    page = Page(
        "Turning an object in the hand",
        f"One object in the hand, one goal orientation drawn uniformly from all rotations, palm up, {horizon:g} s. "
        f"Made by: {command}",
    )
    page.figure(_growth(settled, horizon), "share of episodes that have settled, against time")
    page.heading("Settled, touched, dropped")
    page.table([_row(group) for group in result.groups if group.name in settled])
    if looks:
        page.heading("Tracker: error of the pose seen, at every look")
        page.table([seen.tracker(title) for title, seen in looks.items()])
        page.heading("Stop predictor: looks, by where the object truly was")
        page.table([seen.confusion(title) for title, seen in looks.items()])
    page.heading("Held-out shapes by family, nominal physics")
    page.table([_row(group) for group in result.groups if "nominal, held-out, 0.4 rad, " in group.name])
    page.heading("Failures by cause")
    causes = [failure.cause.split(": ")[-1] for failure in result.failures]
    page.table([{"cause": cause, "episodes": causes.count(cause)} for cause in sorted(set(causes))])
    videos = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.mp4"))]
    if videos:
        page.heading("Videos")
        page.paragraph(f"Beside this page: {', '.join(videos)}. The small copy in a corner shows the goal.")
    page.paragraph(
        "Settled: within the tolerance for 0.2 s while no joint is faster than 0.25 rad/s and the object slower than "
        "0.04 m/s and 0.5 rad/s. Touched: within it at any moment. Moderate physics are drawn anew for each episode: "
        "mass, friction, motors, latency, joint zeros, noise, pushes. The planner knows the true state, or by camera "
        "what a tracker makes of a depth camera's pictures, and then says itself when it is done; a policy sees the "
        "state with that noise. Intervals are 95 % Wilson intervals."
    )
    return page.save(folder / "index.html")


def _row(group: Group) -> dict[str, object]:
    low, high = group.interval_95
    measured = group.measured
    return {
        "condition": group.name.split(", ", 1)[1],
        "N": group.n,
        "settled": f"{group.success_rate:.1%} ({low:.1%} to {high:.1%})",
        "touched": f"{measured['touched_rate']:.1%}",
        "dropped": f"{measured['drop_rate']:.1%}",
        "median time": f"{measured['median_seconds']:.1f} s" if np.isfinite(measured["median_seconds"]) else "-",
        "median of the fastest spin": f"{measured['median_spin']:.1f} rad/s",
    }


def _growth(settled: Mapping[str, F64], horizon: float) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, (title, times) in enumerate(settled.items()):
        known = np.sort(times[np.isfinite(times)])
        share = np.arange(1, len(known) + 1) / len(times)
        x, y = np.concatenate([[0.0], known, [horizon]]), np.concatenate([[0.0], share, [len(known) / len(times)]])
        axes.step(x, y, where="post", color=_COLORS[i % len(_COLORS)], label=title.split(", ", 1)[1])
    axes.set(xlabel="s", ylabel="settled", ylim=(0, 1.02), xlim=(0, horizon))
    axes.legend(loc="lower right", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
