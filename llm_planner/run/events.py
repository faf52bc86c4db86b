"""What happens during a run, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolwright.llm_planner.roles import Analysis, Calculation, Plan, Repair, SkillCode
from toolwright.llm_planner.run.checker import CheckResult
from toolwright.llm_planner.run.diagnosis import Diagnosis
from toolwright.llm_planner.run.record import RunRecord, SceneSummary, SkillRecord
from toolwright.llm_planner.run.rehearsal import Rehearsal

RoleResult = Analysis | Plan | Calculation | SkillCode


@dataclass(frozen=True)
class SceneSeen:
    """A scene was measured: before the run, or after it."""

    scene: SceneSummary
    after: bool = False


@dataclass(frozen=True)
class RoleDone:
    """One of the four roles handed over its result."""

    role: str
    result: RoleResult
    seconds: float


@dataclass(frozen=True)
class CodeChecked:
    """The checker has read the code."""

    code: str
    check: CheckResult


@dataclass(frozen=True)
class Rehearsed:
    """The code has run on a copy of the world; nothing has moved yet."""

    rehearsal: Rehearsal


@dataclass(frozen=True)
class Repaired:
    """Something failed and was diagnosed; `repair` is what the model makes of it, None where it knows no other way."""

    number: int  # from 1
    failure: str
    diagnosis: Diagnosis
    repair: Repair | None


@dataclass(frozen=True)
class SkillStarted:
    """A call passed the gate and its motion begins."""

    index: int
    name: str
    arguments: dict[str, str | float | int | bool]


@dataclass(frozen=True)
class SkillEnded:
    """A skill ended, or the gate refused the call."""

    index: int
    skill: SkillRecord


@dataclass(frozen=True)
class Finished:
    """The verdict is in."""

    record: RunRecord


Event = SceneSeen | RoleDone | CodeChecked | Rehearsed | SkillStarted | SkillEnded | Repaired | Finished
Report = Callable[[Event], None]
