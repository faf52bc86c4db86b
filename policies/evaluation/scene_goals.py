"""Tasks that are scene files with a sentence and a goal, and the goal's verdict on the simulation's true state."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.evaluation import job_goals
from toolwright.policies.hand.hand_room import of
from toolwright.policies.tool.approach import half_height
from toolwright.policies.world import SimulatedWorld, simulate
from toolwright.sim.perception import SimPerception, StateNoise
from toolwright.sim.render import RenderError, snapshot
from toolwright.sim.scene import load_scene, sample, shipped_scenes
from toolwright.sim.scene_spec import GoalSpec, SceneError, suggestion

RAISED, BESIDE, STILL = 0.03, 0.03, 0.02  # m
FACING = 0.4  # rad


def tasks() -> tuple[str, ...]:
    """The shipped scenes that have a sentence and a goal, by name."""
    return tuple(name for name in shipped_scenes() if (scene := load_scene(name)).sentence and scene.goal)


def check(task: str) -> None:
    """Whether a scene is a task.

    Raises:
        SceneError: no such scene, or it has no sentence or no goal.
    """
    known = tasks()
    if task not in shipped_scenes() and Path(task).name == task and not Path(task).exists():
        raise SceneError(f"no task '{task}'{suggestion(task, list(known))} Tasks: {', '.join(known)}")
    scene = load_scene(task)
    if not scene.sentence or not scene.goal:
        raise SceneError(f"scene '{task}' has no sentence or no goal, so it is no task. Tasks: {', '.join(known)}")


def fingerprint(task: str) -> str:
    """A hash of a task's scene with its ranges: another scene is another task."""
    return hashlib.sha256(load_scene(task).model_dump_json().encode()).hexdigest()[:12]


def picture(task: str, seed: int, size: tuple[int, int] = (640, 360)) -> bytes | None:
    """A task's scene as JPEG, drawn by a seed; None where this machine cannot draw."""
    import imageio.v3 as imageio
    import mujoco

    world = draw(task, seed)
    mujoco.mj_forward(world.model, world.data)
    try:
        return imageio.imwrite("<bytes>", snapshot(world.model, world.data, size=size), extension=".jpg")
    except RenderError:
        return None


def draw(task: str, seed: int) -> SimulatedWorld:
    """A task's world, drawn by a seed.

    Args:
        task: name or path of a scene.
        seed: of the scene, and of perception's noise.
    """
    spec = sample(load_scene(task), np.random.default_rng(seed))
    return simulate(spec, np.random.default_rng((seed, 1)), noise=StateNoise())


def truth(world: SimulatedWorld) -> Scene:
    """The true state, for judging alone."""
    return SimPerception(world.model, world.data, world.spec, None).look()


def missed(world: SimulatedWorld, before: Scene) -> str:
    """Which goals the world misses; empty where it misses none.

    Args:
        world: after the run.
        before: the true state at the start.
    """
    after = truth(world)
    return "; ".join(text for goal in world.spec.goal if (text := _missed(goal, before, after)))


def _missed(goal: GoalSpec, before: Scene, after: Scene) -> str:
    ((kind, names),) = goal.kinds().items()
    things = [after.objects[name] for name in names]
    first = things[0]
    if kind in job_goals.KINDS:
        return job_goals.missed(goal, before, after)
    match kind:
        case "raised":
            height = float(first.pos[2]) - half_height(first) - after.table_height
            return "" if height >= RAISED else f"{first.name} is {height * 1e3:.0f} mm above the table"
        case "pressed":
            share = first.travel / first.travel_max
            return "" if share >= 0.5 else f"{first.name} is pressed by {share:.0%} of its travel"
        case "inside":
            return "" if _inside(*things) else f"{first.name} is not in {things[1].name}"
        case "outside":
            return "" if not _inside(*things) else f"{first.name} is in {things[1].name}"
        case "within":
            out = [thing.name for thing in things if not after.workspace.contains(thing.pos)]
            return f"{', '.join(out)} outside the workspace" if out else ""
        case "up" | "down":
            return _facing(goal, after)
        case "beside":
            gap = min(float(a.distance(b.pos[None])[0] - b.half.min()) for a in of(first) for b in of(things[1]))
            return "" if gap <= BESIDE else f"{first.name} is {gap * 1e3:.0f} mm from {things[1].name}"
        case _:
            away = float(np.linalg.norm(first.pos - before.objects[first.name].pos))
            return "" if away <= STILL else f"{first.name} was moved by {away * 1e3:.0f} mm"


def _facing(goal: GoalSpec, after: Scene) -> str:
    name, side = goal.up or goal.down or ("", "")
    item = after.objects[name]
    if after.in_palm != name:
        return f"{name} is not in the hand"
    mark = next(mark for mark in item.marks if mark.name == side)
    upward = float(rotations.rotate(item.quat, mark.direction)[2]) * (1 if goal.up else -1)
    off = float(np.arccos(np.clip(upward, -1, 1)))
    return "" if off <= FACING else f"{side} of {name} is {np.rad2deg(off):.0f} degrees off"


def _inside(item: SceneObject, container: SceneObject) -> bool:
    x, y, z = rotations.rotate(rotations.conjugate(container.quat), _between(container, item))
    half = container.size / 2
    if container.shape == "tube":
        return bool(abs(x) <= half[0] and max(abs(y), abs(z)) <= container.opening / 2)
    return bool(np.hypot(x, y) <= container.opening / 2 and abs(z) <= half[2])


def _between(start: SceneObject, end: SceneObject) -> F64:
    return np.asarray(end.pos - start.pos)
