"""What a language model writes in each role: the schemas it is given. Flat, because small models fill them too."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolwright.llm_planner.roles import Cause


class Answer(BaseModel):
    """Base of all answers. Fields that may stay empty can be left out; the schema asks for all of them, as strict
    decoders want it."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def schema_for_model(cls) -> dict[str, Any]:
        """The JSON schema without pydantic's titles and defaults: every word of it is a token of the prompt."""
        return _lean(cls.model_json_schema())


class ObjectUse(Answer):
    name: str = Field(description="an object of the scene, by its exact name")
    role: Literal["target", "container", "reference"]


class AnalyzerAnswer(Answer):
    task: str = Field(description="the task in one sentence")
    objects: tuple[ObjectUse, ...] = Field((), description="only the objects that matter")
    key_properties: tuple[str, ...] = Field((), description="properties and relations that decide how it can be done")
    constraints: tuple[str, ...] = Field((), description="implicit constraints")
    to_compute: tuple[str, ...] = Field((), description="numbers that have to be computed")
    impossible: str = Field("", description="why it cannot be done at all; empty if it can")


class Argument(Answer):
    name: str
    value: str = Field(description="an object's name, or in words the number that is needed")


class PlannedStep(Answer):
    skill: str
    arguments: tuple[Argument, ...] = ()


class PlannerAnswer(Answer):
    tool: str = Field("", description="the tool's name; empty if none is needed")
    tool_reason: str = Field("", description="why this tool, or why none")
    outline: tuple[str, ...] = Field((), description="the abstract plan")
    steps: tuple[PlannedStep, ...] = Field((), description="the atomic plan: one skill a step")
    refusal: str = Field("", description="why no plan is possible; empty if there is one")


class RepairAnswer(Answer):
    cause: Cause = Field(description="the root cause of the failure")
    reason: str = Field(description="what went wrong")
    plan: PlannerAnswer


class Formula(Answer):
    step: int = Field(description="number of the step, from 1")
    argument: str
    expression: str


class CalculatorAnswer(Answer):
    formulas: tuple[Formula, ...]


class CoderAnswer(Answer):
    code: str = Field(description="Python")


class CodeRepairAnswer(CoderAnswer):
    cause: Cause = Field(description="the root cause of the failure")
    reason: str = Field(description="what went wrong")


def _lean(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_lean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may itself be called title or default: only keywords are dropped.
    lean = {
        key: {name: _lean(item) for name, item in value.items()} if key in ("properties", "$defs") else _lean(value)
        for key, value in schema.items()
        if not (key in ("title", "default") or (key == "description" and "properties" in schema))
    }
    if lean.get("type") == "object":
        lean |= {"required": list(lean.get("properties", {})), "additionalProperties": False}
    return lean
