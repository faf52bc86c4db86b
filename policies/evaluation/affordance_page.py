"""The page that shows how well encoder and geometry see, with plots of their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolwright.perception.affordance.encoder import RIGHT
from toolwright.policies.evaluation.report import EvalReport
from toolwright.policies.evaluation.web_page import Page

_COLORS = ("#1f6f8b", "#c9843a")  # encoder, geometry
_LOST = 0.02  # m: larger errors are drawn here


def write(folder: Path, result: EvalReport, tools: Any, objects: Any, episodes: int, seed: int) -> Path:
    """Writes `index.html`.

    Args:
        folder: gets it.
        result: of the evaluation.
        tools: judged estimates of encoder and geometry.
        objects: the same of objects.
        episodes: clouds of each family.
        seed: of the clouds.

    Returns:
        The page's path.
    """
    page = Page(
        "What the affordance encoder sees",
        f"Depth images of held tools and of small objects that training never saw, {episodes} of each family of tools. "
        f"Encoder and plain geometry got the same clouds. Made by: toolwright eval affordance --episodes {episodes} "
        f"--seed {seed}",
    )
    groups = {group.name: group for group in result.groups}
    families = sorted(set(tools[0].kind.tolist()))
    page.heading("Held tools")
    page.table([row(groups[f"{name}, {judged.method}"]) for name in ("tools", *families) for judged in tools])
    page.paragraph(
        "Opening: between the working tips. Tip: distance of the point between the tips. All are told which tool it "
        "is, its dimensions and how the hand took it. Geometry is ICP of the tool from there, its opening searched. "
        "The encoder has the joint angles, too: it fits hand and tool, and a PointNet mends the fit. 'fit alone' is "
        "without the network. Time: median, of one core."
    )
    m = groups["tools, encoder"].measured
    page.paragraph(
        f"Confidence below 0.5: {m['another_tool_distrusted']:.1%} of clouds in which another tool is held than the "
        f"encoder is told, {m['no_tool_distrusted']:.1%} of clouds in which something that is no tool is near the hand."
    )
    page.figure(_errors(tools[:2], "opening"), "error of the opening against the opening")
    page.heading("Objects")
    kinds = sorted(set(objects[0].kind.tolist()))
    page.table([row(groups[f"{name}, {judged.method}"]) for name in ("objects", *kinds) for judged in objects])
    page.paragraph(
        "Width: along the closing direction that the method itself chose. Excess: how much wider the object is there "
        "than along its best level direction. Geometry is the smallest oriented box of the points and their shadows "
        "on the table. Nuts, cones, peanuts and corners are kinds that training never saw."
    )
    page.figure(_errors(objects, "width"), "error of the width against the width")
    page.heading("What the encoder says about itself")
    page.figure(_calibration(tools[0], objects[0]), "expected and true errors; confidence and share within 2 mm")
    page.paragraph(
        f"Left: estimates in eight groups by the error that the encoder expects. Right: by its confidence, the chance "
        f"that the estimate is within {1000 * RIGHT:.0f} mm. On the diagonal it is neither too bold nor too timid."
    )
    return page.save(folder / "index.html")


def is_object(group: Any) -> bool:
    """Whether a group is of objects, not of tools."""
    return "excess" in group.measured


def row(group: Any) -> dict[str, object]:
    """A group as a row of a table."""
    name, method = group.name.split(", ")
    m = group.measured
    low, high = group.interval_95
    what, place = ("width", "middle") if is_object(group) else ("opening", "tip")
    return {
        "object" if is_object(group) else "tool": name,
        "method": method,
        "N": group.n,
        f"{what}, mean": _mm(m["mean_error"]),
        "median": _mm(m["median_error"]),
        "p95": _mm(m["p95_error"]),
        "within 2 mm": f"{group.success_rate:.1%} ({low:.1%} to {high:.1%})",
        f"{place}, mean": _mm(m["place_error"]),
        f"{place}, median": _mm(m["place_error_median"]),
        **(
            {"excess, mean": _mm(m["excess"])}
            if is_object(group)
            else {"turn, mean": f"{np.rad2deg(m['turn_error']):.1f}°" if np.isfinite(m["turn_error"]) else ""}
        ),
        "time": f"{m['milliseconds']:.1f} ms" if np.isfinite(m["milliseconds"]) else "",
    }


def _mm(meters: float) -> str:
    return f"{1000 * meters:.2f} mm"


def _errors(parts: Any, what: str) -> Any:
    """Absolute errors against the truth, every estimate a dot, medians of ten groups as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, judged, color in zip(figure.subplots(1, 2, sharey=True), parts, _COLORS, strict=True):
        off = np.minimum(np.abs(np.nan_to_num(judged.error, nan=1.0)), _LOST)
        axes.scatter(1000 * judged.truth, 1000 * off, s=5, color=color, alpha=0.4, lw=0, rasterized=True)
        edges = np.quantile(judged.truth, np.linspace(0, 1, 11))
        which = np.clip(np.searchsorted(edges, judged.truth, side="right") - 1, 0, 9)
        filled = [i for i in range(10) if (which == i).any()]
        middle = [np.median(judged.truth[which == i]) for i in filled]
        typical = [np.median(off[which == i]) for i in filled]
        axes.plot(1000 * np.array(middle), 1000 * np.array(typical), color="#1d2733", lw=1.5, label="median")
        axes.axhline(1000 * RIGHT, color="#b3432b", lw=1, ls="--", label=f"{1000 * RIGHT:.0f} mm")
        axes.set(title=judged.method, xlabel=f"true {what} [mm]", yscale="symlog", ylim=(0, 1000 * _LOST * 1.05))
        axes.set_yscale("symlog", linthresh=1.0)
        axes.set_yticks([0, 1, 2, 5, 10, 20], ["0", "1", "2", "5", "10", "≥ 20"])
        axes.legend(fontsize="small", loc="upper left")
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel(f"error of the {what} [mm]", fontsize=10)
    return figure


def _calibration(tools: Any, objects: Any) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for judged, name, color in ((tools, "opening", _COLORS[0]), (objects, "width", "#5b8c3a")):
        off = np.abs(judged.error)
        said = np.flatnonzero(np.isfinite(judged.error))
        groups = np.array_split(said[np.argsort(judged.expected[said])], 8)
        expected = [1000 * judged.expected[g].mean() for g in groups if len(g)]
        left.plot(expected, [1000 * off[g].mean() for g in groups if len(g)], "o-", color=color, label=name, ms=4)
        groups = np.array_split(said[np.argsort(judged.confidence[said])], 8)
        confident = [judged.confidence[g].mean() for g in groups if len(g)]
        right.plot(confident, [(off[g] <= RIGHT).mean() for g in groups if len(g)], "o-", color=color, label=name, ms=4)
    limit = max(left.get_xlim()[1], left.get_ylim()[1])
    left.plot([0, limit], [0, limit], color="#9aa5b1", lw=1, ls="--")
    right.plot([0, 1], [0, 1], color="#9aa5b1", lw=1, ls="--")
    left.set(xlabel="expected error [mm]", ylabel="true error, mean [mm]")
    right.set(xlabel="confidence", ylabel="share within 2 mm", xlim=(0, 1.02), ylim=(0, 1.02))
    for axes in (left, right):
        axes.legend(fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    return figure
