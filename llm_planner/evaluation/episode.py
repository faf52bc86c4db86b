"""One episode: a task's sentence in a drawn scene, carried out in full contact physics, judged on the true state.

Failures are sorted as RoboTool does (tool use, logic, numbers), and by what a robot adds: perception and control.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from toolwright.llm_planner.language.model_cache import ModelError
from toolwright.llm_planner.language.model_client import UselessAnswers
from toolwright.llm_planner.roles import Analysis, Calculation, Cause, Model, Plan, Repair, SkillCode
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.run.record import RunRecord
from toolwright.llm_planner.usage import Usage
from toolwright.perception.scene import Scene
from toolwright.policies.evaluation.scene_goals import draw, missed, truth

FIRST_SEED = 2_000_000  # scenes of evaluations are drawn from seeds that nothing else uses
R = TypeVar("R")


class Episode(BaseModel):
    """One run and the verdict. Times in s."""

    model_config = ConfigDict(frozen=True)

    task: str
    roles: str
    seed: int
    success: bool
    cause: Cause | None = None  # where it failed
    reason: str = ""
    status: str  # as the run itself reported
    tool: str = ""  # as planned
    skills: tuple[str, ...] = ()  # as called
    repairs: int = 0
    seconds: float  # of robot time
    planning: float  # in the four roles
    first_motion: float | None = None  # from the sentence to the first skill
    overhead: float | None = None  # of sandbox and gate, mean of the calls
    tokens: int = 0
    cost: float | None = 0.0  # USD; None where a price is not known


def run(task: str, seed: int, model: Model, roles: str = "full") -> Episode:
    """One episode.

    Args:
        task: name or path of a scene with a sentence and a goal.
        seed: of the scene and of perception's noise.
        model: fills the roles.
        roles: which those are, for the record.

    Raises:
        ModelError: the language model cannot be asked. That its answers are of no use is a failure of the episode.
    """
    world = draw(task, seed)
    before = truth(world)
    asked = _Asked(model)
    record = run_sentence(
        world.spec.sentence,
        actions=world.actions,
        perception=world.perception,
        model=asked,
        report=lambda event: None,
        options=Options(copy=None),
    )
    if asked.lost is not None:
        raise asked.lost
    wrong = missed(world, before)
    return Episode(
        task=task,
        roles=roles,
        seed=seed,
        success=not wrong,
        cause=cause(record, wrong) if wrong else None,
        reason=f"{record.reason.rstrip('.')}; in truth {wrong}" if wrong else "",
        status=record.status,
        tool=record.plan.tool if record.plan is not None else "",
        skills=tuple(skill.name for skill in record.skills),
        repairs=len(record.repairs),
        seconds=float(world.data.time),
        planning=record.timings.planning,
        first_motion=record.timings.first_motion,
        overhead=record.timings.overhead_per_call,
        tokens=record.usage.tokens_in + record.usage.tokens_out,
        cost=record.usage.cost if record.usage.requests else 0.0,
    )


def cause(record: RunRecord, wrong: str) -> Cause:
    """The kind of mistake that a run failed by.

    Args:
        record: of the run.
        wrong: which goals were missed in truth.
    """
    used = [name.strip() for name in record.plan.tool.split(",")] if record.plan is not None else []
    if any(name and f"{name} was moved" in wrong for name in used):
        return "tool use"  # where none was needed
    if record.status == "done":
        return "logic"  # every skill did what it was told, and that was the wrong thing
    if record.repairs:
        return record.repairs[-1].diagnosis.cause
    if record.status == "refused":
        return "tool use"
    if record.status == "rejected" or all(skill.success for skill in record.skills):
        return "logic"
    return "numbers" if record.skills[-1].refused else "control"


class _Asked:
    """A model that remembers when it could not be asked: `run_sentence` takes that for a plan that failed."""

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self.lost: ModelError | None = None
        self._model = model

    def analyze(self, sentence: str, scene: Scene) -> Analysis:
        return self._ask(lambda: self._model.analyze(sentence, scene))

    def plan(self, analysis: Analysis, scene: Scene) -> Plan:
        return self._ask(lambda: self._model.plan(analysis, scene))

    def calculate(self, plan: Plan, scene: Scene) -> Calculation:
        return self._ask(lambda: self._model.calculate(plan, scene))

    def code(self, plan: Plan, calculation: Calculation, stubs: str) -> SkillCode:
        return self._ask(lambda: self._model.code(plan, calculation, stubs))

    def repair(self, analysis: Analysis, plan: Plan, code: SkillCode, failure: str, scene: Scene) -> Repair | None:
        return self._ask(lambda: self._model.repair(analysis, plan, code, failure, scene))

    def spent(self) -> Usage:
        return self._model.spent()

    def _ask(self, fill: Callable[[], R]) -> R:
        try:
            return fill()
        except UselessAnswers:
            raise
        except ModelError as error:
            self.lost = error
            raise
