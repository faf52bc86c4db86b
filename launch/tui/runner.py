"""Sentences in a thread of their own: events out, answers in. Nothing here knows about the screen."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from toolwright.launch.live import Live
from toolwright.llm_planner.roles import Analysis, Calculation, Model, Plan, Repair, SkillCode
from toolwright.llm_planner.run.events import Event, Finished
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.run.gate import Call, Decision
from toolwright.llm_planner.run.record import RunRecord
from toolwright.llm_planner.skills.registry import Registry
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.llm_planner.usage import Usage
from toolwright.perception.scene import Scene

Approval = Literal["code", "each", "never"]


@dataclass(frozen=True)
class Asking:
    """The run waits for an answer: may `code` run, or, where `call` is given, may this call be made?"""

    code: str
    call: Call | None = None


@dataclass(frozen=True)
class Answer:
    """What the user says. `code` replaces the code that was asked about."""

    verdict: Literal["yes", "always", "no", "edit"]
    code: str = ""


@dataclass(frozen=True)
class Ended:
    """A run is over and the robot stands."""

    record: RunRecord | None
    error: str = ""  # a fault that left no record
    settled: float | None = None  # s of robot time until a stopped robot stood


Message = Event | Asking | Ended
R = TypeVar("R")
Tell = Callable[[Message], None]
AS_USUAL = Options()


class Runner:
    """Runs one sentence at a time.

    Args:
        live: the robot.
        model: fills the four roles.
        tell: called from the run's thread with everything that happens.
        approval: ask before the code runs, before each call, or never.
    """

    def __init__(
        self,
        live: Live,
        model: Model,
        tell: Tell,
        approval: Approval = "code",
        registry: Registry = SKILLS,
        options: Options = AS_USUAL,
    ) -> None:
        self.live, self.model, self.approval = live, model, approval
        self._tell, self._registry, self._options = tell, registry, options
        self._thread: threading.Thread | None = None
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._code = ""  # that is about to run
        self._approved = ""  # that the user said yes to
        self._edited = ""  # that the user wants instead

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, sentence: str) -> None:
        """Begins a run; the caller has seen to it that none is running."""
        assert not self.running
        self._code = self._approved = self._edited = ""
        self._answers = queue.Queue()
        self.live.begin()
        self._thread = threading.Thread(target=self._run, args=(sentence,), name="run", daemon=True)
        self._thread.start()

    def answer(self, answer: Answer) -> None:
        """Answers what was asked."""
        self._answers.put(answer)

    def stop(self, reason: str) -> None:
        """Stops motion at once, and the run with it."""
        if self.running:
            self.live.stop(reason)
            self._answers.put(Answer("no"))
            cancel = getattr(self.model, "cancel", None)  # of one that may keep us waiting
            if cancel is not None:
                cancel()

    def join(self, seconds: float) -> bool:
        """Waits for the run to end; False where it did not."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.running

    def _run(self, sentence: str) -> None:
        try:
            record = self._sentence(sentence)
            self._tell(Ended(record, settled=self.live.settle() if self.live.stopping else None))
        except BaseException as error:  # a lost camera, physics that blew up: the screen has to say so
            fault = f"{type(error).__name__}: {error}"
            self.live.latch(fault)
            self._tell(Ended(None, fault))

    def _sentence(self, sentence: str) -> RunRecord:
        model = _Watched(self.model, self.live)
        options = replace(self._options, approve=self._approve)
        while True:
            record = run_sentence(
                sentence, self.live.actions, self.live.perception, model, self._report, self._registry, options
            )
            if not self._edited or self.live.stopping:
                return record
            model = _Edited(self.model, self.live, record, self._edited)
            options = replace(options, repairs=0)  # nobody changes what the user wrote
            self._approved, self._edited = self._edited, ""

    def _report(self, event: Event) -> None:
        if self._edited and not self.live.stopping:
            return  # the run that ends is not the one that was asked for
        code = getattr(event, "code", None)
        if isinstance(code, str):
            self._code = code
        self._tell(event)
        if not isinstance(event, Finished):
            self.live.raise_if_stopped()

    def _approve(self, call: Call) -> Decision:
        self.live.raise_if_stopped()
        if self.approval == "never" or (self.approval == "code" and self._code == self._approved):
            return Decision(True)
        one_by_one = self.approval == "each" and self._code == self._approved
        self._tell(Asking(self._code, call if one_by_one else None))
        answer = self._answers.get()
        self.live.raise_if_stopped()
        if answer.verdict == "always":
            self.approval = "never"
        if answer.verdict in ("yes", "always"):
            self._approved = self._code
            return Decision(True)
        self._edited = answer.code if answer.verdict == "edit" else ""
        return Decision(False, "you said no")


class _Watched:
    """A model that ends the run after a stop, also where the stop made it give up."""

    def __init__(self, model: Model, live: Live) -> None:
        self.name, self._model, self._live = model.name, model, live

    def analyze(self, sentence: str, scene: Scene) -> Analysis:
        return self._unless_stopped(lambda: self._model.analyze(sentence, scene))

    def plan(self, analysis: Analysis, scene: Scene) -> Plan:
        return self._unless_stopped(lambda: self._model.plan(analysis, scene))

    def calculate(self, plan: Plan, scene: Scene) -> Calculation:
        return self._unless_stopped(lambda: self._model.calculate(plan, scene))

    def code(self, plan: Plan, calculation: Calculation, stubs: str) -> SkillCode:
        return self._unless_stopped(lambda: self._model.code(plan, calculation, stubs))

    def repair(self, analysis: Analysis, plan: Plan, code: SkillCode, failure: str, scene: Scene) -> Repair | None:
        return self._unless_stopped(lambda: self._model.repair(analysis, plan, code, failure, scene))

    def spent(self) -> Usage:
        return self._model.spent()

    def _unless_stopped(self, fill: Callable[[], R]) -> R:
        try:
            return fill()
        finally:
            self._live.raise_if_stopped()


class _Edited(_Watched):
    """A model that has made up its mind: it gives the plan of an earlier run again, with the user's code."""

    def __init__(self, model: Model, live: Live, record: RunRecord, code: str) -> None:
        super().__init__(model, live)
        self._record, self._code = record, code
        repairs = [item.repair for item in record.repairs if item.repair is not None]
        self._last: Repair | RunRecord = repairs[-1] if repairs else record

    def analyze(self, sentence: str, scene: Scene) -> Analysis:
        assert self._record.analysis is not None
        return self._record.analysis

    def plan(self, analysis: Analysis, scene: Scene) -> Plan:
        assert self._last.plan is not None
        return self._last.plan

    def calculate(self, plan: Plan, scene: Scene) -> Calculation:
        assert self._last.calculation is not None
        return self._last.calculation

    def code(self, plan: Plan, calculation: Calculation, stubs: str) -> SkillCode:
        return SkillCode(text=self._code)

    def spent(self) -> Usage:
        """What the edited run cost counts here too."""
        return Usage.of([*self._record.usage.exchanges, *self._model.spent().exchanges])
