"""Goals of the articulated tools' own jobs: what their steps have to leave behind, against a measured scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from toolwright.llm_planner.roles import NumberedStep
from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.tool import job_geometry

JobKind = Literal["filled", "turned", "clipped", "cut"]
SKILLS: Mapping[str, JobKind] = {"dispense": "filled", "turn": "turned", "clip_on": "clipped", "cut": "cut"}
_OBJECT = {"dispense": "container", "turn": "name", "clip_on": "line", "cut": "name"}


def target(step: NumberedStep) -> str:
    """The object that a job's step works on."""
    return str(step.arguments[_OBJECT[step.skill]])


def end(step: NumberedStep, start: float) -> tuple[float, ...]:
    """The value that a step leaves behind, and by how much it changes it.

    Args:
        start: ml in the container, or rad of the nut's turn, before the step.
    """
    if step.skill == "cut":
        return (float(step.arguments["length"]),)
    change = float(step.arguments.get("volume", step.arguments.get("angle", 0.0)))
    return (start + change, change)


def start_of(step: NumberedStep, before: Scene | None) -> float:
    """Where a step begins: ml in the container, or rad of the nut's turn."""
    item = before.objects.get(target(step)) if before is not None else None
    if item is None:
        return 0.0
    return item.contents if step.skill == "dispense" else item.turn


def judge(kind: JobKind, item: SceneObject, values: tuple[float, ...], scene: Scene) -> tuple[bool, str]:
    """One goal against the scene.

    Args:
        kind: of the goal.
        item: as measured.
        values: as from `end`.
        scene: that it is measured in.
    """
    if kind == "filled":
        off = abs(item.contents - values[0])
        return off <= job_geometry.dose_error(values[1]), f"{item.name} holds {item.contents:.2f} ml"
    if kind == "turned":
        off = abs(item.turn - values[0])
        return off <= job_geometry.TURNED, f"{item.name} is turned by {np.rad2deg(item.turn):.0f} degrees"
    if kind == "cut":
        strip = job_geometry.strip_of(item)
        off = abs(item.length - values[0])
        return strip is not None and off <= strip[2] / 2 + 1e-6, f"{item.length * 1e3:.0f} mm of {item.name} are left"
    if scene.tool is None:
        return False, "the clothespin is no longer seen"
    on = job_geometry.off_line(scene.tool, item) <= job_geometry.ON_AXIS
    return on, f"the clothespin is {'' if on else 'not '}on {item.name}"
