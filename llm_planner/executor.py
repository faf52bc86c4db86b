"""One sentence from the first look to the verdict: look, four roles, check, run in the sandbox, look again, judge."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, TypeVar

from toolwright.llm_planner import sandbox, verdict
from toolwright.llm_planner.actions import Actions
from toolwright.llm_planner.checker import check
from toolwright.llm_planner.events import (
    CodeChecked,
    Finished,
    Report,
    RoleDone,
    RoleResult,
    SceneSeen,
    SkillEnded,
    SkillStarted,
)
from toolwright.llm_planner.gate import Call, CallRefused, Gate
from toolwright.llm_planner.record import RunRecord, SceneSummary, SkillRecord, Status
from toolwright.llm_planner.registry import Registry
from toolwright.llm_planner.roles import Model, RoleError
from toolwright.llm_planner.skills import SKILLS
from toolwright.perception.scene import Perception, Scene
from toolwright.policies.outcome import Outcome

MAX_SHOWN = 80  # characters of a refused argument in the record

log = logging.getLogger("toolwright")
R = TypeVar("R", bound=RoleResult)


def run_sentence(
    sentence: str,
    actions: Actions,
    perception: Perception,
    model: Model,
    report: Report,
    registry: Registry = SKILLS,
) -> RunRecord:
    """Do what a sentence asks for.

    Ends without an exception when the sentence is refused, the code is rejected, a skill fails or faults, or the user
    interrupts: the record's `status` and `reason` say which. The robot is told to stop on interrupts and faults.

    Args:
        report: called with every event of the run, in order, in this thread.

    Raises:
        Exception: what `perception.look` or `report` raised, after the robot was told to stop.
    """
    run = _Run(sentence, actions, perception, model, report, registry)
    try:
        run.go()
    except KeyboardInterrupt:
        actions.stop("interrupted by the user")
        run.end("stopped", "Interrupted by the user.")
    except Exception as error:
        actions.stop(f"{type(error).__name__}: {error}")
        raise
    return run.finish()


class _SkillFailed(Exception):
    """Leaves the skill code at the call that failed."""


class _Run:
    """The state of one run; `record` fills up as it proceeds."""

    def __init__(
        self,
        sentence: str,
        actions: Actions,
        perception: Perception,
        model: Model,
        report: Report,
        registry: Registry,
    ) -> None:
        self.record = RunRecord(sentence=sentence, model=model.name)
        self._actions = actions
        self._perception = perception
        self._model = model
        self._report = report
        self._registry = registry
        self._start = perf_counter()
        self._resumed = self._start  # when the sandbox last got the word

    def go(self) -> None:
        scene = self._look(after=False)
        try:
            planned = self._roles(scene)
        except RoleError as error:
            self.end("rejected", f"No usable plan: {error}")
            return
        if not planned:
            return
        checked = check(self.record.code, self._registry)
        self.record.check = checked
        self.record.timings.checking = checked.seconds
        self._report(CodeChecked(self.record.code, checked))
        if not checked.passed:
            self.end("rejected", f"The code did not pass the check: {checked}")
            return
        trouble = self._execute(scene)
        self._judge(trouble)

    def end(self, status: Status, reason: str) -> None:
        self.record.success, self.record.reason, self.record.status = status == "done", reason, status

    def finish(self) -> RunRecord:
        overheads = [skill.overhead for skill in self.record.skills]
        if overheads:
            self.record.timings.overhead_per_call = sum(overheads) / len(overheads)
        self.record.timings.total = perf_counter() - self._start
        self._report(Finished(self.record))
        return self.record

    def _look(self, after: bool) -> Scene:
        scene = self._perception.look()
        summary = SceneSummary.of(scene)
        if after:
            self.record.scene_after = summary
        else:
            self.record.scene_before = summary
        self._report(SceneSeen(summary, after))
        return scene

    def _roles(self, scene: Scene) -> bool:
        """Fill the record with what the four roles return; False where the planner refuses."""
        record, model = self.record, self._model
        record.analysis = analysis = self._role("analyzer", lambda: model.analyze(record.sentence, scene))
        record.plan = plan = self._role("planner", lambda: model.plan(analysis, scene))
        if plan.refusal is not None:
            self.end("refused", str(plan.refusal))
            return False
        record.calculation = calculation = self._role("calculator", lambda: model.calculate(plan, scene))
        code = self._role("coder", lambda: model.code(plan, calculation, self._registry.stubs()))
        record.code = code.text
        return True

    def _role(self, role: str, fill: Callable[[], R]) -> R:
        began = perf_counter()
        result = fill()
        seconds = perf_counter() - began
        self.record.timings.planning += seconds
        self._report(RoleDone(role, result, seconds))
        return result

    def _execute(self, scene: Scene) -> str:
        """Run the code; returns what went wrong, empty where every call succeeded."""
        gate = Gate(self._registry, scene)
        self._resumed = perf_counter()
        try:
            self.record.printed = sandbox.run(self.record.code, lambda *call: self._call(gate, *call))
        except _SkillFailed as failure:
            return str(failure)
        except sandbox.SandboxError as error:
            return f"The code stopped: {error}"
        return ""

    def _call(self, gate: Gate, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
        index = len(self.record.skills)
        try:
            call = gate.admit(name, args, kwargs)
        except CallRefused as refusal:
            refused = SkillRecord(name=name, arguments=_printable(args, kwargs), success=False, reason=str(refusal))
            self._ended(index, refused.model_copy(update={"refused": True}))
            raise _SkillFailed(f"The gate refused a call: {refusal}") from refusal
        outcome = self._move(index, call)
        if not outcome.success:
            raise _SkillFailed(f"{name} failed: {outcome.reason}")
        self._resumed = perf_counter()
        return outcome

    def _move(self, index: int, call: Call) -> Outcome:
        name = call.skill.name
        self._report(SkillStarted(index, name, call.arguments))
        began = perf_counter()
        if self.record.timings.first_motion is None:
            self.record.timings.first_motion = began - self._start
        entry = SkillRecord(
            name=name,
            arguments=call.arguments,
            success=False,
            reason="did not end",
            overhead=began - self._resumed,
        )
        outcome = Outcome(False, "stopped before it ended")
        try:
            outcome = call.skill.function(self._actions, **call.arguments)
        except Exception as error:
            log.exception("skill %s raised", name)
            outcome = Outcome(False, f"{type(error).__name__}: {error}")
            self._actions.stop(f"{name}: {outcome.reason}")
        finally:
            entry.success, entry.reason = bool(outcome.success), outcome.reason
            entry.measured = {key: float(value) for key, value in outcome.measured.items()}
            entry.seconds, entry.wall = float(outcome.seconds), perf_counter() - began
            self._ended(index, entry)
        return outcome

    def _ended(self, index: int, entry: SkillRecord) -> None:
        self.record.skills.append(entry)
        self._report(SkillEnded(index, entry))

    def _judge(self, trouble: str) -> None:
        scene = self._look(after=True)
        assert self.record.calculation is not None  # code was run, so every role has answered
        checks = verdict.judge(verdict.goals(self.record.calculation.steps), scene)
        self.record.checks = checks
        if trouble:
            self.end("failed", trouble)
            return
        missed = [item.reason for item in checks if not item.success]
        if missed:
            self.end("failed", f"Measured afterwards: {'; '.join(missed)}.")
        elif checks:
            self.end("done", f"Measured afterwards: {'; '.join(item.reason for item in checks)}.")
        else:
            self.end("done", "Every skill reached its end; nothing in the scene was meant to change.")


def _printable(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str | float | int | bool]:
    """The arguments of a refused call, whatever they are."""
    named = {**{str(index): value for index, value in enumerate(args)}, **kwargs}
    return {name: repr(value)[:MAX_SHOWN] for name, value in named.items()}
