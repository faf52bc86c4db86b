"""Clauses that ask for an articulated tool's own job: a volume to dispense, a nut to turn, a line to clip on."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from toolwright.llm_planner.offline import words
from toolwright.llm_planner.offline.grammar import NotUnderstood, Phrase

CAN_DO = {
    "syringe": "I can dispense a volume into a container, move the tips, and go home.",
    "pliers": "I can turn a nut by an angle, pick things up, move the tips, and go home.",
    "scissors": "I can cut a strip in half or to a length, move the tips, and go home.",
    "clothespin": "I can clip the clothespin on a line, move the tips, and go home.",
}
_VERBS = {
    "syringe": "dispense inject squirt drip drop put add fill pipette dose give pour empty push release".split(),
    "pliers": "turn rotate screw unscrew tighten loosen twist undo fasten".split(),
    "scissors": "cut snip trim shorten halve shear slice divide".split(),
    "clothespin": "clip hang fasten attach put pin clamp peg fix place snap set leave".split(),
}
_GRIPS = frozenset({"pliers"})  # which of them pick things up, too
_SPLIT = re.compile(r"[;.!?]+(?=\s|$)|,(?!\d)|\band then\b|\bthen\b|\bafter that\b|\bafterwards\b|\band\b")
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_VOLUME = re.compile(
    rf"(?:{_NUMBER}|\b(half an?|a quarter of an?|an?|one|two))\s*"
    r"(millilit(?:er|re)s?|ml|cc|cm3|microlit(?:er|re)s?|\u00b5l|ul|lit(?:er|re)s?|l)\b"
)
_SHARES = {"half": 0.5, "a q": 0.25, "a": 1.0, "an": 1.0, "one": 1.0, "two": 2.0}
_DEGREES = re.compile(rf"(-)?{_NUMBER}\s*(?:degrees?|deg|\u00b0)")
_RADIANS = re.compile(rf"(-)?{_NUMBER}\s*(?:radians?|rad)\b")
_TURNS = re.compile(
    rf"(?:{_NUMBER}|\b(a quarter|three quarters|half|a half|a full|a whole|one full|a|one|two|three))"
    r"(?:\s+of)?(?:\s+an?)?\s*(?:turns?|revolutions?|rounds?)\b|\b(once|twice)\b|\b(?:by\s+)?(half)\b"
)
_PARTS = {
    "a quarter": 0.25,
    "three quarters": 0.75,
    **dict.fromkeys(("half", "a half"), 0.5),
    **dict.fromkeys(("a full", "a whole", "one full", "a", "one", "once"), 1.0),
    **dict.fromkeys(("two", "twice"), 2.0),
    "three": 3.0,
}
_LENGTH = re.compile(rf"{_NUMBER}\s*(mm|millimet(?:er|re)s?|cm|centimet(?:er|re)s?)\b")
_BACK = re.compile(r"\b(?:counter|anti)[- ]?clockwise\b|\bto the left\b|\bleft\b|\bccw\b")
_ALONG = re.compile(r"\bclockwise\b|\bto the right\b|\bright\b|\bcw\b")
_LOOSEN = frozenset({"unscrew", "loosen", "undo"})
_TIGHTEN = frozenset({"tighten", "screw", "fasten"})


@dataclass(frozen=True)
class JobClause:
    """One request for a job, as worded."""

    action: str  # dispense, turn, clip_on or cut
    phrase: Phrase  # names the object that is worked on
    amount: float = 0.0  # ml, rad or m; of a cut negative where so much is cut off, 0 for half
    note: str = ""


def clauses(sentence: str) -> list[str]:
    """A sentence's clauses in order, in lower case."""
    text = sentence.lower().replace("\u2212", "-").replace("\u2019", "'").replace("\u03bc", "\u00b5")
    text = re.sub(r"(?<=\d),(?=\d)", ".", text)  # 0,5 ml is no two numbers
    text = re.sub(r"\buse (?:the )?\w+ to\b", " ", text)
    text = re.sub(r"\b(?:please|kindly|now|just|can you|could you|would you|will you)\b", " ", text)
    return [piece.strip() for piece in _SPLIT.split(re.sub(r"\s+", " ", text)) if piece.strip()]


def read(clause: str, family: str) -> JobClause | None:
    """The job that a clause asks for; None where it asks for something else.

    Args:
        clause: in lower case.
        family: of the tool in the hand.

    Raises:
        NotUnderstood: the job is asked for, but an amount is missing or wrong.
    """
    word = next(iter(re.findall(r"[a-z]+", clause)), "")
    rest = clause[clause.index(word) + len(word) :] if word else clause
    known = _VERBS[family]
    corrected = word if word in known else words.slip(word, {verb: verb for verb in known})
    match family:
        case "syringe":
            return _dose(clause, corrected)
        case "pliers":
            return _turn(rest, corrected)
        case "scissors":
            return _cut(rest, corrected)
        case _:
            return _clip(rest, corrected)


def wrong_tool(clause: str, family: str) -> str:
    """The tool whose job a clause asks for, where it is not the one in the hand; empty where there is none."""
    word = next(iter(re.findall(r"[a-z]+", clause)), "")
    known = word in words.VERBS or word in _VERBS[family]
    return "" if known else next((other for other, verbs in _VERBS.items() if word in verbs), "")


def grips(family: str) -> bool:
    """Whether a tool picks things up besides its job."""
    return family in _GRIPS


def _dose(clause: str, verb: str) -> JobClause | None:
    found = _VOLUME.search(clause)
    if found is None:
        if verb in ("dispense", "inject", "squirt", "pipette", "dose", "drip"):
            raise NotUnderstood("I do not know how much.", "Say for instance: dispense 0.5 ml into the cup.")
        return None
    number, share, unit = found.groups()
    volume = float(number) if number else _SHARES[share[:3] if share.startswith("a q") else share.split()[0]]
    scale = 1e-3 if unit.startswith(("micro", "\u00b5", "u")) else 1e3 if unit.startswith("l") else 1.0
    if volume <= 0:
        raise NotUnderstood("There is nothing to dispense in a volume of 0.", CAN_DO["syringe"])
    where = re.search(r"\b(?:into|in|to|onto|over)\b\s+(.+)$", clause[found.end() :]) or re.search(
        r"\bfill\s+(.+?)\s+with\b", clause
    )
    if where is None:
        raise NotUnderstood("I do not know where to dispense it.", "Say for instance: dispense 0.5 ml into the cup.")
    return JobClause("dispense", _phrase(where[1]), volume * scale)


def _turn(rest: str, verb: str) -> JobClause | None:
    if not verb:
        return None
    angle, cut = _angle(rest)
    if angle is None:
        raise NotUnderstood("I do not know how far to turn it.", "Say for instance: turn the nut by 90 degrees.")
    back, along = bool(_BACK.search(rest)), False
    rest = _BACK.sub(" ", rest)
    along = bool(_ALONG.search(rest))
    sign = -1.0 if along or (verb in _TIGHTEN and not back) else 1.0
    said = back or along or verb in _TIGHTEN | _LOOSEN or angle < 0
    note = "" if said else "Read as counter-clockwise, seen from above; say 'clockwise' for the other way."
    name = re.sub(r"\bby\b.*$", " ", _ALONG.sub(" ", rest.replace(cut, " by ")))
    return JobClause("turn", _phrase(name), sign * angle, note)


def _angle(text: str) -> tuple[float | None, str]:
    """An angle [rad] in a text, and the words that say it."""
    for pattern, scale in ((_DEGREES, np.pi / 180), (_RADIANS, 1.0)):
        if found := pattern.search(text):
            return float(found[2]) * scale * (-1 if found[1] else 1), found[0]
    if found := _TURNS.search(text):
        number, part, times, half = found.groups()
        share = float(number) if number else _PARTS[part or times or half]
        return share * 2 * np.pi, found[0]
    return None, ""


def _cut(rest: str, verb: str) -> JobClause | None:
    if not verb:
        return None
    found = _LENGTH.search(rest)
    if found is None:
        if verb != "halve" and not re.search(r"\b(?:half|halves|two|middle)\b", rest):
            raise NotUnderstood("I do not know where to cut.", "Say for instance: cut the strip in half, or to 40 mm.")
        return JobClause("cut", _phrase(re.sub(r"\b(?:in|into|at|through) .*$", "", rest)))
    length = float(found[1]) * {"m": 1e-3, "c": 1e-2}.get(found[2][0], 1.0)
    off = re.search(r"\b(?:off|from|by)\b", rest) is not None
    name = re.sub(r"\b(?:to|at|off|from|by|long|of|after|the end|down)\b", " ", rest.replace(found[0], " "))
    return JobClause("cut", _phrase(name), -length if off else length)


def _clip(rest: str, verb: str) -> JobClause | None:
    where = re.search(r"\b(?:onto|on to|on|to|over|at|from)\b\s+(.+)$", rest)
    if not verb or where is None:
        return None
    return JobClause("clip_on", _phrase(where[1]))


def _phrase(text: str) -> Phrase:
    words_of = re.findall(r"[a-z0-9_]+", re.sub(r"\b(?:with|using)\b.*$", "", text))
    return tuple(word for word in words_of if word not in words.FILLERS | {"by", "of", "off"})
