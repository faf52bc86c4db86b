"""Which event of a run is written where: the conversation, and the steps."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from toolwright.launch.tui import says
from toolwright.launch.tui.panes import Steps, Talk
from toolwright.launch.tui.runner import Message
from toolwright.llm_planner.roles import Analysis, Calculation, Plan
from toolwright.llm_planner.run.events import CodeChecked, Rehearsed, Repaired, RoleDone, SkillEnded, SkillStarted


class Narrator:
    """Tells a run.

    Args:
        talk: the conversation.
        steps: the plan and its progress.
        show_code: called with code as it is made.
        now: s of robot time.
    """

    def __init__(self, talk: Talk, steps: Steps, show_code: Callable[[str], None], now: Callable[[], float]) -> None:
        self._talk, self._steps, self._show_code, self._now = talk, steps, show_code, now
        self._since: float | None = None  # s of robot time when the running skill began

    def tell(self, message: Message) -> None:
        """Writes down one event; questions and ends are the console's own affair."""
        talk, steps = self._talk, self._steps
        match message:
            case RoleDone(role=role, result=Analysis() as result):
                talk.say(role, says.analysis(result))
            case RoleDone(role=role, result=Plan() as result):
                talk.say(role, says.plan(result))
            case RoleDone(role=role, result=Calculation() as result):
                talk.say(role, says.calculation(result))
            case CodeChecked():
                self._show_code(message.code)
                found = "passed" if message.check.passed else str(message.check)
                talk.say("checker", says.plain(found, "" if message.check.passed else says.BAD))
            case Rehearsed(rehearsal=dry):
                steps.propose(dry)
                found = "every call works on a copy of the world" if dry.passed else dry.reason
                talk.say("dry run", says.plain(found, "" if dry.passed else says.BAD))
            case SkillStarted():
                call = says.call(message.name, message.arguments)
                self._since = self._now()
                steps.start(message.index, call)
                talk.say("▶", Text(call), "tight")
            case SkillEnded(index=index, skill=skill):
                self._since = None
                mark = "✓" if skill.success else "–" if skill.refused else "✗"
                steps.end(index, says.call(skill.name, skill.arguments), says.ended(skill)[2:], mark)
                talk.say(" ", says.ended(skill))
            case Repaired():
                talk.say("repair", says.repaired(str(message.diagnosis), message.repair))

    def progress(self, more: str) -> None:
        """How long the running skill takes, and what else is known of it."""
        if self._since is not None:
            self._steps.progress(Text(f"{self._now() - self._since:.1f} s  ").append(more, says.FAINT))
