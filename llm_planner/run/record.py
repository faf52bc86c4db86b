"""The record of a run: everything that was said, decided, done and measured, as one JSON document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.roles import Analysis, Calculation, Plan, Repair
from toolwright.llm_planner.run.checker import CheckResult
from toolwright.llm_planner.run.diagnosis import Diagnosis
from toolwright.llm_planner.run.rehearsal import Rehearsal
from toolwright.llm_planner.run.verdict import GoalCheck
from toolwright.llm_planner.usage import Usage
from toolwright.perception.scene import Scene

Status = Literal["done", "rehearsed", "refused", "rejected", "failed", "stopped"]
Vector = tuple[float, float, float]


class ObjectSummary(BaseModel):
    """An object as measured."""

    shape: str
    pos: Vector  # m, world frame
    size: Vector  # m
    width: float  # m, what the tips close on
    mass: float  # kg
    fixed: bool
    color: str = ""


class ToolSummary(BaseModel):
    """The held tool as measured."""

    name: str
    family: str
    opening: float  # m
    opening_max: float  # m
    tips: Vector  # m, world frame


class SceneSummary(BaseModel):
    """A measured scene, without what only motion needs."""

    stamp: float  # s
    objects: dict[str, ObjectSummary]
    tool: ToolSummary | None
    held: str = ""  # the object between the tips
    table_height: float  # m
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, scene: Scene) -> SceneSummary:
        tool = scene.tool
        return cls(
            stamp=scene.stamp,
            objects={
                name: ObjectSummary(
                    shape=item.shape,
                    pos=_vector(item.pos),
                    size=_vector(item.size),
                    width=geometry.width(item),
                    mass=item.mass,
                    fixed=item.fixed,
                    color=item.color,
                )
                for name, item in scene.objects.items()
            },
            tool=tool
            and ToolSummary(
                name=tool.name,
                family=tool.family,
                opening=tool.opening,
                opening_max=tool.opening_max,
                tips=_vector(tool.T_world_tip[:3, 3]),
            ),
            held=geometry.held_object(scene),
            table_height=scene.table_height,
            notes=scene.notes,
        )


def _vector(values: geometry.F64) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


class SkillRecord(BaseModel):
    """One call that the code made: what was asked, and what was measured."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    name: str
    arguments: dict[str, str | float | int | bool]
    success: bool
    reason: str
    refused: bool = False  # by the gate; nothing moved
    measured: dict[str, float] = Field(default_factory=dict)  # SI units
    seconds: float = 0.0  # s of robot time
    wall: float = 0.0  # s on this machine's clock
    overhead: float = 0.0  # s in sandbox and gate before it started
    attempt: int = 0  # 0: as planned first; n: of the n-th repair
    edited: bool = False  # by the user, who was asked


class RepairRecord(BaseModel):
    """A failure, its root cause as measured, and what the model made of it."""

    failure: str  # as it was fed back
    diagnosis: Diagnosis
    repair: Repair | None = None  # None where the model knew no other way
    check: CheckResult | None = None  # of the repaired code
    rehearsal: Rehearsal | None = None


class Timings(BaseModel):
    """Wall-clock times [s]."""

    planning: float = 0.0  # the four roles
    checking: float = 0.0
    rehearsing: float = 0.0  # dry runs
    repairing: float = 0.0  # waiting for repaired plans
    first_motion: float | None = None  # from the sentence to the start of the first skill
    overhead_per_call: float | None = None  # sandbox and gate, mean
    total: float = 0.0


class RunRecord(BaseModel):
    """One run of one sentence. `success` and `reason` are the verdict from the measured scene."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    sentence: str
    model: str
    success: bool = False
    reason: str = ""
    status: Status = "failed"
    scene_before: SceneSummary | None = None
    analysis: Analysis | None = None
    plan: Plan | None = None
    calculation: Calculation | None = None
    code: str = ""
    check: CheckResult | None = None
    rehearsal: Rehearsal | None = None  # of the code above
    repairs: list[RepairRecord] = Field(default_factory=list)
    skills: list[SkillRecord] = Field(default_factory=list)
    printed: str = ""
    scene_after: SceneSummary | None = None
    checks: tuple[GoalCheck, ...] = ()
    timings: Timings = Field(default_factory=Timings)
    usage: Usage = Usage()
