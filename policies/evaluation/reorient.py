"""Evaluation of turning an object in the hand: planner or policy, one goal in each world, shapes by family."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.evaluation.held_tool import rng_for
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.reorient_planner import Planner, PlannerConfig
from toolwright.policies.weights import Actor, load
from toolwright.sim.models.physics import CONTROL_PERIOD, SUBSTEPS
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

TARGETS = {"planner": 0.95, "learned": 0.90}  # settled within 0.4 rad, palm up, held-out shapes
PLANNING, WORLDS = 7, 32  # purpose of the planner's stream; worlds planned for together
Control = Callable[[ReorientTask, np.ndarray], F64]  # actions in the active worlds


@dataclass(frozen=True)
class Judged:
    """Episodes of one goal each, arrays (N,). Times [s] are infinite where it never happened."""

    settled: F64
    touched: F64
    dropped: F64
    error: F64  # rad, at the end
    family: np.ndarray
    shape: np.ndarray
    spin: F64  # rad/s, fastest of the object
    joint_speed: F64  # rad/s, fastest of any joint

    @property
    def success(self) -> np.ndarray:
        """(N,) bool: settled."""
        return np.isfinite(self.settled)

    def cause(self, i: int) -> str:
        """Why episode `i` failed, in plain words."""
        if np.isfinite(self.dropped[i]):
            return "dropped"
        return "reached but did not come to rest" if np.isfinite(self.touched[i]) else "not reached in time"


def learned(actor: Actor) -> Control:
    """Control by a policy."""

    def control(task: ReorientTask, active: np.ndarray) -> F64:
        seen = task.observe()
        return np.where(active[:, None], actor.act(*seen.values()), 0.0)

    return control


def planned(task: ReorientTask, config: PlannerConfig, seed: int) -> Control:
    """Control by the planner, made for this task."""
    planner = Planner(task, config, rng_for(seed, PLANNING), task.batch.nthread)

    def control(task: ReorientTask, active: np.ndarray) -> F64:
        del task
        return planner.act(active)

    return control


def judge(
    task: ReorientTask, control: Control, report: Callable[[str], None] = lambda line: None, pause: float = 15.0
) -> Judged:
    """Plays one goal in every world. A world is left alone once its object has settled or dropped.

    Args:
        task: freshly made; is reset.
        control: what to do.
        report: called with a line of progress.
        pause: s of wall-clock time between two lines.
    """
    n = task.n
    task.reset(np.arange(n))
    settled, touched, dropped = np.full(n, np.inf), np.full(n, np.inf), np.full(n, np.inf)
    error, spin, joints = task.error(), np.zeros(n), np.zeros(n)
    active = np.ones(n, dtype=bool)
    said = time.monotonic()
    for step in range(task.horizon):
        task.act(control(task, active))
        task.batch.step(np.flatnonzero(active), nstep=SUBSTEPS)
        task.sense()
        info, now = task.measure(), (step + 1) * CONTROL_PERIOD
        dropped[active & (task.failed(info) | ~np.isfinite(info["error"]))] = now
        touched[active & (info["touched"] > 0)] = np.minimum(touched, now)[active & (info["touched"] > 0)]
        settled[active & (info["settled"] > 0) & ~np.isfinite(dropped)] = now
        error = np.where(active, info["error"], error)
        spin = np.where(active, np.maximum(spin, info["spin"]), spin)
        joints = np.where(active, np.maximum(joints, info["joint_speed"]), joints)
        active &= ~np.isfinite(settled) & ~np.isfinite(dropped)
        if time.monotonic() - said > pause:
            said = time.monotonic()
            report(f"  {now:.1f} s: {np.isfinite(settled).sum()} settled, {np.isfinite(dropped).sum()} dropped of {n}")
        if not active.any():
            break
    shapes = [task.shapes[v // task.sizes] for v in task.variant]
    names = np.array([shape.name for shape in shapes]), np.array([shape.family for shape in shapes])
    return Judged(settled, touched, dropped, error, names[1], names[0], spin, joints)


def film(config: ReorientConfig, control: Control, path: Path, seed: int = 0, steps: int = 200) -> None:
    """Plays one world, goal after goal, and writes it as a video; the small copy above shows the goal.

    Args:
        config: the task.
        control: what to do.
        path: of the video.
        seed: of the episode.
        steps: control steps.

    Raises:
        RenderError: no way to draw on this machine.
    """
    import mujoco

    from toolwright.sim.render import VideoWriter, open_renderer

    task = ReorientTask(config, 1, rng_for(seed), 1)
    task.reset(np.zeros(1, dtype=np.intp))
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (-0.02, -0.03, -0.04), 0.45, 40, 35
    model = task.batch.get_model(0)
    model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.45, 0.5
    # The palm faces down in its own frame: the picture is turned by half a turn.
    with VideoWriter(path, fps=round(1 / CONTROL_PERIOD), size=(640, 480)) as video:
        with open_renderer(model, *video.size) as renderer, open_renderer(model, 160, 120) as small:
            for _ in range(steps):
                task.act(control(task, np.ones(1, dtype=bool)))
                task.batch.step(nstep=SUBSTEPS)
                task.sense()
                data = task.batch.get_data(0)
                frame = _draw(renderer, model, data, camera)
                data.qpos[19:] = task.goal[0]
                frame[:120, -160:] = _draw(small, model, data, camera)
                video.write(frame)
                if task.failed(task.measure())[0]:
                    break


def _draw(renderer: Any, model: Any, data: Any, camera: Any) -> np.ndarray:
    import mujoco

    mujoco.mj_forward(model, data)
    renderer.update_scene(data, camera)
    return np.ascontiguousarray(renderer.render()[::-1, ::-1])


def evaluate(
    episodes: int = 1000,
    seed: int = 0,
    target: float | None = None,
    controller: str = "learned",
    shapes: str = "all",
    actor: Actor | None = None,
    planner: PlannerConfig | None = None,
    horizon: int = 200,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """One goal anywhere in SO(3), palm up, held-out and training shapes, nominal and mismatched physics.

    Args:
        episodes: of each condition.
        seed: of the episodes.
        target: rate of settled goals to reach on held-out shapes.
        controller: "planner" or "learned".
        shapes: "all", a family, or one shape (of the part that has it).
        actor: weights to use instead of the shipped ones.
        planner: its configuration.
        horizon: control steps for a goal.
        report: called with a line of progress.

    Raises:
        WeightsError: no weights.
        ValueError: no such shapes.
    """
    goal = TARGETS[controller] if target is None else target
    actor = actor or (load("reorient/teacher") if controller == "learned" else None)
    groups: list[Group] = []
    failures: list[Failure] = []
    for level in ("nominal", "moderate"):
        for part in ("held_out", "train"):
            config = ReorientConfig(part=part, shapes=shapes, level=level, horizon=horizon)
            if not ReorientTask.available(config):
                continue
            title = f"{controller}, {level}, {part.replace('_', '-')}"
            judged = _all(config, episodes, seed, actor, planner or PlannerConfig(), report)
            groups += _groups(title, judged)
            report(f"{title}: {judged.success.mean():.3f} settled, {np.isfinite(judged.dropped).mean():.3f} dropped")
            if part == "held_out":
                failures += [
                    Failure(i, f"{level}, {judged.shape[i]}: {judged.cause(i)}", {"error": float(judged.error[i])})
                    for i in np.flatnonzero(~judged.success).tolist()
                ]
    if not groups:
        raise ValueError(f"no shapes '{shapes}'; a family, or the name of a shape, or all")
    # Families stand below the line of their condition and are not counted again.
    whole = [g for g in groups if g.name.count(",") == 2]
    counted = [g for g in whole if "held-out" in g.name] or whole
    passed = all(g.success_rate >= goal * (1.0 if "nominal" in g.name else 0.85) for g in counted)
    n, successes = sum(g.n for g in counted), sum(g.successes for g in counted)
    return EvalReport(n, successes, goal, passed, tuple(failures), tuple(groups))


def _all(
    config: ReorientConfig,
    episodes: int,
    seed: int,
    actor: Actor | None,
    planner: PlannerConfig,
    report: Callable[[str], None],
) -> Judged:
    """All episodes of a condition, a share of the worlds at a time for the planner, which needs many copies."""
    share = episodes if actor is not None else min(WORLDS, episodes)
    parts = []
    for first in range(0, episodes, share):
        count = min(share, episodes - first)
        task = ReorientTask(
            replace(config), count, np.random.default_rng(np.random.SeedSequence([seed, first], spawn_key=(0,)))
        )
        control = learned(actor) if actor is not None else planned(task, planner, seed + first)
        parts.append(judge(task, control, report))
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Judged.__dataclass_fields__}
    return Judged(**columns)


def _groups(title: str, judged: Judged) -> list[Group]:
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
        "median_seconds": float(np.median(times)) if len(times) else float("inf"),
        "fastest_spin": float(judged.spin[chosen].max()),
        "fastest_joint": float(judged.joint_speed[chosen].max()),
    }
    return Group(name, int(chosen.sum()), int(judged.success[chosen].sum()), measured)
