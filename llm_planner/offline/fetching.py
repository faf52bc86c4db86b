"""The offline model where the tool still stands in its stand: it is fetched first, then all goes on as with it held."""

from __future__ import annotations

import re

from toolwright.llm_planner.knowledge.stored_tool import as_fetched, out_of_stand
from toolwright.llm_planner.offline import analyzer, calculator, coder, job_analyzer, planner
from toolwright.llm_planner.offline.grounding import tool_words
from toolwright.llm_planner.offline.job_grammar import CAN_DO
from toolwright.llm_planner.roles import Analysis, Calculation, Plan, Refusal, Repair, Request, Step
from toolwright.perception.scene import Scene

_TAKE = r"(?:please )?(?:pick up|take up|take|grab|fetch|get|lift|grip|hold|pick)"
_THEN = r"(?:\s*(?:,|;|\.|and then|and|then)\s*)"


def analyze(sentence: str, scene: Scene) -> Analysis:
    """Reads the sentence as with the tool in the hand; "pick up the tweezers" is what is done first anyway."""
    assert scene.loose is not None
    held = as_fetched(scene)
    names = "|".join(sorted(map(re.escape, tool_words(scene.loose))))
    take = rf"^\s*{_TAKE} (?:up )?(?:the |a |an )?(?:{names})(?: up)?(?: (?:from|out of) (?:the |its )?stand)?"
    fetch = Request(action="fetch", object=scene.loose.name)
    text = sentence.strip().lower()
    if re.fullmatch(rf"{take}[\s.!]*", text):
        return Analysis(task="fetch the tool", requests=(fetch,), tool=scene.loose.name, notes=scene.notes)
    rest = re.sub(rf"{take}{_THEN}+", "", text, count=1)
    rest = sentence if rest == text else rest
    found = (job_analyzer if scene.loose.family in CAN_DO else analyzer).analyze(rest, held)
    if found.problem is not None or not _needs_tool(found):
        return found
    return found.model_copy(update={"task": f"fetch the tool, then {found.task}", "requests": (fetch, *found.requests)})


def plan(analysis: Analysis, scene: Scene) -> Plan:
    """Fetches, then what the planner plans with the tool in the hand."""
    assert scene.loose is not None
    if analysis.problem:
        return Plan(refusal=analysis.problem)
    name, rest = scene.loose.name, tuple(r for r in analysis.requests if r.action != "fetch")
    if len(rest) == len(analysis.requests):
        return planner.plan(analysis, scene)
    if where := out_of_stand(scene):
        return Plan(refusal=Refusal(reason=f"{where[0].upper()}{where[1:]}.", suggestion="Put it back, tips down."))
    then = planner.plan(analysis.model_copy(update={"requests": rest}), as_fetched(scene)) if rest else Plan()
    if then.refusal is not None:
        return then
    first = Step(skill="fetch", arguments={"name": name})
    return Plan(tool=name, tool_reason=f"the {name} in the stand; to be fetched first", steps=(first, *then.steps))


def calculate(plan: Plan, scene: Scene) -> Calculation:
    """Every number as with the tool in the hand, where it is by then."""
    return calculator.calculate(plan, as_fetched(scene))


def repair(analysis: Analysis, failure: str, scene: Scene) -> Repair | None:
    """Once more from the stand; None where the tool is not there, or the same would happen again."""
    moved = not ("nothing has moved" in failure or "no skill was started" in failure)
    if analysis.problem or out_of_stand(scene) or not moved:
        return None
    again = plan(analysis, scene)
    if again.refusal is not None:
        return Repair(cause="logic", reason="in the scene as it is now this cannot be done", plan=again)
    numbers = calculate(again, scene)
    reason = "the tool stands in its stand again"
    return Repair(cause="control", reason=reason, plan=again, calculation=numbers, code=coder.write(numbers))


def _needs_tool(analysis: Analysis) -> bool:
    return any(request.action != "home" for request in analysis.requests)
