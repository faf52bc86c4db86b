"""What tools work on: a line carries, a nut resists, liquid goes where the nozzle is."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.policies.tool import job_geometry
from toolwright.sim import liquid
from toolwright.sim.perception import SimPerception
from toolwright.sim.scene import SceneError, SceneSpec, build, load_scene
from toolwright.sim.severing import severing


def _world(objects: dict[str, dict[str, object]]) -> tuple[mujoco.MjModel, mujoco.MjData, SceneSpec]:
    spec = SceneSpec.model_validate({"name": "test", "objects": objects}, strict=False)
    model = build(spec, with_robot=False).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data, spec


def test_what_is_laid_on_a_line_rests_at_its_height() -> None:
    line = {"shape": "line", "pos": (0.5, 0.0), "yaw": 1.571, "length": 0.3, "height": 0.2, "radius": 0.003}
    block = {"shape": "box", "pos": (0.5, 0.0, 0.24), "size": (0.05, 0.03, 0.02), "mass": 0.05}
    model, data, spec = _world({"line": line, "block": block})
    mujoco.mj_step(model, data, 60)
    assert float(data.joint("block").qpos[2]) == pytest.approx(0.2 + 0.003 + 0.01, abs=0.001)
    strung = job_geometry.line_of(SimPerception(model, data, spec, None).look().objects["line"])
    assert strung is not None
    np.testing.assert_allclose(strung[0], [0.5, 0.0, 0.2], atol=1e-6)
    assert abs(strung[1][1]) == pytest.approx(1.0, abs=1e-3) and strung[2] == pytest.approx(0.003)


def test_a_nut_turns_by_more_than_its_friction_alone_and_stays() -> None:
    bolt = {"shape": "bolt", "pos": (0.5, 0.0), "torque": 0.01}
    model, data, spec = _world({"nut": bolt})
    dof = model.joint("nut_turn").dofadr[0]
    data.qfrc_applied[dof] = 0.008
    mujoco.mj_step(model, data, 400)
    assert abs(float(data.joint("nut_turn").qpos[0])) < 0.02
    data.qfrc_applied[dof] = 0.015
    mujoco.mj_step(model, data, 400)
    data.qfrc_applied[dof] = 0.0
    turned = float(data.joint("nut_turn").qpos[0])
    mujoco.mj_step(model, data, 200)
    assert turned > 0.5
    assert SimPerception(model, data, spec, None).look().objects["nut"].turn == pytest.approx(turned, abs=0.1)


def test_nuts_flats_are_as_wide_as_declared() -> None:
    model, data, _ = _world({"nut": {"shape": "bolt", "pos": (0.5, 0.0), "flats": 0.008}})
    center = data.body("nut_nut").xpos
    for degrees, wide in ((30, 0.004), (90, 0.004), (0, 0.008 / np.sqrt(3)), (60, 0.008 / np.sqrt(3))):
        way = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)), 0.0])
        hit = mujoco.mj_ray(model, data, center + 0.02 * way, -way, None, 1, -1, np.zeros(1, np.int32), None)
        assert 0.02 - hit == pytest.approx(wide, abs=2e-4)


def _syringe() -> tuple[mujoco.MjModel, mujoco.MjData, SceneSpec]:
    """A syringe, nozzle down, over the cup of the scene."""
    spec = load_scene("dose")
    model = build(spec).compile()
    data = mujoco.MjData(model)
    cup = np.array(spec.objects["cup"].pos[:2])
    data.joint("syringe_free").qpos[:] = [*cup, 0.3, 0.0, 1.0, 0.0, 0.0]
    data.joint("syringe_hinge").qpos[0] = 0.02
    mujoco.mj_forward(model, data)
    return model, data, spec


def test_liquid_goes_where_the_nozzle_is_and_never_comes_back() -> None:
    model, data, spec = _syringe()
    step = liquid.flow(model, data, spec)
    assert step is not None
    area = np.pi / 4 * 0.0116**2
    for travel in (0.016, 0.019, 0.017, 0.014):  # in, back out, in again: only what is new leaves
        data.joint("syringe_hinge").qpos[0] = travel
        step()
    assert liquid.contents(data, spec, "cup") == pytest.approx(0.006 * area * 1e6)
    data.joint("syringe_free").qpos[0] += 0.1
    data.joint("syringe_hinge").qpos[0] = 0.010
    mujoco.mj_forward(model, data)
    step()
    assert liquid.contents(data, spec, "cup") == pytest.approx(0.006 * area * 1e6)  # the rest was spilt
    assert liquid.contents(data, spec, "bowl") == 0.0
    seen = SimPerception(model, data, spec, None).look()
    assert seen.objects["cup"].contents == pytest.approx(0.006 * area * 1e6)


def test_no_liquid_without_a_syringe() -> None:
    spec = load_scene("bead")
    model = build(spec).compile()
    assert model.nuserdata == 0
    assert liquid.flow(model, mujoco.MjData(model), spec) is None


def test_a_strip_holds_until_a_joint_is_parted() -> None:
    spec = load_scene("strip")
    model = build(spec).compile()
    data = mujoco.MjData(model)
    data.joint("scissors_free").qpos[:3] = [0.0, 0.6, 0.5]  # out of the way
    step = severing(model, data, spec)
    assert step is not None
    for _ in range(200):
        mujoco.mj_step(model, data)
        step()
    seen = SimPerception(model, data, spec, None).look().objects["strip"]
    assert data.eq_active.all() and seen.length == pytest.approx(0.096)
    assert float(data.body("strip_piece5").xpos[2]) == pytest.approx(0.13, abs=0.003)
    data.eq_active[model.equality("strip_joint2").id] = 0
    mujoco.mj_step(model, data, 100)
    assert SimPerception(model, data, spec, None).look().objects["strip"].length == pytest.approx(0.032)


@pytest.mark.parametrize(
    ("bolt", "message"),
    [({"stand": 0.01}, "no room below the nut"), ({"flats": 0.2}, "less than or equal to 0.05")],
)
def test_a_bad_bolt_is_refused(bolt: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneSpec.model_validate({"name": "x", "objects": {"nut": {"shape": "bolt", "pos": (0.5, 0.0), **bolt}}})


def test_a_goal_with_a_number_names_an_object_that_exists() -> None:
    spec = SceneSpec.model_validate({"name": "x", "goal": ({"filled": ("cup", 0.5)},)})
    with pytest.raises(SceneError, match="goal.0.filled: there is no object 'cup'"):
        build(spec)
