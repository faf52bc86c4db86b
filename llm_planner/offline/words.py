"""The offline model's vocabulary, and how a misspelled word finds its way into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rapidfuzz.distance import OSA, Levenshtein

# What a clause can ask for, and the words that ask for it. A new verb is a word here; a new kind of request is a line
# here, a branch in the analyzer that reads its clause, and one in the planner that finds its steps.
TOOL_REQUESTS: dict[str, str] = {  # with a sprung tool in the hand; "fetch" takes the object only
    "pick": "pick grab take lift raise fetch get grasp grip seize collect hold retrieve pinch pluck gather clutch",
    "put": "put place drop throw toss lay deposit insert dump stash leave carry transfer deliver release "
    "want need bring LET_GO",
    "open": "open widen spread",
    "close": "close shut squeeze",
    "move": "move go travel slide",
    "home": "home park return",
    "set": "set",
}
HAND_REQUESTS: dict[str, str] = {  # with the bare hand
    "get": "get fetch grab grasp pick take lift bring hold raise retrieve reach give collect want need",
    "press": "press hit ring click activate trigger",
    "free": "poke free remove extract clear unblock unstick",
    "push": "push shove slide move",
    "put": "put place set stand",
    "home": "home return",
}


def by_word(requests: Mapping[str, str]) -> dict[str, str]:
    """What each word asks for."""
    return {word: request for request, words in requests.items() for word in words.split()}


VERBS, HAND_VERBS = by_word(TOOL_REQUESTS), by_word(HAND_REQUESTS)
BRINGING = frozenset({"want", "need", "bring"})  # pick where no place is named

KINDS: dict[str, frozenset[str]] = {
    "sphere": frozenset("bead ball marble pearl sphere pellet bearing globe orb shot bobble pea berry".split()),
    "container": frozenset("cup mug bowl container glass pot jar tumbler beaker bucket dish vessel basket bin".split()),
    "box": frozenset("box cube block brick die dice cuboid".split()),
    "cylinder": frozenset("cylinder rod pin stick disc disk coin tube peg dowel roll".split()),
    "bolt": frozenset("bolt nut screw".split()),
    "strip": frozenset("strip ribbon band tape paper".split()),
    "line": frozenset("line rope string cord wire clothesline washline".split()),
    "capsule": frozenset("capsule pill tablet lozenge".split()),
}
ANYTHING = frozenset("object thing item one it them stuff something".split())
TABLE = frozenset("table desk tabletop surface bench counter workspace ground".split())
HELD_TOOL = frozenset(
    "tool instrument tip tips jaw jaws opening it them yourself arm hand robot gripper limb limbs".split()
)
TOOLS: dict[str, frozenset[str]] = {
    "tweezers": frozenset("tweezers tweezer forceps pincers pincer pincette".split()),
    "tongs": frozenset("tongs tong".split()),
    "scissors": frozenset("scissors scissor shears".split()),
    "pliers": frozenset("pliers plier".split()),
    "clothespin": frozenset("clothespin clothespins clamp clip".split()),
    "syringe": frozenset("syringe syringes pipette".split()),
    "hammer": frozenset({"hammer"}),
    "spoon": frozenset({"spoon"}),
    "screwdriver": frozenset({"screwdriver"}),
    "knife": frozenset({"knife"}),
    "chopsticks": frozenset({"chopsticks", "chopstick"}),
    "fingers": frozenset({"fingers", "finger"}),
}

COLORS: dict[str, str] = {
    **{c: c for c in "red green blue yellow orange purple pink brown black white gray cyan silver golden".split()},
    **{"grey": "gray", "crimson": "red", "scarlet": "red", "violet": "purple", "magenta": "pink", "turquoise": "cyan"},
    **{"gold": "golden", "lime": "green", "navy": "blue", "reddish": "red", "bluish": "blue", "greenish": "green"},
}
SIZES: dict[str, int] = {
    **dict.fromkeys("small smaller smallest little tiny tiniest thin thinner thinnest narrow narrowest".split(), -1),
    **dict.fromkeys("big bigger biggest large larger largest huge wide widest thick thicker thickest".split(), 1),
}
LOCATIONS: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("left", "leftmost"), ("left", 1)),
    **dict.fromkeys(("right", "rightmost"), ("left", -1)),
    **dict.fromkeys(("nearest", "closest", "nearer", "closer", "near", "front"), ("far", -1)),
    **dict.fromkeys(("farthest", "furthest", "farther", "further", "far", "back"), ("far", 1)),
}
ORDINALS: dict[str, int] = {
    **{w: i for i, w in enumerate("first second third fourth fifth sixth".split(), start=1)},
    **{w: i for i, w in enumerate("1st 2nd 3rd 4th 5th 6th".split(), start=1)},
    "last": -1,
}
NUMBERS: dict[str, int] = {w: i for i, w in enumerate("two three four five six".split(), start=2)}
DEFINITE = frozenset("the this that these those my your its of number no colored coloured".split())
ANY = frozenset("a an any some either".split())
ALL = frozenset("all every each both".split())
DIRECTIONS: dict[str, tuple[float, float, float]] = {
    **{"up": (0, 0, 1), "upward": (0, 0, 1), "upwards": (0, 0, 1)},
    **{"down": (0, 0, -1), "downward": (0, 0, -1), "downwards": (0, 0, -1)},
    **{"left": (0, 1, 0), "right": (0, -1, 0)},
    **{"forward": (1, 0, 0), "forwards": (1, 0, 0), "ahead": (1, 0, 0)},
    **{"back": (-1, 0, 0), "backward": (-1, 0, 0), "backwards": (-1, 0, 0)},
}
FILLERS = frozenset(
    "please kindly now just robot hey hi hello toolwright ok okay so also thanks thank me for lets finally here "
    "there".split()
)
HOME_WORDS = frozenset("home rest start resting starting initial base".split())
NEGATIONS = frozenset("not never dont cannot cant wont without avoid neither nor".split())
CONDITIONS = frozenset("if or until while unless except again twice times otherwise instead".split())
QUESTIONS = frozenset("what where which who how why when is are do does did was were".split())
# Small words with two neighboring letters swapped: teh, wiht, adn.
SWAPPED: dict[str, str] = {
    word[:i] + word[i + 1] + word[i] + word[i + 2 :]: word
    for word in "the with and then into from using next".split()
    for i in range(len(word) - 1)
}
# Verbs and nouns one letter away from ours that mean something else: never read as a slip.
LOOKALIKES = frozenset(
    "cap cut cub cop bear bean beam beat bell bowling bow bulb bull bed beard bread head read lead mud mum jug rug "
    "push pull pour plane plate plant race rise drip crop prop post pit pot bag band bend lick kick pack sick "
    "tick toke tool wake lake make cake gift loft sift pen spin shoot hut".split()
)


def slip(word: str, vocabulary: Mapping[str, str] | Iterable[str]) -> str:
    """The word of the vocabulary that `word` is most likely a misspelling of; empty where there is none or where two
    of different meaning are as near.

    Args:
        vocabulary: words, or words mapped to their meaning.
    """
    if word in LOOKALIKES or len(word) < 3 or not word.isalpha():
        return ""
    meaning = dict(vocabulary) if isinstance(vocabulary, Mapping) else {item: item for item in vocabulary}
    near = [(OSA.distance(word, target), target) for target in meaning if _plausible(word, target)]
    if not near:
        return ""
    best = min(distance for distance, _ in near)
    found = [target for distance, target in near if distance == best]
    return found[0] if len({meaning[target] for target in found}) == 1 else ""


def _plausible(word: str, target: str) -> bool:
    """Whether a typing slip, rather than another word, explains the difference."""
    if target[0].isupper() or len(target) < 3:
        return False
    distance = OSA.distance(word, target, score_cutoff=2)
    if distance > (2 if len(target) >= 7 else 1):
        return False
    if len(target) > 4:
        return True
    if sorted(word) == sorted(target):
        return True
    # In a short word another consonant makes another word: bear, bead. A vowel, or a letter too many, is a slip.
    edits = Levenshtein.editops(word, target)
    return (
        len(word) >= 4
        and all(edit.tag != "replace" or {word[edit.src_pos], target[edit.dest_pos]} <= set("aeiouy") for edit in edits)
        or (len(target) == 4 and len(word) == 3 and word[0] == target[0])
    )


def closest(word: str, vocabulary: Iterable[str]) -> str:
    """The nearest word to suggest in a question, up to two letters away; empty where none is."""
    scored = sorted((OSA.distance(word, item), item) for item in vocabulary if len(item) > 2)
    return scored[0][1] if scored and scored[0][0] <= min(2, len(word) // 2) else ""


def singular(word: str) -> str:
    """The singular of a regular plural."""
    if word.endswith(("xes", "sses", "shes", "ches", "dishes")):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
