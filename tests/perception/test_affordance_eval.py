"""The evaluation of the encoder, and the plain geometry beside it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.perception.affordance.encoder import RIGHT, Affordance
from toolwright.perception.affordance.geometric import box_object, fit_tool
from toolwright.policies.evaluation import affordance
from toolwright.policies.evaluation.known_tool import known_tool
from toolwright.sim import grasp
from toolwright.sim.models.tools import family


@pytest.mark.parametrize(("name", "share"), [("tweezers", 0.3), ("pliers", 0.8), ("syringe", 0.5)])
def test_icp_finds_a_tool_that_is_seen_from_one_side(name, share):
    tool = family(name)
    params = tool.nominal
    known = known_tool(tool, params, grasp.hand_and_tool(tool, params))
    angle = share * params.max_angle
    points, normals = known.surface(angle)
    T = np.eye(4)
    T[:3, :3] = rotations.rotate(rotations.from_rotvec(np.array([0.3, -0.2, 0.5])), np.eye(3)).T
    T[:3, 3] = [0.02, 0.03, -0.1]
    towards = np.array([0.25, 0.9, 0.3])
    seen = points[normals @ towards > 0] @ T[:3, :3].T + T[:3, 3]
    start = T.copy()
    start[:3, 3] += [0.002, -0.002, 0.001]
    found = fit_tool(seen, known, start)
    assert found.fitness > 0.9
    assert found.opening == pytest.approx(tool.opening(params, angle), abs=0.0015)
    assert np.linalg.norm(found.T_palm_tip[:3, 3] - (T[:3, :3] @ known.tip + T[:3, 3])) < 0.003


def test_a_known_tool_s_surface_is_that_of_its_geoms():
    """Points of both limbs at an angle lie where MuJoCo's kinematics put the geoms."""
    import mujoco

    tool = family("pliers")
    model = grasp.hand_and_tool(tool, tool.nominal)
    data = mujoco.MjData(model)
    pos, quat, angle = np.zeros(3), np.array([1.0, 0, 0, 0]), 0.2
    data.qpos[16:23] = grasp.limb_pose(pos, quat, np.array(angle), tool.turn)
    data.qpos[23] = angle
    mujoco.mj_kinematics(model, data)
    known = known_tool(tool, tool.nominal, model)
    for limb, body in enumerate(("tool", "tool_b")):
        T = known.move(limb, angle)
        points = known.limbs[limb][0] @ T[:3, :3].T + T[:3, 3]
        local = (points - data.body(body).xpos) @ data.body(body).xmat.reshape(3, 3)
        assert np.allclose(local, known.limbs[limb][0], atol=1e-9)


def test_the_box_of_a_tilted_box_seen_from_above():
    rng = np.random.default_rng(0)
    turn = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    top = rng.uniform([-0.005, -0.012, 0.008], [0.005, 0.012, 0.008], (400, 3)) @ turn.T
    box = box_object(top, 0.0)
    assert box.width == pytest.approx(0.010, abs=5e-4)
    assert abs(box.closing @ turn[:, 0]) == pytest.approx(1, abs=1e-3)
    assert np.allclose(box.center, [0, 0, 0.004], atol=5e-4)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    from toolwright.perception import generate_tools

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generate_tools, "families", lambda: ["tweezers"])
        lines: list[str] = []
        result = affordance.evaluate(episodes=3, seed=3, folder=folder, report=lines.append)
    return result, folder, lines


def test_both_methods_are_judged_on_the_same_clouds(report):
    result, _, lines = report
    groups = {group.name: group for group in result.groups}
    for name in ("tools", "tweezers", "objects"):
        encoder, geometry = groups[f"{name}, encoder"], groups[f"{name}, geometry"]
        assert encoder.n == geometry.n == 3
    assert groups["tools, fit alone"].n == 3
    assert 0 <= groups["tools, encoder"].measured["another_tool_distrusted"] <= 1
    assert (
        result.n == 6 and result.successes == groups["tools, encoder"].successes + groups["objects, encoder"].successes
    )
    assert sum("target on" in line for line in lines) == 5


def test_the_page_says_how_to_make_it_again(report):
    text = (report[1] / "index.html").read_text()
    assert "toolwright eval affordance --episodes 3 --seed 3" in text
    words = re.sub(r"base64,[^\"]*", "", text)  # pictures are letters at random
    assert words.count("<img") == 3 and "tweezers" in words and "NaN" not in words


def test_a_report_counts_errors_as_they_are():
    n = 40
    error = np.linspace(-0.004, 0.004, n)
    judged = affordance.Judged(
        np.array(["tongs"] * n), "encoder", np.full(n, 0.01), error, *(np.full(n, 0.001) for _ in range(3)),
        np.full(n, 0.9), np.full(n, 0.005),
    )  # fmt: skip
    group = affordance._group("tongs", judged, None, False)
    assert group.successes == int((np.abs(error) <= RIGHT).sum()) == 20
    assert group.measured["mean_error"] == pytest.approx(np.abs(error).mean())
    assert group.measured["milliseconds"] == pytest.approx(5.0)


def test_an_encoder_that_knows_nothing_misses_its_targets(tmp_path, monkeypatch):
    """The evaluation measures: shifted answers change its verdict."""
    from dataclasses import replace

    from toolwright.perception import generate_tools

    monkeypatch.setattr(generate_tools, "families", lambda: ["tweezers"])
    encoder = Affordance.load()
    said = encoder.tool
    monkeypatch.setattr(encoder, "tool", lambda *a: replace(said(*a), opening=said(*a).opening + 0.02))
    result = affordance.evaluate(2, 4, folder=tmp_path, encoder=encoder)
    groups = {group.name: group for group in result.groups}
    assert not result.passed and groups["tools, encoder"].successes == 0
    assert groups["tools, fit alone"].successes > 0
    assert groups["tools, encoder"].measured["mean_error"] > 0.01
