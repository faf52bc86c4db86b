"""Bars, tubes, buttons and magnets: geometry, and what they do in physics."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.sim.models.implements import bar_parts, box_around, switch_on_magnets
from toolwright.sim.scene import SceneError, build, load_scene, sample, shipped_scenes
from toolwright.sim.scene_objects import gap
from toolwright.sim.scene_spec import BoxObject, Cylinder, GoalSpec, SceneSpec


def _world(objects: dict[str, dict[str, object]]) -> tuple[mujoco.MjModel, mujoco.MjData]:
    spec = SceneSpec.model_validate({"name": "test", "objects": objects}, strict=False)
    model = build(spec, with_robot=False).compile()
    data = mujoco.MjData(model)
    switch_on_magnets(model, data)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_a_bars_parts_fill_a_box_around_its_frame(side: str) -> None:
    parts = bar_parts(0.3, 0.03, 0.024, (0.07, 0.044, 0.14), 0.07, side)
    lower = np.min([part.pos - part.size / 2 for part in parts], axis=0)
    upper = np.max([part.pos + part.size / 2 for part in parts], axis=0)
    np.testing.assert_allclose(upper, -lower, atol=1e-9)
    np.testing.assert_allclose(box_around(parts), upper - lower, atol=1e-9)
    assert upper[0] - lower[0] == pytest.approx(0.335)


def test_a_button_gives_way_to_a_push_and_comes_back() -> None:
    model, data = _world({"button": {"shape": "button", "pos": (0.5, 0.0), "force": 2.0}})
    for force, least, most in ((0.0, -0.001, 0.001), (4.0, 0.0115, 0.0125), (0.0, -0.001, 0.001)):
        data.qfrc_applied[0] = force
        mujoco.mj_step(model, data, 400)
        assert least < float(data.joint("button_travel").qpos[0]) < most


def _pair(magnet: float) -> float:
    """Height to which a block rises with one that is lifted and touches it."""
    block = {"shape": "box", "size": (0.05, 0.04, 0.04), "magnet": magnet}
    held, loose = {**block, "pos": (0.45, 0.0), "mass": 20.0}, {**block, "pos": (0.5005, 0.0), "mass": 0.07}
    model, data = _world({"held": held, "loose": loose})
    data.xfrc_applied[model.body("held").id, 2] = 20.0 * 9.81  # else it falls within a step, and the other with it
    start = data.joint("held").qpos.copy()
    speed = 0.02  # m/s
    for i in range(400):
        up = max(0, i - 100) * model.opt.timestep * speed
        data.joint("held").qpos[:] = start + [0, 0, up, 0, 0, 0, 0]
        data.joint("held").qvel[:] = [0, 0, speed if up else 0, 0, 0, 0]
        mujoco.mj_step(model, data)
    return float(data.joint("loose").qpos[2]) - 0.02


def test_a_magnet_holds_a_block_by_contact_and_nothing_else_does() -> None:
    assert _pair(15.0) > 0.02
    assert _pair(0.0) < 0.005


def test_distance_of_outlines() -> None:
    box = BoxObject(shape="box", pos=(0.5, 0.0), size=(0.4, 0.1, 0.01))
    can = Cylinder(shape="cylinder", pos=(0.5, 0.1), radius=0.03, height=0.1)
    assert gap(box, can) == pytest.approx(0.02)
    assert gap(box, box.model_copy(update={"pos": (0.5, 0.15)})) == pytest.approx(0.05)
    assert gap(box, box.model_copy(update={"pos": (1.0, 0.0)})) == pytest.approx(0.1)
    assert gap(box, can.model_copy(update={"pos": (0.5, 0.0)})) < 0


def test_a_goal_names_one_kind_and_objects_that_exist() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        GoalSpec(raised="a", pressed="b")
    spec = SceneSpec(name="x", goal=(GoalSpec(raised="milk"),))
    with pytest.raises(SceneError, match="goal.0.raised: there is no object 'milk'"):
        build(spec)


@pytest.mark.parametrize("name", [name for name in shipped_scenes() if load_scene(name).sentence])
def test_a_seed_draws_a_task_that_can_be_built(name: str) -> None:
    scene = load_scene(name)
    assert scene.goal
    drawn = [sample(scene, np.random.default_rng(seed)) for seed in (0, 1, 0)]
    assert drawn[0] == drawn[2] and drawn[0] != drawn[1]
    build(drawn[0], with_robot=False).compile()
