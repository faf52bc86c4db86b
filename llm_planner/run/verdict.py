"""The verdict on a run, read from the scene measured afterwards and not from what the skills said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from toolwright.llm_planner.knowledge import geometry, hand_models, turn_models
from toolwright.llm_planner.roles import NumberedStep
from toolwright.llm_planner.run import job_verdict
from toolwright.llm_planner.run.job_verdict import JobKind
from toolwright.perception.scene import Scene

# Letting go of a bead may roll it by its own width.
PLACE_TOLERANCE = 0.02  # m
# Half a millimeter over what the hand's controller has to keep.
OPENING_TOLERANCE = 0.002  # m
TIPS_TOLERANCE = 0.01  # m


# What a skill of the bare hand leaves behind. A tool that is put back has to be back.
HAND_GOALS: dict[str, Literal["raised", "at", "pressed", "out"]] = {
    "grasp": "raised",
    "place": "at",
    "push": "at",
    "pull": "at",
    "press": "pressed",
    "poke": "out",
}
HAND_TOLERANCE = 0.04  # m, what the hand's skills keep
IN_HAND = 0.01  # m above the table


class Goal(BaseModel):
    """A state of the world that the run has to end in."""

    model_config = ConfigDict(frozen=True)

    kind: (
        Literal["held", "inside", "at", "opening", "tips", "raised", "pressed", "out", "fetched", "oriented"] | JobKind
    )
    object: str = ""
    container: str = ""
    values: tuple[float, ...] = ()  # m; of jobs also ml or rad, see `job_verdict.end`


class GoalCheck(BaseModel):
    """One goal against the measured scene."""

    model_config = ConfigDict(frozen=True)

    goal: Goal
    success: bool
    reason: str


def goals(steps: Sequence[NumberedStep], before: Scene | None = None) -> tuple[Goal, ...]:
    """What the planned steps leave behind: the last state of each object, of the opening and of the tips.

    Args:
        before: measured at the start, for what a step adds to: liquid in a cup, a nut's turn.
    """
    ends: dict[str, Goal] = {}
    for step in steps:
        name = str(step.arguments.get("name", ""))
        ends.pop("tips", None)
        if step.skill == "move_tips":
            ends["tips"] = Goal(kind="tips", values=_floats(step, "x", "y", "z"))
        elif step.skill == "set_opening":
            ends = {key: goal for key, goal in ends.items() if goal.kind != "held"}
            ends["opening"] = Goal(kind="opening", values=_floats(step, "opening"))
        elif step.skill == "reorient":
            ends[f"object {name}"] = Goal(kind="oriented", object=name, values=_floats(step, "w", "x", "y", "z"))
        elif step.skill == "fetch":
            ends["tool"] = Goal(kind="fetched", object=name)
        elif step.skill in ("pick", "drop_in", "place_at"):
            ends.pop("opening", None)
            ends[f"object {name}"] = _object_goal(step, name)
        elif step.skill in job_verdict.SKILLS:
            ends.pop("opening", None)
            if step.skill == "clip_on":  # it stays behind
                ends.pop("tool", None)
            ends |= _job_goals(step, ends, before)
        elif step.skill in HAND_GOALS:
            ends |= _hand_goals(step, name)
        elif step.skill == "release":
            ends = {key: goal for key, goal in ends.items() if goal.kind != "raised"}
    return tuple(ends.values())


def _job_goals(step: NumberedStep, ends: dict[str, Goal], before: Scene | None) -> dict[str, Goal]:
    name = job_verdict.target(step)
    known = ends.get(f"object {name}")
    start = known.values[0] if known is not None and known.values else job_verdict.start_of(step, before)
    goal = Goal(kind=job_verdict.SKILLS[step.skill], object=name, values=job_verdict.end(step, start))
    return {f"object {name}": goal}


def _hand_goals(step: NumberedStep, name: str) -> dict[str, Goal]:
    kind = HAND_GOALS[step.skill]
    goal = Goal(kind=kind, object=name, container=str(step.arguments.get("tube", "")))
    if kind == "at":
        goal = Goal(kind="at", object=name, values=_floats(step, "x", "y"))
    return {f"object {name}": goal}


def _object_goal(step: NumberedStep, name: str) -> Goal:
    if step.skill == "pick":
        return Goal(kind="held", object=name)
    if step.skill == "drop_in":
        return Goal(kind="inside", object=name, container=str(step.arguments["container"]))
    return Goal(kind="at", object=name, values=_floats(step, "x", "y"))


def _floats(step: NumberedStep, *names: str) -> tuple[float, ...]:
    return tuple(float(step.arguments[name]) for name in names)


def judge(wanted: Sequence[Goal], scene: Scene) -> tuple[GoalCheck, ...]:
    """Check every goal against a measured scene."""
    return tuple(_judge(goal, scene) for goal in wanted)


def _judge(goal: Goal, scene: Scene) -> GoalCheck:
    if goal.kind in ("opening", "tips", "fetched"):
        success, reason = _tool(goal, scene)
    elif goal.object not in scene.objects:
        success, reason = False, f"{goal.object} is no longer seen"
    elif goal.kind == "oriented":
        success, reason = _oriented(goal, scene)
    elif goal.kind in ("filled", "turned", "clipped", "cut"):
        success, reason = job_verdict.judge(goal.kind, scene.objects[goal.object], goal.values, scene)
    else:
        success, reason = _object(goal, scene)
    return GoalCheck(goal=goal, success=success, reason=reason)


def _oriented(goal: Goal, scene: Scene) -> tuple[bool, str]:
    name = goal.object
    if scene.in_palm != name:
        return False, f"{name} is no longer in the hand"
    off = turn_models.left(scene.objects[name], np.array(goal.values) / np.linalg.norm(goal.values))
    return off <= turn_models.TURNED, f"{name} lies in the hand, {np.rad2deg(off):.0f} degrees from the orientation"


def _object(goal: Goal, scene: Scene) -> tuple[bool, str]:
    item = scene.objects[goal.object]
    if goal.kind == "held":
        if scene.tool is None or not geometry.between_tips(item, scene):
            return False, f"{item.name} is not between the tips"
        height = float(item.pos[2] - geometry.half_height(item) - scene.table_height)
        if not geometry.raised(item, scene):
            return False, f"{item.name} is between the tips but not off the table"
        return True, f"{item.name} is between the tips, {height * 1e3:.0f} mm above the table"
    if goal.kind == "inside":
        container = scene.objects.get(goal.container)
        if container is None:
            return False, f"{goal.container} is no longer seen"
        if geometry.inside(item, container):
            return True, f"{item.name} lies in {container.name}"
        away = np.hypot(*(item.pos - container.pos)[:2])
        return False, f"{item.name} is not in {container.name}: {away * 1e3:.0f} mm from its axis"
    if goal.kind in ("raised", "pressed", "out"):
        return _hand_object(goal, scene)
    middle = item.pos[:2] if scene.tool is not None else hand_models.grip_point(item)
    away = float(np.hypot(*(middle - np.array(goal.values))))
    if scene.tool is None:
        return away <= HAND_TOLERANCE, f"{item.name} stands {away * 1e3:.0f} mm from the place"
    if geometry.raised(item, scene):
        return False, f"{item.name} does not rest on the table"
    return away <= PLACE_TOLERANCE, f"{item.name} rests {away * 1e3:.0f} mm from the place"


def _hand_object(goal: Goal, scene: Scene) -> tuple[bool, str]:
    item = scene.objects[goal.object]
    if goal.kind == "raised":
        height = float(item.pos[2] - geometry.half_height(item) - scene.table_height)
        return height >= IN_HAND, f"{item.name} is {height * 1e3:.0f} mm above the table"
    if goal.kind == "pressed":
        text = f"{item.name} is pressed {item.travel * 1e3:.1f} of {item.travel_max * 1e3:.1f} mm"
        return item.travel >= item.travel_max / 2, text
    tube = scene.objects.get(goal.container)
    if tube is None:
        return False, f"{goal.container} is no longer seen"
    out = float(np.abs(geometry.rotation(tube.quat).T @ (item.pos - tube.pos))[0] - tube.size[0] / 2)
    return (
        out > 0,
        f"the middle of {item.name} is {abs(out) * 1e3:.0f} mm {'out of' if out > 0 else 'inside'} {tube.name}",
    )


def _tool(goal: Goal, scene: Scene) -> tuple[bool, str]:
    if scene.tool is None:
        return False, "the tool is no longer in the hand"
    if goal.kind == "fetched":
        return scene.tool.name == goal.object, f"{scene.tool.name} is in the hand"
    if goal.kind == "opening":
        error = abs(scene.tool.opening - goal.values[0])
        return error <= OPENING_TOLERANCE, f"the opening is {scene.tool.opening * 1e3:.1f} mm"
    away = float(np.linalg.norm(scene.tool.T_world_tip[:3, 3] - np.array(goal.values)))
    return away <= TIPS_TOLERANCE, f"the tips are {away * 1e3:.0f} mm from the point"
