"""Why a skill failed, read from what was measured: the root cause that a repair has to mend.

The causes are RoboTool's kinds of error (wrong tool or skill, wrong logic, wrong numbers), and two that a robot adds:
the picture of the scene was wrong, or the motion did not do what it was told.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from toolwright.llm_planner.knowledge.hand_copy import model_world
from toolwright.llm_planner.roles import Cause
from toolwright.llm_planner.run.gate import Call
from toolwright.perception.scene import Scene
from toolwright.policies.outcome import Outcome

MOVED = 0.005  # m, beyond perception's noise: the object is not where it was
AT_TARGET = 0.008  # m, the tips went where they were sent


class Diagnosis(BaseModel):
    """The root cause of a failure and the measurements that say so."""

    model_config = ConfigDict(frozen=True)

    cause: Cause
    reason: str

    def __str__(self) -> str:
        return f"Root cause from what was measured: {self.cause}; {self.reason}."


def diagnose(call: Call, outcome: Outcome, before: Scene, after: Scene, fault: str = "") -> Diagnosis:
    """Find the root cause of a skill that failed.

    Args:
        before: measured before the skill.
        after: measured after it.
        fault: the exception that ended it, in words.
    """
    if fault:
        return Diagnosis(cause="control", reason=f"the robot reported a fault: {fault}")
    named = [str(call.arguments[item.name]) for item in call.skill.parameters if item.object_name]
    lost = [name for name in named if name not in after.objects]
    if lost:
        return Diagnosis(cause="perception", reason=f"{lost[0]} is no longer seen")
    if before.tool is not None and after.tool is None:
        return Diagnosis(cause="control", reason="the tool is no longer in the hand")
    # The same call on a copy of what was measured before it: what fails there was wrong from the start.
    copy = model_world(before)
    try:
        call.skill.function(copy, **call.arguments)
    except Exception as error:
        return Diagnosis(cause="logic", reason=f"the skill raises {type(error).__name__} on a copy of the scene")
    if copy.trouble is not None:
        return Diagnosis(cause=copy.trouble.cause, reason=str(copy.trouble))
    return _motion(named, outcome, before, after)


def _motion(named: list[str], outcome: Outcome, before: Scene, after: Scene) -> Diagnosis:
    """The call was right by the models; what did the world do?"""
    for name in named:
        was, now = before.objects[name].pos, after.objects[name].pos
        moved = float(np.linalg.norm(now - was))
        tips = [outcome.measured.get(f"tips_{axis}") for axis in "xy"]
        if moved > MOVED and None not in tips:
            off = float(np.hypot(*(np.array(tips, dtype=float) - was[:2])))
            if off < AT_TARGET:
                text = f"the tips went to where {name} was seen, and it is {moved * 1e3:.0f} mm away from there"
                return Diagnosis(cause="perception", reason=text)
        if moved > MOVED:
            return Diagnosis(cause="control", reason=f"{name} moved {moved * 1e3:.0f} mm during the skill and was lost")
    return Diagnosis(cause="control", reason="nothing was wrong with the call, but the motion did not reach its end")
