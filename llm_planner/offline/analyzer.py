"""The offline analyzer: what a sentence asks for in this scene, and which measured properties decide it."""

from __future__ import annotations

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.offline import grammar, sorting, words
from toolwright.llm_planner.offline.grammar import Clause, NotUnderstood, Phrase
from toolwright.llm_planner.offline.grounding import Grounder, scene_words, tool_words
from toolwright.llm_planner.roles import Analysis, ObjectFacts, Refusal, Relation, Request
from toolwright.perception.scene import Scene

_TASKS = {
    "pick": "pick up",
    "drop_in": "drop into a container",
    "place_at": "place on the table",
    "put_down": "put down",
    "set_opening": "set the tool's opening",
    "move_tips": "move the tips",
    "home": "go home",
}
_CONSTRAINTS = {
    "pick": "{object} must fit between the opened tips, be light enough, movable and in the workspace",
    "drop_in": "{object} must fit through the mouth of {reference}, and be held until it is over it",
    "place_at": "the place must be free and in the workspace, and {object} held until there",
    "put_down": "{object} must be held",
    "set_opening": "the opening must be one that the tool can take",
    "move_tips": "the point must be in the workspace",
    "home": "",
}
_COMPUTED = {
    "pick": "opening and grip for the width of {object}, height to lift it",
    "drop_in": "height to let {object} go above the rim of {reference}",
    "place_at": "where to put {object} down",
    "put_down": "where to put {object} down",
    "set_opening": "the opening",
    "move_tips": "the point for the tips",
    "home": "",
}


def analyze(sentence: str, scene: Scene) -> Analysis:
    """Read a sentence against a scene; what cannot be read comes back as `problem`."""
    try:
        if sorting.asked(sentence):
            grounder = Grounder(scene)
            return _analysis(sorting.requests(sentence, scene, grounder), "", tuple(grounder.notes), scene)
        parsed = grammar.parse(sentence, scene_words(scene))
        grounder = Grounder(scene, notes=parsed.notes)
        tool = ""
        requests: list[Request] = []
        for clause in parsed.clauses:
            tool = _tool(clause.tool, scene) or tool
            if _takes_tool(clause, scene) and len(parsed.clauses) > 1:
                continue  # "take the tweezers and ...": they are in the hand
            requests += _requests(clause, grounder)
        if not requests:
            raise NotUnderstood("The tool is already in the hand, and nothing else is asked for.", grammar.CAN_DO)
    except NotUnderstood as error:
        return Analysis(task="not understood", problem=Refusal(reason=error.reason, suggestion=error.suggestion))
    return _analysis(requests, tool, tuple(parsed.notes), scene)


def _analysis(requests: list[Request], tool: str, notes: tuple[str, ...], scene: Scene) -> Analysis:
    return Analysis(
        task=", then ".join(_TASKS[request.action] for request in requests),
        requests=tuple(requests),
        tool=tool,
        objects=_facts(requests, scene),
        constraints=_texts(_CONSTRAINTS, requests),
        to_compute=_texts(_COMPUTED, requests),
        notes=(*notes, *scene.notes),
    )


def _texts(table: dict[str, str], requests: list[Request]) -> tuple[str, ...]:
    texts = (
        table[request.action].replace("{object}", request.object).replace("{reference}", request.reference)
        for request in requests
    )
    return tuple(dict.fromkeys(text for text in texts if text))


def _tool(phrase: Phrase, scene: Scene) -> str:
    """The tool that the clause asks for, under the held tool's own name where it is meant."""
    content = [token for token in phrase if token not in words.DEFINITE | words.ANY]
    if not content:
        return ""
    meant = next((name for name, names in words.TOOLS.items() if names & set(content)), "")
    if scene.tool:
        own = tool_words(scene.tool) | words.HELD_TOOL
        vocabulary = {word: "own" for word in own} | {word: t for t, names in words.TOOLS.items() for word in names}
        corrected = {words.slip(token, vocabulary) or token for token in content if not meant}
        if own & (set(content) | corrected):
            return scene.tool.name
    return meant or " ".join(content)


def _takes_tool(clause: Clause, scene: Scene) -> bool:
    named = set(clause.phrase) - words.DEFINITE
    return clause.verb == "pick" and scene.tool is not None and bool(named) and named <= tool_words(scene.tool)


def _requests(clause: Clause, grounder: Grounder) -> list[Request]:
    if clause.verb == "home":
        return [Request(action="home")]
    if clause.verb == "move":
        return [_move(clause, grounder)]
    if clause.verb in ("open", "close"):
        return [_opening(clause, grounder)]
    names = grounder.resolve(clause.phrase, clause.locators)
    if clause.verb == "pick":
        values = {} if clause.quantity is None else {"lift": clause.quantity}
        return [Request(action="pick", object=name, values=values) for name in names]
    if clause.quantity is not None:
        raise NotUnderstood(
            f"I do not know what {clause.quantity:g} m is for here.", "Give a point, or say next to which object."
        )
    return [_put(name, clause, grounder) for name in names]


def _put(name: str, clause: Clause, grounder: Grounder) -> Request:
    if clause.point:
        if len(clause.point) > 2:
            raise NotUnderstood("A place on the table needs x and y only.", "Say for instance: put it at 0.4, 0.1.")
        return Request(action="place_at", object=name, relation="at", values=_point(clause.point, ("x", "y")))
    if clause.place is None:
        return Request(action="put_down", object=name)
    relation, reference = clause.place
    if words.TABLE.intersection(reference):
        return Request(action="put_down", object=name, relation="at")
    target = grounder.one(reference)
    item = grounder.scene.objects[target]
    if relation in geometry.SIDES or relation == "beside":
        return Request(action="place_at", object=name, reference=target, relation=_relation(relation))
    if relation == "in" or item.opening:
        return Request(action="drop_in", object=name, reference=target, relation="in")
    raise NotUnderstood(f"No skill can put {name} on {target}.", f"I can put it next to {target}, or into a container.")


def _move(clause: Clause, grounder: Grounder) -> Request:
    if clause.point:
        if len(clause.point) == 2:
            raise NotUnderstood("A point for the tips needs x, y and z.", "Say for instance: move to 0.4, 0.1, 0.3.")
        return Request(action="move_tips", relation="at", values=_point(clause.point, ("x", "y", "z")))
    if clause.direction:
        if clause.quantity is None:
            raise NotUnderstood("I do not know how far to move.", "Say for instance: move up 5 cm.")
        values = {axis: sign * clause.quantity for axis, sign in zip("xyz", clause.direction, strict=True)}
        return Request(action="move_tips", relation="offset", values=values)
    if clause.place and clause.place[0] in ("above", "to", "on", "at"):
        target = grounder.one(clause.place[1])
        return Request(action="move_tips", reference=target, relation="above")
    raise NotUnderstood(
        "I do not know where to move the tips.", "Say a point, a direction with a distance, or an object to go above."
    )


def _opening(clause: Clause, grounder: Grounder) -> Request:
    own = tool_words(grounder.scene.tool) if grounder.scene.tool else frozenset()
    other = set(clause.phrase) - words.DEFINITE - words.HELD_TOOL - own
    digits = next((token for token in clause.phrase if token.isdigit()), "")
    if digits:
        raise NotUnderstood(f"I do not know the unit of {digits}.", f"Say for instance: {digits} mm.")
    named = {tool for tool, names in words.TOOLS.items() if names & other}
    if other and not named and not all(words.slip(token, own) for token in other):
        raise NotUnderstood(
            f"No skill can {clause.verb} '{' '.join(sorted(other))}'.", "I can open and close the tool in the hand."
        )
    if named:
        raise NotUnderstood(f"The {named.pop()} is not in the hand.", _held_tool(grounder.scene))
    if clause.quantity is not None:
        return Request(action="set_opening", relation="to", values={"opening": clause.quantity})
    if clause.verb == "close":
        return Request(action="set_opening", relation="closed")
    return Request(action="set_opening", relation="half" if clause.degree == "half" else "wide")


def _held_tool(scene: Scene) -> str:
    return f"The tool in the hand is {scene.tool.name}." if scene.tool else "The hand holds no tool."


def _point(values: tuple[float, ...], axes: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(axes, values, strict=False))


def _relation(text: str) -> Relation:
    sides: dict[str, Relation] = {
        "left": "left",
        "right": "right",
        "front": "front",
        "behind": "behind",
        "beside": "beside",
    }
    return sides[text]


def _facts(requests: list[Request], scene: Scene) -> tuple[ObjectFacts, ...]:
    facts: dict[str, ObjectFacts] = {}
    for request in requests:
        if request.object and request.object not in facts:
            facts[request.object] = _fact(request.object, "target", scene)
        if request.reference and request.reference not in facts:
            role = "container" if request.action == "drop_in" else "reference"
            facts[request.reference] = _fact(request.reference, role, scene)
    return tuple(facts.values())


def _fact(name: str, role: str, scene: Scene) -> ObjectFacts:
    item = scene.objects[name]
    return ObjectFacts.model_validate(
        {
            "name": name,
            "role": role,
            "shape": item.shape,
            "width": round(geometry.width(item), 4),
            "mass": item.mass,
            "mouth": item.opening,
            "pos": tuple(round(float(value), 4) for value in item.pos),
        }
    )
