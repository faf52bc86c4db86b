"""Picking over one robot and its eyes, in a scene of the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.hardware.pick import Room
from toolwright.perception.scene import SceneObject
from toolwright.policies.high_level.run import PickRun, SceneEyes, affordance
from toolwright.policies.tool.tool_loop import Trouble
from toolwright.policies.weights import load
from toolwright.policies.world import simulate
from toolwright.sim import grasp_bank
from toolwright.sim.models.kinematics import arm_chain
from toolwright.sim.scene import load_scene, sample


def test_a_bead_of_a_scene_is_picked_and_follows_a_goal() -> None:
    world = simulate(sample(load_scene("bead"), np.random.default_rng(3)), np.random.default_rng(0))
    bank, chain, box = grasp_bank.load("tweezers"), arm_chain(), world.spec.workspace
    room = Room(np.array(box.lower), np.array(box.upper), world.spec.table.height)
    eyes = SceneEyes(world.perception, chain, "bead")
    run = PickRun(world.robot, eyes, bank, 0, chain, room, hand=load("held_tool/tweezers").act)
    run.begin()
    start = world.data.joint("bead").qpos[:3].copy()
    inside = np.clip(start[:2], np.array(box.lower[:2]) + 0.05, np.array(box.upper[:2]) - 0.05)
    goal = np.array([*inside, 0.16])
    assert run.pick(lambda t: goal, 12.0)
    end = world.data.joint("bead").qpos[:3]
    assert end[2] - start[2] > 0.1
    assert np.linalg.norm(end - goal) < 0.03


def _seen(shape: str, size: tuple[float, float, float], quat: tuple[float, ...]) -> SceneObject:
    return SceneObject("thing", shape, np.array([0.4, 0.1, size[2] / 2]), np.array(quat), np.array(size), 0.001, False)


def test_a_box_is_gripped_across_its_narrow_side_and_a_ball_as_the_tool_stands() -> None:
    turned = (np.cos(0.2), 0.0, 0.0, np.sin(0.2))
    found = affordance(_seen("box", (0.02, 0.008, 0.01), turned), 0.0, 0.0)
    assert found.width[0] == pytest.approx(0.008) and found.top[0] == pytest.approx(0.01)
    assert (found.yaw[0] - (0.4 + np.pi / 2)) % np.pi == pytest.approx(0, abs=1e-6)
    assert affordance(_seen("sphere", (0.01,) * 3, (1.0, 0, 0, 0)), 0.0, 0.7).yaw[0] == 0.7


def test_what_has_no_upright_sides_is_refused() -> None:
    tilted = (np.cos(0.4), np.sin(0.4) * np.sqrt(0.5), np.sin(0.4) * np.sqrt(0.5), 0.0)
    with pytest.raises(Trouble, match="no sides"):
        affordance(_seen("box", (0.02, 0.02, 0.02), tilted), 0.0, 0.0)
