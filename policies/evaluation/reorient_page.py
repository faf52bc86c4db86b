"""The page on turning objects in the hand: rates with intervals, how they grow with time, where the videos are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies.evaluation.reorient_conditions import Condition
from toolwright.policies.evaluation.reorient_play import Judged, Looks, Piece
from toolwright.policies.evaluation.report import EvalReport, Group
from toolwright.policies.evaluation.web_page import Page

_COLORS = ("#1f6f8b", "#b3432b", "#7fb3c4", "#d9a441", "#5a6775", "#8f6bb3")


OFF = 0.4  # rad
CAUSES = ("dropped", "not reached in time", "reached but did not come to rest", "called done in the wrong place")


def write(
    result: EvalReport,
    label: str,
    played: Mapping[Condition, Piece],
    horizon: float,
    command: str,
    folder: Path,
    videos: Mapping[Condition, Path],
) -> Path:
    """Writes `index.html`, and returns its path.

    Args:
        result: of the evaluation.
        label: who turned the object; the names of the result's groups begin with it.
        played: the episodes.
        horizon: s for a goal.
        command: that remakes the page.
        folder: where to.
        videos: below it, where those of each condition are.
    """
    page = Page(
        "Turning an object in the hand",
        f"One object in the hand, goals drawn uniformly from all rotations, {horizon:g} s for each. "
        f"Turned by: {label}. Made by: {command}",
    )
    groups = {group.name.removeprefix(f"{label}, "): group for group in result.groups}
    page.figure(_growth(played, horizon), "share of episodes that have settled, against time")
    page.heading("Settled, touched, dropped")
    page.table([_row(condition.title, groups[condition.title]) for condition in played])
    seen = {condition: piece.looks for condition, piece in played.items() if piece.looks is not None}
    if seen:
        page.heading("Stop predictor: what it said at every look, by where the object truly was")
        page.table([row for condition, looks in seen.items() for row in _confusion(condition, looks)])
        page.heading("What the controller said in the end")
        page.table([_declared(condition, played[condition].judged) for condition in seen])
    tracked = {condition: looks for condition, looks in seen.items() if np.isfinite(looks.turn).all()}
    if tracked:  # a student knows of no pose
        page.heading("Tracker: error of the pose seen, at every look")
        page.table([_tracker(condition, looks) for condition, looks in tracked.items()])
    first = next(iter(played)).title
    families = {name.removeprefix(f"{first}, "): group for name, group in groups.items() if f"{first}, " in name}
    if families:
        page.heading(f"By family of shapes: {first}")
        page.table([_row(name, group) for name, group in families.items()])
    page.heading("Failures by cause")
    page.table([_causes(condition, piece.judged) for condition, piece in played.items()])
    for condition in played:
        if films := sorted(videos[condition].glob("*.mp4")):
            page.heading(f"Videos: {condition.title}")
            page.videos([path.relative_to(folder) for path in films])
    page.paragraph(
        "Settled: within the tolerance for 0.2 s while no joint is faster than 0.25 rad/s and the object slower than "
        "0.04 m/s and 0.5 rad/s. Touched: within it at any moment. Goals in a row: settled one after the other in "
        "one episode until one was missed; where an episode has one goal, its rate. Moderate physics are drawn anew "
        "for each episode: mass, friction, motors, latency, joint zeros, noise, pushes. The planner knows the true "
        "state, or by camera what a tracker makes of a depth camera's pictures, and then says itself when it is "
        "done; the learned policy sees the state with that noise; the student has joints and a cloud of the object, "
        "and says when it is done. Intervals are 95 % Wilson intervals. In videos the small copy in a corner shows "
        "the goal."
    )
    return page.save(folder / "index.html")


def _confusion(condition: Condition, seen: Looks) -> list[dict[str, object]]:
    """Looks by where the object truly was, and what the predictor said; how often the one is right about the other."""
    within = seen.truth < condition.tolerance
    places = {
        "within the tolerance, at rest": within & seen.rest,
        "within the tolerance, moving": within & ~seen.rest,
        "elsewhere": ~within,
    }
    return [
        {
            "condition": condition.title,
            "truly": place,
            "said: hold still": int((there & seen.stop).sum()),
            "said: go on": int((there & ~seen.stop).sum()),
            "held still": f"{(there & seen.stop).sum() / max(1, there.sum()):.1%}",
            "of all said to hold still": f"{(there & seen.stop).sum() / max(1, seen.stop.sum()):.1%}",
        }
        for place, there in places.items()
    ]


def _declared(condition: Condition, judged: Judged) -> dict[str, object]:
    said = np.isfinite(judged.declared)
    at_end, dropped = judged.error < condition.tolerance, np.isfinite(judged.dropped)
    return {
        "condition": condition.title,
        "said done, there and at rest": int((said & judged.success).sum()),
        "said done, elsewhere or moving": int((said & ~judged.success).sum()),
        "never said, there at the end": int((~said & ~dropped & at_end).sum()),
        "never said, elsewhere": int((~said & ~dropped & ~at_end).sum()),
        "dropped": int(dropped.sum()),
    }


def _tracker(condition: Condition, seen: Looks) -> dict[str, object]:
    last = np.array([seen.turn[seen.world == world][-1] for world in np.unique(seen.world)])
    return {
        "condition": condition.title,
        "looks": len(seen.turn),
        "turn, median": f"{np.median(seen.turn):.3f} rad",
        "turn, 95 %": f"{np.quantile(seen.turn, 0.95):.3f} rad",
        "place, median": f"{1e3 * np.median(seen.shift):.1f} mm",
        "place, 95 %": f"{1e3 * np.quantile(seen.shift, 0.95):.1f} mm",
        "without a fit": f"{1 - seen.good.mean():.1%}",
        f"episodes that end more than {OFF:g} rad off": f"{(last > OFF).sum()} of {len(last)}",
    }


def _causes(condition: Condition, judged: Judged) -> dict[str, object]:
    causes = [judged.cause(i) for i in np.flatnonzero(~judged.success).tolist()]
    return {"condition": condition.title} | {cause: causes.count(cause) for cause in CAUSES}


def _row(title: str, group: Group) -> dict[str, object]:
    low, high = group.interval_95
    measured = group.measured
    return {
        "condition": title,
        "N": group.n,
        "settled": f"{group.success_rate:.1%} ({low:.1%} to {high:.1%})",
        "within 10 s": f"{measured['within_10_s_rate']:.1%}",
        "touched": f"{measured['touched_rate']:.1%}",
        "dropped": f"{measured['drop_rate']:.1%}",
        "median time": f"{measured['median_seconds']:.1f} s" if np.isfinite(measured["median_seconds"]) else "-",
        "median of the fastest spin": f"{measured['median_spin']:.1f} rad/s",
        "goals in a row, mean": f"{measured['in_a_row']:.2f}",
    }


def _growth(played: Mapping[Condition, Piece], horizon: float) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, (condition, piece) in enumerate(played.items()):
        times = piece.judged.settled
        known = np.sort(times[np.isfinite(times)])
        share = np.arange(1, len(known) + 1) / len(times)
        x, y = np.concatenate([[0.0], known, [horizon]]), np.concatenate([[0.0], share, [len(known) / len(times)]])
        axes.step(x, y, where="post", color=_COLORS[i % len(_COLORS)], label=condition.title)
    axes.set(xlabel="s", ylabel="settled", ylim=(0, 1.02), xlim=(0, horizon))
    axes.legend(loc="lower right", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
