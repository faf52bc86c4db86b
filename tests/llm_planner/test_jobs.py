"""Sentences for tools with a job of their own: what is read, planned, refused and judged."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import NumberedStep
from toolwright.llm_planner.run import verdict
from toolwright.llm_planner.run.rehearsal import model_copy, rehearse
from toolwright.llm_planner.skills.choice import skills_for
from toolwright.perception.scene import Scene
from toolwright.policies.evaluation.scene_goals import draw, truth


@cache
def _scene(name: str) -> Scene:
    return truth(draw(name, 2_000_001))


def _code(sentence: str, scene: Scene) -> str:
    """The code for a sentence, or the refusal."""
    model = OfflineModel()
    plan = model.plan(model.analyze(sentence, scene), scene)
    if plan.refusal is not None:
        return f"refused: {plan.refusal}"
    return model.code(plan, model.calculate(plan, scene), "").text.strip().replace("\n", "; ")


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("dispense 0.5 ml into the cup", 'dispense(container="cup", volume=0.5)'),
        ("Please put 0,2 ml in the cup", 'dispense(container="cup", volume=0.2)'),
        ("drip 300 \u00b5l into the cup, then go home", 'dispense(container="cup", volume=0.3); home()'),
        ("squirt half a milliliter into the yellow bowl", 'dispense(container="bowl", volume=0.5)'),
        ("fill the bowl with 0.3 cc", 'dispense(container="bowl", volume=0.3)'),
        ("dispence 0.5 ml into the cup", 'dispense(container="cup", volume=0.5)'),
    ],
)
def test_volumes(sentence: str, code: str) -> None:
    assert _code(sentence, _scene("dose")) == code


@pytest.mark.parametrize(
    ("sentence", "degrees"),
    [
        ("turn the nut by 90 degrees", 90),
        ("rotate the nut 45\u00b0 clockwise", -45),
        ("tighten the nut by a quarter turn", -90),
        ("unscrew the nut by one turn", 360),
        ("turn the bolt counter-clockwise by 30 degrees", 30),
        ("use the pliers to loosen the nut half a turn", 180),
    ],
)
def test_turns(sentence: str, degrees: float) -> None:
    assert _code(sentence, _scene("nut")) == f'turn("nut", angle={round(np.deg2rad(degrees), 4)})'


@pytest.mark.parametrize(
    "sentence", ["clip the clothespin on the line", "hang it on the rope", "Fasten it to the line"]
)
def test_clips(sentence: str) -> None:
    assert _code(sentence, _scene("line")) == 'clip_on(line="line")'


@pytest.mark.parametrize(
    ("sentence", "length"),
    [
        ("cut the strip in half", 0.048),
        ("cut 3 cm off the ribbon", 0.066),
        ("trim the strip to 32 mm", 0.032),
        ("cut the strip at 64 mm", 0.064),
        ("shorten the strip by 16 mm", 0.08),
    ],
)
def test_cuts(sentence: str, length: float) -> None:
    assert _code(sentence, _scene("strip")) == f'cut("strip", length={length})'


@pytest.mark.parametrize(
    ("scene", "sentence", "why"),
    [
        ("dose", "dispense 9 ml into the cup", "can give"),
        ("dose", "dispense into the cup", "how much"),
        ("dose", "dispense 0.5 ml", "where"),
        ("dose", "do not dispense 1 ml into the cup", "plain requests"),
        ("dose", "turn the nut by 90 degrees", "a job for pliers"),
        ("dose", "pick up the cup", "picks nothing up"),
        ("dose", "dispense 0.9 ml into the cup and 0.9 ml into the bowl", "can give"),
        ("nut", "turn the nut", "how far"),
        ("nut", "turn the ball by 90 degrees", "no nut"),
        ("line", "clip it on the table", "no 'table'"),
        ("strip", "cut the strip", "where to cut"),
        ("strip", "cut the strip to 200 mm", "cannot stay"),
        ("line", "paint the line", "No skill can 'paint'"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(scene: str, sentence: str, why: str) -> None:
    assert why in _code(sentence, _scene(scene))


def test_sorting_by_size_and_by_color() -> None:
    scene = _scene("sort_tongs")
    code = _code("sort the balls by size into the two cups", scene)
    for ball in ("ball_1", "ball_3"):
        assert f'drop_in("{ball}", container="blue_cup"' in code
    for ball in ("ball_2", "ball_4"):
        assert f'drop_in("{ball}", container="red_cup"' in code
    assert code == _code("sort everything by size", scene)
    small = _code("put the small balls into the blue cup", scene)
    assert small.count("pick(") == 2 and "ball_2" not in small
    assert "no container of the color" in _code("sort the balls by color", scene)
    assert "by what to sort" in _code("sort the balls", scene)
    assert 'drop_in("red_bead", container="red_cup"' in _code("sort the beads by color", _scene("sort"))


def test_balls_of_one_size_are_not_sorted() -> None:
    scene = _scene("sort_tongs")
    alike = {
        name: item if item.opening else replace(item, size=np.full(3, 0.02)) for name, item in scene.objects.items()
    }
    assert "no two sizes" in _code("sort the balls by size", replace(scene, objects=alike))


def test_each_tool_has_the_skills_of_its_job() -> None:
    own = {name: set(skills_for(_scene(name)).names()) for name in ("dose", "nut", "line", "sort_tongs")}
    assert "dispense" in own["dose"] and "pick" not in own["dose"]
    assert {"turn", "pick"} <= own["nut"]
    assert "clip_on" in own["line"] and "turn" not in own["line"]
    assert "pick" in own["sort_tongs"] and "dispense" not in own["sort_tongs"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("dose", 'dispense("cup", 0.4)\ndispense("cup", 0.2)\n'),
        ("nut", 'turn("nut", 1.0)\n'),
        ("line", 'clip_on("line")\n'),
        ("strip", 'cut("strip", 0.048)\n'),
    ],
)
def test_the_dry_run_knows_what_a_job_leaves_behind(name: str, code: str) -> None:
    scene = _scene(name)
    passed = rehearse(code, skills_for(scene), scene, model_copy, _goals(code, scene))
    assert passed.passed, passed.reason
    assert passed.checks and all(check.success for check in passed.checks)
    assert all(item.state == "works" for item in passed.verdicts)
    nothing = rehearse("home()\n", skills_for(scene), scene, model_copy, _goals(code, scene))
    assert not nothing.passed and "the plan ends with" in nothing.reason


def _goals(code: str, scene: Scene) -> tuple[verdict.Goal, ...]:
    steps = {
        "dispense": [NumberedStep(skill="dispense", arguments={"container": "cup", "volume": v}) for v in (0.4, 0.2)],
        "turn": [NumberedStep(skill="turn", arguments={"name": "nut", "angle": 1.0})],
        "cut": [NumberedStep(skill="cut", arguments={"name": "strip", "length": 0.048})],
        "clip_on": [NumberedStep(skill="clip_on", arguments={"line": "line"})],
    }
    return verdict.goals(steps[code[: code.index("(")]], scene)


def test_a_goal_counts_from_what_was_there_before() -> None:
    scene = _scene("dose")
    full = replace(scene, objects={**scene.objects, "cup": replace(scene.objects["cup"], contents=2.0)})
    step = NumberedStep(skill="dispense", arguments={"container": "cup", "volume": 0.5})
    (goal,) = verdict.goals([step], full)
    assert not verdict.judge([goal], full)[0].success
    more = replace(full, objects={**full.objects, "cup": replace(full.objects["cup"], contents=2.5)})
    assert verdict.judge([goal], more)[0].success


def test_the_model_refuses_what_the_tool_cannot_do() -> None:
    scene = _scene("dose")
    for code, why in (
        ('dispense("cup", 9.0)\n', "can give"),
        ('dispense("cup", 0.5)\nfor i in range(20):\n    dispense("bowl", 0.2)\n', "can give"),
    ):
        tried = rehearse(code, skills_for(scene), scene, model_copy)
        assert not tried.passed and why in tried.reason
