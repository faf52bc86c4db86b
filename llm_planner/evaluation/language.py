"""Runs every task many times, with one model and one or all of its ablations, and counts.

Each episode is written down as it ends. A second run of the same code goes on with what is missing.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from toolwright.llm_planner.evaluation import ablations, page
from toolwright.llm_planner.evaluation.episode import FIRST_SEED, Episode, run
from toolwright.llm_planner.evaluation.kept import Kept
from toolwright.llm_planner.models import ModelChoice, opened, with_roles
from toolwright.llm_planner.roles import Model
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.evaluation.scene_goals import check, tasks

TARGET = 0.95
FOLDER = Path("runs/eval/language")
OFFLINE_MODEL = ModelChoice()


@dataclass(frozen=True)
class _Job:
    task: str
    roles: str
    seed: int


def evaluate(
    episodes: int = 50,
    seed: int = 0,
    target: float = TARGET,
    task: str | None = None,
    choice: ModelChoice = OFFLINE_MODEL,
    processes: int = 2,
    folder: Path = FOLDER,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Runs every task and counts.

    Args:
        episodes: of each task.
        seed: the same seed gives the same episodes, whatever `processes`.
        target: success rate that every task has to reach with the first set of roles; ablations are only compared.
        task: one task only: a shipped scene with a sentence and a goal, or one's own scene file.
        choice: the model, and its roles: one of `PIPELINES`, or `all`.
        processes: that share the episodes.
        folder: where `episodes.jsonl` and `index.html` are.
        report: called with a line of progress after every episode.

    Raises:
        SceneError: no such scene, or one without sentence and goal.
        ModelError: the model cannot be used as asked for.
        ValueError: roles that the model does not have.
        KeyboardInterrupt: after what was done is in the report.
    """
    if task is not None:
        check(task)
    names = (task,) if task is not None else tasks()
    pipelines = ablations.pipelines(choice)
    left_out = ablations.left_out(choice)
    for name, why in left_out.items():
        report(f"{name} is left out: {why}")
    with opened(with_roles(choice, pipelines[0])) as model:  # complains here, and not in every process
        label = model.name
    seeds = [FIRST_SEED + 100_000 * seed + i for i in range(episodes)]
    # Seed by seed: what is there after an interruption is spread evenly over the tasks.
    jobs = [_Job(name, roles, one) for roles in pipelines for one in seeds for name in names]
    kept = Kept(folder / "episodes.jsonl", label)
    there = {(name, *found): episode for name in names for found, episode in kept.load(name).items()}
    done = [there[key] for job in jobs if (key := (job.task, job.roles, job.seed)) in there]
    if done:
        report(f"{len(done)} of {len(jobs)} episodes of this version are in {kept.path} already")
    command = _command(episodes, seed, task, choice)

    def write(whole: bool) -> None:
        if done:
            done.sort(key=lambda it: (pipelines.index(it.roles), names.index(it.task), it.seed))
            page.write(folder, done, label, command, left_out, whole)

    missing = [job for job in jobs if (job.task, job.roles, job.seed) not in there]
    try:
        _run_all(missing, choice, processes, kept, done, len(jobs), report)
    except KeyboardInterrupt:
        report(f"stopped: {len(done)} of {len(jobs)} episodes are kept in {kept.path}; the same command goes on")
        write(whole=False)
        raise
    write(whole=True)
    return _counted(done, pipelines, names, target)


def _run_all(
    jobs: Sequence[_Job],
    choice: ModelChoice,
    processes: int,
    kept: Kept,
    done: list[Episode],
    total: int,
    report: Callable[[str], None],
) -> None:
    if not jobs:
        return
    start, before = time.monotonic(), len(done)
    context = multiprocessing.get_context("spawn")
    with context.Pool(max(1, min(processes, len(jobs))), _prepare, (choice,)) as pool:
        for episode in pool.imap_unordered(_perform, jobs):
            kept.add(episode)
            done.append(episode)
            left = (total - len(done)) * (time.monotonic() - start) / (len(done) - before)
            report(_progress(episode, done, total, left))


# -- in the processes ---------------------------------------------------------------------------------------------

_choice = OFFLINE_MODEL
_models: dict[str, Model] = {}
_open = ExitStack()


def _prepare(choice: ModelChoice) -> None:
    global _choice
    _choice = choice
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent: here it would end as a failed episode
    atexit.register(_open.close)


def _perform(job: _Job) -> Episode:
    if job.roles not in _models:
        _models[job.roles] = _open.enter_context(opened(with_roles(_choice, job.roles)))
    return run(job.task, job.seed, _models[job.roles], job.roles)


# -- counting -----------------------------------------------------------------------------------------------------


def _counted(done: Sequence[Episode], pipelines: Sequence[str], names: Sequence[str], target: float) -> EvalReport:
    groups = {
        (roles, name): _group(name if roles == pipelines[0] else f"{name}, {roles}", episodes)
        for roles in pipelines
        for name in names
        if (episodes := [it for it in done if (it.task, it.roles) == (name, roles)])
    }
    failures = tuple(
        Failure(it.seed, f"{it.task}{'' if it.roles == 'full' else f', {it.roles}'}, {it.cause}: {it.reason}")
        for it in done
        if not it.success
    )
    passed = all(group.success_rate >= target for (roles, _), group in groups.items() if roles == pipelines[0])
    return EvalReport(len(done), sum(it.success for it in done), target, passed, failures, tuple(groups.values()))


def _group(name: str, episodes: Sequence[Episode]) -> Group:
    measured = {
        "seconds": sum(it.seconds for it in episodes) / len(episodes),
        "planning_ms": 1e3 * max(it.planning for it in episodes),
        "first_motion_ms": 1e3 * max((it.first_motion or 0.0) for it in episodes),
        "overhead_ms": 1e3 * max((it.overhead or 0.0) for it in episodes),
    }
    measured |= {f"errors {kind}": times for kind, times in page.errors(episodes).items() if times}
    return Group(name, len(episodes), sum(it.success for it in episodes), measured)


def _progress(last: Episode, done: Sequence[Episode], total: int, left: float) -> str:
    share = sum(it.success for it in done) / len(done)
    verdict = "ok" if last.success else f"{last.cause}: {last.reason}"
    roles = "" if last.roles == "full" else f" {last.roles}"
    return (
        f"{last.task}{roles} seed {last.seed}: {verdict}. {len(done)}/{total}, {left:.0f} s left, success {share:.3f}"
    )


def _command(episodes: int, seed: int, task: str | None, choice: ModelChoice) -> str:
    words = [f"toolwright eval language --episodes {episodes} --seed {seed}"]
    words += [f"--task {task}"] if task is not None else []
    words += [f"--model {choice.model}"] if choice.model != OFFLINE_MODEL.model else []
    words += [f"--roles {choice.roles}"] if choice.roles != OFFLINE_MODEL.roles else []
    return " ".join(words)
