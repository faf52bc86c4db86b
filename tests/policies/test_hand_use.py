"""The bare hand in contact physics, judged on the true state: few and short, the evaluation has the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.policies.evaluation.scene_goals import draw, missed, tasks, truth
from toolwright.policies.hand.bar_geometry import bar_of
from toolwright.policies.world import SimulatedWorld

SEED = 11


@pytest.fixture(scope="module")
def holding() -> SimulatedWorld:
    """A world with the hook in the hand."""
    world = draw("milk", SEED)
    outcome = world.actions.grasp("hook", 0.02)
    assert outcome.success, outcome.reason
    return world


def test_a_grasped_tool_hangs_in_the_hand_by_contact_alone(holding: SimulatedWorld) -> None:
    hook = truth(holding).objects["hook"]
    assert float(hook.pos[2] - hook.size[2] / 2) > 0.01
    assert holding.model.neq == 0  # nothing is welded
    fingers = {holding.model.body(int(holding.model.geom_bodyid[g])).name for g in _touching(holding, "hook")}
    assert any(name.startswith("th_") for name in fingers) and any(name.startswith("if_") for name in fingers)


def test_a_full_hand_grasps_nothing_else_and_says_so(holding: SimulatedWorld) -> None:
    outcome = holding.actions.grasp("stick", 0.02)
    assert not outcome.success and "hook is in the hand" in outcome.reason


def test_a_tool_lost_from_the_hand_is_noticed_from_what_is_seen() -> None:
    world = draw("milk", SEED)
    assert world.actions.grasp("hook", 0.02).success
    world.data.joint("hook").qpos[1] += 0.1  # somebody takes it away
    outcome = world.actions.pull("milk", 0.6, 0.0)
    assert not outcome.success and "left the hand" in outcome.reason


def test_what_is_out_of_reach_is_refused_before_anything_moves() -> None:
    world = draw("milk", SEED)
    before = truth(world)
    far = float(before.objects["milk"].pos[0])
    assert far > before.workspace.upper[0]
    assert missed(world, before)  # the goal does not hold from the start
    outcome = world.actions.press("milk")
    assert not outcome.success and "cannot be pressed" in outcome.reason


def test_every_shipped_task_starts_unsolved() -> None:
    for task in tasks():
        world = draw(task, SEED)
        assert missed(world, truth(world)), task


def test_the_bar_of_a_scene_is_as_long_as_its_file_says() -> None:
    world = draw("milk", SEED)
    bar = bar_of(truth(world).objects["hook"])
    assert bar is not None
    assert bar.length == pytest.approx(world.spec.objects["hook"].length)  # type: ignore[union-attr]
    assert bar.heads == {1: pytest.approx(world.spec.objects["hook"].head)}  # type: ignore[union-attr]


def _touching(world: SimulatedWorld, name: str) -> list[int]:
    contacts = world.data.contact[: world.data.ncon]
    body = world.model.body(name).id
    pairs = [np.array(contact.geom) for contact in contacts if contact.dist < 0]
    owners = [(pair, world.model.geom_bodyid[pair]) for pair in pairs]
    return [int(pair[1 - list(bodies).index(body)]) for pair, bodies in owners if body in bodies]
