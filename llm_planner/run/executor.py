"""One sentence from the first look to the verdict: look, four roles, check, dry run, run in the sandbox, look, judge.

What fails is diagnosed from measured state and given back to the model, which may plan anew a few times.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

from toolwright.hardware.safety import EmergencyStopped
from toolwright.llm_planner.roles import Model, NumberedStep, RoleError, SkillCode
from toolwright.llm_planner.run import checker, sandbox, verdict
from toolwright.llm_planner.run.attempt import Attempt, Failure, kept
from toolwright.llm_planner.run.diagnosis import Diagnosis, diagnose
from toolwright.llm_planner.run.events import (
    CodeChecked,
    Finished,
    Rehearsed,
    Repaired,
    Report,
    RoleDone,
    RoleResult,
    SceneSeen,
    SkillEnded,
    SkillStarted,
)
from toolwright.llm_planner.run.gate import Approve, Call, CallRefused, Gate
from toolwright.llm_planner.run.record import RepairRecord, RunRecord, SceneSummary, SkillRecord, Status
from toolwright.llm_planner.run.rehearsal import CopyWorld, code_cause, model_copy, printable, rehearse
from toolwright.llm_planner.skills.choice import AnyActions, skills_for
from toolwright.llm_planner.skills.library import EMPTY, Library
from toolwright.llm_planner.skills.registry import Registry
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.perception.scene import Perception, Scene
from toolwright.policies.outcome import Outcome

REPAIRS = 2
IMPATIENCE = 5  # interrupts while the robot is told to stop

log = logging.getLogger("toolwright")
R = TypeVar("R", bound=RoleResult)


@dataclass(frozen=True)
class Options:
    """How a sentence is carried out.

    Attributes:
        copy: makes the copy of the world for the dry run; None leaves the dry run out.
        dry_run: end after the dry run; nothing moves.
        approve: asked before every call that moves something.
        repairs: how often a failed plan may be repaired.
        library: skills that were kept from earlier runs.
    """

    copy: CopyWorld | None = model_copy
    dry_run: bool = False
    approve: Approve | None = None
    repairs: int = REPAIRS
    library: Library = EMPTY


def run_sentence(
    sentence: str,
    actions: AnyActions,
    perception: Perception,
    model: Model,
    report: Report,
    registry: Registry | None = None,
    options: Options = Options(),
) -> RunRecord:
    """Do what a sentence asks for.

    Ends without an exception when the sentence is refused, the code is rejected, a skill fails or faults, the user
    says no, or somebody stops the robot: the record's `status` and `reason` say which. The robot is told to stop on
    interrupts and faults.

    Args:
        report: called with every event of the run, in order, in this thread.
        registry: the skills; by default those that fit what the hand holds.

    Raises:
        Exception: what `perception.look` or `report` raised, after the robot was told to stop.
    """
    run = _Run(sentence, actions, perception, model, report, registry, options)
    try:
        run.go()
    except KeyboardInterrupt:
        run.halt("interrupted by the user")
        run.end("stopped", "Interrupted by the user.")
    except EmergencyStopped as error:
        run.halt(f"emergency stop: {error}")
        run.end("stopped", f"Emergency stop: {error}.")
    except Exception as error:
        run.halt(f"{type(error).__name__}: {error}")
        raise
    return run.finish()


class _SkillFailed(Exception):
    """Leaves the skill code at the call that failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class _Run:
    """The state of one run; `record` fills up as it proceeds."""

    def __init__(
        self,
        sentence: str,
        actions: AnyActions,
        perception: Perception,
        model: Model,
        report: Report,
        registry: Registry | None,
        options: Options,
    ) -> None:
        self.record = RunRecord(sentence=sentence, model=model.name)
        self._actions = actions
        self._perception = perception
        self._model = model
        self._report = report
        self._registry = registry or SKILLS
        self._fitting = registry is None
        self._options = options
        self._gate: Gate | None = None
        self._scene: Scene | None = None  # as seen last
        self._start = perf_counter()
        self._resumed = self._start  # when the sandbox last got the word
        self._before: Scene | None = None  # as seen first
        self._number = 0  # of the attempt
        self._halted = False

    def go(self) -> None:
        try:
            self._before = scene = self._look()
            if self._fitting:
                self._registry = skills_for(scene)
            attempt = self._roles(scene)
        except RoleError as error:
            self.end("rejected", f"No usable plan: {error}")
            return
        if attempt is None:
            return
        goals = verdict.goals(attempt.calculation.steps, scene)
        while True:
            failure = self._try(attempt, goals)
            if failure is None:
                return
            status = failure.final or ("failed" if self.record.skills else "rejected")
            self.end(status, failure.reason)
            if failure.final or self._number == self._options.repairs:
                break
            self._number += 1
            repaired = self._repair(attempt, failure)
            if repaired is None:
                return
            attempt = repaired
            goals = kept(goals, verdict.goals(attempt.calculation.steps, self._scene))
        if self._number and not failure.final:
            self._add(f"Given up after {self._number} repair{'s' * (self._number > 1)}.")

    def _add(self, sentence: str) -> None:
        self.record.reason = f"{self.record.reason.rstrip('.')}. {sentence}"

    def halt(self, reason: str) -> None:
        """Stops the robot once; an impatient second Ctrl-C does not get in between."""
        for _ in range(IMPATIENCE if not self._halted else 0):
            try:
                self._actions.stop(reason)
                self._halted = True
                return
            except KeyboardInterrupt:
                log.warning("interrupted while stopping the robot: stopping it again")

    def end(self, status: Status, reason: str) -> None:
        self.record.success, self.record.reason, self.record.status = status == "done", reason, status

    def finish(self) -> RunRecord:
        overheads = [skill.overhead for skill in self.record.skills if not skill.refused]
        if overheads:
            self.record.timings.overhead_per_call = sum(overheads) / len(overheads)
        self.record.timings.total = perf_counter() - self._start
        self.record.usage = self._model.spent()
        self._report(Finished(self.record))
        return self.record

    # -- planning -----------------------------------------------------------------------------------------------------

    def _look(self, after: bool = False, quiet: bool = False) -> Scene:
        self._scene = scene = self._perception.look()
        if self._gate is not None:
            self._gate.see(scene)
        if quiet:
            return scene
        summary = SceneSummary.of(scene)
        if after:
            self.record.scene_after = summary
        else:
            self.record.scene_before = summary
        self._report(SceneSeen(summary, after))
        return scene

    def _roles(self, scene: Scene) -> Attempt | None:
        """Fill the record with what the four roles return; None where the planner refuses."""
        record, model = self.record, self._model
        stubs = checker.stubs(self._registry, self._options.library.stubs())
        record.analysis = analysis = self._role("analyzer", lambda: model.analyze(record.sentence, scene))
        record.plan = plan = self._role("planner", lambda: model.plan(analysis, scene))
        if plan.refusal is not None:
            self.end("refused", str(plan.refusal))
            return None
        record.calculation = calculation = self._role("calculator", lambda: model.calculate(plan, scene))
        code = self._role("coder", lambda: model.code(plan, calculation, stubs))
        record.code = code.text
        return Attempt(plan, calculation, code.text)

    def _role(self, role: str, fill: Callable[[], R]) -> R:
        began = perf_counter()
        result = fill()
        seconds = perf_counter() - began
        self.record.timings.planning += seconds
        self._report(RoleDone(role, result, seconds))
        return result

    def _repair(self, attempt: Attempt, failure: Failure) -> Attempt | None:
        """Another plan from the scene as it is now; None where there is none, and the run ends."""
        assert self.record.analysis is not None
        scene, began = self._look(quiet=True), perf_counter()
        try:
            repair = self._model.repair(
                self.record.analysis, attempt.plan, SkillCode(text=attempt.code), failure.told, scene
            )
        except RoleError as error:
            repair = None
            self._add(f"No repair: {error}")
        self.record.timings.repairing += perf_counter() - began
        self.record.repairs.append(RepairRecord(failure=failure.told, diagnosis=failure.diagnosis, repair=repair))
        self._report(Repaired(self._number, failure.told, failure.diagnosis, repair))
        if repair is None:
            return None
        if repair.plan.refusal is not None:
            self._add(f"No repair: {repair.plan.refusal}")
            return None
        return Attempt(repair.plan, repair.calculation, repair.code.text)

    # -- before anything moves ----------------------------------------------------------------------------------------

    def _try(self, attempt: Attempt, goals: tuple[verdict.Goal, ...]) -> Failure | None:
        assert self._scene is not None
        failure = self._check(attempt) or self._rehearse(attempt, goals)
        if failure is not None:
            return failure
        if self._options.dry_run:
            self.end("rehearsed", "Every skill works on a copy of the world; nothing has moved.")
            return None
        if self._gate is None:  # one budget of calls for the whole run
            self._gate = Gate(self._registry, self._scene, approve=self._options.approve)
        failure = self._execute(attempt)
        return self._judge(goals, failure)

    def _check(self, attempt: Attempt) -> Failure | None:
        checked = checker.check(attempt.code, self._registry, self._options.library.stubs())
        if self._number:
            self.record.repairs[-1].check = checked
        else:
            self.record.check = checked
        self.record.timings.checking += checked.seconds
        self._report(CodeChecked(attempt.code, checked))
        if checked.passed:
            return None
        return Failure(
            f"The code did not pass the check: {checked}",
            Diagnosis(cause="logic", reason="nothing has moved; the code does not fit the skills as they are declared"),
        )

    def _rehearse(self, attempt: Attempt, goals: tuple[verdict.Goal, ...]) -> Failure | None:
        if self._options.copy is None:
            return None
        assert self._scene is not None
        prelude = self._options.library.prelude(attempt.code)
        dry = rehearse(attempt.code, self._registry, self._scene, self._options.copy, goals, prelude)
        if self._number:
            self.record.repairs[-1].rehearsal = dry
        else:
            self.record.rehearsal = dry
        self.record.timings.rehearsing += dry.seconds
        self._report(Rehearsed(dry))
        if dry.passed:
            return None
        return Failure(
            f"The dry run failed: {dry.reason}.",
            Diagnosis(cause=dry.cause or "logic", reason=f"on a copy of the world {dry.reason}; no skill was started"),
        )

    # -- moving -------------------------------------------------------------------------------------------------------

    def _execute(self, attempt: Attempt) -> Failure | None:
        """Run the code; returns what went wrong, None where every call succeeded."""
        prelude = self._options.library.prelude(attempt.code)
        self._resumed = perf_counter()
        try:
            self.record.printed += sandbox.run(attempt.code, self._call, prelude)
        except _SkillFailed as failed:
            return failed.failure
        except sandbox.SandboxError as error:
            text = f"The code stopped: {error}"
            return Failure(text, Diagnosis(cause=code_cause(str(error)), reason="the code itself raised"))
        return None

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
        assert self._gate is not None
        index = len(self.record.skills)
        try:
            call = self._gate.admit(name, args, kwargs)
        except CallRefused as refusal:
            given = refusal.denied.arguments if refusal.denied else printable(args, kwargs)
            self._ended(
                index, SkillRecord(name=name, arguments=given, success=False, reason=str(refusal), refused=True)
            )
            reason = str(refusal) if refusal.denied else f"The gate refused a call: {refusal}"
            diagnosis = Diagnosis(cause=refusal.cause, reason=str(refusal))
            raise _SkillFailed(Failure(reason, diagnosis, "stopped" if refusal.denied else None)) from refusal
        outcome = self._move(index, call, overhead=perf_counter() - self._resumed - self._gate.asked)
        self._resumed = perf_counter()
        return outcome

    def _move(self, index: int, call: Call, overhead: float) -> Outcome:
        """Start a skill, measure what it did.

        Raises:
            _SkillFailed: it failed, and why.
        """
        assert self._scene is not None
        name, before = call.skill.name, self._scene
        self._report(SkillStarted(index, name, call.arguments))
        began = perf_counter()
        if self.record.timings.first_motion is None:
            self.record.timings.first_motion = began - self._start
        entry = SkillRecord(
            name=name,
            arguments=call.arguments,
            success=False,
            reason="did not end",
            overhead=overhead,
            attempt=self._number,
            edited=call.edited,
        )
        outcome, fault = Outcome(False, "stopped before it ended"), ""
        try:
            outcome = call.skill.function(self._actions, **call.arguments)
        except (KeyboardInterrupt, EmergencyStopped) as stop:
            self.halt("interrupted by the user" if isinstance(stop, KeyboardInterrupt) else f"emergency stop: {stop}")
            raise
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            self.halt(f"{name}: {fault}")
            log.exception("skill %s raised", name)
            outcome = Outcome(False, fault)
        finally:
            entry.success, entry.reason = bool(outcome.success), outcome.reason
            entry.measured = {key: float(value) for key, value in outcome.measured.items()}
            entry.seconds, entry.wall = float(outcome.seconds), perf_counter() - began
            self._ended(index, entry)
        over = self._gate.after(call, outcome) if self._gate else ""
        if over:
            self.halt(over)
            raise _SkillFailed(Failure(f"Stopped: {over}.", Diagnosis(cause="control", reason=over), "failed"))
        after = self._look(quiet=True)
        if not outcome.success:
            diagnosis = diagnose(call, outcome, before, after, fault)
            raise _SkillFailed(Failure(f"{name} failed: {outcome.reason}", diagnosis, "failed" if fault else None))
        return outcome

    def _ended(self, index: int, entry: SkillRecord) -> None:
        self.record.skills.append(entry)
        self._report(SkillEnded(index, entry))

    def _judge(self, goals: tuple[verdict.Goal, ...], failure: Failure | None) -> Failure | None:
        """Look, and read the verdict from what is there; the record says done only here."""
        # Without a calculator there are no steps with numbers: what was called says what was meant.
        called = [NumberedStep(skill=it.name, arguments=dict(it.arguments)) for it in self.record.skills if it.success]
        checks = verdict.judge(goals or verdict.goals(called, self._before), self._look(after=True))
        self.record.checks = checks
        if failure is not None:
            return failure
        missed = [item.reason for item in checks if not item.success]
        if missed:
            text = "every skill reported its end, but the world is not as planned"
            return Failure(f"Measured afterwards: {'; '.join(missed)}.", Diagnosis(cause="control", reason=text))
        if checks:
            self.end("done", f"Measured afterwards: {'; '.join(item.reason for item in checks)}.")
        else:
            self.end("done", "Every skill reached its end; nothing in the scene was meant to change.")
        return None
