"""The offline model's repairs: look where things are now, leave out what is done, grip differently where a grip failed.

It plans anew with the same grammar and geometry; what it could not plan the first time it refuses the second time, too.
"""

from __future__ import annotations

import re
from typing import get_args

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.knowledge.hand_copy import in_hand
from toolwright.llm_planner.offline import calculator, coder, hand_planner, job_planner, planner
from toolwright.llm_planner.roles import Analysis, Cause, Plan, Refusal, Repair, Request, SkillCode, Step, Symbol
from toolwright.llm_planner.run.verdict import PLACE_TOLERANCE
from toolwright.perception.scene import Scene

# How a second grip differs from the first: each repair goes one step further.
FIRMER = 0.002  # m
WIDER = 0.004  # m


def repair(analysis: Analysis, plan: Plan, code: SkillCode, failure: str, scene: Scene) -> Repair | None:
    """A plan for what is left to do in the scene as it is now; None where the same would happen again."""
    if analysis.problem or any(_relative(request) for request in analysis.requests):
        return None  # how far a motion of "5 cm up" has come is not known
    cause = _cause(failure)
    left = _left(analysis.requests, scene)
    needed = {name for request in left for name in (request.object, request.reference) if name}
    gone = sorted(needed - set(scene.objects))
    if gone:
        lost = Refusal(reason=f"{gone[0]} is no longer seen.")
        return Repair(cause="perception", reason=lost.reason, plan=Plan(refusal=lost))
    if not left:
        return None
    again = _planned(analysis.model_copy(update={"requests": left}), scene)
    if again.refusal is not None:
        return Repair(cause=cause, reason="in the scene as it is now this cannot be done", plan=again)
    again, how = _gripping_differently(again, plan, failure, scene)
    calculation = calculator.calculate(again, scene)
    written = coder.write(calculation)
    if "nothing has moved" in failure or "no skill was started" in failure:
        if written.text == code.text:
            return None
    return Repair(cause=cause, reason=how, plan=again, calculation=calculation, code=written)


def _relative(request: Request) -> bool:
    return request.relation == "offset" or request.action in job_planner.ACTIONS


def _planned(analysis: Analysis, scene: Scene) -> Plan:
    """With the tool in the hand, or with the bare hand, which is emptied first."""
    if scene.tool is not None:
        return planner.plan(analysis, scene)
    again = hand_planner.plan(analysis, scene)
    if again.refusal is not None or not in_hand(scene):
        return again
    return again.model_copy(update={"steps": (Step(skill="release", arguments={}), *again.steps)})


def _cause(failure: str) -> Cause:
    """The root cause that was measured, as the failure names it."""
    causes = get_args(Cause)
    found = re.search(rf"what was measured: ({'|'.join(causes)})", failure)
    return next((cause for cause in causes if found and cause == found[1]), "control")


def _left(requests: tuple[Request, ...], scene: Scene) -> tuple[Request, ...]:
    """The requests that the measured scene does not fulfil. What was done to an object ends with its last request."""
    last = {request.object: request for request in requests if request.object}
    return tuple(
        request
        for request in requests
        if not (request.object and (_fulfilled(last[request.object], scene) or _fulfilled(request, scene)))
    )


def _fulfilled(request: Request, scene: Scene) -> bool:
    item, reference = scene.objects.get(request.object), scene.objects.get(request.reference)
    if item is None:
        return False
    if request.action == "get":
        return in_hand(scene) == request.object
    if request.action == "pick":
        return geometry.held_object(scene) == request.object
    if request.action == "drop_in":
        return reference is not None and geometry.inside(item, reference)
    if request.action == "place_at" and "x" in request.values:
        off = abs(item.pos[0] - request.values["x"]) + abs(item.pos[1] - request.values["y"])
        return bool(off < PLACE_TOLERANCE) and not geometry.raised(item, scene)
    return False


def _gripping_differently(again: Plan, before: Plan, failure: str, scene: Scene) -> tuple[Plan, str]:
    """The plan with another grip, where a grip was what failed."""
    if "slipped" in failure:
        change, delta, how = "grip", -FIRMER, "looks again, and grips more firmly"
    elif "missed:" in failure or "knocked away" in failure:
        change, delta, how = "opening", WIDER, "looks again, and comes down with the tips wider open"
    else:
        return again, "looks again, and does what is left"
    offset = delta + next((_offset(step, change) for step in before.steps if step.skill == "pick"), 0.0)
    steps = tuple(_shifted(step, change, offset, scene) if step.skill == "pick" else step for step in again.steps)
    return again.model_copy(update={"steps": steps}), how


def _offset(step: Step, argument: str) -> float:
    value = step.arguments.get(argument)
    return value.offset if isinstance(value, Symbol) else 0.0


def _shifted(step: Step, argument: str, offset: float, scene: Scene) -> Step:
    value = step.arguments.get(argument)
    if not isinstance(value, Symbol) or scene.tool is None:
        return step
    number = calculator.evaluate(value, scene)[0]
    within = min(max(number + offset, 0.0), scene.tool.opening_max) - number
    changed = value.model_copy(update={"offset": round(within, calculator.DIGITS)})
    return step.model_copy(update={"arguments": {**step.arguments, argument: changed}})
