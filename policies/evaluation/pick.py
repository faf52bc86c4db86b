"""Evaluation of the upper level: 24 small objects picked with tweezers, the learned policy beside the heuristic.

Both play the same episodes. What was played is written down in pieces, so that the same command goes on after Ctrl-C;
other code or other weights play anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from toolwright.policies.evaluation import source
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.evaluation.statistics import wilson
from toolwright.policies.evaluation.web_page import Page
from toolwright.policies.high_level import actor as actors
from toolwright.policies.high_level import demonstrations
from toolwright.policies.high_level.env import make_task
from toolwright.policies.high_level.play import Played, Policy, heuristic, learned, play
from toolwright.policies.weights import WeightsError
from toolwright.sim.models.small_objects import small_objects
from toolwright.sim.tasks.pick import PickConfig

State = Literal["privileged", "camera", "assumed", "exact"]
STATES = ("privileged", "camera", "assumed", "exact")
TARGETS = {"privileged": 0.95, "camera": 0.90, "assumed": 0.90, "exact": 0.95}
ROOT = Path("runs/eval/pick")
ROUND = 10  # episodes of each object that are played at once
PURPOSE = 5  # of the random stream, beside those of `held_tool.py`
LEARNED, HEURISTIC = "learned", "heuristic"
# Code and weights that an episode depends on: where these change, it is played anew. The first ones with a camera only.
_SEEING = (
    "perception/affordance/align.py",
    "perception/affordance/clouds.py",
    "perception/affordance/encoder.py",
    "perception/affordance/hand.py",
    "perception/affordance/tool_features.py",
    "perception/affordance/tool_model.py",
    "perception/affordance/weights/object.onnx",
    "perception/affordance/weights/tool.onnx",
    "perception/generate_tool_model.py",
    "perception/generate_views.py",
    "policies/high_level/camera_eyes.py",
    "sim/camera.py",
)
_DEPENDS = (*demonstrations.DEPENDS, "policies/high_level/actor.py", "policies/high_level/play.py")


@dataclass(frozen=True)
class Episodes:
    """Counted episodes of one policy, each array (N,)."""

    thing: np.ndarray
    success: np.ndarray
    seconds: np.ndarray
    cause: np.ndarray  # words, empty where it succeeded


def evaluate(
    episodes_per_object: int = 50,
    seed: int = 0,
    target: float | None = None,
    state: State = "privileged",
    folder: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Plays and counts.

    Args:
        episodes_per_object: of each policy.
        seed: the same seed gives the same episodes to both policies.
        target: success rate to reach, seen and held-out objects apart; by default each state has its own.
        state: what is measured: the truth with a sensor's noise, what a camera's images show, the truth with errors
            that are assumed for a camera, or the truth exactly.
        folder: for the page and the pieces; by default under runs/eval/pick.
        report: called with a line of progress.
    """
    folder = folder or ROOT / state
    least = TARGETS[state] if target is None else target
    policies: dict[str, Policy] = {}
    try:
        policies[LEARNED] = learned(actors.load())
    except WeightsError as error:
        report(str(error))
    policies[HEURISTIC] = heuristic
    played = {
        name: _all(name, policy, episodes_per_object, seed, state, folder, report) for name, policy in policies.items()
    }
    groups = tuple(group for name, episodes in played.items() for group in _groups(name, episodes))
    who = LEARNED if LEARNED in played else HEURISTIC
    judged = played[who]
    failures = tuple(
        Failure(i, f"{small_objects()[judged.thing[i]].name}: {judged.cause[i]}", {"seconds": float(judged.seconds[i])})
        for i in np.flatnonzero(~judged.success).tolist()
    )
    counted = [group for group in groups if group.name in (f"{who}, seen", f"{who}, held-out")]
    passed = all(group.success_rate >= least for group in counted)
    result = EvalReport(len(judged.success), int(judged.success.sum()), least, passed, failures, groups)
    report(f"report: {_page(result, played, episodes_per_object, seed, state, folder)}")
    return result


def _all(
    name: str, policy: Policy, count: int, seed: int, state: State, folder: Path, report: Callable[[str], None]
) -> Episodes:
    """All episodes of a policy, those of earlier runs read back."""
    parts: list[Episodes] = []
    key = _version(name, state)
    for first in range(0, count, ROUND):
        each = min(ROUND, count - first)
        path = folder / "pieces" / f"{name}_{seed}_{first}_{each}_{key}.npz"
        if path.is_file():
            with np.load(path) as file:
                parts.append(Episodes(**{k: file[k] for k in file.files}))
        else:
            parts.append(_round(policy, each, np.random.SeedSequence(seed, spawn_key=(PURPOSE, first)), state))
            _keep(parts[-1], path)
        so_far = np.concatenate([part.success for part in parts])
        report(f"{name}, {state}: {len(so_far)}/{24 * count} episodes, success {so_far.mean():.3f}")
    return _joined(parts)


def _round(policy: Policy, each: int, seeds: np.random.SeedSequence, state: State) -> Episodes:
    """The same number of episodes of every object, all at once."""
    count = len(small_objects())
    config = PickConfig(part="all", state=state)
    task = make_task(config, each * count, np.random.default_rng(seeds))
    task.assigned = np.arange(each * count) % count
    if state == "camera":
        from toolwright.perception.affordance import Affordance
        from toolwright.policies.high_level.camera_eyes import CameraEyes

        task.eyes = CameraEyes(task, Affordance.load(), np.random.default_rng(seeds.spawn(1)[0]))
    done: Played = play(task, policy)
    cause = np.array(["" if ok else done.cause(i, config.lifted) for i, ok in enumerate(done.success)])
    return Episodes(done.thing, done.success, done.seconds, cause)


def _keep(piece: Episodes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **vars(piece))
    os.replace(temporary, path)


def _joined(parts: list[Episodes]) -> Episodes:
    return Episodes(**{key: np.concatenate([getattr(p, key) for p in parts]) for key in vars(parts[0])})


def _version(name: str, state: State) -> str:
    """A digest of the code and the weights that an episode depends on."""
    own = (f"policies/weights/high_level/pick/{actors.FILE}",) if name == LEARNED else ()
    return source.digest((*(_SEEING if state == "camera" else ()), *_DEPENDS, *own))


# -- report -----------------------------------------------------------------------------------------------------------


def _groups(name: str, e: Episodes) -> list[Group]:
    things = small_objects()
    out = np.array([thing.held_out for thing in things])[e.thing]
    groups = [_group(f"{name}, seen", e, ~out), _group(f"{name}, held-out", e, out)]
    for i, thing in enumerate(things):
        part = "held-out" if thing.held_out else "seen"
        groups.append(_group(f"{name}, {part}, {thing.name}", e, e.thing == i))
    return groups


def _group(name: str, e: Episodes, rows: np.ndarray) -> Group:
    good = e.success & rows
    seconds = float(np.median(e.seconds[good])) if good.any() else float("nan")
    return Group(name, int(rows.sum()), int(good.sum()), {} if np.isnan(seconds) else {"seconds": seconds})


def _page(result: EvalReport, played: dict[str, Episodes], count: int, seed: int, state: State, folder: Path) -> Path:
    page = Page(
        f"Picking small objects with tweezers, state: {state}",
        f"{count} episodes of each of 24 objects, half of them never used in training. Made by: toolwright eval pick "
        f"--state {state} --episodes-per-object {count} --seed {seed}",
    )
    page.figure(_bars(played), "success by object")
    page.heading("Seen and held-out objects")
    page.table([_row(g) for g in result.groups if g.name.count(",") == 1])
    page.heading("By object")
    page.table([_row(g) for g in result.groups if g.name.count(",") == 2])
    page.heading("Failures by cause")
    causes = sorted({str(c) for e in played.values() for c in e.cause if c})
    page.table([{"cause": cause} | {n: int((e.cause == cause).sum()) for n, e in played.items()} for cause in causes])
    page.paragraph(
        "Success: the object was raised by 10 cm and stayed up for 2 s in a row while the tips went on by 5 cm. "
        "Judged on the simulation's true state. Intervals are 95 % Wilson intervals. Both policies play the same "
        "episodes: the same objects, places and frictions."
    )
    if state == "camera":
        page.paragraph(
            "Camera: a simulated D435 (1280x720, its noise, a calibration that is off by some 2 mm at the hand, joint "
            "zeros that are off by up to 0.03 rad) looks at the scene. The affordance encoder reads the object five "
            "times a second until the tips are before it, and the tool at every third look; in between the joints tell "
            "how the tool moves. Told: which tool it is, and where the object is at the start, to 6 mm."
        )
    if state == "assumed":
        page.paragraph(
            "Assumed: object and tool are measured with the errors that sim/pick_errors.py assumes for a camera, and "
            "an object between the tips is not seen. No image is made."
        )
    return page.save(folder / "index.html")


def _row(group: Group) -> dict[str, object]:
    who, part, *thing = group.name.split(", ")
    low, high = group.interval_95
    row: dict[str, object] = {"policy": who, "objects": part, **({"object": thing[0]} if thing else {})}
    median = group.measured.get("seconds")
    return row | {
        "N": group.n,
        "success": f"{group.success_rate:.1%} ({low:.1%} to {high:.1%})",
        "median time": f"{median:.1f} s" if median is not None else "",
    }


def _bars(played: dict[str, Episodes]) -> Any:
    from matplotlib.figure import Figure

    names = [thing.name + (" *" if thing.held_out else "") for thing in small_objects()]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots()
    colors = {LEARNED: "#1f6f8b", HEURISTIC: "#c9ced6"}
    for k, (who, episodes) in enumerate(played.items()):
        at = np.arange(len(names)) + 0.4 * (k - (len(played) - 1) / 2)
        found = [
            (int(episodes.success[episodes.thing == i].sum()), int((episodes.thing == i).sum())) for i in range(24)
        ]
        rates = np.array([good / n for good, n in found])
        errors = np.abs(np.array([wilson(*f) for f in found]).T - rates)
        axes.bar(at, rates, 0.38, yerr=errors, color=colors[who], label=who, capsize=1.5, error_kw={"lw": 0.8})
    axes.set(ylim=(0, 1.03), ylabel="success", title="* held out")
    axes.set_xticks(range(len(names)), names, rotation=55, ha="right", fontsize="small")
    axes.legend(loc="lower left", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
