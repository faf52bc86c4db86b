"""Clauses that ask for an orientation of a thing in the hand: a side up or down, a turn about an axis."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from toolwright.llm_planner.offline import words
from toolwright.llm_planner.offline.grammar import NotUnderstood, Phrase

CAN_DO = (
    "I can turn what lies in the hand: so that a side is on top, a side up or down, or by an angle about its long, "
    "short or vertical axis."
)
_VERBS = "turn rotate flip reorient orient spin roll twist tilt tip put bring show lay set make".split()
_ASIDE = re.compile(
    r"\b(?:please|kindly|now|just|robot|hey|hi|hello|toolwright|can you|could you|would you|will you|"
    r"i want you to|i would like you to|in (?:your|the) hand|in (?:your|the) palm|around itself)\b"
)
_SO = re.compile(r"\b(?:so that|such that|so|until|with|to have|to make|to get)\b(.+)$")
_UP = r"(?:on top|at the top|upwards?|facing up|faces up|on the upside|up)"
_DOWN = r"(?:on the bottom|at the bottom|downwards?|facing down|faces down|down|below|underneath)"
_WAY = re.compile(rf"\b({_UP})\b|\b({_DOWN})\b")
_IS = re.compile(r"\b(?:is|are|be|being|faces|facing|points?|pointing|looks?|looking|shows?|lies|comes?|goes)\b")
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_DEGREES = re.compile(rf"(-)?{_NUMBER}\s*(?:degrees?|deg|\u00b0)")
_RADIANS = re.compile(rf"(-)?{_NUMBER}\s*(?:radians?|rad)\b")
_SHARES = {"a quarter": 0.25, "quarter": 0.25, "half": 0.5, "a half": 0.5, "three quarters": 0.75, "a full": 1.0}
_TURNS = re.compile(r"\b(a quarter|three quarters|quarter|a half|half|a full)(?:\s+of)?(?:\s+an?)?\s+turn\b")
_AXIS = re.compile(r"\b(?:about|around|round|along|on)\b\s+(?:its|the|a)?\s*(?:own)?\s*(\w+)(?:[ -]axis|\s+side)?\b")
_AXES = {
    **dict.fromkeys(("long", "longest", "length", "lengthwise"), "long"),
    **dict.fromkeys(("short", "shortest"), "short"),
    **dict.fromkeys(("vertical", "upright", "plumb"), "vertical"),
    **{axis: axis for axis in "xyz"},
}
_OTHER_WAY = re.compile(r"\b(?<!counter)(?<!counter )(?<!counter-)(?<!anti)(?<!anti-)clockwise\b")
# Words for sides, beside their own names.
_SIDES = {
    **{digit: name for digit, name in zip("123456", "one two three four five six".split(), strict=True)},
    **dict.fromkeys(("point", "blade", "nose", "end"), "tip"),
    **dict.fromkeys(("grip", "shaft"), "handle"),
    **dict.fromkeys(("face", "frontside"), "front"),
    **dict.fromkeys(("rear", "backside"), "back"),
    **dict.fromkeys(("head",), "top"),
    **dict.fromkeys(("foot", "base"), "bottom"),
}
_SPLIT = re.compile(r"\band then\b|\bthen\b|;|\.(?=\s|$)")


@dataclass(frozen=True)
class TurnClause:
    """One request for an orientation, as worded: a side and where it shall be, or an axis and an angle."""

    phrase: Phrase  # names the thing; empty where only a side is named
    side: str = ""
    up: bool = True
    axis: str = ""
    angle: float = 0.0  # rad, counter-clockwise seen against the axis


def clauses(sentence: str) -> list[str]:
    """A sentence's clauses in order, in lower case."""
    text = sentence.lower().replace("\u2212", "-").replace("\u2019", "'").replace("-side", " side")
    text = re.sub(r"\s+", " ", _ASIDE.sub(" ", text))
    return [piece.strip(" ,!?") for piece in _SPLIT.split(text) if piece.strip(" ,!?")]


def read(clause: str, sides: frozenset[str]) -> TurnClause | None:
    """The orientation that a clause asks for; None where it asks for something else.

    Args:
        clause: in lower case.
        sides: names of the sides that things here have.

    Raises:
        NotUnderstood: an orientation is asked for, but not which.
    """
    verb, _, rest = clause.partition(" ")
    if verb not in _VERBS and not words.slip(verb, {word: word for word in _VERBS}):
        return None
    angle = _angle(rest)
    if angle is not None:
        return _about(rest, *angle)
    if re.search(r"\bupside down\b|\bover\b", rest) and "so that" not in rest:
        return TurnClause(_phrase(re.sub(r"\bupside down\b|\bover\b", " ", rest)), axis="level", angle=np.pi)
    if way := _WAY.search(rest):
        so = _SO.search(rest)
        told = so[1] if so else rest
        side = _side(told, sides)
        if side:
            named = rest[: so.start()] if so else _without(rest[: way.start()], side, sides)
            return TurnClause(_phrase(_without(named, side, sides)), side, up=bool(way[1]))
        if so or verb in ("turn", "rotate", "flip"):
            known = f"Its sides are {', '.join(sorted(sides))}." if sides else CAN_DO
            raise NotUnderstood("I do not know which side is meant.", known)
    return None


def _about(rest: str, angle: float, said: str) -> TurnClause:
    text = rest.replace(said, " ")
    found = _AXIS.search(text)
    if found is None:
        raise NotUnderstood("I do not know about which axis.", "Say for instance: by 90 degrees about its long axis.")
    axis = _AXES.get(found[1], "")
    if found[1] == "axis":
        raise NotUnderstood("I do not know about which axis.", "Say for instance: by 90 degrees about its long axis.")
    if not axis:
        raise NotUnderstood(f"I know no {found[1]} axis.", "Say: its long, short or vertical axis, or x, y or z.")
    sign = -1.0 if _OTHER_WAY.search(text) else 1.0
    name = re.sub(r"\bby\b|\b(?:counter|anti)?[- ]?clockwise\b", " ", text[: found.start()])
    return TurnClause(_phrase(name), axis=axis, angle=sign * angle)


def _angle(text: str) -> tuple[float, str] | None:
    """An angle [rad] in a text, and the words that say it."""
    for pattern, scale in ((_DEGREES, np.pi / 180), (_RADIANS, 1.0)):
        if found := pattern.search(text):
            return float(found[2]) * scale * (-1 if found[1] else 1), found[0]
    if found := _TURNS.search(text):
        return 2 * np.pi * _SHARES[found[1]], found[0]
    return None


def _side(text: str, sides: frozenset[str]) -> str:
    found = re.findall(r"[a-z0-9]+", _IS.sub(" ", _WAY.sub(" ", text)))
    named = [token if token in sides else _SIDES.get(token, "") for token in found]
    named += [words.slip(token, {side: side for side in sides}) for token in found]
    return next((side for side in named if side in sides), "")


def _without(text: str, side: str, sides: frozenset[str]) -> str:
    """A text without the words that name a side."""
    names = {side, "side", "face", *(word for word, means in _SIDES.items() if means == side and means in sides)}
    return " ".join(token for token in text.split() if token not in names)


def _phrase(text: str) -> Phrase:
    found = re.findall(r"[a-z0-9_]+", _IS.sub(" ", text))
    return tuple(word for word in found if word not in words.FILLERS | {"by", "of", "its", "to", "and"})
