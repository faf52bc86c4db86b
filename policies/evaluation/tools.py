"""Evaluation of the held-tool policies of every family under hard randomization, with a page to show to a colleague."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies.evaluation.held_tool import Judged, closed_form, judge, learned, rng_for
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.evaluation.web_page import Page
from toolwright.policies.weights import Actor, WeightsError, load
from toolwright.sim import grasp_bank
from toolwright.sim.models.tools import TOOLS, family
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

PAGE = Path("runs/eval/tools")
TARGETS = {"train": 0.95, "held_out": 0.90}  # smallest success rate of a policy under hard randomization
POLICIES = {"learned": "held_tool/{tool}", "shared": "held_tool/shared"}  # one for each tool, one for all
COLORS = {"learned": "#1f6f8b", "shared": "#7fb3c4", "closed form": "#c9ced6"}
DROPS = 0.03  # largest share of drops


def evaluate(
    episodes: int = 500,
    seed: int = 0,
    target: float | None = None,
    tool: str | None = None,
    folder: Path = PAGE,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Each tool's own policy, the policy shared by all, and the closed-form controller on the same episodes.

    Args:
        episodes: of each tool, part and controller.
        seed: of the episodes.
        target: success rate to reach; by default each part of a family has its own.
        tool: one family only.
        folder: where to write `index.html`.
        report: called with a line of progress.

    Raises:
        ToolError: unknown family.
        FileNotFoundError: `tool` has no grasps yet.
    """
    names = [family(tool).name] if tool else [name for name in TOOLS if (grasp_bank.FOLDER / f"{name}.npz").is_file()]
    groups, failures, passed = [], [], True
    for name in names:
        bank = grasp_bank.load(name)
        actors = _actors(name, report)
        for part, least in TARGETS.items():
            for controller, actor in actors.items():
                told = actor is not None and bool(actor.card.get("shape"))
                config = HeldToolConfig(tool=name, part=part, level="hard", shape=told)
                control = closed_form if actor is None else learned(actor)
                judged = judge(HeldToolTask(config, episodes, rng_for(seed), bank=bank), control)
                groups.append(_group(f"{name}, {part.replace('_', '-')}, {controller}", judged))
                report(f"{groups[-1].name}: {groups[-1].success_rate:.3f}, drops {judged.dropped.mean():.3f}")
                if controller == "learned":
                    bad = np.flatnonzero(~judged.success).tolist()
                    failures += [Failure(i, f"{name}, {part}: {judged.cause(i, config)}") for i in bad]
                    rate = least if target is None else target
                    passed &= bool(judged.success.mean() >= rate and judged.dropped.mean() <= DROPS)
        passed &= "learned" in actors
    counted = [group for group in groups if group.name.endswith("learned")]
    result = EvalReport(
        sum(group.n for group in counted),
        sum(group.successes for group in counted),
        min(TARGETS.values()) if target is None else target,
        passed and bool(counted),
        tuple(failures),
        tuple(groups),
    )
    report(f"report: {_page(result, names, episodes, seed, folder)}")
    return result


def _actors(name: str, report: Callable[[str], None]) -> dict[str, Actor | None]:
    """The policies that can hold this tool, and None for the closed-form controller.

    One that is told the tool's shape holds also a tool that it was not trained with.
    """
    actors: dict[str, Actor | None] = {}
    for controller, folder in POLICIES.items():
        try:
            actors[controller] = actor = load(folder.format(tool=name))
        except WeightsError as error:
            report(str(error))
            continue
        if name not in actor.card.get("tools", [name]):
            report(f"{name}, {controller}: held by a policy that was not trained with it")
    return {**actors, "closed form": None}


def _group(name: str, judged: Judged) -> Group:
    error = np.abs(judged.measured["opening"] - judged.goal)[~judged.dropped]
    measured = {"drop_rate": float(judged.dropped.mean()), "median_error": float(np.median(error))}
    return Group(name, len(judged.success), int(judged.success.sum()), measured)


def _page(result: EvalReport, names: list[str], episodes: int, seed: int, folder: Path) -> Path:
    page = Page(
        "Holding articulated tools",
        f"Each held tool was brought to a commanded opening and kept in the hand, {episodes} episodes each under hard "
        f"randomization. Made by: toolwright eval tools --episodes {episodes} --seed {seed}",
    )
    page.figure(
        _bars(result.groups, names), "success by tool: its own policy, the shared one, and the closed-form controller"
    )
    page.heading("Success and drops")
    page.table([_row(group) for group in result.groups])
    page.heading("Failures of the learned policy by cause")
    causes = [failure.cause for failure in result.failures]
    page.table([{"tool, part: cause": cause, "episodes": causes.count(cause)} for cause in sorted(set(causes))])
    page.paragraph(
        "Success: the opening stayed within 1.5 mm of the goal over the last 10 control steps, and the tool moved less "
        "than 2 cm and 0.4 rad in the hand. In half of the episodes the goal changes on the way, in half something "
        "pushes against the tips. Intervals are 95 % Wilson intervals. Held-out tools have dimensions that training "
        "never saw. The shared policy is told the tool's shape; it may have been trained without one of the families, "
        "as its card says."
    )
    return page.save(folder / "index.html")


def _row(group: Group) -> dict[str, object]:
    tool, part, controller = group.name.split(", ")
    low, high = group.interval_95
    return {
        "tool": tool,
        "part": part,
        "controller": controller,
        "N": group.n,
        "success": f"{group.success_rate:.1%} ({low:.1%} to {high:.1%})",
        "drops": f"{group.measured['drop_rate']:.1%}",
        "median error": f"{1000 * group.measured['median_error']:.2f} mm",
    }


def _bars(groups: tuple[Group, ...], names: list[str]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (part, least) in zip(figure.subplots(1, 2, sharey=True), TARGETS.items(), strict=True):
        for shift, (controller, color) in zip((-0.27, 0.0, 0.27), COLORS.items(), strict=True):
            found = {g.name: g for g in groups}
            shown = [found.get(f"{name}, {part.replace('_', '-')}, {controller}") for name in names]
            at = [i + shift for i, group in enumerate(shown) if group]
            rates = np.array([group.success_rate for group in shown if group])
            ends = np.array([group.interval_95 for group in shown if group]).reshape(-1, 2)
            errors = np.abs(ends.T - rates)
            axes.bar(at, rates, 0.26, yerr=errors, color=color, label=controller, capsize=2, error_kw={"lw": 1})
        axes.axhline(least, color="#b3432b", lw=1, ls="--", label=f"target {least:.0%}")
        axes.set(title=f"{part.replace('_', '-')} tools", ylim=(0, 1.02))
        axes.set_xticks(range(len(names)), names, rotation=20)
        axes.legend(loc="lower left", fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    return figure
