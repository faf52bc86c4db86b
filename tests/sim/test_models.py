"""Arm and hand agree with their makers' facts, and their motors do what such motors do."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from toolwright.hardware.joints import FR3, FR3_HOME, LEAP
from toolwright.sim.grasp import hand_and_tool
from toolwright.sim.models.implements import MAGNET
from toolwright.sim.models.leap import FINGERS, HandMotors, add_leap
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.robot import add_robot
from toolwright.sim.models.tools import TOOLS
from toolwright.sim.scene import build
from toolwright.sim.scene_file import load_scene, shipped_scenes

FACTS = json.loads((Path(__file__).parents[1] / "golden/kinematics.json").read_text())
F64 = NDArray[np.float64]
UNIT = np.array([1.0, 0, 0, 0])


@cache
def _robot(arm: str | None, hand: str | None) -> mujoco.MjModel:
    spec = new_spec()
    add_robot(spec, arm, hand, np.zeros(3), UNIT)
    return spec.compile()


def _chains() -> dict[str, list[dict[str, Any]]]:
    """The facts as chains of links, by name: body, joint, pose in the parent, mass, joint axis in the body."""
    leap = FACTS["leap"]
    chains = {"fr3": [dict(link, axis=[0, 0, 1]) for link in FACTS["fr3"]["links"]]}
    for finger in FINGERS:
        root = {"pos": leap["finger_roots"][finger]["pos"], "quat": leap["finger_roots"]["quat"]}
        links = [{**leap["finger"][0], **root}, *leap["finger"][1:]]
        chains[finger] = [
            dict(k, body=f"{finger}_{k['body']}", joint=f"{finger}_{k['joint']}", axis=[0, 0, -1]) for k in links
        ]
    chains["th"] = [dict(link, axis=[0, 0, -1]) for link in leap["thumb"]]
    return chains


def _reference(chain: list[dict[str, Any]], q: dict[str, float]) -> dict[str, tuple[F64, Rotation]]:
    """Forward kinematics by hand: pose of each body in the frame that the chain begins in."""
    pos, turn = np.zeros(3), Rotation.identity()
    poses = {}
    for link in chain:
        pos = pos + turn.apply(link["pos"])
        turn = turn * Rotation.from_quat(link["quat"], scalar_first=True)
        turn = turn * Rotation.from_rotvec(q[link["joint"]] * np.array(link["axis"], dtype=float))
        poses[link["body"]] = (pos, turn)
    return poses


def _model(chain: str) -> mujoco.MjModel:
    return _robot("fr3", None) if chain == "fr3" else _robot(None, "leap")


# -- kinematics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chain", _chains())
def test_joint_axes_ranges_and_masses_are_the_makers(chain: str) -> None:
    model = _model(chain)
    ranges = FACTS["leap"]["ranges"]
    for link in _chains()[chain]:
        joint, body = model.joint(link["joint"]), model.body(link["body"])
        assert int(joint.type[0]) == int(mujoco.mjtJoint.mjJNT_HINGE)
        assert joint.bodyid[0] == body.id
        assert joint.axis.tolist() == link["axis"] and joint.pos.tolist() == [0, 0, 0]
        key = link["joint"] if link["joint"] in ranges else link["joint"].split("_")[1]
        assert joint.range.tolist() == (link["range"] if "range" in link else ranges[key])
        assert model.jnt_limited[joint.id]
        assert body.mass[0] == link["mass"]


@pytest.mark.parametrize("chain", _chains())
def test_forward_kinematics_agree_at_ten_random_configurations(chain: str) -> None:
    model = _model(chain)
    data = mujoco.MjData(model)
    for q in np.random.default_rng(0).uniform(*model.jnt_range.T, (10, model.njnt)):
        data.qpos[:] = q
        mujoco.mj_kinematics(model, data)
        named = {model.joint(i).name: q[i] for i in range(model.njnt)}
        for name, (pos, turn) in _reference(_chains()[chain], named).items():
            assert data.body(name).xpos == pytest.approx(pos, abs=1e-6), name
            assert data.body(name).xmat.reshape(3, 3) == pytest.approx(turn.as_matrix(), abs=1e-5), name


def test_the_hand_on_the_arm_has_the_same_kinematics_as_the_hand_alone() -> None:
    both, alone = _robot("fr3", "leap"), _robot(None, "leap")
    rng = np.random.default_rng(1)
    on_arm, by_itself = mujoco.MjData(both), mujoco.MjData(alone)
    on_arm.qpos[:] = rng.uniform(*both.jnt_range.T)
    by_itself.qpos[:] = on_arm.qpos[7:]
    mujoco.mj_kinematics(both, on_arm)
    mujoco.mj_kinematics(alone, by_itself)
    palm = Rotation.from_matrix(on_arm.body("palm").xmat.reshape(3, 3))
    for site in ("if_tip", "mf_tip", "rf_tip", "th_tip"):
        seen = palm.inv().apply(on_arm.site(site).xpos - on_arm.body("palm").xpos)
        assert seen == pytest.approx(by_itself.site(site).xpos, abs=1e-12)


def test_joints_and_motors_stand_in_the_canonical_order() -> None:
    model = _robot("fr3", "leap")
    assert tuple(model.joint(i).name for i in range(model.njnt)) == FR3.names + LEAP.names
    assert tuple(model.actuator(i).name for i in range(model.nu)) == FR3.names + LEAP.names
    assert model.actuator_trnid[:, 0].tolist() == list(range(23))


def test_collision_geometry_is_primitive() -> None:
    model = _robot("fr3", "leap")
    primitive = {int(t) for t in (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CAPSULE)}
    assert {int(t) for t in model.geom_type} <= primitive
    assert model.nmesh == 0


# -- motors -----------------------------------------------------------------------------------------------------------


def _hold(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Fills the servos' buffers with the present targets, as if these had stood for a while."""
    for i in range(model.nu):
        if samples := int(model.actuator_history[i, 0]):
            values = int(model.actuator_historyadr[i]) + 2 + samples
            data.history[values : values + samples] = data.ctrl[i]


def _at(model: mujoco.MjModel, target: float) -> mujoco.MjData:
    """At rest with the hand flat, where no finger touches another, and all targets `target` [rad] away."""
    data = mujoco.MjData(model)
    data.qpos[:] = np.concatenate([FR3_HOME, np.zeros(16)])[-model.nq :]
    data.ctrl[:] = data.qpos + target
    _hold(model, data)
    mujoco.mj_forward(model, data)
    return data


def test_servos_of_the_hand_push_with_their_gain_times_the_error() -> None:
    assert _at(_robot(None, "leap"), 0.1).actuator_force == pytest.approx(0.1 * HandMotors().kp)
    assert _at(_robot(None, "leap"), -0.05).actuator_force == pytest.approx(-0.05 * HandMotors().kp)


def test_servos_brake_with_their_damping_times_the_speed() -> None:
    model = _robot(None, "leap")
    data = _at(model, 0.0)
    data.qvel[:] = 2.0
    mujoco.mj_forward(model, data)
    assert data.actuator_force == pytest.approx(-2.0 * HandMotors().kv)


@pytest.mark.parametrize("target", [3.0, -3.0])
def test_no_servo_exceeds_its_effort_limit(target: float) -> None:
    limit = np.sign(target) * np.concatenate([FR3.effort, LEAP.effort])
    assert _at(_robot("fr3", "leap"), target).actuator_force == pytest.approx(limit)


@pytest.mark.parametrize("latency", [0.0, 0.01, 0.04])
def test_a_step_of_the_target_moves_nothing_before_the_latency(latency: float) -> None:
    spec = new_spec(timestep=0.001)
    spec.option.gravity = [0, 0, 0]
    add_leap(spec, spec.worldbody, np.zeros(3), UNIT, HandMotors(latency=latency, frictionloss=0.0))
    model = spec.compile()
    data = _at(model, 0.0)
    start = data.qpos.copy()
    data.ctrl[:] += 0.1
    began = np.full(model.nq, np.nan)  # s, when the first step that moved a joint began
    for _ in range(100):
        before = data.time
        mujoco.mj_step(model, data)
        moved = np.abs(data.qpos - start) > 1e-9
        began = np.where(moved & np.isnan(began), before, began)
    assert (began > latency - 1e-6).all() and (began < latency + 1.5 * model.opt.timestep).all()


def test_a_finger_reaches_its_target_and_stays() -> None:
    spec = new_spec()
    spec.option.gravity = [0, 0, 0]
    add_leap(spec, spec.worldbody, np.zeros(3), UNIT)
    model = spec.compile()
    data = _at(model, 0.2)
    start = data.qpos.copy()
    for _ in range(300):
        mujoco.mj_step(model, data)
    assert data.qpos - start == pytest.approx(0.2, abs=0.005)  # friction keeps the last bit
    assert np.abs(data.qvel).max() < 1e-3


# -- nothing holds a tool but contact ---------------------------------------------------------------------------------


def _all_models() -> dict[str, mujoco.MjModel]:
    models = {f"{arm} {hand}": _robot(arm, hand) for arm in ("fr3", None) for hand in ("leap", None) if arm or hand}
    models |= {f"hand with {name}": hand_and_tool(tool, tool.nominal) for name, tool in TOOLS.items()}
    return models | {f"scene {name}": build(load_scene(name)).compile() for name in shipped_scenes()}


def _adhesives(model: mujoco.MjModel) -> list[int]:
    return [i for i in range(model.nu) if int(model.actuator_trntype[i]) == int(mujoco.mjtTrn.mjTRN_BODY)]


def test_only_a_strip_is_held_together_by_joints_and_only_piece_to_piece() -> None:
    strips = {name: model for name, model in _all_models().items() if model.neq}
    assert set(strips) == {"scene strip"}
    for model in strips.values():
        joined = [
            (model.body(a).name, model.body(b).name) for a, b in zip(model.eq_obj1id, model.eq_obj2id, strict=True)
        ]
        pieces = [joined[0][0], *(later for _, later in joined)]
        assert joined == list(zip(pieces, pieces[1:], strict=False))
        assert all(piece.startswith(f"{pieces[0]}_piece") for piece in pieces[1:])


def test_no_model_has_a_mocap_body_and_only_magnets_pull_on_magnets() -> None:
    models = _all_models()
    assert len(models) >= 5
    for name, model in models.items():
        assert model.nmocap == 0, name
        assert not model.geom_adhesion.any(), name
        for i in _adhesives(model):
            geoms = np.flatnonzero(model.geom_bodyid == model.actuator_trnid[i, 0])
            assert len(geoms) and (model.geom_contype[geoms] == MAGNET).all(), name
            assert (model.geom_conaffinity[geoms] == MAGNET).all(), name
        touching = (model.geom_contype | model.geom_conaffinity) & MAGNET > 0
        assert (model.geom_contype[touching] == MAGNET).all(), name


def test_of_all_joints_only_those_of_the_robot_have_motors() -> None:
    for name, model in _all_models().items():
        motors = sorted(set(range(model.nu)) - set(_adhesives(model)))
        driven = {model.joint(i).name for i in model.actuator_trnid[motors, 0]}
        assert driven <= {*FR3.names, *LEAP.names}, name
