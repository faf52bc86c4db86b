"""Sentences about what lies in the palm-up hand: what is read, what orientation is meant, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.llm_planner.knowledge import turn_models
from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import NumberedStep
from toolwright.llm_planner.run import verdict
from toolwright.llm_planner.run.rehearsal import rehearse
from toolwright.llm_planner.skills.choice import skills_for
from toolwright.perception.scene import Box, Mark, Scene, SceneObject

X, Y, Z = np.eye(3)
DIE = {"one": -Z, "two": X, "three": -Y, "four": Y, "five": -X, "six": Z}
DRIVER = {"tip": Z, "handle": -Z}
LETTER = {"front": Z, "back": -Z, "top": Y, "bottom": -Y, "right": X, "left": -X}


def _scene(
    name: str = "die", marks: dict[str, np.ndarray] = DIE, size: tuple[float, ...] = (0.05, 0.05, 0.05)
) -> Scene:
    quat = np.array([0.5, 0.6, 0.1, -0.3])
    listed = tuple(Mark(*mark) for mark in marks.items())
    item = SceneObject(
        name, name, np.array([0.5, 0, 0.4]), quat / np.linalg.norm(quat), np.array(size), 0.1, False, marks=listed
    )
    return Scene(0.0, {name: item}, None, Box(-np.ones(3), np.ones(3)), 0.0, in_palm=name)


def _driver() -> Scene:
    return _scene("screwdriver", DRIVER, (0.028, 0.028, 0.085))


def _letter() -> Scene:
    return _scene("letter", LETTER, (0.05, 0.075, 0.025))


def _goal(sentence: str, scene: Scene) -> np.ndarray | str:
    """The orientation that a sentence comes to, or the refusal."""
    model = OfflineModel()
    plan = model.plan(model.analyze(sentence, scene), scene)
    if plan.refusal is not None:
        return str(plan.refusal)
    (step,) = model.calculate(plan, scene).steps
    assert step.skill == "reorient" and step.arguments["name"] == scene.in_palm
    return np.array([float(step.arguments[key]) for key in "wxyz"])


@pytest.mark.parametrize(
    ("sentence", "side", "up"),
    [
        ("turn the die so that six is on top", "six", True),
        ("Please turn the die so that the six points up!", "six", True),
        ("rotate the die so the three faces down", "three", False),
        ("show the five on top", "five", True),
        ("put the die so that 2 is up", "two", True),
        ("trun the die until four is facing up", "four", True),
    ],
)
def test_sides_of_a_die(sentence: str, side: str, up: bool) -> None:
    scene = _scene()
    goal = _goal(sentence, scene)
    assert isinstance(goal, np.ndarray), goal
    assert rotations.rotate(goal, DIE[side])[2] == pytest.approx(1 if up else -1, abs=1e-3)
    item = scene.objects["die"]
    now = rotations.rotate(item.quat, DIE[side])[2] * (1 if up else -1)
    assert turn_models.left(item, goal) == pytest.approx(np.arccos(now), abs=1e-3)  # no further than it has to


def test_the_other_things_have_sides_too() -> None:
    for sentence in ("turn the screwdriver tip down", "turn the screwdriver so that the handle points up"):
        goal = _goal(sentence, _driver())
        assert isinstance(goal, np.ndarray) and rotations.rotate(goal, Z)[2] == pytest.approx(-1, abs=1e-3)
    for sentence, z in (("turn the letter so that its front faces up", 1), ("turn the letter face down", -1)):
        goal = _goal(sentence, _letter())
        assert isinstance(goal, np.ndarray) and rotations.rotate(goal, Z)[2] == pytest.approx(z, abs=1e-3)


@pytest.mark.parametrize(
    ("sentence", "axis", "degrees"),
    [
        ("turn the letter by 90 degrees about its long axis", Y, 90),
        ("rotate the letter 45\u00b0 clockwise around the short axis", Z, -45),
        ("turn the letter by half a turn about its x axis", X, 180),
        ("turn the letter by 0.5 rad about its y axis", Y, np.rad2deg(0.5)),
    ],
)
def test_turns_about_an_own_axis(sentence: str, axis: np.ndarray, degrees: float) -> None:
    scene = _letter()
    goal = _goal(sentence, scene)
    assert isinstance(goal, np.ndarray), goal
    quat = scene.objects["letter"].quat
    wanted = rotations.multiply(quat, rotations.from_rotvec(np.deg2rad(degrees) * axis))
    assert abs(float(wanted @ goal)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("turn the die so that seven is on top", "which side"),
        ("turn the die by 90 degrees about its long axis", "no long axis"),
        ("turn the die by 90 degrees", "which axis"),
        ("turn the cup so that six is on top", "no 'cup'"),
        ("pick up the die", "I can only turn it"),
        ("", "no task"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_could_be_said(sentence: str, why: str) -> None:
    refused = _goal(sentence, _scene())
    assert isinstance(refused, str) and why in refused


def test_a_thing_that_does_not_lie_in_the_hand_is_not_turned() -> None:
    scene = replace(_scene(), in_palm="")
    assert "Die does not lie in the hand" in str(_goal("turn the die so that six is on top", scene))
    from toolwright.policies.evaluation.scene_goals import draw, truth

    held = truth(draw("bead", 1))
    assert "The hand holds tweezers" in str(_goal("turn the bead so that its tip is on top", held))
    nut = truth(draw("nut", 1))
    model = OfflineModel()
    assert model.analyze("turn the nut by 90 degrees", nut).problem is None


def test_the_dry_run_and_the_verdict_know_what_the_skill_leaves_behind() -> None:
    scene = _scene()
    goal = _goal("turn the die so that six is on top", scene)
    assert isinstance(goal, np.ndarray)
    arguments: dict[str, str | float] = {"name": "die", **dict(zip("wxyz", goal.tolist(), strict=True))}
    wanted = verdict.goals([NumberedStep(skill="reorient", arguments=arguments)], scene)
    code = f'reorient("die", w={goal[0]}, x={goal[1]}, y={goal[2]}, z={goal[3]})'
    dry = rehearse(code, skills_for(scene), scene, goals=wanted)
    assert dry.passed and dry.checks[0].success
    assert not verdict.judge(wanted, scene)[0].success
    turned = replace(scene, objects={"die": replace(scene.objects["die"], quat=goal)})
    assert verdict.judge(wanted, turned)[0].success
    assert not verdict.judge(wanted, replace(turned, in_palm=""))[0].success
    assert not rehearse('reorient("die", w=1.0, x=1.0, y=0.0, z=0.0)', skills_for(scene), scene).passed
    assert not rehearse('reorient("die", w=1.0, x=0.0, y=0.0, z=2.0)', skills_for(scene), scene).passed


def test_a_thing_that_did_not_get_there_is_turned_again_and_a_dropped_one_is_not() -> None:
    model, scene = OfflineModel(), _scene()
    analysis = model.analyze("turn the die so that six is on top", scene)
    plan = model.plan(analysis, scene)
    code = model.code(plan, model.calculate(plan, scene), "")
    again = model.repair(analysis, plan, code, "reorient failed: not reached: die is 40 degrees from there", scene)
    assert again is not None and again.plan.steps == plan.steps
    assert model.repair(analysis, plan, code, "reorient failed: dropped: die left the hand", scene) is None
