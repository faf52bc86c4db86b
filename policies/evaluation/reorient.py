"""Evaluation of turning an object in the hand: planner or policy, one goal in each world, shapes by family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toolwright.policies.evaluation import reorient_film, reorient_page, source
from toolwright.policies.evaluation.held_tool import rng_for
from toolwright.policies.evaluation.reorient_conditions import CONDITIONS, Condition, ConditionError
from toolwright.policies.evaluation.reorient_play import (
    PLANNING,
    WATCHED,
    Control,
    Judged,
    Kept,
    Looks,
    Piece,
    Watch,
    judge,
    learned,
    planned,
)
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.palm import student
from toolwright.policies.palm.control import CameraControl
from toolwright.policies.palm.planner import PlannerConfig
from toolwright.policies.palm.stop import Learned
from toolwright.policies.palm.student import Student, StudentControl
from toolwright.policies.weights import Actor, load
from toolwright.sim import object_shapes
from toolwright.sim.models.physics import CONTROL_PERIOD
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

# Settled within 0.4 rad, palm up, held-out shapes, nominal physics.
TARGETS = {
    "planner": 0.95,
    "learned": 0.90,
    "planner by camera": 0.80,
    "student": 0.80,
    "student by camera": 0.80,
}
TURNED = 0.60  # likewise for a palm that does not face up
MISMATCHED = 0.85  # share of that to reach in other physics than the nominal one
DROPS = 0.10  # largest share, nominal physics
PAGE = Path("runs/eval/reorient")
TEACHER = "reorient/teacher"
STUDENT = "policies/weights/reorient/student/student.safetensors"
PIECE = {"planner": 8, "learned": 250, "student": 16}  # worlds played together; a plan needs many copies of each
# Code, shapes and weights that an episode depends on: where these change, it is played anew.
_DEPENDS = (
    "hardware/reorient.py",
    "policies/evaluation/reorient_play.py",
    "policies/palm/planner.py",
    "sim/models/in_hand.py",
    "sim/models/leap.py",
    "sim/models/physics.py",
    "sim/object_shapes.py",
    "sim/object_starts.py",
    "sim/orientations.py",
    "sim/randomize_reorient.py",
    "sim/shapes/reorient.npz",
    "sim/shapes/starts.npz",
    "sim/tasks/reorient.py",
)
_SEEING = (
    "perception/affordance/hand.py",
    "perception/palm_scene.py",
    "perception/pose_tracker.py",
    "perception/shape_field.py",
    "policies/palm/control.py",
    "policies/palm/eye.py",
    "policies/palm/stop.py",
    "policies/palm/twin.py",
    "policies/weights/reorient/stop.json",
    "sim/camera.py",
    "sim/shape_distance.py",
)
_STUDENT = (
    "policies/palm/aim.py",
    "policies/palm/student.py",
    "policies/palm/surface.py",
    "policies/weights/__init__.py",
)


@dataclass(frozen=True)
class Player:
    """Who turns the object."""

    actor: Actor | Student | None  # None: the planner
    planner: PlannerConfig
    by_camera: bool
    seed: int
    goals: int  # most of them in a row
    report: Callable[[str], None]

    def play(self, config: ReorientConfig, first: int, count: int, films: Path | None) -> Piece:
        """Episodes of a condition; the first ones are filmed where there is a folder for it."""
        seeds = np.random.SeedSequence([self.seed, first], spawn_key=(0,))
        task = ReorientTask(config, count, np.random.default_rng(seeds))
        control: Control
        if isinstance(self.actor, Student):
            control = StudentControl(task, self.actor, rng_for(self.seed + first, PLANNING), self.by_camera)
        elif self.by_camera:
            control = CameraControl(task, self.planner, Learned.load(), rng_for(self.seed + first, PLANNING))
        elif self.actor is not None:
            control = learned(self.actor)
        else:
            control = planned(task, self.planner, self.seed + first)
        watch = Watch() if films is not None and first == 0 else None
        judged = judge(task, control, self.report, watch=watch, goals=self.goals)
        if films is not None and watch is not None:
            ended = np.minimum(np.minimum(judged.settled, judged.dropped), judged.declared)[:WATCHED]
            states, success = np.array(watch.states), judged.success[:WATCHED]
            reorient_film.films(task, states, watch.goals, ended, success, films, self.report)
        looks = Looks.of(control.log.arrays(), first) if isinstance(control, CameraControl | StudentControl) else None
        return Piece(judged, looks)


def evaluate(
    episodes: int = 1000,
    seed: int = 0,
    target: float | None = None,
    controller: str = "planner",
    shapes: str = "all",
    state: str | None = None,
    palm: str = "up",
    only: str = "",
    actor: Actor | Student | None = None,
    weights: Path | None = None,
    planner: PlannerConfig | None = None,
    horizon: int = 400,
    in_a_row: int = 1,
    conditions: tuple[Condition, ...] = CONDITIONS,
    folder: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """One goal anywhere in SO(3), held-out and training shapes, nominal and mismatched physics.

    Episodes are written down piece by piece, a piece of each condition in turn, and the page with them: the same call
    goes on where one was stopped.

    Args:
        episodes: of each condition.
        seed: of the episodes.
        target: rate of settled goals to reach on held-out shapes.
        controller: "planner", "learned" or "student".
        state: what the planner plans from: "exact", the default, or "camera" with tracker and stop predictor; what a
            student sees: "camera", the default, or "exact", the whole surface of the thing.
        shapes: "all", a family, or one shape (of the part that has it).
        palm: where it faces: of `reorient_conditions.PALMS`.
        only: conditions with this in their title.
        actor: to use instead of the shipped one; its episodes are not kept.
        weights: folder of a training, whose policy is used instead of the shipped one; likewise.
        planner: its configuration.
        horizon: control steps for a goal.
        in_a_row: goals that follow each other in an episode until one is missed; rates are those of the first.
        conditions: which of them.
        folder: where to write `index.html`, videos and episodes; by default one of the controller's own.
        report: called with a line of progress.

    Raises:
        WeightsError: no weights.
        ConditionError: no such shapes or conditions, a controller that has no such state, or goals in a row for one
            that keeps its goal.
    """
    state = state or ("camera" if controller == "student" else "exact")
    by_camera = state == "camera"
    if by_camera and controller == "learned":
        raise ConditionError(
            "only planner and student turn things that they see by camera: add --controller planner or student"
        )
    label = f"{controller} by camera" if by_camera else controller
    default = TARGETS[label] if palm == "up" else TURNED
    if weights is not None and controller == "planner":
        raise ConditionError("the planner has no weights: add --controller learned or student")
    says = by_camera or controller == "student"  # itself when to stop, and keeps its goal
    if in_a_row > 1 and says:
        raise ConditionError("what is seen by camera is turned to one goal only: drop --in-a-row, or add --state exact")
    kept = actor is None and weights is None
    if actor is None and controller == "learned":
        actor = load(TEACHER, weights)
    elif actor is None and controller == "student":
        actor = Student.load(weights or student.FOLDER)
    player = Player(actor, planner or PlannerConfig(), by_camera, seed, in_a_row, report)
    named = label.replace(" ", "_") + (f"_palm_{palm}" if palm != "up" else "")
    folder = folder or PAGE / (named + ("_in_a_row" if in_a_row > 1 else ""))
    chosen = _chosen(tuple(replace(c, palm=palm) for c in conditions), shapes, only)
    own: tuple[str, ...] = ()
    if kept and actor is not None:
        own = (*_STUDENT, STUDENT) if controller == "student" else (f"policies/weights/{TEACHER}/policy.safetensors",)

    def place(condition: Condition) -> Path:
        settings = f"{condition.config(shapes, horizon, says)} {player.planner} {seed} {in_a_row}"
        version = source.digest((*_DEPENDS, *(_SEEING if by_camera else ()), *own), settings)
        return folder / "episodes" / f"{condition.slug}_{version}"

    places = {condition: place(condition) for condition in chosen}
    played: dict[Condition, list[Piece]] = {condition: [] for condition in chosen}
    command = _command(controller, episodes, seed, state, shapes, palm, only, weights, in_a_row)
    size = min(PIECE[controller], episodes)
    for first in range(0, episodes, size):
        count, fresh = min(size, episodes - first), False
        for condition, where in places.items():
            store = Kept(where if kept else None)
            piece = store.load(first, count)
            if piece is None:
                films = where if condition.part == "held_out" else None
                piece = player.play(condition.config(shapes, horizon, says), first, count, films)
                store.keep(piece, first)
                fresh = True
            played[condition].append(piece)
            so_far = Piece.joined(played[condition]).judged
            rates = f"{so_far.success.mean():.3f} settled, {np.isfinite(so_far.dropped).mean():.3f} dropped"
            report(f"{label}, {condition.title}: {rates} of {len(so_far.settled)}")
        if fresh or first + count == episodes:
            joined = {condition: Piece.joined(pieces) for condition, pieces in played.items()}
            result = _result(label, joined, default if target is None else target)
            page = reorient_page.write(result, label, joined, horizon * CONTROL_PERIOD, command, folder, places)
    report(f"report: {page}")
    return result


def _chosen(conditions: tuple[Condition, ...], shapes: str, only: str) -> list[Condition]:
    named = [c for c in conditions if only in c.title]
    if not named:
        raise ConditionError(f"no condition with '{only}' in it; there are: {'; '.join(c.title for c in conditions)}")
    there = [c for c in named if ReorientTask.available(ReorientConfig(part=c.part, shapes=shapes))]
    if not there:
        families = ", ".join(sorted({shape.family for shape in object_shapes.load()}))
        raise ConditionError(f"no shapes '{shapes}' in these conditions; families: {families}")
    return there


def _command(
    controller: str,
    episodes: int,
    seed: int,
    state: str,
    shapes: str,
    palm: str,
    only: str,
    weights: Path | None,
    in_a_row: int,
) -> str:
    told = f"toolwright eval reorient --controller {controller} --episodes {episodes} --seed {seed}"
    told += f" --state {state}" if controller != "learned" else ""
    told += f" --weights {weights}" if weights is not None else ""
    told += f" --shapes {shapes}" if shapes != "all" else ""
    told += f" --palm {palm}" if palm != "up" else ""
    told += f" --in-a-row {in_a_row}" if in_a_row > 1 else ""
    return told + (f" --only '{only}'" if only else "")


def _result(label: str, played: dict[Condition, Piece], goal: float) -> EvalReport:
    """Counts, and whether those with a target reached it: 0.4 rad, held-out shapes where there are any."""
    groups: list[Group] = []
    failures: list[Failure] = []
    whole: dict[Condition, Group] = {}
    for condition, piece in played.items():
        judged, title = piece.judged, f"{label}, {condition.title}"
        rows = _groups(title, judged)
        whole[condition] = rows[0]
        groups += rows
        if condition.part == "held_out":
            failures += [
                Failure(i, f"{title}, {judged.shape[i]}: {judged.cause(i)}", {"error": float(judged.error[i])})
                for i in np.flatnonzero(~judged.success).tolist()
            ]
    wide = [c for c in whole if c.tolerance == 0.4] or list(whole)
    counted = {c: whole[c] for c in [c for c in wide if c.part == "held_out"] or wide}
    passed = all(g.success_rate >= goal * (1 if c.level == "nominal" else MISMATCHED) for c, g in counted.items())
    passed &= all(g.measured["drop_rate"] <= DROPS for c, g in counted.items() if c.level == "nominal")
    n, successes = sum(g.n for g in counted.values()), sum(g.successes for g in counted.values())
    return EvalReport(n, successes, goal, passed, tuple(failures), tuple(groups))


def _groups(title: str, judged: Judged) -> list[Group]:
    """All episodes, then each family of shapes where there are several."""
    rows = [(title, np.ones(len(judged.settled), dtype=bool))]
    families = sorted(set(judged.family.tolist()))
    if len(families) > 1:
        rows += [(f"{title}, {family}", judged.family == family) for family in families]
    return [_group(name, judged, chosen) for name, chosen in rows]


def _group(name: str, judged: Judged, chosen: np.ndarray) -> Group:
    settled = judged.settled[chosen]
    times = settled[np.isfinite(settled)]
    measured = {
        "touched_rate": float(np.isfinite(judged.touched[chosen]).mean()),
        "drop_rate": float(np.isfinite(judged.dropped[chosen]).mean()),
        "within_10_s_rate": float((settled <= 10).mean()),
        "in_a_row": float(judged.row[chosen].mean()),
        "median_seconds": float(np.median(times)) if len(times) else float("inf"),
        "median_spin": float(np.median(judged.spin[chosen])),
        "fastest_spin": float(judged.spin[chosen].max()),
        "fastest_joint": float(judged.joint_speed[chosen].max()),
    }
    return Group(name, int(chosen.sum()), int(judged.success[chosen].sum()), measured)
