"""Sorting in a sentence: which things go into which container, by measured size or by color."""

from __future__ import annotations

import re

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.offline import words
from toolwright.llm_planner.offline.grammar import NotUnderstood
from toolwright.llm_planner.offline.grounding import DISTINCT_SIZE, Grounder, name_words, size_split
from toolwright.llm_planner.roles import Request
from toolwright.perception.scene import Scene, SceneObject

_SORT = re.compile(r"^(?:please |now |can you |could you )*(?:sort|separate|divide|sort out)\b(.*)$")
_BY = re.compile(r"\b(?:by|according to|after)\s+(?:their |the )?(sizes?|diameters?|widths?|colou?rs?)\b")
_INTO = re.compile(r"\b(?:into|in|to)\s+(.+)$")
_EXAMPLE = "Say for instance: sort the balls by size into the two cups."


def asked(sentence: str) -> bool:
    """Whether a sentence asks to sort things."""
    return _SORT.match(sentence.lower().strip()) is not None


def requests(sentence: str, scene: Scene, grounder: Grounder) -> list[Request]:
    """One request for each thing that is sorted, the nearest size or color first.

    Raises:
        NotUnderstood: nothing to sort by, no containers, or sizes that cannot be told apart.
    """
    found = _SORT.match(sentence.lower().strip(" .!"))
    text = found[1] if found else ""
    by = _BY.search(text)
    if by is None:
        raise NotUnderstood("I do not know by what to sort.", _EXAMPLE)
    text = (text[: by.start()] + " " + text[by.end() :]).strip()
    where = _INTO.search(text)
    things = _things(text[: where.start()] if where else text, scene, grounder)
    cups = _cups(where[1] if where else "", scene, grounder)
    pairs = _by_color(things, cups) if by[1].startswith("col") else _by_size(things, cups, grounder)
    return [Request(action="drop_in", object=a.name, reference=b.name, relation="in") for a, b in pairs]


def _things(text: str, scene: Scene, grounder: Grounder) -> list[SceneObject]:
    phrase = _phrase(text)
    loose = [item for item in scene.objects.values() if not item.fixed and not item.opening]
    if not set(phrase) - words.DEFINITE - words.ALL - {"things", "objects", "items", "everything", "them", "it"}:
        return loose
    return [scene.objects[name] for name in grounder.resolve(phrase)]


def _cups(text: str, scene: Scene, grounder: Grounder) -> list[SceneObject]:
    phrase = tuple(word for word in _phrase(text) if word not in {*words.NUMBERS, "different", "separate"})
    cups = [item for item in scene.objects.values() if item.opening > 0 and item.shape != "tube"]
    if set(phrase) - words.DEFINITE - words.ALL:
        pieces = [_phrase(piece) for piece in re.split(r"\band\b", text)] if " and " in text else [phrase]
        named = [name for piece in pieces if piece for name in grounder.resolve(piece)]
        cups = [scene.objects[name] for name in dict.fromkeys(named)]
    if len(cups) < 2:
        raise NotUnderstood(f"To sort I need two containers, and see {len(cups)}.", _EXAMPLE)
    return cups


def _by_size(
    things: list[SceneObject], cups: list[SceneObject], grounder: Grounder
) -> list[tuple[SceneObject, SceneObject]]:
    if len(cups) != 2:
        raise NotUnderstood(f"By size I sort into two containers, not {len(cups)}.", "Name the two.")
    ranked = sorted(things, key=geometry.width)
    at = size_split(ranked)
    if not at:
        raise NotUnderstood("I see no two sizes: all are about as large.", "I can sort them by color, or one by one.")
    small, large = _small_and_large(cups, grounder)
    grounder.notes.append(
        f"Small, into {small.name}: {', '.join(item.name for item in ranked[:at])}; "
        f"large, into {large.name}: {', '.join(item.name for item in ranked[at:])}."
    )
    return [(item, small if i < at else large) for i, item in enumerate(ranked)]


def _small_and_large(cups: list[SceneObject], grounder: Grounder) -> tuple[SceneObject, SceneObject]:
    """The cup for the small things: by its name, else the smaller one, else the left one."""
    for cup, other in (cups, cups[::-1]):
        sign = sum(words.SIZES.get(word, 0) for word in name_words(cup.name))
        if sign < 0 or (sign == 0 and sum(words.SIZES.get(word, 0) for word in name_words(other.name)) > 0):
            return cup, other
    small, large = sorted(cups, key=lambda cup: cup.opening)
    if large.opening / small.opening >= DISTINCT_SIZE:
        return small, large
    left, right = sorted(cups, key=lambda cup: -cup.pos[1])
    grounder.notes.append("The cups are alike: small things go to the left.")
    return left, right


def _by_color(things: list[SceneObject], cups: list[SceneObject]) -> list[tuple[SceneObject, SceneObject]]:
    known = {cup.color: cup for cup in cups}
    if len(known) < len(cups):
        raise NotUnderstood("Two of the containers have the same color.", "Name the containers.")
    lost = [item.name for item in things if item.color not in known]
    if lost:
        raise NotUnderstood(f"There is no container of the color of {', '.join(lost)}.", "I can sort by size.")
    return [(item, known[item.color]) for item in things]


def _phrase(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.findall(r"[a-z0-9_]+", text) if word not in words.FILLERS)
