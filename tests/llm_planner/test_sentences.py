"""What the offline model makes of sentences: the code it writes, or the reason it refuses."""

from __future__ import annotations

import ast
import re
from time import perf_counter

import numpy as np
import pytest

from toolwright.llm_planner.offline.offline_model import OfflineModel

PICK = 'pick("bead", opening=0.016, grip=0.006, lift=0.1)'
DROP = 'drop_in("bead", container="cup", height=0.02)'
LEFT = 'place_at("bead", x=0.45, y=-0.052)'
RED_1 = 'pick("red_bead_1", opening=0.014, grip=0.004, lift=0.1)'
RED_2 = 'pick("red_bead_2", opening=0.014, grip=0.004, lift=0.1)'
BLUE = 'pick("blue_bead", opening=0.02, grip=0.01, lift=0.1)'


def _answer(sentence, world):
    """The code for a sentence, line by line, or the refusal."""
    model, scene = OfflineModel(), world.look()
    plan = model.plan(model.analyze(sentence, scene), scene)
    if plan.refusal:
        return str(plan.refusal)
    return model.code(plan, model.calculate(plan, scene), "").text.splitlines()


ONE_BEAD = [
    ("pick up the bead with the tweezers and drop it in the cup", [PICK, DROP]),
    ("pick up the bead", [PICK]),
    ("PICK UP THE BEAD!", [PICK]),
    ("grab the ball", [PICK]),
    ("lift the marble", [PICK]),
    ("fetch me the pearl please", [PICK]),
    ("robot, take the bead now", [PICK]),
    ("Could you please pick the bead up?", [PICK]),
    ("gently pick up the bead", [PICK]),
    ("pick the small bead up off the table", [PICK]),
    ("pick up the bead with a pair of tweezers", [PICK]),
    ("grasp the bead with the forceps", [PICK]),
    ("with the tweezers, pick up the bead", [PICK]),
    ("take the tweezers and pick up the bead", [PICK]),
    ("pick up the bead and hold it", [PICK]),
    ("lift the bead 5 cm", ['pick("bead", opening=0.016, grip=0.006, lift=0.05)']),
    ("use the tweezers to put the bead in the cup", [PICK, DROP]),
    ("take the ball and put it into the mug", [PICK, DROP]),
    ("throw the bead into the bowl", [PICK, DROP]),
    ("toss the bead in the container", [PICK, DROP]),
    ("pick up bead, put in cup", [PICK, DROP]),
    ("put the bead in the cup on the table", [PICK, DROP]),
    ("bead in cup", [PICK, DROP]),
    ("I want the bead in the cup", [PICK, DROP]),
    ("the bead should go into the cup", [PICK, DROP]),
    ("carry the bead over to the cup", [PICK, DROP]),
    ("pick up the bead; drop it in the cup; go home.", [PICK, DROP, "home()"]),
    ("pik up teh beed", [PICK]),
    ("pick up the baed wiht the tweezrs", [PICK]),
    ("grap the marbel and drop it in the cpu", [PICK, DROP]),
    ("plase the bead in the cupp", [PICK, DROP]),
    ("put the bead next to the cup", [PICK, LEFT]),
    ("put the bead to the left of the cup", [PICK, LEFT]),
    ("set the bead down on the right side of the cup", [PICK, 'place_at("bead", x=0.45, y=-0.188)']),
    ("put the bead in front of the cup", [PICK, 'place_at("bead", x=0.382, y=-0.12)']),
    ("place the bead behind the cup", [PICK, 'place_at("bead", x=0.518, y=-0.12)']),
    ("put the bead at 0.4, 0.1", [PICK, 'place_at("bead", x=0.4, y=0.1)']),
    ("place the bead at x=0.4 y=-0.2", [PICK, 'place_at("bead", x=0.4, y=-0.2)']),
    ("move the bead to (40 cm, 10 cm)", [PICK, 'place_at("bead", x=0.4, y=0.1)']),
    ("place the bead at (400, 100) mm", [PICK, 'place_at("bead", x=0.4, y=0.1)']),
    ("pick up the bead and put it down", [PICK, 'place_at("bead", x=0.45, y=0.05)']),
    (
        "pick up the bead, move left by 5 cm and put it down",
        [PICK, "move_tips(x=0.45, y=0.1, z=0.105)", 'place_at("bead", x=0.45, y=0.1)'],
    ),
    ("open the tweezers", ["set_opening(opening=0.03)"]),
    ("open the tweezers to 12 mm", ["set_opening(opening=0.012)"]),
    ("set the opening to 1 cm", ["set_opening(opening=0.01)"]),
    ("open the tool half way", ["set_opening(opening=0.015)"]),
    ("close the tweezers", ["set_opening(opening=0.0)"]),
    ("open the tweezers to the maximum", ["set_opening(opening=0.03)"]),
    ("go home", ["home()"]),
    ("return to the home position", ["home()"]),
    ("move the tips to 0.4, 0.1, 0.3", ["move_tips(x=0.4, y=0.1, z=0.3)"]),
    ("move up 5 cm", ["move_tips(x=0.35, y=0.0, z=0.35)"]),
    ("go above the cup", ["move_tips(x=0.45, y=-0.12, z=0.1)"]),
]


@pytest.mark.parametrize(("sentence", "code"), ONE_BEAD)
def test_sentence_about_one_bead_becomes_this_code(world, sentence, code):
    assert _answer(sentence, world) == code


MANY = [
    ("pick up the blue bead", [BLUE]),
    ("pick up the blue one", [BLUE]),
    ("pick up the bleu bead", [BLUE]),
    ("pick up the big bead", [BLUE]),
    ("pick up the third bead", [BLUE]),
    ("pick up the bead next to the cup", [BLUE]),
    ("pick up red_bead_2", [RED_2]),
    ("pick up bead 1", [RED_1]),
    ("pick up the second red bead", [RED_2]),
    ("pick up the leftmost bead", [RED_1]),
    ("pick up any red bead", [RED_1]),
    ("put red bead 1 in the cup, then pick up the other red bead", [RED_1, DROP.replace("bead", "red_bead_1"), RED_2]),
    (
        "put the red beads in the cup",
        [RED_1, DROP.replace("bead", "red_bead_1"), RED_2, DROP.replace("bead", "red_bead_2")],
    ),
    (
        "put red bead 1 and the blue bead in the cup",
        [RED_1, DROP.replace("bead", "red_bead_1"), BLUE, DROP.replace("bead", "blue_bead")],
    ),
    (
        "put both red beads next to the cup",
        [
            RED_1,
            'place_at("red_bead_1", x=0.4, y=-0.083)',
            RED_2,
            'place_at("red_bead_2", x=0.4, y=-0.217)',
        ],
    ),
]


@pytest.mark.parametrize(("sentence", "code"), MANY)
def test_sentence_among_many_objects_becomes_this_code(table, sentence, code):
    assert _answer(sentence, table) == code


REFUSED_ONE = [
    ("", "empty"),
    ("!!!", "no task"),
    ("the bead", "What shall I do with"),
    ("paint the wall", "No skill can 'paint'"),
    ("cut the bead", "No skill can 'cut'"),
    ("pour the bead into the cup", "No skill can 'pour'"),
    ("pick up the dinosaur", "I see no 'dinosaur' here. I see bead, cup"),
    ("pick up the bear", "Did you mean 'bead'?"),
    ("pick up the shiny bead", "I see no 'shiny'"),
    ("pick up the green bead", "nothing fits 'green'"),
    ("pick up the cup", "fixed in place"),
    ("pick up the tweezers", "already hold"),
    ("take the tweezers and grab the tweezers", "nothing else is asked for"),
    ("pick up the bead with the scissors", "'scissors' is not in the hand. The tool in the hand is tweezers"),
    ("pick up the bead with your fingers", "'fingers' is not in the hand"),
    ("open the scissors", "not in the hand"),
    ("open the cup", "No skill can open 'cup'"),
    ("drop the bead", "Nothing is held"),
    ("put it in the cup", "do not know what 'it' is"),
    ("put the cup in the bead", "no container"),
    ("put the bead in the bead", "into itself"),
    ("put the bead under the cup", "'under'"),
    ("take the bead out of the cup", "no 'bead' in cup"),
    ("put the bead at 3, 3", "outside the workspace"),
    ("put the bead at 0.45, -0.12", "cup stands at"),
    ("put the bead at 0.4, 0.1, 0.2", "x and y only"),
    ("put the bead 5 cm to the left of the cup", "0.05 m"),
    ("pick up the bead at 0.4, 0.1", "by name, not by coordinates"),
    ("lift the bead by 2 m", "outside the workspace"),
    ("open the tweezers to 80 mm", "0 to 30.0 mm"),
    ("open the tweezers to 12", "unit of 12"),
    ("close the tweezers on the bead", "No skill can close 'bead'"),
    ("go home to the cup", "home, or somewhere else"),
    ("move up 5 m", "outside the workspace"),
    ("move up", "how far"),
    ("don't pick up the bead", "cannot follow 'not'"),
    ("pick up the bead without the tweezers", "cannot follow 'not'"),
    ("if the bead is red pick it up", "'if'"),
    ("pick up the bead twice", "'twice'"),
    ("where is the bead?", "do not answer questions"),
    ("pick up the bead " * 50, "at most 500"),
]


@pytest.mark.parametrize(("sentence", "reason"), REFUSED_ONE)
def test_sentence_is_refused_with_the_reason(world, sentence, reason):
    answer = _answer(sentence, world)
    assert isinstance(answer, str), answer
    assert reason in answer


REFUSED_MANY = [
    ("pick up the bead", "blue_bead, red_bead_1, red_bead_2. Which one"),
    ("pick up the small bead", "any of: red_bead_1, red_bead_2"),
    ("put the blue bead in the jar", "any of: cup, vial"),
    ("pick up the three red beads", "asks for 3"),
    ("put the blue bead in the vial", "14.0 mm wide and does not fit through the mouth of vial, 10.0 mm"),
    ("pick up the lead ball", "0.080 kg; the tweezers hold at most 0.05 kg"),
    ("pick up the pearl", "outside the workspace"),
    ("pick up the block", "60.0 mm wide; the tweezers open to 30.0 mm"),
    ("pick up the green bead", "I see blue_bead, red_bead_1, red_bead_2"),
    ("pick up the blue bead and pick up red bead 1", "already holds blue_bead"),
    ("put the blue bead on the block", "next to block"),
    ("put red bead 1 at 0.5, 0.1 and put red bead 2 next to red bead 1", "two sentences"),
]


@pytest.mark.parametrize(("sentence", "reason"), REFUSED_MANY)
def test_sentence_among_many_objects_is_refused_with_the_reason(table, sentence, reason):
    answer = _answer(sentence, table)
    assert isinstance(answer, str), answer
    assert reason in answer


def test_held_bead_is_dropped_without_picking_it_again(world):
    world.pick("bead", 0.016, 0.006, 0.1)
    assert _answer("drop it in the cup", world) == [DROP]


def test_bead_is_not_picked_while_it_is_held(world):
    world.pick("bead", 0.016, 0.006, 0.1)
    assert "already held" in _answer("pick up the bead", world)


def test_without_a_tool_the_arm_only_goes_home(make_world, crafted):
    world = make_world(crafted("bead", 0.45, 0.05), tool=False)
    assert "holds no tool" in _answer("pick up the bead", world)
    assert _answer("go home", world) == ["home()"]


def test_opening_is_capped_at_the_widest_of_the_tool(make_world, crafted):
    world = make_world(crafted("bead", 0.45, 0.05, width=0.016), opening_max=0.018)
    assert _answer("pick up the bead", world) == ['pick("bead", opening=0.018, grip=0.012, lift=0.1)']


def test_grip_on_a_tiny_bead_is_not_negative(make_world, crafted):
    world = make_world(crafted("bead", 0.45, 0.05, width=0.003))
    assert _answer("pick up the bead", world) == ['pick("bead", opening=0.009, grip=0.0, lift=0.1)']


def test_lift_ends_at_the_ceiling_of_the_workspace(make_world, crafted):
    world = make_world(crafted("bead", 0.45, 0.05))
    world.objects["bead"].pos[2] = 0.45
    assert _answer("pick up the bead", world) == ['pick("bead", opening=0.016, grip=0.006, lift=0.05)']


def test_spelling_slips_are_told(world):
    analysis = OfflineModel().analyze("grab the marbel", world.look())
    assert analysis.notes == ("Read 'marbel' as 'marble'.",)


def test_analysis_names_measured_properties_and_what_to_compute(world):
    analysis = OfflineModel().analyze("put the bead in the cup", world.look())
    assert [(item.name, item.role, item.width) for item in analysis.objects] == [
        ("bead", "target", 0.01),
        ("cup", "container", 0.066),
    ]
    assert analysis.constraints and analysis.to_compute


def test_any_heap_of_words_gets_code_or_a_reason(table):
    vocabulary = (
        "pick up put drop move open close go home set use the a red blue bead beads ball cup it all both other in into "
        "on at to next left right of behind with tweezers scissors and then , . by 5 cm 0.4 0.1 ( ) 2 half not if "
        "table tips small second from above under ??? xyzzy"
    ).split()
    rng = np.random.default_rng(7)
    for _ in range(1500):
        sentence = " ".join(rng.choice(vocabulary, size=rng.integers(1, 12)))
        answer = _answer(sentence, table)
        assert answer, sentence
        if isinstance(answer, list):
            assert _all_calls(answer), sentence


def _all_calls(lines):
    return all(re.fullmatch(r"(pick|drop_in|place_at|set_opening|move_tips|home)\(.*\)", line) for line in lines)


def test_planning_takes_less_than_50_ms(table):
    _answer("put the red beads in the cup", table)
    start = perf_counter()
    for _ in range(5):
        _answer("put the red beeds in the cupp and then go home", table)
    assert (perf_counter() - start) / 5 < 0.05


@pytest.mark.parametrize(
    "name",
    [
        'bead"); home(); pick("bead',
        "bead\nhome()",
        "bead' + home() + '",
        "bead\\",
        "bead\u202egnp",
        "{home()} bead",
        "[bold]bead[/bold]",
    ],
)
def test_hostile_text_in_a_name_stays_a_name(make_world, crafted, name):
    (line,) = _answer("pick up the bead", make_world(crafted(name, 0.45, 0.05)))
    call = ast.parse(line).body[0].value
    assert ast.literal_eval(call.args[0]) == name
    assert line.isascii()
