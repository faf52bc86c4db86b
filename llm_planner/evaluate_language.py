"""Evaluation of the whole stack: a task's sentence, a drawn scene, full contact physics, a verdict on the true state.

Failures are sorted as RoboTool does (tool use, logic, numbers), and by what a robot adds: perception and control.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import Cause, Model
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.run.record import RunRecord
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.evaluation.scene_goals import check, draw, missed, tasks, truth
from toolwright.policies.evaluation.statistics import wilson

TARGET = 0.95
PAGE = Path("runs/eval/language")
FIRST_SEED = 2_000_000  # scenes of evaluations are drawn from seeds that nothing else uses


@dataclass(frozen=True)
class Episode:
    """One run, judged on the true state."""

    task: str
    seed: int
    success: bool
    cause: str  # empty where it succeeded
    reason: str
    seconds: float  # s of robot time
    planning: float  # s of wall-clock time in the four roles


def evaluate(
    episodes: int = 50,
    seed: int = 0,
    target: float = TARGET,
    task: str | None = None,
    roles: str = "offline",
    processes: int = 2,
    folder: Path = PAGE,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Runs every task and counts.

    Args:
        episodes: of each task.
        seed: the same seed gives the same episodes, whatever `processes`.
        target: success rate that every task has to reach.
        task: one task only: a shipped scene with a sentence and a goal, or one's own scene file.
        roles: what fills the four roles; so far `offline`.
        processes: that share the episodes.
        folder: where to write `index.html`.
        report: called with a line of progress after every episode.

    Raises:
        SceneError: no such scene, or one without sentence and goal.
        ValueError: unknown roles.
    """
    if task is not None:
        check(task)
    if roles != "offline":
        raise ValueError(f"unknown roles '{roles}': so far there is 'offline'")
    names = (task,) if task is not None else tasks()
    jobs = [(name, FIRST_SEED + 100_000 * seed + i, roles) for name in names for i in range(episodes)]
    done: list[Episode] = []
    start = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(max(1, min(processes, len(jobs)))) as pool:
        for episode in pool.imap(_job, jobs):
            done.append(episode)
            report(_progress(done, len(jobs), time.monotonic() - start))
    groups = tuple(_group(name, [one for one in done if one.task == name]) for name in names)
    failures = tuple(
        Failure(one.seed, f"{one.task}, {one.cause}: {one.reason}", {"seconds": one.seconds})
        for one in done
        if not one.success
    )
    passed = all(group.success_rate >= target for group in groups)
    result = EvalReport(len(done), sum(one.success for one in done), target, passed, failures, groups)
    _write(folder, result, done, seed, roles)
    return result


def run(task: str, seed: int, model: Model) -> Episode:
    """One episode."""
    world = draw(task, seed)
    before = truth(world)
    record = run_sentence(
        world.spec.sentence,
        actions=world.actions,
        perception=world.perception,
        model=model,
        report=lambda event: None,
        options=Options(copy=None),
    )
    wrong = missed(world, before)
    cause = "" if not wrong else _cause(record)
    reason = "" if not wrong else f"{record.reason.rstrip('.')}; in truth {wrong}"
    return Episode(task, seed, not wrong, cause, reason, float(world.data.time), record.timings.planning)


def _cause(record: RunRecord) -> Cause:
    """The kind of mistake that a run failed by."""
    if record.repairs:
        return record.repairs[-1].diagnosis.cause
    if record.status == "refused":
        return "tool use"
    if record.status == "rejected" or all(skill.success for skill in record.skills):
        return "logic"
    return "numbers" if record.skills[-1].refused else "control"


def _job(job: tuple[str, int, str]) -> Episode:
    task, seed, _ = job
    return run(task, seed, OfflineModel())


def _group(name: str, episodes: list[Episode]) -> Group:
    measured = {
        "seconds": sum(one.seconds for one in episodes) / len(episodes),
        "planning_ms": 1e3 * max(one.planning for one in episodes),
    }
    return Group(name, len(episodes), sum(one.success for one in episodes), measured)


def _progress(done: list[Episode], total: int, elapsed: float) -> str:
    last, share = done[-1], sum(one.success for one in done) / len(done)
    left = (total - len(done)) * elapsed / len(done)
    verdict = "ok" if last.success else f"{last.cause}: {last.reason}"
    return f"{last.task} seed {last.seed}: {verdict}. {len(done)}/{total}, {left:.0f} s left, success {share:.3f}"


def _write(folder: Path, result: EvalReport, done: list[Episode], seed: int, roles: str) -> None:
    from toolwright.policies.evaluation.web_page import Page

    command = f"toolwright eval language --episodes {result.groups[0].n} --seed {seed}"
    page = Page("Tasks from a sentence", f"Roles filled by {roles}; full contact physics. Made by: {command}")
    page.table([_row(group, [one for one in done if one.task == group.name]) for group in result.groups])
    if failed := [one for one in done if not one.success]:
        page.heading("Failures")
        page.table([{"task": one.task, "seed": one.seed, "cause": one.cause, "reason": one.reason} for one in failed])
    page.save(folder / "index.html")


def _row(group: Group, episodes: list[Episode]) -> dict[str, object]:
    low, high = wilson(group.successes, group.n)
    causes = Counter(one.cause for one in episodes if one.cause)
    return {
        "task": group.name,
        "success": f"{group.successes} of {group.n}",
        "95 % interval": f"{low:.1%} to {high:.1%}",
        "robot time": f"{group.measured['seconds']:.0f} s",
        "slowest plan": f"{group.measured['planning_ms']:.0f} ms",
        "causes": ", ".join(f"{cause} {n}" for cause, n in causes.items()),
    }
