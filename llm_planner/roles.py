"""The four roles and what each hands to the next: analyzer, planner, calculator, coder.

Whoever fills the roles, a grammar or a language model, implements `Model` and returns these types.
"""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from toolwright.llm_planner.usage import Usage
from toolwright.perception.scene import Scene

ROLES = ("analyzer", "planner", "calculator", "coder")
HandAction = Literal["get", "press", "free", "push_to", "put_at"]  # of the bare hand
JobAction = Literal["dispense", "turn", "clip_on", "cut"]  # of tools with a job of their own
PalmAction = Literal["reorient"]  # of what lies in the palm-up hand
StandAction = Literal["fetch"]  # of a tool that stands in its stand
Action = (
    Literal["pick", "drop_in", "place_at", "put_down", "set_opening", "move_tips", "home"]
    | HandAction
    | JobAction
    | StandAction
    | PalmAction
)
Relation = Literal[
    "", "in", "at", "above", "beside", "left", "right", "front", "behind", "offset", "to", "wide", "half", "closed"
]
SymbolName = Literal[
    "opening_around",
    "grip_on",
    "lift",
    "release_height",
    "x_of",
    "y_of",
    "z_of",
    "z_above",
    "z_release",
    "x_beside",
    "y_beside",
    "x_tips",
    "y_tips",
    "z_tips",
    "half_opening",
    "widest_opening",
    "x_aside",
    "y_aside",
    "x_within",
    "y_within",
    "x_onto",
    "y_onto",
    "dx_within",
]


# Where a failure comes from: the wrong tool or skill, the wrong order, wrong numbers, a wrong picture of the scene, or
# a motion that did not do what it was told.
Cause = Literal["tool use", "logic", "numbers", "perception", "control"]


class RoleError(ValueError):
    """A role's result that the next one cannot use."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class Refusal(_Result):
    """Why a request is not carried out, and the nearest thing that can be."""

    reason: str
    suggestion: str = ""

    def __str__(self) -> str:
        return f"{self.reason} {self.suggestion}".strip()


class Request(_Result):
    """One thing asked for, in terms of the scene's own names."""

    action: Action
    object: str = ""
    reference: str = ""
    relation: Relation = ""
    values: dict[str, float] = Field(default_factory=dict)  # SI units: x, y, z, opening, angle; volume in ml


class ObjectFacts(_Result):
    """The measured properties of an object that decide whether the task can be done."""

    name: str
    role: Literal["target", "container", "reference"]
    shape: str
    width: float  # m, smallest horizontal extent
    mass: float  # kg
    mouth: float = 0.0  # m, inner diameter; 0 where it holds nothing
    pos: tuple[float, float, float]  # m


class Analysis(_Result):
    """The analyzer's result. `problem` says why the sentence makes no task in this scene."""

    task: str
    sentence: str = ""  # as it was typed, where a language model has to read it again
    requests: tuple[Request, ...] = ()
    tool: str = ""  # the tool that the sentence asks for; empty where it names none
    objects: tuple[ObjectFacts, ...] = ()
    properties: tuple[str, ...] = ()  # and relations of the objects that decide how it can be done
    constraints: tuple[str, ...] = ()
    to_compute: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what was read into the sentence: spelling, ignored words, chosen objects
    problem: Refusal | None = None


class Symbol(_Result):
    """A number that the calculator works out from the measured scene, plus `offset` [m]."""

    quantity: SymbolName
    object: str = ""
    moved: str = ""  # the object to be placed, for the quantities beside another object
    side: str = ""
    offset: float = 0.0

    def __str__(self) -> str:
        arguments = ", ".join(item for item in (self.object, self.side, self.moved) if item)
        text = f"{self.quantity}({arguments})" if arguments else self.quantity
        return f"{text} {self.offset:+g}" if self.offset else text


class Step(_Result):
    """One skill of the plan with symbolic arguments."""

    skill: str
    arguments: dict[str, str | float | Symbol]


class Plan(_Result):
    """The planner's result: the tool and the steps, or a refusal."""

    tool: str = ""
    tool_reason: str = ""
    outline: tuple[str, ...] = ()  # the abstract plan in words
    steps: tuple[Step, ...] = ()
    refusal: Refusal | None = None


class Derivation(_Result):
    """How one number came about."""

    step: int
    argument: str
    value: float
    how: str


class NumberedStep(_Result):
    """One skill of the plan with numbers."""

    skill: str
    arguments: dict[str, str | float]


class Calculation(_Result):
    """The calculator's result."""

    steps: tuple[NumberedStep, ...]
    derivations: tuple[Derivation, ...] = ()


class SkillCode(_Result):
    """The coder's result: Python that calls skills."""

    text: str


class Repair(_Result):
    """What takes the place of a plan that failed: the root cause, and everything from the plan on, made anew.

    The plan starts from the scene as it is now; what was done already is not in it.
    """

    cause: Cause
    reason: str
    plan: Plan
    calculation: Calculation = Calculation(steps=())  # empty where the plan refuses
    code: SkillCode = SkillCode(text="")


class Model(Protocol):
    """Whatever fills the four roles.

    Raises:
        RoleError: from any role, where no usable result came out.
    """

    name: str

    def analyze(self, sentence: str, scene: Scene) -> Analysis: ...
    def plan(self, analysis: Analysis, scene: Scene) -> Plan: ...
    def calculate(self, plan: Plan, scene: Scene) -> Calculation: ...
    def code(self, plan: Plan, calculation: Calculation, stubs: str) -> SkillCode: ...
    def repair(self, analysis: Analysis, plan: Plan, code: SkillCode, failure: str, scene: Scene) -> Repair | None:
        """A new plan after a failure; None where this model knows no other way.

        Args:
            plan: what was planned last.
            code: what ran last, or was rejected by the checker or the dry run before anything moved.
            failure: what happened, in words: the failed skill with its reason and what was measured.
            scene: measured after the failure.
        """
        ...

    def spent(self) -> Usage:
        """What was used since this was last asked."""
        ...
