"""Families of tools: geometry from parameters, parts that never meet, and one file for each."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import mujoco
import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.sim.grasp import TIP_RADIUS
from toolwright.sim.models import tools
from toolwright.sim.models.leap import HandSurface, add_leap
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.tools import TOOLS, ToolError, ToolFamily, add_tool, family, held_tool_state

SHARES = (0.0, 0.1, 0.35, 0.7, 1.0)  # of the largest angle


def _tool_alone(tool: ToolFamily, params: object) -> mujoco.MjModel:
    spec = new_spec()
    spec.worldbody.add_body(name="palm")
    add_tool(spec, tool, params, "tool")
    return spec.compile()


def _posed(model: mujoco.MjModel, angle: float, rng: np.random.Generator) -> mujoco.MjData:
    """The tool somewhere in space, opened by `angle` [rad]."""
    data = mujoco.MjData(model)
    quat = rng.normal(size=4)
    data.qpos[:] = [*rng.normal(0, 0.1, 3), *quat / np.linalg.norm(quat), angle]
    mujoco.mj_kinematics(model, data)
    return data


# -- every family -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOOLS)
def test_the_angle_of_an_opening_gives_that_opening(name: str) -> None:
    tool, rng = TOOLS[name], np.random.default_rng(0)
    for part in ("train", "held_out"):
        for _ in range(10):
            params = tool.sample(rng, part)
            openings = np.linspace(0, tool.opening(params, params.max_angle), 9)
            assert tool.opening(params, tool.angle(params, openings)) == pytest.approx(openings, abs=1e-12)


@pytest.mark.parametrize("name", TOOLS)
def test_train_and_held_out_draws_never_meet_in_a_banded_parameter(name: str) -> None:
    tool, rng = TOOLS[name], np.random.default_rng(0)
    train, held_out = ([tool.sample(rng, part) for _ in range(500)] for part in ("train", "held_out"))
    assert tool.held_out
    for parameter, bands in tool.held_out.items():
        for params in train:
            assert not any(low <= getattr(params, parameter) <= high for low, high in bands), parameter
        for params in held_out:
            assert any(low <= getattr(params, parameter) <= high for low, high in bands), parameter


@pytest.mark.parametrize("name", TOOLS)
def test_every_band_is_drawn_from_and_train_draws_fill_their_ranges(name: str) -> None:
    tool, rng = TOOLS[name], np.random.default_rng(0)
    held_out = [asdict(tool.sample(rng, "held_out")) for _ in range(100)]
    for parameter, bands in tool.held_out.items():
        for low, high in bands:
            assert any(low <= params[parameter] <= high for params in held_out), (parameter, low)
    train = [asdict(tool.sample(rng)) for _ in range(200)]
    for parameter, (low, high) in tool.train.items():
        values = [params[parameter] for params in train]
        assert low <= min(values) < low + 0.3 * (high - low) and high - 0.3 * (high - low) < max(values) <= high


@pytest.mark.parametrize("name", TOOLS)
def test_draws_are_reproducible_and_keep_what_is_not_varied(name: str) -> None:
    tool = TOOLS[name]
    first, again = (tool.sample(np.random.default_rng(3)) for _ in range(2))
    assert first == again != tool.sample(np.random.default_rng(4))
    kept = set(asdict(tool.nominal)) - set(tool.train) - set(tool.held_out)
    assert all(getattr(first, parameter) == getattr(tool.nominal, parameter) for parameter in kept)


@pytest.mark.parametrize("name", TOOLS)
def test_the_spring_drives_the_tool_the_way_its_family_says_over_all_of_its_range(name: str) -> None:
    tool = TOOLS[name]
    params = tool.nominal
    model = _tool_alone(tool, params)
    for share in SHARES:
        data = _posed(model, share * params.max_angle, np.random.default_rng(0))
        mujoco.mj_forward(model, data)
        torque = tool.spring(params, share * params.max_angle)
        assert data.qfrc_spring[-1] == pytest.approx(torque)
        assert {"open": torque > 0.1, "shut": torque < -0.1, "free": torque == 0}[tool.rest]


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_opens_further_at_every_step_of_its_joint(name: str) -> None:
    tool, rng = TOOLS[name], np.random.default_rng(0)
    for params in (tool.nominal, tool.sample(rng), tool.sample(rng, "held_out")):
        openings = tool.opening(params, np.linspace(0, params.max_angle, 50))
        assert openings[0] == 0 and (np.diff(openings) > 0).all()
        assert 0.008 < openings[-1] < 0.1


@pytest.mark.parametrize("name", TOOLS)
def test_masses_and_inertias_are_those_of_a_hand_tool(name: str) -> None:
    tool, rng = TOOLS[name], np.random.default_rng(0)
    for params in (tool.nominal, *(tool.sample(rng, part) for part in ("train", "held_out") for _ in range(3))):
        model = _tool_alone(tool, params)
        limbs = [model.body("tool").id, model.body("tool_b").id]
        assert 0.01 < model.body_mass[limbs].sum() < 0.2
        for limb in limbs:
            inertia = np.sort(model.body_inertia[limb])
            assert inertia[0] > 0 and inertia[2] <= inertia[0] + inertia[1] + 1e-12
            # The radius of gyration of something that is centimeters long.
            assert 0.002 < np.sqrt(inertia[2] / model.body_mass[limb]) < 0.1


@pytest.mark.parametrize("name", TOOLS)
def test_the_opening_is_what_the_tips_moved_apart(name: str) -> None:
    tool, rng = TOOLS[name], np.random.default_rng(0)
    params = tool.nominal
    model = _tool_alone(tool, params)
    apart = []
    for share in SHARES:
        data = _posed(model, share * params.max_angle, rng)
        if tool.joint == "slide":
            apart.append(np.linalg.norm(data.body("tool_b").xpos - data.body("tool").xpos))
            continue
        # A point on each limb, where the working surfaces meet at angle 0.
        reach = tool.opening(params, 1e-6) / 1e-6
        ends = [data.body(b).xmat.reshape(3, 3) @ [0, 0, reach] for b in ("tool", "tool_b")]
        apart.append(np.linalg.norm(ends[1] - ends[0]))
    assert tool.opening(params, np.array(SHARES) * params.max_angle) == pytest.approx(apart, abs=1e-6)


@pytest.mark.parametrize("name", TOOLS)
def test_a_fingertip_at_a_contact_touches_its_limb_and_in_a_loop_both_sides_of_it(name: str) -> None:
    tool, rng = TOOLS[name], np.random.default_rng(0)
    for params in (tool.nominal, tool.sample(rng), tool.sample(rng, "held_out")):
        assert {contact.finger for contact in tool.contacts(params)} == {"th", "if", "mf"}
        for contact in tool.contacts(params):
            spec = new_spec()
            add_tool(spec, tool, params, "tool")
            pos = np.array(contact.pos) + TIP_RADIUS * np.array(contact.normal)
            spec.body(("tool", "tool_b")[contact.limb]).add_geom(name="tip", pos=pos, size=[TIP_RADIUS, 0, 0])
            model = spec.compile()
            data = mujoco.MjData(model)
            mujoco.mj_kinematics(model, data)
            tip = model.geom("tip")
            solid = [
                g for g in np.flatnonzero(model.geom_bodyid == tip.bodyid) if g != tip.id and model.geom_contype[g]
            ]
            gaps = np.sort([mujoco.mj_geomDistance(model, data, tip.id, g, 0.1, None) for g in solid])
            assert np.linalg.norm(contact.normal) == pytest.approx(1)
            # A loop leaves the fingertip a little room.
            assert abs(gaps[0]) < 0.001
            assert contact.axis is None or abs(gaps[1]) < 0.001


def test_a_sleeve_lets_the_greater_friction_count_between_it_and_a_fingertip() -> None:
    def friction(of_sleeve: float) -> float:
        spec = new_spec()
        add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]), surface=HandSurface(tip=0.7))
        tool = TOOLS["pliers"]
        add_tool(spec, tool, tool.params(friction=of_sleeve), "tool")
        model = spec.compile()
        data = mujoco.MjData(model)
        tip = data.site("if_tip")
        mujoco.mj_kinematics(model, data)
        data.qpos[16:19] = tip.xpos - [0, 0, -0.05]
        mujoco.mj_forward(model, data)
        pairs = [{model.geom(g).name for g in pair} for pair in data.contact.geom]
        return float(data.contact.friction[pairs.index({"if_tip", "tool_limb"}), 0])

    assert friction(1.2) == pytest.approx(1.2)
    assert friction(0.5) == pytest.approx(0.7)


def test_there_are_six_tools_that_do_the_four_jobs() -> None:
    assert set(TOOLS) == {"tweezers", "tongs", "pliers", "scissors", "clothespin", "syringe"}
    assert {tool.job for tool in TOOLS.values()} == {"pinch", "cut", "hold", "dispense"}


def test_an_unknown_parameter_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ToolError, match="tweezers has no parameter 'lenght'; it has length, width"):
        TOOLS["tweezers"].params(lenght=0.1)


def test_named_parameters_replace_nominal_ones() -> None:
    params = TOOLS["tweezers"].params(length=0.14)
    assert params.length == 0.14
    assert asdict(params) == {**asdict(TOOLS["tweezers"].nominal), "length": 0.14}


def test_an_unknown_tool_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ToolError, match="unknown tool 'spoon'; there are .*tweezers"):
        family("spoon")


# -- tweezers ---------------------------------------------------------------------------------------------------------


def test_the_opening_is_the_distance_between_the_pads_inner_faces() -> None:
    tool, rng = TOOLS["tweezers"], np.random.default_rng(0)
    for params in (tool.nominal, tool.sample(rng), tool.sample(rng, "held_out")):
        model = _tool_alone(tool, params)
        for share in SHARES:
            data = _posed(model, share * params.max_angle, rng)
            faces = []
            for limb, inwards in (("tool", 1), ("tool_b", -1)):
                pad = model.geom(f"{limb}_pad")
                across = data.geom(pad.id).xmat.reshape(3, 3)[:, 0]
                faces.append(data.geom(pad.id).xpos + inwards * pad.size[0] * across)
            measured = np.linalg.norm(faces[0] - faces[1])
            assert tool.opening(params, share * params.max_angle) == pytest.approx(measured, abs=1e-12)


def test_the_pads_touch_when_closed_and_the_limbs_do_not() -> None:
    tool = TOOLS["tweezers"]
    model = _tool_alone(tool, tool.nominal)
    data = _posed(model, 0.0, np.random.default_rng(0))
    assert mujoco.mj_geomDistance(model, data, model.geom("tool_pad").id, model.geom("tool_b_pad").id, 1, None) <= 1e-9
    limbs = model.geom("tool_limb").id, model.geom("tool_b_limb").id
    assert mujoco.mj_geomDistance(model, data, *limbs, 1, None) == pytest.approx(tool.nominal.gap, abs=1e-6)


def test_fingers_touch_the_tweezers_on_the_outer_faces_of_their_limbs() -> None:
    tool = TOOLS["tweezers"]
    params = tool.nominal
    model = _tool_alone(tool, params)
    data = _posed(model, 0.2, np.random.default_rng(0))
    assert {contact.finger for contact in tool.contacts(params)} == {"th", "if", "mf"}
    for contact in tool.contacts(params):
        limb = ("tool", "tool_b")[contact.limb]
        box = model.geom(f"{limb}_limb")
        world = data.body(limb).xpos + rotations.rotate(data.body(limb).xquat, np.array(contact.pos))
        local = data.geom(box.id).xmat.reshape(3, 3).T @ (world - data.geom(box.id).xpos)
        assert local[0] == pytest.approx(np.sign(contact.normal[0]) * box.size[0], abs=1e-9)
        assert (np.abs(local[1:]) < box.size[1:]).all()


def test_the_state_of_a_held_tool_is_measured_in_the_palms_frame() -> None:
    tool, rng = TOOLS["tweezers"], np.random.default_rng(2)
    params, angle = tool.nominal, 0.2
    model = _tool_alone(tool, params)
    data = _posed(model, angle, rng)
    state = held_tool_state(model, data, tool, params, "tool")
    assert state.opening == pytest.approx(float(tool.opening(params, angle)))
    assert state.pos_palm == pytest.approx(data.qpos[:3])
    halfway = rotations.multiply(data.qpos[3:7], rotations.about_y(angle / 2))
    assert np.abs(state.quat_palm @ halfway) == pytest.approx(1.0)
    # Between the pads, as seen from outside: the middle of the two limbs' ends.
    ends = [
        data.body(limb).xpos + rotations.rotate(data.body(limb).xquat, np.array([0, 0, params.length]))
        for limb in ("tool", "tool_b")
    ]
    assert state.T_world_tip[:3, 3] == pytest.approx(np.mean(ends, axis=0), abs=1e-3)
    across = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    assert state.T_world_tip[:3, 0] == pytest.approx(across, abs=1e-9)


# -- a new tool is one file -------------------------------------------------------------------------------------------

CHOPSTICKS = """
from dataclasses import replace

from toolwright.sim.models.tools.tweezers import FAMILY as TWEEZERS

FAMILY = replace(TWEEZERS, name="chopsticks", summary="long tweezers")
"""


def test_a_new_tool_needs_only_a_module_with_a_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "invented_chopsticks.py").write_text(CHOPSTICKS)
    (tmp_path / "invented_helper.py").write_text("LENGTH = 0.2\n")
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    try:
        found = tools._discover()
    finally:
        for name in ("invented_chopsticks", "invented_helper"):
            sys.modules.pop(f"{tools.__name__}.{name}", None)
            tools.__dict__.pop(name, None)
    assert found["chopsticks"].summary == "long tweezers"
    assert set(found) == {*TOOLS, "chopsticks"}
