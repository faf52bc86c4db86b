"""The offline model with the bare hand: the right tool or none, ambiguity, refusals with reasons, speed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import Plan
from toolwright.perception.scene import Box, ObjectPart, Scene, SceneObject

UPRIGHT = np.array([1.0, 0, 0, 0])
MODEL = OfflineModel()


def _box(
    name: str, x: float, y: float, size: tuple[float, float, float] = (0.06, 0.06, 0.15), **more: object
) -> SceneObject:
    pos = np.array([x, y, size[2] / 2])
    return replace(SceneObject(name, "box", pos, UPRIGHT, np.array(size), 0.3, False), **more)


def _bar(name: str, x: float, y: float, length: float, head: float = 0.0, **more: object) -> SceneObject:
    """A bar whose handle's middle is at (x, y), its head to the left."""
    size = np.array([length + 0.035, 0.044 + head, 0.14])
    middle = np.array([size[0] / 2 - 0.035, head / 2, 0.07])
    parts = [
        ObjectPart("handle", np.array([0.0, 0, 0.07]) - middle, np.array([0.07, 0.044, 0.14])),
        ObjectPart("bar", np.array([length / 2, 0, 0.012]) - middle, np.array([length, 0.03, 0.024])),
    ]
    if head:
        at = np.array([length - 0.015, head / 2, 0.012]) - middle
        parts.append(ObjectPart("head", at, np.array([0.03, 0.03 + head, 0.024])))
    item = SceneObject(name, "bar", np.array([x, y, 0.0]) + middle, UPRIGHT, size, 0.2, False, parts=tuple(parts))
    return replace(item, **more)


def _button(x: float, y: float) -> SceneObject:
    size = np.array([0.074, 0.08, 0.08])
    return SceneObject("button", "button", np.array([x, y, 0.04]), UPRIGHT, size, 0.0, True, travel_max=0.012)


def _scene(*items: SceneObject) -> Scene:
    workspace = Box(np.array([0.34, -0.32, 0.0]), np.array([0.64, 0.32, 0.5]))
    return Scene(0.0, {item.name: item for item in items}, None, workspace, 0.0)


def _plan(sentence: str, scene: Scene) -> Plan:
    return MODEL.plan(MODEL.analyze(sentence, scene), scene)


def _skills(plan: Plan) -> list[str]:
    return [f"{step.skill} {step.arguments.get('name', '')}" for step in plan.steps]


def _refusal(plan: Plan) -> str:
    assert plan.refusal is not None and not plan.steps
    return str(plan.refusal)


HOOK, STICK = _bar("hook", 0.44, -0.22, 0.28, head=0.07), _bar("stick", 0.44, 0.2, 0.28)
FAR, NEAR = _box("milk", 0.78, 0.02), _box("milk", 0.55, 0.02)


def test_what_is_in_reach_needs_no_tool() -> None:
    plan = _plan("get the milk", _scene(NEAR, HOOK, STICK))
    assert _skills(plan) == ["grasp milk"] and not plan.tool


def test_the_hook_and_not_the_stick_fetches_what_is_out_of_reach() -> None:
    plan = _plan("please bring me the milk", _scene(STICK, FAR, HOOK))
    assert plan.tool == "hook"
    assert _skills(plan) == ["grasp hook", "pull milk", "place hook", "grasp milk"]


def test_a_hook_that_is_too_short_is_refused_with_the_missing_length() -> None:
    text = _refusal(_plan("get the milk", _scene(FAR, _bar("hook", 0.44, -0.22, 0.16, head=0.07))))
    assert "hook is" in text and "mm too short for milk" in text and "I can get: hook" in text


def test_a_head_that_covers_too_little_is_refused() -> None:
    text = _refusal(_plan("get the milk", _scene(FAR, _bar("hook", 0.44, -0.22, 0.28, head=0.03))))
    assert "sticks out 30 mm, too little for milk" in text


@pytest.mark.parametrize(
    ("milk", "why"),
    [
        (_box("milk", 0.55, 0.0, mass=2.0), "weighs 2.00 kg"),
        (_box("milk", 0.55, 0.0, (0.12, 0.12, 0.15)), "120 mm wide"),
        (_box("milk", 0.55, 0.0, (0.06, 0.06, 0.03)), "30 mm high"),
        (_box("milk", 0.55, 0.0, fixed=True), "fixed"),
    ],
)
def test_what_the_hand_cannot_hold_is_refused_with_the_measure(milk: SceneObject, why: str) -> None:
    assert why in _refusal(_plan("get the milk", _scene(milk, HOOK)))


def test_a_tool_that_is_out_of_reach_is_fetched_with_another() -> None:
    long, short = _bar("long_hook", 0.69, 0.16, 0.28, head=0.07), _bar("short_hook", 0.44, -0.2, 0.2, head=0.08)
    scene = _scene(_box("milk", 0.80, -0.1, (0.056, 0.056, 0.15)), long, short)
    plan = _plan("get the milk", scene)
    assert _skills(plan)[:2] == ["grasp short_hook", "pull long_hook"]
    assert _skills(plan)[-1] == "grasp milk"


def test_a_mat_brings_what_stands_on_it() -> None:
    mat = _box("mat", 0.66, 0.0, (0.44, 0.16, 0.002), mass=0.06)
    can = _box("can", 0.74, 0.0, (0.06, 0.06, 0.12))
    plan = _plan("get the can", _scene(mat, replace(can, pos=can.pos + [0, 0, 0.002])))
    assert _skills(plan) == ["drag mat", "grasp can"]


def test_a_can_is_pushed_onto_the_mat_where_nothing_can_hook_it() -> None:
    mat = _box("mat", 0.66, 0.17, (0.44, 0.16, 0.002), mass=0.06)
    plan = _plan(
        "get the can", _scene(_box("can", 0.74, 0.0, (0.06, 0.06, 0.12)), mat, _bar("stick", 0.44, -0.22, 0.3))
    )
    assert _skills(plan) == ["grasp stick", "push can", "place stick", "drag mat", "grasp can"]


def test_a_near_button_is_pressed_by_hand_and_a_far_one_with_the_longer_stick() -> None:
    sticks = _bar("short", 0.44, -0.2, 0.12), _bar("long", 0.44, 0.2, 0.28)
    assert _skills(_plan("press the button", _scene(_button(0.60, 0.0), *sticks))) == ["press button"]
    assert _skills(_plan("push the button", _scene(_button(0.86, 0.0), *sticks))) == ["grasp long", "press button"]


def test_a_tool_is_made_of_as_many_blocks_as_it_takes() -> None:
    bar = _bar("bar", 0.42, -0.2, 0.09, magnetic=True)
    blocks = [_box(f"block_{i}", 0.58, 0.1 * i, (0.05, 0.04, 0.04), magnetic=True) for i in range(3)]
    plan = _plan("press the button", _scene(_button(0.80, 0.0), bar, *blocks))
    assert _skills(plan) == ["grasp bar", "attach block_0", "press button"]
    assert "too short" in _refusal(_plan("press the button", _scene(_button(1.2, 0.0), bar, *blocks)))


def test_two_of_a_kind_are_asked_back() -> None:
    text = _refusal(_plan("get the milk", _scene(_box("milk_1", 0.5, 0.1), _box("milk_2", 0.5, -0.1))))
    assert "milk_1" in text and "milk_2" in text and "Which one" in text


@pytest.mark.parametrize("sentence", ["paint the wall", "do not get the milk", "get the moon", "press the milk", ""])
def test_what_cannot_be_done_is_refused_and_nothing_is_planned(sentence: str) -> None:
    assert _refusal(_plan(sentence, _scene(NEAR, HOOK)))


def test_numbers_come_from_the_measured_scene() -> None:
    scene = _scene(FAR, HOOK)
    numbers = MODEL.calculate(_plan("get the milk", scene), scene)
    pull = next(step for step in numbers.steps if step.skill == "pull")
    assert scene.workspace.contains(np.array([pull.arguments["x"], pull.arguments["y"], 0.1]))
    back = next(step for step in numbers.steps if step.skill == "place")
    assert (back.arguments["x"], back.arguments["y"]) == pytest.approx((0.44, -0.22))


def test_planning_takes_less_than_50_ms() -> None:
    scene = _scene(FAR, HOOK, STICK, _box("box", 0.5, 0.1))
    took = []
    for _ in range(5):
        start = time.process_time()
        MODEL.calculate(_plan("get the milk", scene), scene)
        took.append(time.process_time() - start)
    assert min(took) < 0.05
