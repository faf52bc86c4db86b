"""Evaluation of the affordance encoder beside plain geometry: the same clouds of tools and objects training never saw.

Tools are the held-out parts of their families, objects the held-out part of the small things. Camera, sensor and the
robot's own errors are as `perception.generate_tools.ViewRange` declares them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.affordance import clouds
from toolwright.perception.affordance.clouds import CloudError
from toolwright.perception.affordance.directions import TILTS, closing
from toolwright.perception.affordance.encoder import RIGHT, Affordance
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.affordance.tool_model import ToolModel
from toolwright.policies.evaluation.report import EvalReport, Failure, Group

if TYPE_CHECKING:
    from toolwright.perception.generate_objects import ObjectView

PAGE = Path("runs/eval/affordance")
TARGETS = {"opening": 0.001, "opening_p95": 0.003, "tip": 0.003, "width": 0.002}  # m
MILLISECONDS = 10.0  # of one core for a frame
EVALUATION = 1  # purpose of a seed's streams
ENCODER, GEOMETRY, FIT = "encoder", "geometry", "fit alone"
DISTRUST = 0.5  # a confidence below it is distrust


@dataclass(frozen=True)
class Judged:
    """Estimates of one kind by one method, arrays (N,). Lengths in m; not finite where there was no estimate."""

    kind: np.ndarray  # family of the tool, or kind of the object
    method: str
    truth: F64  # opening or width
    error: F64  # signed, of it
    place: F64  # distance of the tip, or of the object's middle
    turn: F64  # rad, of the tip frame; of objects: m by which the chosen direction is wider than the best one
    expected: F64  # the estimate's own expectation of |error|
    confidence: F64
    seconds: F64  # of one core

    def right(self) -> np.ndarray:
        """(N,) bool: within `RIGHT`. No estimate is not right."""
        return np.abs(np.nan_to_num(self.error, nan=np.inf)) <= RIGHT


def evaluate(
    episodes: int = 100,
    seed: int = 0,
    target: float | None = None,
    folder: Path = PAGE,
    encoder: Affordance | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Encoder and geometry on the same clouds.

    Args:
        episodes: clouds of each family of tools, and as many of objects for each family.
        seed: of the clouds.
        target: share of estimates within 2 mm to reach instead of the usual targets on mean errors.
        folder: where to write `index.html`.
        encoder: instead of the shipped one.
        report: called with a line of progress.

    Raises:
        EncoderError: no encoder.
        RenderError: no OpenGL here.
    """
    from toolwright.perception.generate_tools import families
    from toolwright.policies.evaluation.affordance_page import write

    encoder = encoder or Affordance.load()
    names = families()
    tools, distrusted = judge_tools(encoder, names, episodes, seed, report)
    objects = judge_objects(encoder, episodes * len(names), seed, report)
    groups = []
    for what, part in (("tools", tools), ("objects", objects)):
        groups += [_group(what, judged, None, part is objects) for judged in part]
        for name in sorted(set(part[0].kind.tolist())):
            groups += [_group(name, judged, judged.kind == name, part is objects) for judged in part]
    mine = {group.name: group.measured for group in groups}
    mine[f"tools, {ENCODER}"].update(distrusted)
    tool, thing = mine[f"tools, {ENCODER}"], mine[f"objects, {ENCODER}"]
    checks = {
        "opening": tool["mean_error"] <= TARGETS["opening"],
        "opening_p95": tool["p95_error"] <= TARGETS["opening_p95"],
        "tip": tool["place_error"] <= TARGETS["tip"],
        "width": thing["mean_error"] <= TARGETS["width"],
        "time": max(tool["milliseconds"], thing["milliseconds"]) <= MILLISECONDS,
    }
    rights = np.concatenate([tools[0].right(), objects[0].right()])
    failures = [
        Failure(i, f"{judged.kind[i]}: {_cause(judged, i)}", _numbers(judged, i))
        for judged in (tools[0], objects[0])
        for i in np.flatnonzero(np.abs(np.nan_to_num(judged.error, nan=1.0)) > 3 * RIGHT).tolist()
    ]
    share = float(rights.mean())
    result = EvalReport(
        len(rights),
        int(rights.sum()),
        0.9 if target is None else target,
        share >= target if target is not None else all(checks.values()),
        tuple(failures),
        tuple(groups),
    )
    for name, met in checks.items():
        report(f"target on {name}: {'reached' if met else 'missed'}")
    report(f"report: {write(folder, result, tools, objects, episodes, seed)}")
    return result


def judge_tools(
    encoder: Affordance, names: list[str], episodes: int, seed: int, report: Callable[[str], None]
) -> tuple[tuple[Judged, Judged, Judged], dict[str, float]]:
    """Encoder, ICP and the encoder's fit alone on clouds of held-out tools; and shares of wrong clouds that are
    distrusted: of another tool than the one it is told, and of things that are no tool."""
    from toolwright.perception.affordance.geometric import fit_tool
    from toolwright.perception.generate_affordance import LEAST_SEEN, junk
    from toolwright.perception.generate_tool_model import of_bank
    from toolwright.perception.generate_tools import ViewRange, look, robot, states
    from toolwright.perception.generate_views import Stage
    from toolwright.policies.evaluation.known_tool import known_tool
    from toolwright.sim.models.tools import family

    hand, wrist = HandModel.load(), robot()[1]
    stage, ranges = Stage(), ViewRange()
    rows: dict[str, list[tuple[Any, ...]]] = {ENCODER: [], GEOMETRY: [], FIT: []}
    wrong: list[float] = []
    spoilt: list[float] = []
    for number, name in enumerate(names):
        rng = np.random.default_rng(np.random.SeedSequence([seed, number], spawn_key=(EVALUATION,)))
        source = states(name, "held_out", rng)
        others = [other for other in families_with_banks() if other != name]
        done = 0
        while done < episodes:
            view = look(stage, wrist, next(source), ranges, rng, always=True)
            cloud, joints, eye = view.measured(ranges, rng)
            found = clouds.split(cloud, joints, hand, rng)
            if view.seen < LEAST_SEEN or len(found.free) < clouds.LEAST:
                continue
            done += 1
            state = view.state
            truth, tip = state.opening, state.tip
            own, alone = tool_errors(encoder, cloud, joints, eye, state.known, truth, tip)
            rows[ENCODER].append((name, truth, *own))
            rows[FIT].append((name, truth, *alone))
            known = known_tool(family(name), state.params, state.model)
            begun = time.process_time()
            fitted = fit_tool(found.free.astype(np.float64), known, state.known.taken)
            spent = time.process_time() - begun
            off, away = _angle(fitted.T_palm_tip, tip), float(np.linalg.norm(fitted.T_palm_tip[:3, 3] - tip[:3, 3]))
            rows[GEOMETRY].append((name, truth, fitted.opening - truth, away, off, np.nan, fitted.fitness, spent))
            told = of_bank(others[done % len(others)], 0)
            wrong.append(_confidence(encoder, cloud, joints, eye, told))
            other = np.concatenate([found.hand.astype(np.float64), junk(rng, 600)])
            spoilt.append(_confidence(encoder, other, joints, eye, state.known))
            if done % 25 == 0:
                report(f"{name}: {done}/{episodes}")
    stage.close()
    shares = {
        "another_tool_distrusted": float((np.array(wrong) < DISTRUST).mean()),
        "no_tool_distrusted": float((np.array(spoilt) < DISTRUST).mean()),
    }
    return (_judged(rows, ENCODER), _judged(rows, GEOMETRY), _judged(rows, FIT)), shares


def families_with_banks() -> list[str]:
    """All families of tools that a hand holds."""
    from toolwright.sim import grasp_bank
    from toolwright.sim.models.tools import TOOLS

    return [name for name in TOOLS if sum(grasp_bank.count(name))]


def _confidence(encoder: Affordance, cloud: F64, joints: F64, eye: F64, told: ToolModel) -> float:
    """0 where the cloud is refused."""
    try:
        return encoder.tool(cloud, joints, eye, told).confidence
    except CloudError:
        return 0.0


def tool_errors(
    encoder: Affordance, cloud: F64, joints: F64, eye: F64, known: ToolModel, truth: float, tip: F64
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What `Judged` holds of one estimate after kind and truth, of the encoder and of its fit alone; not finite where
    the encoder refused the cloud."""
    begun = time.process_time()
    try:
        guess = encoder.tool(cloud, joints, eye, known)
    except CloudError:
        nothing = *(np.nan,) * 4, 0.0, time.process_time() - begun
        return nothing, nothing
    spent = time.process_time() - begun
    away = float(np.linalg.norm(guess.tip_pos - tip[:3, 3]))
    off = _angle(guess.tip_rot, tip)
    before = float(np.linalg.norm(guess.fitted_tip - tip[:3, 3]))
    return (
        (guess.opening - truth, away, off, guess.opening_error, guess.confidence, spent),
        (guess.fitted - truth, before, np.nan, np.nan, np.nan, np.nan),
    )


def judge_objects(
    encoder: Affordance, episodes: int, seed: int, report: Callable[[str], None]
) -> tuple[Judged, Judged]:
    """Encoder and oriented box on clouds of held-out objects."""
    from toolwright.perception.affordance.geometric import box_object
    from toolwright.perception.generate_objects import Waiting, look_at_object
    from toolwright.perception.generate_shapes import hulls
    from toolwright.perception.generate_tools import ViewRange, families
    from toolwright.perception.generate_views import Stage

    stage, ranges = Stage([points for _, _, points in hulls()]), ViewRange()
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1000], spawn_key=(EVALUATION,)))
    waiting = Waiting.some(families(), rng)
    rows: dict[str, list[tuple[Any, ...]]] = {ENCODER: [], GEOMETRY: []}
    done = 0
    while done < episodes:
        view = look_at_object(stage, waiting, True, ranges, rng)
        cloud = view.measured(ranges, rng)
        if view.seen < clouds.LEAST_OBJECT or len(cloud) < clouds.LEAST_OBJECT:
            continue
        done += 1
        begun = time.process_time()
        guess = encoder.object(cloud, 0.0)
        spent = time.process_time() - begun
        known = (guess.width_error, guess.confidence, spent)
        rows[ENCODER].append(_object_row(view, guess.width, guess.closing, guess.center, known))
        begun = time.process_time()
        box = box_object(cloud, 0.0)
        known = (np.nan, np.nan, time.process_time() - begun)
        rows[GEOMETRY].append(_object_row(view, box.width, box.closing, box.center, known))
        if done % 100 == 0:
            report(f"objects: {done}/{episodes}")
    stage.close()
    return _judged(rows, ENCODER), _judged(rows, GEOMETRY)


def _object_row(
    view: ObjectView, width: float, along: F64, center: F64, known: tuple[float, float, float]
) -> tuple[Any, ...]:
    level = closing()[TILTS.index(0.0) :: len(TILTS)]
    truth = float(view.widths(along[None])[0])
    away = float(np.linalg.norm(center - view.center))
    return view.shape.kind, truth, width - truth, away, truth - float(view.widths(level).min()), *known


def _judged(rows: dict[str, list[tuple[Any, ...]]], method: str) -> Judged:
    kind, *numbers = zip(*rows[method], strict=True)
    return Judged(np.array(kind), method, *(np.array(column, dtype=float) for column in numbers))


def _angle(a: F64, b: F64) -> float:
    """rad between two rotations, the upper left of (3, 3) or (4, 4)."""
    return float(np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)))


def _group(name: str, judged: Judged, chosen: np.ndarray | None, is_object: bool) -> Group:
    chosen = np.ones(len(judged.kind), bool) if chosen is None else chosen
    off, place = np.abs(judged.error[chosen]), judged.place[chosen]
    measured = {
        "mean_error": float(np.nanmean(off)),
        "median_error": float(np.nanmedian(off)),
        "p95_error": float(np.nanpercentile(off, 95)),
        "place_error": float(np.nanmean(place)),
        "place_error_median": float(np.nanmedian(place)),
        "place_error_p95": float(np.nanpercentile(place, 95)),
        "refused": float(np.isnan(off).mean()),
        ("excess" if is_object else "turn_error"): _mean(judged.turn[chosen]),
        "milliseconds": 1000 * _median(judged.seconds[chosen]),
    }
    return Group(f"{name}, {judged.method}", int(chosen.sum()), int(judged.right()[chosen].sum()), measured)


def _mean(values: F64) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _median(values: F64) -> float:
    return float(np.median(values)) if np.isfinite(values).any() else float("nan")


def _cause(judged: Judged, i: int) -> str:
    return "off, and known to be unsure" if judged.confidence[i] < 0.5 else "off, though confident"


def _numbers(judged: Judged, i: int) -> dict[str, float]:
    return {"truth": float(judged.truth[i]), "error": float(judged.error[i]), "confidence": float(judged.confidence[i])}
