"""From a phrase to objects of the scene: names, kinds, colors, sizes, places, numbers, spelling slips."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.offline import words
from toolwright.llm_planner.offline.grammar import CAN_DO, NotUnderstood, Phrase
from toolwright.perception.scene import HeldTool, Scene, SceneObject

# Two objects of nearly one size are neither "the small one".
DISTINCT_SIZE = 1.1  # ratio of widths
DISTINCT_PLACE = 0.01  # m

Locators = tuple[tuple[str, Phrase], ...]


def name_words(name: str) -> frozenset[str]:
    """The words and numbers that make up an object's name."""
    return frozenset(re.findall(r"[a-z]+|\d+", name.lower()))


def scene_words(scene: Scene) -> frozenset[str]:
    """All words by which the scene's objects are named or colored, and the objects' whole names."""
    found = {word for item in scene.objects.values() for word in name_words(item.name) | name_words(item.color)}
    return frozenset(found | {name.lower() for name in scene.objects})


def tool_words(tool: HeldTool) -> frozenset[str]:
    """The words that mean the tool in the hand."""
    return words.TOOLS.get(tool.family, frozenset()) | name_words(tool.name) | {tool.family}


def listing(items: list[SceneObject]) -> str:
    """Object names with their colors, for a question to the user."""
    texts = [
        f"{item.name} ({item.color})" if item.color and item.color not in item.name else item.name for item in items
    ]
    return ", ".join(sorted(texts)) if texts else "nothing"


@dataclass
class Grounder:
    """Resolves phrases against one scene and remembers what was spoken of last."""

    scene: Scene
    notes: list[str] = field(default_factory=list)
    last: str = ""

    def resolve(self, phrase: Phrase, locators: Locators = ()) -> list[str]:
        """Names of the objects that a phrase means: one, or several for "all".

        Raises:
            NotUnderstood: no object, several, or a word that describes none.
        """
        names = self._resolve(phrase, locators)
        self.last = names[-1]
        return names

    def one(self, phrase: Phrase) -> str:
        """As `resolve`, for a place of reference; does not change what "it" means.

        Raises:
            NotUnderstood: as `resolve`, and where several objects are meant.
        """
        names = self._resolve(phrase, ())
        if len(names) > 1:
            raise NotUnderstood(f"'{' '.join(phrase)}' names several objects: {', '.join(names)}.", "Name one.")
        return names[0]

    def _resolve(self, phrase: Phrase, locators: Locators) -> list[str]:
        content = tuple(token for token in phrase if token not in words.DEFINITE)
        if not content or content in (("it",), ("them",), ("itself",)):
            return [self._pronoun()]
        exact = next((name for name in self.scene.objects if name.lower() == "_".join(content)), "")
        if exact:
            content = ()
        candidates = [self.scene.objects[exact]] if exact else list(self.scene.objects.values())
        late: list[str] = []
        # Kinds before colors, so that a missing color is answered with what there is of that kind.
        for token in sorted(content, key=words.COLORS.__contains__):
            test = self._test(token)
            if test is None:
                late.append(token)
            else:
                candidates = self._narrow(candidates, test, token, phrase)
        if len(candidates) > 1 and "other" in late:
            candidates = [item for item in candidates if item.name != self.last]
        for relation, reference in locators:
            candidates = self._near(candidates, relation, reference, phrase)
        return self._choose(candidates, late, phrase)

    def _pronoun(self) -> str:
        name = self.last or geometry.held_object(self.scene)
        if not name:
            raise NotUnderstood(
                "I do not know what 'it' is: nothing is held and no object was named.",
                f"I see {listing(list(self.scene.objects.values()))}.",
            )
        return name

    def _test(self, token: str) -> Callable[[SceneObject], bool] | None:
        """Whether an object fits one word; None for words that choose among several."""
        known = scene_words(self.scene)
        single = words.singular(token)
        if token in known or single in known:
            return lambda item: bool({token, single} & (name_words(item.name) | _colors(item)))
        if token in words.COLORS:
            return lambda item: words.COLORS[token] in _colors(item)
        kinds = {kind for kind, names in words.KINDS.items() if single in names or token in names}
        if kinds:
            return lambda item: bool(kinds & _kinds(item))
        if {token, single} & words.ANYTHING:
            return lambda item: not item.fixed and not item.opening
        if self._chooses(token):
            return None
        return self._misspelled(token, known)

    def _chooses(self, token: str) -> bool:
        groups = (words.SIZES, words.LOCATIONS, words.ORDINALS, words.NUMBERS, words.ANY, words.ALL, {"other"})
        return token.isdigit() or any(token in group for group in groups)

    def _misspelled(self, token: str, known: frozenset[str]) -> Callable[[SceneObject], bool] | None:
        vocabulary = {
            **{word: color for word, color in words.COLORS.items()},
            **{word: word for word in (*words.SIZES, *words.LOCATIONS)},
            **{word: kind for kind, names in words.KINDS.items() for word in names},
            **{word: f"named {word}" for word in known if word.isalpha()},
        }
        # A slip of a name that is in the scene is likelier than one of a word that is not.
        in_scene = {word: meaning for word, meaning in vocabulary.items() if word in known}
        corrected = next(
            (
                found
                for form in (token, words.singular(token))
                for found in (words.slip(form, in_scene), words.slip(form, vocabulary))
                if found
            ),
            "",
        )
        if not corrected:
            raise self._unknown(token, vocabulary)
        self.notes.append(f"Read '{token}' as '{corrected}'.")
        return self._test(corrected)

    def _unknown(self, token: str, vocabulary: dict[str, str]) -> NotUnderstood:
        near = words.closest(token, [word for word in scene_words(self.scene) if word.isalpha()])
        guess = f"Did you mean '{near}'? " if near else ""
        if self.scene.tool and token in tool_words(self.scene.tool):
            return NotUnderstood(f"I already hold '{self.scene.tool.name}' and work with it.", CAN_DO)
        return NotUnderstood(f"I see no '{token}' here.", f"{guess}I see {listing(list(self.scene.objects.values()))}.")

    def _narrow(
        self, candidates: list[SceneObject], test: Callable[[SceneObject], bool], token: str, phrase: Phrase
    ) -> list[SceneObject]:
        kept = [item for item in candidates if test(item)]
        if not kept:
            raise NotUnderstood(
                f"I see no '{_spoken(phrase)}' here: nothing fits '{token}'.", f"I see {listing(candidates)}."
            )
        return kept

    def _near(
        self, candidates: list[SceneObject], relation: str, reference: Phrase, phrase: Phrase
    ) -> list[SceneObject]:
        """Keep the candidates that are where the sentence says."""
        if words.TABLE.intersection(reference):
            return candidates
        anchor = self.scene.objects[self.one(reference)]
        others = [item for item in candidates if item is not anchor]
        if relation == "in":
            kept = [item for item in others if anchor.opening and geometry.inside(item, anchor)]
        elif relation in geometry.SIDES:
            kept = [item for item in others if (item.pos - anchor.pos)[:2] @ geometry.SIDES[relation] > 0]
        elif relation in ("on", "above"):
            kept = [item for item in others if _rests_on(item, anchor)]
        else:
            kept = sorted(others, key=lambda item: _distance(item, anchor.pos))[:1]
        if not kept:
            raise NotUnderstood(
                f"I see no '{_spoken(phrase)}' {relation} {anchor.name}.", f"I see {listing(others or candidates)}."
            )
        return kept

    def _choose(self, candidates: list[SceneObject], late: list[str], phrase: Phrase) -> list[str]:
        names = scene_words(self.scene)
        plural = any(words.singular(token) != token and token not in names for token in phrase)
        if set(late) & words.ALL or (plural and not set(late) & words.ANY):
            return self._several(candidates, late, phrase)
        for token in late:
            if len(candidates) > 1 or token.isdigit() or token in words.ORDINALS:
                candidates = self._pick_by(candidates, token)
        if len(candidates) > 1:
            question = f"'{_spoken(phrase)}' could be any of: {listing(candidates)}."
            raise NotUnderstood(question, "Which one do you mean?")
        return [candidates[0].name]

    def _several(self, candidates: list[SceneObject], late: list[str], phrase: Phrase) -> list[str]:
        """All that fit and can be meant as things to move, the first in reading order from the left."""
        count = next((words.NUMBERS[token] for token in late if token in words.NUMBERS), 2 if "both" in late else 0)
        if count and count != len(candidates):
            raise NotUnderstood(f"'{_spoken(phrase)}' asks for {count}, but I see {listing(candidates)}.")
        candidates = _of_size(candidates, next((words.SIZES[token] for token in late if token in words.SIZES), 0))
        return [item.name for item in sorted(candidates, key=lambda item: -item.pos[1])]

    def _pick_by(self, candidates: list[SceneObject], token: str) -> list[SceneObject]:
        if token in words.SIZES:
            return _extreme(candidates, words.SIZES[token])
        if token in words.LOCATIONS:
            axis, sign = words.LOCATIONS[token]
            column = 1 if axis == "left" else 0
            ranked = sorted(candidates, key=lambda item: -sign * item.pos[column])
            clear = abs(ranked[0].pos[column] - ranked[1].pos[column]) >= DISTINCT_PLACE
            return ranked[:1] if clear else candidates
        if token.isdigit() or token in words.ORDINALS:
            return self._by_number(candidates, token)
        if token in words.ANY:
            tips = self.scene.tool.T_world_tip[:3, 3] if self.scene.tool else self.scene.workspace.lower
            chosen = min(candidates, key=lambda item: _distance(item, tips))
            self.notes.append(f"Chose {chosen.name}, the nearest of {len(candidates)}.")
            return [chosen]
        if token in words.NUMBERS:
            raise NotUnderstood(f"Say which {token}: {listing(candidates)}.")
        return candidates

    def _by_number(self, candidates: list[SceneObject], token: str) -> list[SceneObject]:
        """By the number in the name, or else counted from the left."""
        number = words.ORDINALS.get(token) or int(token)
        named = [item for item in candidates if str(number) in name_words(item.name)]
        if named or token.isdigit():
            if not named:
                raise NotUnderstood(f"None of them has the number {token}: {listing(candidates)}.")
            return named
        ranked = sorted(candidates, key=lambda item: -item.pos[1])
        if number > len(ranked):
            raise NotUnderstood(f"There is no {token} one: I see {listing(candidates)}.")
        chosen = ranked[number - 1 if number > 0 else -1]
        self.notes.append(f"Counted from the left: '{token}' is {chosen.name}.")
        return [chosen]


def _colors(item: SceneObject) -> set[str]:
    found = name_words(item.color) | name_words(item.name)
    return set(name_words(item.color)) | {words.COLORS[word] for word in found if word in words.COLORS}


def _kinds(item: SceneObject) -> set[str]:
    if item.opening or item.shape == "cup":
        return {"container"}
    named = {kind for kind, names in words.KINDS.items() if names & name_words(item.name)}
    return {item.shape} | named


def _distance(item: SceneObject, pos: np.ndarray) -> float:
    return float(np.linalg.norm(item.pos - pos))


def _rests_on(item: SceneObject, anchor: SceneObject) -> bool:
    flat = np.hypot(*(item.pos - anchor.pos)[:2]) <= geometry.breadth(anchor) / 2
    return bool(flat and item.pos[2] > anchor.pos[2])


def _extreme(candidates: list[SceneObject], sign: int) -> list[SceneObject]:
    """The smallest (sign -1) or largest of the candidates, with all that are nearly as small or large."""
    widths = [geometry.width(item) for item in candidates]
    limit = max(widths) / DISTINCT_SIZE if sign > 0 else min(widths) * DISTINCT_SIZE
    return [item for item, width in zip(candidates, widths, strict=True) if sign * (width - limit) >= 0]


def size_split(ranked: list[SceneObject]) -> int:
    """Where objects in the order of their widths fall into small and large ones; 0 where all are about as large."""
    steps = [geometry.width(b) / geometry.width(a) for a, b in zip(ranked, ranked[1:], strict=False)]
    return int(np.argmax(steps)) + 1 if steps and max(steps) >= DISTINCT_SIZE else 0


def _of_size(candidates: list[SceneObject], sign: int) -> list[SceneObject]:
    """The small (sign -1) or large ones of several; all of them without a sign, or where there are no two sizes."""
    ranked = sorted(candidates, key=geometry.width)
    at = size_split(ranked)
    return candidates if not sign or not at else ranked[:at] if sign < 0 else ranked[at:]


def _spoken(phrase: Phrase) -> str:
    return " ".join(token for token in phrase if token not in words.DEFINITE)
