"""Prints a run as it happens: the four roles, the code, every skill with what it measured, the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from toolwright.llm_planner.roles import Analysis, Calculation, ObjectFacts, Plan, Step
from toolwright.llm_planner.run.events import (
    CodeChecked,
    Event,
    Finished,
    Rehearsed,
    Repaired,
    RoleDone,
    SceneSeen,
    SkillEnded,
    SkillStarted,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_COLORS = {
    **{"done": "green", "rehearsed": "green", "refused": "yellow", "stopped": "yellow"},
    **{"rejected": "red", "failed": "red"},
}


class ConsolePrinter:
    """A `report` for `run_sentence` that writes to a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False)

    def __call__(self, event: Event) -> None:
        match event:
            case SceneSeen(scene=scene, after=False):
                tool = f", {scene.tool.name} in the hand" if scene.tool else ", no tool in the hand"
                self._section("scene", [", ".join(scene.objects) + tool, *scene.notes])
            case RoleDone(role=role, result=Analysis() as analysis):
                self._section(role, _analysis(analysis))
            case RoleDone(role=role, result=Plan() as plan):
                self._section(role, _plan(plan))
            case RoleDone(role=role, result=Calculation() as calculation):
                self._section(role, _calculation(calculation))
            case CodeChecked():
                self._code(event)
            case Rehearsed():
                self._rehearsed(event)
            case Repaired():
                self._repaired(event)
            case SkillStarted():
                self._line("  > ", f"{event.name}({_arguments(event.arguments)})", "bold")
            case SkillEnded():
                self._ended(event)
            case Finished():
                self._verdict(event)

    def _section(self, title: str, lines: list[str]) -> None:
        table = self._grid()
        for index, line in enumerate(lines):
            table.add_row("" if index else title, _text(line))
        self._console.print(table)

    def _grid(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold cyan", min_width=10)
        table.add_column(overflow="fold")
        return table

    def _code(self, event: CodeChecked) -> None:
        from rich.syntax import Syntax

        table = self._grid()
        table.add_row("coder", Syntax(event.code.rstrip(), "python", theme="ansi_dark", word_wrap=True))
        self._console.print(table)
        if event.check.passed:
            self._section("checker", [f"passed in {event.check.seconds * 1e3:.0f} ms"])
        else:
            self._section("checker", [f"line {item.line}: {item.message}" for item in event.check.findings])

    def _rehearsed(self, event: Rehearsed) -> None:
        dry = event.rehearsal
        marks = {"works": "works", "fails": "FAILS", "unknown": "not judged"}
        lines = [f"{marks[item.state]}  {item.name}: {item.reason}" for item in dry.verdicts]
        end = "passed" if dry.passed else f"failed: {dry.reason} ({dry.cause})"
        self._section("dry run", [*lines, f"{end}, in {dry.seconds * 1e3:.0f} ms, on {dry.copy_of}"])

    def _repaired(self, event: Repaired) -> None:
        lines = [f"root cause: {event.diagnosis.cause}; {event.diagnosis.reason}"]
        if event.repair is None:
            lines.append("no other way is known")
        else:
            lines += [event.repair.reason, *_plan(event.repair.plan)]
        self._section(f"repair {event.number}", lines)

    def _line(self, lead: str, line: str, style: str) -> None:
        text = _text(line)
        text.stylize(style)
        self._console.print(_text(lead).append_text(text))

    def _ended(self, event: SkillEnded) -> None:
        skill = event.skill
        mark, style = ("ok", "green") if skill.success else ("failed", "red")
        if skill.refused:
            self._line("  > ", f"{skill.name}({_arguments(skill.arguments)})", "bold")
            mark, style = "refused", "yellow"
        text = _text("    ").append(mark, style=style).append_text(_text(f"  {skill.reason}"))
        if skill.seconds:
            text.append(f"  ({skill.seconds:.1f} s)", style="dim")
        self._console.print(text)
        if skill.measured:
            measured = ", ".join(f"{name} {value:.4g}" for name, value in skill.measured.items())
            self._line("        ", measured, "dim")

    def _verdict(self, event: Finished) -> None:
        record = event.record
        word, style = record.status, _COLORS[record.status]
        self._console.print()
        verdict = _text("").append(word.upper(), style=f"bold {style}")
        self._console.print(verdict.append_text(_text(f"  {record.reason}")))
        first = record.timings.first_motion
        parts = [f"planned in {record.timings.planning * 1e3:.0f} ms"]
        parts += [f"first motion after {first:.2f} s"] if first is not None else []
        self._line("", ", ".join([*parts, f"{record.timings.total:.1f} s in all"]), "dim")
        if str(record.usage):
            self._line("", str(record.usage), "dim")


def _text(line: str) -> Text:
    """Text as it is, except what would give orders to the terminal."""
    from rich.text import Text

    return Text("".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in line))


def _analysis(analysis: Analysis) -> list[str]:
    if analysis.problem:
        return [f"task: {analysis.task}", *(f"note: {line}" for line in analysis.notes)]
    lines = [f"task: {analysis.task}"]
    lines += [_facts(item) for item in analysis.objects]
    lines += [f"property: {line}" for line in analysis.properties]
    lines += [f"must hold: {line}" for line in analysis.constraints]
    lines += [f"compute: {line}" for line in analysis.to_compute]
    return [*lines, *(f"note: {line}" for line in analysis.notes)]


def _facts(item: ObjectFacts) -> str:
    position = ", ".join(f"{value:.3f}" for value in item.pos)
    mouth = f", mouth {item.mouth * 1e3:.1f} mm" if item.mouth else ""
    return (
        f"{item.role} {item.name}: {item.shape}, {item.width * 1e3:.1f} mm wide{mouth}, "
        f"{item.mass * 1e3:.1f} g, at ({position})"
    )


def _plan(plan: Plan) -> list[str]:
    if plan.refusal:
        return [f"refused: {plan.refusal.reason}"]
    tool = [f"tool: {plan.tool} ({plan.tool_reason})" if plan.tool else f"no tool ({plan.tool_reason})"]
    steps = [f"{index}. {_step(step)}" for index, step in enumerate(plan.steps, start=1)]
    return [*tool, *(f"- {line}" for line in plan.outline), *steps]


def _step(step: Step) -> str:
    return f"{step.skill}({', '.join(f'{name}={value}' for name, value in step.arguments.items())})"


def _calculation(calculation: Calculation) -> list[str]:
    lines = [f"{item.step + 1}. {item.argument} = {item.value:.4f} m  ({item.how})" for item in calculation.derivations]
    return lines or ["no numbers to work out"]


def _arguments(arguments: Mapping[str, str | float | int | bool]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
