"""One try at a sentence: its plan and code, what kept it from its end, and the goals that outlive it."""

from __future__ import annotations

from dataclasses import dataclass

from toolwright.llm_planner.roles import Calculation, Plan
from toolwright.llm_planner.run import verdict
from toolwright.llm_planner.run.diagnosis import Diagnosis
from toolwright.llm_planner.run.record import Status


@dataclass(frozen=True)
class Attempt:
    """A plan with its numbers and its code."""

    plan: Plan
    calculation: Calculation
    code: str


@dataclass(frozen=True)
class Failure:
    """What kept an attempt from its end."""

    reason: str  # as the user reads it
    diagnosis: Diagnosis
    final: Status | None = None  # nothing that a new plan could mend

    @property
    def told(self) -> str:
        """As the model reads it."""
        return f"{self.reason.rstrip('.')}. {self.diagnosis}"


def kept(goals: tuple[verdict.Goal, ...], repaired: tuple[verdict.Goal, ...]) -> tuple[verdict.Goal, ...]:
    """The goals after a repair: it may change numbers, but not what becomes of an object that was asked for."""
    kept = []
    for goal in goals:
        same = [other for other in repaired if (other.kind, other.object, other.container) == _who(goal)]
        kept.append(same[0] if same else goal)
    known = {goal.object for goal in goals if goal.object}
    return (*kept, *(goal for goal in repaired if goal.object and goal.object not in known))


def _who(goal: verdict.Goal) -> tuple[str, str, str]:
    return goal.kind, goal.object, goal.container
