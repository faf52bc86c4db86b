"""From a sentence to clauses: verbs, object phrases, places, numbers. Knows words, not the scene's objects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from toolwright.llm_planner.offline import words

CAN_DO = (
    "I can pick an object up, drop it into a container, place it on the table, open or close the tool, "
    "move the tips, and go home."
)
MAX_SENTENCE = 500  # characters; a longer text is no sentence
Phrase = tuple[str, ...]


class NotUnderstood(ValueError):
    """A sentence without a task in it; carries the reason and what could be said instead."""

    def __init__(self, reason: str, suggestion: str = "") -> None:
        super().__init__(f"{reason} {suggestion}".strip())
        self.reason = reason
        self.suggestion = suggestion


@dataclass(frozen=True)
class Clause:
    """One request as worded. Phrases are the words that name an object."""

    verb: str  # pick, put, open, close, move, home; empty where the clause has none of its own
    phrase: Phrase = ()
    locators: tuple[tuple[str, Phrase], ...] = ()  # where the object is
    place: tuple[str, Phrase] | None = None  # where it shall go: relation and reference
    point: tuple[float, ...] | None = None  # m
    aimed: bool = False  # "to" goes before the point
    quantity: float | None = None  # m
    direction: tuple[float, float, float] | None = None
    degree: str = ""  # of an opening without a length: wide or half
    tool: Phrase = ()


@dataclass
class Parse:
    """The clauses of a sentence and what was read into it."""

    clauses: list[Clause] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_NUMBER = r"(?<![\w.])([-+]?(?:\d+\.\d*|\.\d+|\d+))"
_UNIT = r"\s*(millimet(?:er|re)s?\b|mm\b|centimet(?:er|re)s?\b|cm\b|met(?:er|re)s?\b|m\b)?"
_VALUE = _NUMBER + _UNIT
_JOIN = r"\s*(?:,|;|\band\b)?\s*"
_LABELED = re.compile(
    rf"\bx\s*[=:]?\s*{_VALUE}{_JOIN}y\s*[=:]?\s*{_VALUE}(?:{_JOIN}z\s*[=:]?\s*{_VALUE})?".replace(r"(?<![\w.])", "")
)
_TUPLE = re.compile(rf"([(\[])?\s*{_VALUE}(?:\s*,\s*|\s+){_VALUE}(?:(?:\s*,\s*|\s+){_VALUE})?\s*(?:[)\]]{_UNIT})?")
_SINGLE = re.compile(_VALUE)
_SCALE = {"mi": 1e-3, "mm": 1e-3, "ce": 1e-2, "cm": 1e-2}

_REPHRASE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"\b(?:can|could|would|will|may|should|must) (?:you|we|the robot|robot)(?: please)?(?: be able to)?\b", " "),
        (r"\bare you able to\b|\bgo ahead and\b|\btry to\b|\bhelp me(?: to)?\b|\bgo and\b", " "),
        (r"\b(?:i|we) (?:would like|d like|want|need) (?:you|the robot) to\b|\bi (?:want|would like|d like) to\b", " "),
        (r"\b(?:i|we) (?:would|d) like\b", "want"),
        (
            r"\b(?:should|must|has to|needs to|have to) (?:go|be|end up|land|come)\b|\b(?:goes|belongs?|go)\b(?= in)",
            " ",
        ),
        (r"\b(?:i|we|you|us)\b", " "),
        (r"\blet (?:it |them )?go(?: of)?\b", "LET_GO"),
        (r"\bget rid of\b", "put"),
        (r"\bwith care\b", "carefully"),
        (r"\beverything\b", "all objects"),
        (r"\btake hold of\b|\bget hold of\b", "pick"),
        (r"\b(?:on |to |at )?(?:the |its )?left(?: hand)?(?: side)? of\b", "LEFT_OF"),
        (r"\b(?:on |to |at )?(?:the |its )?right(?: hand)?(?: side)? of\b", "RIGHT_OF"),
        (r"\bin (?:the )?front of\b|\bbefore\b", "FRONT_OF"),
        (r"\b(?:at the |in )?back of\b|\bbehind\b", "BEHIND"),
        (r"\bnext to\b|\bbeside\b|\balongside\b|\bnear(?: to)?\b(?= (?:the|a|my))|\badjacent to\b", "BESIDE"),
        (r"\bby\b(?= [QC]\d)", " "),
        (r"(?<=\w) close to\b(?! (?:[QC]\d|\d))|\bby\b(?= (?:the|a) )", " BESIDE"),
        (r"\bby means of\b|\busing\b|\bwith the help of\b|\bwith\b|\bvia\b", "WITH"),
        (r"\bout of\b|\boff(?: of)?\b|\bfrom\b", "FROM"),
        (r"\b(?:on|to|at) the (left|right)(?: side)?\b", r"\1"),
        (r"\bon top of\b|\batop\b|\bupon\b|\bon\b", "ON"),
        (r"\bonto\b|\bon to\b", "ONTO"),
        (r"\binto\b|\bin to\b", "INTO"),
        (r"\b(?:on the )?(?:inside|interior) of\b|\binside\b|\bwithin\b|\bin\b", "IN"),
        (r"\btowards?\b|\bto\b", "TO"),
        (r"\babove\b|\bover\b", "ABOVE"),
        (r"\bat\b", "AT"),
        (r"\b(under(?:neath)?|below|beneath|between|around|through|across|against|along)\b", r"NO_\1"),
        (r"\bpick(?:ing)? up\b", "pick"),
        (r"\bfully\b|\bcompletely\b|\ball the way\b|\bas wide as (?:possible|it goes|it can)\b", "fully"),
        (r"\bhalf ?way\b|\bhalf open\b", "half"),
    )
)
_SPLIT = re.compile(r"[;.!?]+(?=\s|$)|,|\band then\b|\bthen\b|\bafter that\b|\bafterwards?\b|\bnext\b|\band\b|&")
_PLACES = {
    **{"IN": "in", "INTO": "in", "ON": "on", "ONTO": "on", "AT": "at", "TO": "to", "ABOVE": "above"},
    **{"LEFT_OF": "left", "RIGHT_OF": "right", "FRONT_OF": "front", "BEHIND": "behind", "BESIDE": "beside"},
}
_GOING = frozenset({"INTO", "ONTO", "TO"})  # with a verb of taking these name a destination, the others a location
_DEGREES = {"fully": "wide", "wide": "wide", "half": "half", "maximum": "wide"}


def parse(sentence: str, scene_words: frozenset[str]) -> Parse:
    """Read the clauses of a sentence.

    Args:
        scene_words: words of the scene's own names, never taken for slips.

    Raises:
        NotUnderstood: no task, or one that no skill can do.
    """
    if not sentence.strip():
        raise NotUnderstood("The sentence is empty.", CAN_DO)
    if len(sentence) > MAX_SENTENCE:
        raise NotUnderstood(f"The sentence has {len(sentence)} characters; at most {MAX_SENTENCE} are read.")
    result = Parse()
    text, numbers = _take_numbers(_plain(sentence))
    for pattern, replacement in _REPHRASE:
        text = pattern.sub(replacement, text)
    _refuse_what_is_no_order(text)
    for piece in _SPLIT.split(text):
        tokens = _content(piece, scene_words, result)
        if tokens:
            _append(result, _clause(tokens, numbers, scene_words, result))
    if not result.clauses:
        raise NotUnderstood("I find no task in this sentence.", CAN_DO)
    return result


def _plain(sentence: str) -> str:
    text = sentence.lower().replace("\u2212", "-").replace("\u2019", "'")
    text = re.sub(r"n't\b", "nt", text).replace("'s ", " ").replace("'d ", " d ").replace("'ll ", " will ")
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text)
    text = re.sub(r"[a-z]+", lambda match: words.SWAPPED.get(match.group(), match.group()), text)
    return re.sub(r"\s+", " ", text).strip()


def _take_numbers(text: str) -> tuple[str, dict[str, tuple[float, ...]]]:
    """Replace points by C0, C1, ... and lengths by Q0, Q1, ...; bare whole numbers stay, they may name an object."""
    numbers: dict[str, tuple[float, ...]] = {}

    def keep(prefix: str, values: tuple[float, ...]) -> str:
        key = f"{prefix}{len(numbers)}"
        numbers[key] = values
        return f" {key} "

    def labeled(match: re.Match[str]) -> str:
        return keep("C", _values(list(match.groups()), None))

    def pair(match: re.Match[str]) -> str:
        bracket, *groups, unit = match.groups()
        told = match.string[: match.start()].rstrip().endswith((" at", " to"))
        certain = bracket or told or any(groups[1::2]) or any("." in number for number in groups[::2] if number)
        return keep("C", _values(groups, unit)) if certain else match.group()

    def single(match: re.Match[str]) -> str:
        number, unit = match.groups()
        return keep("Q", _values([number, unit], None)) if unit or "." in number else match.group()

    text = _LABELED.sub(labeled, text)
    text = _TUPLE.sub(pair, text)
    return re.sub(r"\s+", " ", _SINGLE.sub(single, text)), numbers


def _values(groups: list[str | None], unit_of_all: str | None) -> tuple[float, ...]:
    pairs = [(number, unit) for number, unit in zip(groups[::2], groups[1::2], strict=True) if number]
    common = unit_of_all or next((unit for _, unit in reversed(pairs) if unit), None)
    return tuple(float(number) * _SCALE.get((unit or common or "")[:2], 1.0) for number, unit in pairs)


def _refuse_what_is_no_order(text: str) -> None:
    tokens = re.findall(r"[a-z]+", text)
    if words.NEGATIONS.intersection(tokens):
        raise NotUnderstood("I only carry out what is asked for: I cannot follow 'not', 'without' or an exception.")
    choice = next((token for token in tokens if token in words.CONDITIONS), "")
    if choice:
        raise NotUnderstood(f"I only carry out plain requests in order, and cannot follow '{choice}'.", CAN_DO)
    if next((token for token in tokens if token not in words.FILLERS), "") in words.QUESTIONS:
        raise NotUnderstood("I carry out requests and do not answer questions.", CAN_DO)


def _content(piece: str, scene_words: frozenset[str], result: Parse) -> list[str]:
    tokens = re.findall(r"[A-Za-z0-9_]+", piece)
    tokens = [token for token in tokens if token not in words.FILLERS]
    kept = scene_words.union(_DEGREES)
    manner = [token for token in tokens if token.endswith("ly") and token not in kept and len(token) > 4]
    result.notes += [f"Ignored '{token}': no skill sets speed or force by word." for token in manner]
    return [token for token in tokens if token not in manner]


def _append(result: Parse, clause: Clause) -> None:
    """Add a clause; one without a verb continues the one before it."""
    before = result.clauses[-1] if result.clauses else None
    if clause.verb:
        result.clauses.append(clause)
        return
    if not clause.phrase and not clause.place and not clause.point:
        if clause.tool and before:
            result.clauses[-1] = replace(before, tool=clause.tool)
        return
    if before is None:
        if not clause.place and not clause.point:
            raise NotUnderstood(f"What shall I do with {' '.join(clause.phrase)!r}?", CAN_DO)
        result.clauses.append(replace(clause, verb="put"))
    elif clause.phrase:
        if before.verb == "put" and not before.place and not before.point:
            result.clauses[-1] = replace(before, place=clause.place, point=clause.point)
        result.clauses.append(replace(clause, verb=before.verb))
    else:
        result.clauses.append(replace(clause, verb="put", phrase=("it",)))


def _clause(
    tokens: list[str], numbers: dict[str, tuple[float, ...]], scene_words: frozenset[str], result: Parse
) -> Clause:
    tool, tokens = _leading_tool(tokens)
    word, rest = (tokens[0], tokens[1:]) if tokens else ("", [])
    verb = words.VERBS.get(word, "")
    if word and not verb and not _starts_phrase(word, scene_words):
        corrected = words.slip(word, words.VERBS)
        if not corrected:
            raise NotUnderstood(f"No skill can '{word}'.", CAN_DO)
        result.notes.append(f"Read '{word}' as '{corrected}'.")
        word, verb = corrected, words.VERBS[corrected]
    if not verb:
        rest = tokens
    clause = _segments(verb, rest, numbers)
    clause = replace(clause, tool=tool or clause.tool)
    return _settle(clause, word, set(rest))


def _leading_tool(tokens: list[str]) -> tuple[Phrase, list[str]]:
    """Split off 'with the tweezers' or 'use the tweezers to' from the front."""
    if tokens[0] not in ("WITH", "use"):
        return (), tokens
    end = next((i for i, token in enumerate(tokens) if i and (token in words.VERBS or token == "TO")), len(tokens))
    return tuple(tokens[1:end]), tokens[end + (end < len(tokens) and tokens[end] == "TO") :]


def _starts_phrase(word: str, scene_words: frozenset[str]) -> bool:
    if word in _PLACES or word in ("WITH", "FROM") or word.startswith("NO_"):
        return True
    if word in scene_words or words.singular(word) in scene_words or word.isdigit():
        return True
    known = (words.DEFINITE, words.ANY, words.ALL, words.COLORS, words.SIZES, words.ORDINALS, words.LOCATIONS)
    kinds = words.KINDS.values()
    return any(word in group for group in known) or any(words.singular(word) in kind for kind in kinds)


def _segments(verb: str, tokens: list[str], numbers: dict[str, tuple[float, ...]]) -> Clause:
    """Sort the words after the verb into object, locations, destination, tool and numbers."""
    point = next((numbers[token] for token in tokens if token[0] == "C" and token in numbers), None)
    lengths = [numbers[token][0] for token in tokens if token[0] == "Q" and token in numbers]
    if len(lengths) > 1:
        raise NotUnderstood("I find more than one length in a clause and do not know which is meant.")
    parts: list[tuple[str, list[str]]] = [("", [])]
    for token in tokens:
        if token in _PLACES or token in ("WITH", "FROM") or token.startswith("NO_"):
            parts.append((token, []))
        elif token not in numbers:
            parts[-1][1].append(token)
    tool: Phrase = ()
    places: list[tuple[str, Phrase]] = []
    for word, phrase in parts[1:]:
        if word.startswith("NO_"):
            raise NotUnderstood(
                f"No skill can put or find something '{word[3:]}' another thing.",
                "I know in, next to, left of, right of, in front of and behind.",
            )
        if not phrase:
            continue  # the preposition of a number: at (0.4, 0.1), by 5 cm
        if word == "WITH":
            tool = tuple(phrase)
        elif word != "FROM" or not words.TABLE.intersection(phrase):
            places.append((word, tuple(phrase)))
    if len(places) > 1:  # "in the cup on the table": everything is on the table
        places = [item for item in places if not words.TABLE.intersection(item[1])]
    going = next((item for item in reversed(places) if _goes(verb, item[0])), None)
    return Clause(
        verb=verb,
        phrase=tuple(parts[0][1]),
        locators=tuple(("in" if word == "FROM" else _PLACES[word], p) for word, p in places if (word, p) != going),
        place=(_PLACES[going[0]], going[1]) if going else None,
        point=point,
        aimed=bool(point) and "TO" in tokens,
        quantity=lengths[0] if lengths else None,
        tool=tool,
    )


def _goes(verb: str, preposition: str) -> bool:
    if preposition == "FROM":
        return False
    return preposition in _GOING or verb != "pick"


def _settle(clause: Clause, word: str, rest: set[str]) -> Clause:
    """Decide what the verb means together with what follows it."""
    verb, phrase = clause.verb, clause.phrase
    if verb == "pick":
        if clause.point and not clause.aimed:
            raise NotUnderstood("I pick objects up by name, not by coordinates.", "Name the object.")
        phrase = tuple(token for token in phrase if token not in ("up", "out"))
        verb = "put" if clause.place or clause.point else "pick"
    elif word in words.BRINGING and not clause.place and not clause.point:
        verb = "pick"
    elif verb == "set":
        opening = rest & (words.HELD_TOOL | words.TOOLS["tweezers"]) - {"it"} and clause.quantity is not None
        verb = "open" if opening else "put"
    if verb == "put":
        phrase = tuple(token for token in phrase if token not in ("down", "back", "away", "off"))
    if verb in ("open", "close", "home"):
        # These take no place: whatever was read as one has to be a degree, a number, or the home pose itself.
        phrase = (
            *phrase,
            *(token for _, reference in (*clause.locators, clause.place or ("", ())) for token in reference),
        )
        degree = next((_DEGREES[token] for token in phrase if token in _DEGREES), "")
        clause = replace(clause, degree=degree, locators=(), place=None)
        phrase = tuple(token for token in phrase if token not in ("up", "down", *_DEGREES))
    if verb == "home":
        if set(phrase) - words.HOME_WORDS - words.DEFINITE - words.HELD_TOOL - {"position", "pose"}:
            raise NotUnderstood(f"I do not know how to {word} {' '.join(phrase)!r}.", CAN_DO)
        phrase = ()
    if verb in ("open", "close", "home") and (clause.point or (verb == "home" and clause.quantity is not None)):
        raise NotUnderstood(f"I do not know what the numbers are for with '{word}'.")
    if verb == "move":
        return _settle_move(clause, phrase, rest)
    return replace(clause, verb=verb, phrase=phrase)


def _settle_move(clause: Clause, phrase: Phrase, rest: set[str]) -> Clause:
    body = set(phrase) - words.DEFINITE - words.HELD_TOOL - words.TOOLS["tweezers"]
    if rest & words.HOME_WORDS or ("back" in body and clause.quantity is None and not clause.place):
        known = words.HOME_WORDS | words.DEFINITE | words.HELD_TOOL | words.TOOLS["tweezers"] | {*clause.tool}
        other = {token for token in rest if token.islower()} - known - {"back", "position", "pose"}
        if other or clause.point:
            raise NotUnderstood("I do not know where to go: home, or somewhere else?", CAN_DO)
        return Clause(verb="home", tool=clause.tool)
    directions = [words.DIRECTIONS[token] for token in phrase if token in words.DIRECTIONS]
    if directions and not body - set(words.DIRECTIONS):
        return replace(clause, verb="move", phrase=(), direction=directions[0])
    return replace(clause, verb="put" if body else "move", phrase=phrase if body else ())
