"""The offline analyzer and planner for what lies in the palm-up hand."""

from __future__ import annotations

import numpy as np

from toolwright.llm_planner.knowledge import geometry, turn_models
from toolwright.llm_planner.offline import calculator, coder, turn_grammar, words
from toolwright.llm_planner.offline.grammar import MAX_SENTENCE, NotUnderstood
from toolwright.llm_planner.offline.grounding import Grounder
from toolwright.llm_planner.offline.turn_grammar import CAN_DO, TurnClause
from toolwright.llm_planner.roles import Analysis, ObjectFacts, Plan, Refusal, Repair, Request, Step
from toolwright.perception.scene import Scene

_DIGITS = 5  # of a quaternion's components


def analyze(sentence: str, scene: Scene) -> Analysis:
    """Read a sentence against a scene with a thing in the hand; what cannot be read comes back as `problem`."""
    grounder = Grounder(scene)
    sides = frozenset(mark.name for item in scene.objects.values() for mark in item.marks)
    requests: list[Request] = []
    try:
        if len(sentence) > MAX_SENTENCE:
            raise NotUnderstood(f"The sentence has {len(sentence)} characters; at most {MAX_SENTENCE} are read.")
        for clause in turn_grammar.clauses(sentence):
            read = turn_grammar.read(clause, sides)
            if read is None:
                raise NotUnderstood("With a thing lying loose in the palm I can only turn it.", CAN_DO)
            requests.append(_request(read, grounder))
        if not requests:
            raise NotUnderstood("I find no task in this sentence.", CAN_DO)
    except NotUnderstood as error:
        return Analysis(task="not understood", problem=Refusal(reason=error.reason, suggestion=error.suggestion))
    names = dict.fromkeys(request.object for request in requests)
    return Analysis(
        task="turn what lies in the hand",
        requests=tuple(requests),
        objects=tuple(_fact(name, scene) for name in names),
        constraints=tuple(f"{name} must lie in the hand, which faces up" for name in names),
        to_compute=tuple(f"the orientation of {name} that takes the least turn" for name in names),
        notes=(*dict.fromkeys((*grounder.notes, *scene.notes)),),
    )


def elsewhere(sentence: str, scene: Scene) -> Analysis | None:
    """A refusal where an orientation is asked for and nothing lies in the palm; None where something else is asked."""
    sides = frozenset(mark.name for item in scene.objects.values() for mark in item.marks)
    for clause in turn_grammar.clauses(sentence[:MAX_SENTENCE]):
        try:
            read = turn_grammar.read(clause, sides or frozenset(_COMMON))
        except NotUnderstood:
            continue
        if read is None or not (read.axis in ("long", "short") or (read.side and _says_so(clause))):
            continue
        named = " ".join(word for word in read.phrase if word not in ("the", "a", "an")) or "it"
        name = next((key for key in scene.objects if key == named.replace(" ", "_")), named)
        reason = turn_models.why_not(scene, name)
        refused = Refusal(reason=_sentence(reason), suggestion="Only what lies in it can be turned.")
        return Analysis(task="turn a thing in the hand", problem=refused)
    return None


_COMMON = "one two three four five six tip handle front back top bottom".split()


def _says_so(clause: str) -> bool:
    return any(word in clause.split() for word in ("turn", "rotate", "flip", "reorient", "orient"))


def _request(read: TurnClause, grounder: Grounder) -> Request:
    scene = grounder.scene
    named = set(read.phrase) - words.DEFINITE - {"it"}
    name = grounder.one(read.phrase) if named else scene.in_palm
    item = scene.objects[name]
    if reason := turn_models.why_not(scene, name):
        raise NotUnderstood(_sentence(reason), CAN_DO)
    try:
        if read.side:
            quat = turn_models.facing(item, read.side, read.up)
            how = f"{read.side} {'up' if read.up else 'down'}"
        else:
            axis = read.axis if read.axis != "level" else _level(item.quat)
            quat = turn_models.about(item, axis, read.angle)
            how = f"by {np.rad2deg(read.angle):.0f} degrees about its {axis} axis"
    except ValueError as error:
        sides = ", ".join(mark.name for mark in item.marks)
        raise NotUnderstood(f"{error}.", f"Its sides are {sides}." if sides else CAN_DO) from error
    grounder.notes.append(f"Read as: {name} {how}.")
    return Request(
        action="reorient",
        object=name,
        values={key: round(float(value), _DIGITS) for key, value in zip("wxyz", quat, strict=True)},
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _level(quat: np.ndarray) -> str:
    """The own axis of a thing that is nearest to level: about it the thing is turned upside down."""
    from toolwright.hardware import rotations

    upward = np.abs(rotations.rotate(quat, np.eye(3))[:, 2])
    return "xyz"[int(np.argmin(upward))]


def plan(analysis: Analysis, scene: Scene) -> Plan:
    """One skill for each request."""
    if analysis.problem:
        return Plan(refusal=analysis.problem)
    steps = []
    for request in analysis.requests:
        if reason := turn_models.why_not(scene, request.object):
            return Plan(refusal=Refusal(reason=_sentence(reason)))
        steps.append(Step(skill="reorient", arguments={"name": request.object, **request.values}))
    return Plan(tool="", tool_reason="the fingers alone turn what lies in the hand", steps=tuple(steps))


def is_turn(analysis: Analysis) -> bool:
    """Whether an analysis is one of these."""
    return any(request.action == "reorient" for request in analysis.requests)


def repair(analysis: Analysis, failure: str, scene: Scene) -> Repair | None:
    """The same again where the time ran out with the thing still in the hand; None otherwise."""
    if "not reached" not in failure or not scene.in_palm:
        return None
    left = [
        request
        for request in analysis.requests
        if turn_models.left(scene.objects[request.object], np.array(list(request.values.values()))) > turn_models.TURNED
    ]
    if not left:
        return None
    again = plan(analysis.model_copy(update={"requests": tuple(left)}), scene)
    if again.refusal is not None:
        return None
    calculation = calculator.calculate(again, scene)
    how = "begins anew from where the thing lies now"
    return Repair(cause="control", reason=how, plan=again, calculation=calculation, code=coder.write(calculation))


def _fact(name: str, scene: Scene) -> ObjectFacts:
    item = scene.objects[name]
    x, y, z = (round(float(value), 4) for value in item.pos)
    return ObjectFacts(
        name=name, role="target", shape=item.shape, width=round(geometry.width(item), 4), mass=item.mass, pos=(x, y, z)
    )
