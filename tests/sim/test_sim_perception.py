"""Privileged perception delivers the true state plus the noise that it declares."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.perception.scene import HeldTool
from toolwright.sim import perception
from toolwright.sim.perception import SimPerception, StateNoise
from toolwright.sim.scene import build, load_scene

TIP = np.array([[1.0, 0, 0, 0.4], [0, -1, 0, 0.1], [0, 0, -1, 0.2], [0, 0, 0, 1]])
TOOL = HeldTool(
    name="tweezers",
    family="tweezers",
    opening=0.01,
    opening_max=0.03,
    pos_palm=np.array([0.0, 0.0, -0.1]),
    quat_palm=np.array([1.0, 0, 0, 0]),
    T_world_tip=TIP,
    angle=0.1,
)


@pytest.fixture(autouse=True)
def _tool_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perception.tools, "held_tool_state", lambda *_: TOOL)


def _world() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build(load_scene("bead"), with_robot=False).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_without_noise_the_scene_is_the_truth() -> None:
    model, data = _world()
    seen = SimPerception(model, data, load_scene("bead"), noise=None).look()
    bead, cup = seen.objects["bead"], seen.objects["cup"]
    assert (bead.shape, bead.color, bead.fixed) == ("sphere", "red", False)
    assert bead.pos == pytest.approx([0.48, -0.08, 0.005])
    assert bead.size == pytest.approx([0.01, 0.01, 0.01])
    assert bead.mass == pytest.approx(1200 * 4 / 3 * np.pi * 0.005**3)
    assert cup.opening == pytest.approx(0.06) and cup.mass == pytest.approx(0.08)
    assert cup.top == pytest.approx(0.05)
    assert bead.opening == 0.0
    assert seen.workspace.contains(bead.pos) and seen.table_height == 0.0 and seen.notes == ()
    assert seen.tool is not None and (seen.tool.T_world_tip == TIP).all() and seen.tool.opening == TOOL.opening


def test_the_noise_has_the_declared_size() -> None:
    model, data = _world()
    noise = StateNoise()
    look = SimPerception(model, data, load_scene("bead"), noise, np.random.default_rng(0)).look
    scenes = [look() for _ in range(800)]
    bead = np.array([scene.objects["bead"].pos for scene in scenes]) - [0.48, -0.08, 0.005]
    tip = np.array([scene.tool.T_world_tip[:3, 3] for scene in scenes if scene.tool]) - TIP[:3, 3]
    opening = np.array([scene.tool.opening for scene in scenes if scene.tool])
    assert bead.std(axis=0) == pytest.approx([noise.object_pos] * 3, rel=0.1)
    assert tip.std(axis=0) == pytest.approx([noise.tool_pos] * 3, rel=0.1)
    assert opening.std() == pytest.approx(noise.tool_opening, rel=0.1)
    for scene in scenes[:20]:
        assert scene.tool is not None
        turned = scene.tool.T_world_tip[:3, :3]
        assert turned @ turned.T == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.norm(scene.objects["cup"].quat) == pytest.approx(1.0)


def test_the_same_seed_measures_the_same() -> None:
    model, data = _world()
    first, second = (
        SimPerception(model, data, load_scene("bead"), rng=np.random.default_rng(5)).look().objects["bead"].pos
        for _ in range(2)
    )
    assert (first == second).all()


def test_a_look_is_of_the_present_state_and_keeps_it() -> None:
    model, data = _world()
    eyes = SimPerception(model, data, load_scene("bead"), noise=None)
    before = eyes.look()
    joint = model.joint("bead").qposadr[0]
    data.qpos[joint : joint + 3] = [0.5, 0.1, 0.2]
    data.time = 1.5
    after = eyes.look()
    assert after.objects["bead"].pos == pytest.approx([0.5, 0.1, 0.2]) and after.stamp == 1.5
    assert before.objects["bead"].pos == pytest.approx([0.48, -0.08, 0.005])


def test_an_object_that_fell_off_the_table_is_noted() -> None:
    model, data = _world()
    joint = model.joint("bead").qposadr[0]
    data.qpos[joint : joint + 3] = [1.2, 0.0, -0.5]
    assert SimPerception(model, data, load_scene("bead"), noise=None).look().notes == ("bead has fallen off the table",)


def test_a_model_of_another_scene_and_noise_without_a_generator_are_refused() -> None:
    model, data = _world()
    with pytest.raises(ValueError, match="built from another scene"):
        SimPerception(model, data, load_scene("beads"), noise=None)
    with pytest.raises(ValueError, match="pass rng"):
        SimPerception(model, data, load_scene("bead"))
