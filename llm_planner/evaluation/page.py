"""The report of an evaluation: success by task and by ablation, kinds of error, every failure with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from toolwright.llm_planner.evaluation.ablations import MEANING
from toolwright.llm_planner.evaluation.episode import Episode
from toolwright.llm_planner.roles import Cause
from toolwright.policies.evaluation.scene_goals import picture
from toolwright.policies.evaluation.statistics import wilson
from toolwright.policies.evaluation.web_page import Page

CAUSES: tuple[Cause, ...] = get_args(Cause)
NOTE = (
    "Tool use, logic and numbers are the kinds of error of RoboTool: the wrong tool or one where none is needed; steps "
    "that miss the goal; wrong numbers. Perception and control are what a robot adds."
)


def write(
    folder: Path, done: Sequence[Episode], model: str, command: str, left_out: dict[str, str], whole: bool
) -> Path:
    """Writes `index.html`, and returns its path.

    Args:
        folder: to write to.
        done: the episodes, at least one.
        model: that filled the roles.
        command: that remakes the page.
        left_out: ablations that the model does not have, with the reason.
        whole: whether all episodes are there that were asked for; else the page is quick and has no pictures.
    """
    tasks, roles = list(dict.fromkeys(it.task for it in done)), list(dict.fromkeys(it.roles for it in done))
    state = "" if whole else " Unfinished: the same command goes on."
    page = Page("Tasks from a sentence", f"Model: {model}. Full contact physics. Made by: {command}.{state}")
    for name in roles:
        page.heading("Success" if name == "full" else f"Success: {name}")
        page.paragraph(MEANING[name])
        page.table([row(task, [it for it in done if (it.task, it.roles) == (task, name)]) for task in tasks])
    if len(roles) > 1:
        page.heading("Ablations")
        page.table([{"task": task} | {name: _rate(done, task, name) for name in roles} for task in [*tasks, ""]])
    for name, why in left_out.items():
        page.paragraph(f"{name}: not to be had, {why}.")
    page.heading("Errors")
    page.paragraph(NOTE)
    page.table([{"roles": name, **errors([it for it in done if it.roles == name])} for name in roles])
    if failed := [it for it in done if not it.success]:
        page.table(
            [
                {"task": it.task, "roles": it.roles, "seed": it.seed, "kind": it.cause, "what happened": it.reason}
                for it in failed
            ]
        )
        first = failed[0]
        page.paragraph(
            f'To see one again: toolwright do "SENTENCE" --scene {first.task} --seed {first.seed} --video FILE'
        )
    if whole:
        page.heading("Scenes")
    for task in tasks if whole else ():
        if (drawn := picture(task, done[0].seed)) is not None:
            page.paragraph(task)
            page.picture(drawn, "image/jpeg", task)
    return page.save(folder / "index.html")


def errors(episodes: Sequence[Episode]) -> dict[str, int]:
    """How often each kind of error was the cause of a failure."""
    counted = Counter(it.cause for it in episodes if not it.success)
    return {kind: counted[kind] for kind in CAUSES}


def row(task: str, episodes: Sequence[Episode]) -> dict[str, object]:
    """What there is to say about a task's episodes, for people."""
    if not episodes:
        return {"task": task, "success": "not run yet"}
    n, good = len(episodes), sum(it.success for it in episodes)
    low, high = wilson(good, n)
    tools = Counter(it.tool or "none" for it in episodes)
    said: dict[str, object] = {
        "task": task,
        "success": f"{good} of {n}",
        "95 % interval": f"{low:.1%} to {high:.1%}",
        "tool": ", ".join(f"{name}" if len(tools) == 1 else f"{name} ({times})" for name, times in tools.most_common()),
        "errors": ", ".join(f"{kind} {times}" for kind, times in errors(episodes).items() if times),
        "robot time": f"{sum(it.seconds for it in episodes) / n:.0f} s",
        "planning": _times([it.planning for it in episodes]),
        "to first motion": _times([it.first_motion for it in episodes if it.first_motion is not None]),
        "sandbox, gate": _times([it.overhead for it in episodes if it.overhead is not None]),
    }
    if any(it.tokens for it in episodes):
        said["tokens"] = f"{sum(it.tokens for it in episodes) / n:,.0f}"
    return said


def _times(seconds: list[float]) -> str:
    """Median and slowest."""
    if not seconds:
        return ""
    ordered = sorted(1e3 * value for value in seconds)
    return f"{ordered[len(ordered) // 2]:.1f} ms, at most {ordered[-1]:.0f}"


def _rate(done: Sequence[Episode], task: str, roles: str) -> str:
    """Success of one task, or of all where it is empty, with some roles."""
    meant = [it for it in done if it.roles == roles and task in ("", it.task)]
    return f"{sum(it.success for it in meant) / len(meant):.2f} (N = {len(meant)})" if meant else ""
