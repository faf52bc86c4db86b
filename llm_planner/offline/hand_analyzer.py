"""The offline analyzer for the bare hand: what a sentence asks for, and which measured properties decide it."""

from __future__ import annotations

import re

from toolwright.llm_planner.knowledge import geometry, hand_models
from toolwright.llm_planner.offline import words
from toolwright.llm_planner.offline.grammar import MAX_SENTENCE, NotUnderstood
from toolwright.llm_planner.offline.grounding import Grounder, scene_words
from toolwright.llm_planner.roles import Action, Analysis, ObjectFacts, Refusal, Request
from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.hand.bar_geometry import bar_of

CAN_DO = (
    "I can get an object, press a button, free what is stuck in a tube, put an object somewhere, push it, and go home."
)
_ASIDE = re.compile(
    r"\b(?:please|kindly|now|just|robot|hey|hi|hello|toolwright|can you|could you|would you|will you|i want you to|"
    r"i would like you to|i want|i need|i would like|for me|to me|me|here|over|near(?:er)?|closer|up|thanks?|"
    r"thank you)\b"
)
_WITH = re.compile(r"\b(?:with|using|by means of)\s+(.+)$")
_USE = re.compile(r"^use\s+(.+?)\s+to\s+(.+)$|^use\s+(.+)$")
_OUT = re.compile(r"^(.*?)\s*\b(?:out of|from|out from|from inside|inside|in)\s+(.+)$|^(.*?)\s+out$")
_SPLIT = re.compile(r"\band then\b|\bthen\b|;|\.(?=\s|$)")
_NUMBER = r"([-+]?\d*\.?\d+)\s*(mm|cm|m)?"
_POINT = re.compile(rf"\b(?:to|at)\s*\(?\s*x?\s*=?\s*{_NUMBER}\s*,\s*y?\s*=?\s*{_NUMBER}\s*\)?")
_SHIFT = re.compile(
    rf"\b(?:by\s+)?{_NUMBER}\s*(?:to (?:the|your)\s+)?(left|right|forward|forwards|away|back|backwards)\b"
)
_SHIFT_AFTER = re.compile(
    rf"\b(?:to (?:the|your)\s+)?(left|right|forward|forwards|away|back|backwards)\s*(?:by\s+)?{_NUMBER}"
)
_BESIDE = re.compile(r"^(.*?)\s+\b(?:next to|beside|by|to|against)\s+(.+)$")
_WAYS = {"left": (0, 1), "right": (0, -1), "forward": (1, 0), "forwards": (1, 0), "away": (1, 0)} | {
    "back": (-1, 0),
    "backwards": (-1, 0),
}
_UNIT = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, None: 1.0, "": 1.0}


def analyze(sentence: str, scene: Scene) -> Analysis:
    """Read a sentence against a scene; what cannot be read comes back as `problem`."""
    try:
        text = _plain(sentence)
        grounder = Grounder(scene)
        requests, tool = [], ""
        for clause in (piece.strip(" ,!?") for piece in _SPLIT.split(text)):
            if clause:
                request, asked = _request(clause, grounder)
                requests.append(request)
                tool = asked or tool
        if not requests:
            raise NotUnderstood("I find no task in this sentence.", CAN_DO)
    except NotUnderstood as error:
        return Analysis(task="not understood", problem=Refusal(reason=error.reason, suggestion=error.suggestion))
    return Analysis(
        task=", then ".join(_TASKS[request.action] for request in requests),
        requests=tuple(requests),
        tool=tool,
        objects=_facts(requests, scene),
        constraints=tuple(dict.fromkeys(text for request in requests for text in _constraints(request, scene))),
        to_compute=tuple(
            dict.fromkeys(_COMPUTED[request.action].format(object=request.object) for request in requests)
        ),
        notes=(*grounder.notes, *scene.notes),
    )


_TASKS: dict[str, str] = {
    "get": "get an object into the hand",
    "press": "press a button",
    "free": "free what is stuck",
    "push_to": "push an object",
    "put_at": "put an object somewhere",
    "home": "go home",
}
_COMPUTED: dict[str, str] = {
    "get": "where {object} can be grasped, how far a tool has to reach, where to draw {object} to",
    "press": "how far the plate of {object} is beyond the hand, how long a tool has to be",
    "free": "how deep {object} sits, how long and thin a tool has to be",
    "push_to": "where to push {object}",
    "put_at": "where to put {object} down",
    "home": "nothing",
}


def _plain(sentence: str) -> str:
    if not sentence.strip():
        raise NotUnderstood("The sentence is empty.", CAN_DO)
    if len(sentence) > MAX_SENTENCE:
        raise NotUnderstood(f"The sentence has {len(sentence)} characters; at most {MAX_SENTENCE} are read.")
    text = (
        sentence.lower()
        .replace("'s ", " ")
        .replace("n't", "nt")
        .replace("-", " " if not re.search(r"-\d", sentence) else "-")
    )
    tokens = set(re.findall(r"[a-z]+", text))
    if tokens & words.NEGATIONS:
        raise NotUnderstood("I only carry out what is asked for: I cannot follow 'not', 'without' or an exception.")
    if choice := sorted(tokens & words.CONDITIONS):
        raise NotUnderstood(f"I only carry out plain requests in order, and cannot follow '{choice[0]}'.", CAN_DO)
    return re.sub(r"\s+", " ", _ASIDE.sub(" ", text)).strip()


def _request(clause: str, grounder: Grounder) -> tuple[Request, str]:
    tool = ""
    if match := _USE.match(clause):
        tool = _tool(match.group(1) or match.group(3), grounder)
        clause = match.group(2) or ""
    if match := _WITH.search(clause):
        tool, clause = _tool(match.group(1), grounder), clause[: match.start()].strip()
    word, _, rest = clause.partition(" ")
    verb = words.HAND_VERBS.get(word, "")
    if not verb and word:
        verb = words.HAND_VERBS.get(words.slip(word, words.HAND_VERBS), "")
        if verb:
            grounder.notes.append(f"Read '{word}' as a word for '{verb}'.")
    if re.fullmatch(
        r"(?:go|move|drive|arm|park|return)?\s*(?:to\s+|back\s+)*(?:the\s+)?(?:home|rest|start)(?: pose| position)?",
        clause,
    ):
        return Request(action="home"), tool
    if not verb:
        if word in scene_words(grounder.scene) or word in words.DEFINITE:
            verb, rest = "get", clause  # "the milk, please"
        else:
            raise NotUnderstood(f"No skill can '{word}'." if word else "I find no task in this sentence.", CAN_DO)
    return _build(verb, rest, grounder), tool


def _build(verb: str, rest: str, grounder: Grounder) -> Request:
    if verb == "home" or rest in ("home", "to home"):
        return Request(action="home")
    if not rest:
        raise NotUnderstood("I do not know which object is meant.", CAN_DO)
    point, shift = _place(rest)
    for pattern in (_POINT, _SHIFT, _SHIFT_AFTER):
        rest = pattern.sub("", rest).strip()
    if point or shift:
        name = _one(rest, grounder)
        action: Action = "push_to" if verb == "push" else "put_at"
        return Request(action=action, object=name, relation="at" if point else "offset", values=point or shift)
    if (match := _OUT.match(rest)) and verb in ("get", "free", "push"):
        name = _one(match.group(1) or match.group(3), grounder)
        tube = _one(match.group(2), grounder) if match.group(2) else _tube_around(name, grounder.scene)
        if tube and grounder.scene.objects[tube].shape == "tube":
            return Request(action="free", object=name, reference=tube)
        return Request(action="get", object=name)
    if verb in ("put", "push") and (match := _BESIDE.match(rest)):
        name, reference = _one(match.group(1), grounder), _one(match.group(2), grounder)
        return Request(
            action="push_to" if verb == "push" else "put_at", object=name, reference=reference, relation="beside"
        )
    name = _one(rest, grounder)
    item = grounder.scene.objects[name]
    if item.travel_max > 0:
        return Request(action="press", object=name)
    if verb == "press":
        raise NotUnderstood(f"{name} is no button and cannot be pressed.", _buttons(grounder.scene))
    if verb in ("free", "get") and (tube := _tube_around(name, grounder.scene)):
        return Request(action="free", object=name, reference=tube)
    if verb == "free" and item.shape == "tube":
        inside = [one.name for one in grounder.scene.objects.values() if _tube_around(one.name, grounder.scene) == name]
        if len(inside) == 1:
            return Request(action="free", object=inside[0], reference=name)
        raise NotUnderstood(f"I see nothing stuck in {name}." if not inside else f"Which of {', '.join(inside)}?")
    if verb in ("put", "push"):
        raise NotUnderstood(
            f"I do not know where to {verb} {name}.", "Say for instance: to 0.5, 0.1, or 10 cm to the left."
        )
    return Request(action="get", object=name)


def _place(rest: str) -> tuple[dict[str, float], dict[str, float]]:
    if match := _POINT.search(rest):
        x, ux, y, uy = match.groups()
        return {"x": float(x) * _UNIT[ux or uy], "y": float(y) * _UNIT[uy or ux]}, {}
    if match := _SHIFT.search(rest):
        number, unit, way = match.groups()
    elif match := _SHIFT_AFTER.search(rest):
        way, number, unit = match.groups()
    else:
        return {}, {}
    if not unit:
        raise NotUnderstood(f"I do not know the unit of {number}.", f"Say for instance: {number} cm.")
    far = float(number) * _UNIT[unit]
    return {}, {"x": far * _WAYS[way][0], "y": far * _WAYS[way][1]}


def _one(text: str | None, grounder: Grounder) -> str:
    phrase = tuple(re.findall(r"[a-z0-9_]+", text or ""))
    names = grounder.resolve(phrase)
    if len(names) > 1:
        raise NotUnderstood(f"'{text}' names several objects: {', '.join(names)}.", "Which one do you mean?")
    return names[0]


def _tool(text: str, grounder: Grounder) -> str:
    phrase = tuple(re.findall(r"[a-z0-9_]+", text))
    if set(phrase) - words.DEFINITE <= {"hand", "fingers", "finger", "thumb"}:
        return "hand"
    return grounder.one(phrase)


def _tube_around(name: str, scene: Scene) -> str:
    item = scene.objects[name]
    around = (one for one in scene.objects.values() if one.shape == "tube" and one.name != name)
    return next((tube.name for tube in around if in_tube(item, tube)), "")


def in_tube(item: SceneObject, tube: SceneObject) -> bool:
    """Whether an object's center lies inside a tube."""
    x, y, z = geometry.rotation(tube.quat).T @ (item.pos - tube.pos)
    return bool(abs(x) <= tube.size[0] / 2 and max(abs(y), abs(z)) <= tube.opening / 2)


def _buttons(scene: Scene) -> str:
    names = [item.name for item in scene.objects.values() if item.travel_max > 0]
    return f"I can press {', '.join(names)}." if names else ""


def _constraints(request: Request, scene: Scene) -> list[str]:
    """What decides, with the measured values."""
    if not request.object:
        return []
    item = scene.objects[request.object]
    edge = float(scene.workspace.upper[0])
    found = []
    where = f"{item.name} is at x {item.pos[0]:.3f}, y {item.pos[1]:.3f}; the hand goes to x {edge:.2f}"
    if request.action == "get":
        found += [where, hand_models.why_not_grasp(scene, item) or f"{item.name} can be grasped where it stands"]
    elif request.action == "press":
        found += [where, hand_models.why_not_press(scene, item, 0.0) or f"the thumb reaches {item.name}"]
    elif request.action == "free":
        tube = scene.objects[request.reference]
        found.append(f"{tube.name} is {tube.size[0] * 1e3:.0f} mm long and {tube.opening * 1e3:.0f} mm wide inside")
    for tool in scene.objects.values():
        if (bar := bar_of(tool)) is not None:
            head = f", its head sticks out {max(bar.heads.values()) * 1e3:.0f} mm" if bar.heads else ", it has no head"
            found.append(f"{tool.name} is {bar.length * 1e3:.0f} mm long{head}")
    return found


def _facts(requests: list[Request], scene: Scene) -> tuple[ObjectFacts, ...]:
    roles = {request.object: "target" for request in requests if request.object}
    roles |= {
        request.reference: "reference" for request in requests if request.reference and request.reference not in roles
    }
    return tuple(
        ObjectFacts.model_validate(
            {
                "name": name,
                "role": role,
                "shape": scene.objects[name].shape,
                "width": round(geometry.width(scene.objects[name]), 4),
                "mass": scene.objects[name].mass,
                "mouth": scene.objects[name].opening,
                "pos": tuple(round(float(value), 4) for value in scene.objects[name].pos),
            }
        )
        for name, role in roles.items()
    )
