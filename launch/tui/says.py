"""What the console writes about each event. Text from scenes and models is shown, never obeyed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.text import Text

from toolwright.launch.plain_text import clean
from toolwright.llm_planner.roles import Analysis, Calculation, Plan, Repair
from toolwright.llm_planner.run.record import RunRecord, SceneSummary, SkillRecord
from toolwright.llm_planner.usage import Usage
from toolwright.perception.scene import HeldTool

Line = tuple[str, Text]  # who says it, and what
GOOD, BAD, CARE, ROLE, FAINT = "#87d787", "#ff8787", "#d7af5f", "#87afd7", "dim"
STATUS = {"done": GOOD, "refused": CARE, "rejected": BAD, "failed": BAD, "stopped": CARE, "rehearsed": GOOD}


def plain(text: object, style: str = "") -> Text:
    """Clean text without markup."""
    return Text(clean(text), style=style)


def scene(seen: SceneSummary) -> Text:
    """What is on the table and in the hand."""
    text = Text()
    for index, (name, item) in enumerate(seen.objects.items()):
        text.append(", " if index else "").append(clean(name), style="bold")
        text.append(f" ({clean(item.color)} {clean(item.shape)})" if item.color else f" ({clean(item.shape)})", FAINT)
    if not seen.objects:
        text.append("nothing on the table")
    text.append(f"; {clean(seen.tool.name)} in the hand" if seen.tool else "; the hand is empty")
    for note in seen.notes:
        text.append(f"\n{clean(note)}", CARE)
    return text


def analysis(result: Analysis) -> Text:
    text = plain(result.task)
    for item in result.objects:
        size = f", {item.width * 1e3:.1f} mm wide" if item.width else ""
        text.append(f"\n{clean(item.role)} {clean(item.name)}: {clean(item.shape)}{size}", FAINT)
    for note in result.notes:
        text.append(f"\n{clean(note)}", CARE)
    return text


def plan(result: Plan) -> Text:
    if result.refusal is not None:
        return plain(result.refusal, CARE)
    tool = f"with {clean(result.tool)}: " if result.tool else "without a tool: "
    text = Text(tool).append(clean(result.tool_reason), FAINT)
    for index, step in enumerate(result.steps, start=1):
        arguments = ", ".join(clean(value) for value in step.arguments.values() if isinstance(value, str))
        text.append(f"\n{index} {clean(step.skill)}").append(f"  {arguments}", FAINT)
    return text


def calculation(result: Calculation) -> Text:
    text = Text()
    for index, item in enumerate(result.derivations):
        text.append("\n" if index else "")
        text.append(f"{item.step + 1} {clean(item.argument)} = {item.value:.4f} m").append(
            f"  {clean(item.how)}", FAINT
        )
    return text if result.derivations else plain("no numbers to work out", FAINT)


def ended(skill: SkillRecord) -> Text:
    mark, style = ("✓", GOOD) if skill.success else ("✗", BAD)
    if skill.refused:
        mark, style = "–", CARE
    text = Text.assemble((f"{mark} ", style), clean(skill.reason))
    return text.append(f"  {skill.seconds:.1f} s", FAINT) if skill.seconds else text


def repaired(reason: str, repair: Repair | None) -> Text:
    text = plain(reason, CARE)
    return text.append("\na new plan follows" if repair is not None else "\nno other way is known", FAINT)


def verdict(record: RunRecord, settled: float | None) -> Text:
    text = Text.assemble((record.status.upper(), f"bold {STATUS[record.status]}"), f"  {clean(record.reason)}")
    if settled is not None:
        text.append(f"\nthe robot stood still {settled:.2f} s after the stop", FAINT)
    return text


def call(name: str, arguments: Mapping[str, object]) -> str:
    """A call as code."""
    return clean(f"{name}({', '.join(f'{key}={short(value)}' for key, value in arguments.items())})")


def short(value: object) -> str:
    """A value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def clean_code(code: str) -> str:
    """Code as it is, line by line, without what a terminal could take for an order."""
    return "\n".join(clean(line) for line in code.expandtabs(4).splitlines())


def tips(tool: HeldTool) -> str:
    """Where the held tool's tips are."""
    x, y, z = tool.T_world_tip[:3, 3].round(3) + 0.0  # no -0.000
    return f"tips {x:.3f} {y:+.3f} {z:.3f} m, open {tool.opening * 1e3:.1f} mm"


def tokens(used: Iterable[Usage]) -> str:
    """What language models have used up, with the cost where it is known."""
    used = list(used)
    into, out = sum(item.tokens_in for item in used), sum(item.tokens_out for item in used)
    cost = sum(item.cost or 0.0 for item in used)
    return f"{into + out:,} tokens{f' ${cost:.2f}' if cost else ''}" if into + out else ""
