"""Sentences where the tool still stands in its stand: it is fetched first, and only where it is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolwright.llm_planner.knowledge.hand_copy import model_world
from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import NumberedStep, Plan
from toolwright.llm_planner.run import verdict
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.skills.choice import skills_for
from toolwright.perception.scene import Scene
from toolwright.policies.world import simulate
from toolwright.sim.scene import load_scene, sample


@pytest.fixture(scope="module")
def scene() -> Scene:
    return simulate(
        sample(load_scene("tweezers_stand"), np.random.default_rng(1)), np.random.default_rng(1)
    ).perception.look()


def _plan(sentence: str, scene: Scene) -> Plan:
    model = OfflineModel()
    return model.plan(model.analyze(sentence, scene), scene)


def _skills(sentence: str, scene: Scene) -> list[str]:
    return [step.skill for step in _plan(sentence, scene).steps]


@pytest.mark.parametrize(
    "sentence",
    [
        "pick up the tweezers and put the bead into the cup",
        "Take the tweezers, then put the bead in the cup",
        "put the bead into the cup",
        "fetch the tweezers from the stand and drop the bead in the cup",
    ],
)
def test_the_tool_is_fetched_before_it_is_used(sentence: str, scene: Scene) -> None:
    assert _skills(sentence, scene) == ["fetch", "pick", "drop_in"]


def test_a_tool_alone_is_fetched_and_home_needs_none(scene: Scene) -> None:
    assert _skills("pick up the tweezers", scene) == ["fetch"]
    assert _skills("go home", scene) == ["home"]


def test_a_tool_that_lies_about_is_refused_with_the_mend(scene: Scene) -> None:
    assert scene.loose is not None
    T = scene.loose.T_world_tip.copy()
    T[:3, :3] = T[:3, [2, 1, 0]] * np.array([1, 1, -1])
    lying = replace(scene, loose=replace(scene.loose, T_world_tip=T))
    refusal = _plan("put the bead into the cup", lying).refusal
    assert refusal is not None and "not in its stand" in refusal.reason and "Put it back" in refusal.suggestion


def test_fetch_is_a_skill_only_where_a_tool_is_to_be_fetched(scene: Scene) -> None:
    assert "fetch" in skills_for(scene) and "def fetch(name: str) -> Outcome" in skills_for(scene).stubs()
    held = replace(scene, tool=scene.loose, loose=None)
    assert "fetch" not in skills_for(held)


def test_a_copy_of_the_world_knows_that_other_skills_need_the_tool(scene: Scene) -> None:
    copy = model_world(scene)
    assert not copy.pick("bead", 0.013, 0.003, 0.1).success
    assert copy.fetch("tweezers").success and copy.pick("bead", 0.013, 0.003, 0.1).success
    assert not copy.fetch("tweezers").success  # it is in the hand


def test_the_verdict_looks_into_the_hand(scene: Scene) -> None:
    goals = verdict.goals([NumberedStep(skill="fetch", arguments={"name": "tweezers"})])
    assert not verdict.judge(goals, scene)[0].success
    assert verdict.judge(goals, replace(scene, tool=scene.loose, loose=None))[0].success


def test_a_sentence_fetches_the_tweezers_and_the_bead_ends_in_the_cup() -> None:
    world = simulate(sample(load_scene("tweezers_stand"), np.random.default_rng(2)), np.random.default_rng(2))
    record = run_sentence(
        world.spec.sentence, world.actions, world.perception, OfflineModel(), lambda event: None, options=Options()
    )
    assert record.success, record.reason
    away = world.data.body("bead").xpos - world.data.body("cup").xpos
    assert np.hypot(*away[:2]) < 0.03
