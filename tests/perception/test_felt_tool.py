"""The tool in the hand, felt by the fingers and seen by the camera."""

from __future__ import annotations

from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, FR3_LEAP
from toolwright.launch.own_body import OwnBody
from toolwright.perception import tabletop
from toolwright.perception.scene import Box
from toolwright.sim import grasp_bank
from toolwright.sim.camera import DepthCamera
from toolwright.sim.models.tools import held_tool_state
from toolwright.sim.robot import place_in_hand
from toolwright.sim.scene import build, load_scene

TABLE = Box(np.array([0.17, -0.58, 0.0]), np.array([0.93, 0.58, 1.0]))
IN_VIEW = np.array([-0.178, -0.149, -0.237, -2.514, -0.048, 2.388, -1.169])  # rad, the tips in front of the camera


@pytest.fixture(scope="module")
def held() -> SimpleNamespace:
    """A hand with tweezers in front of the camera; nothing has moved yet."""
    spec = load_scene("bead")
    bank = grasp_bank.load("tweezers")
    model = build(spec).compile()
    data = mujoco.MjData(model)
    for joint, q in zip(FR3.names, IN_VIEW, strict=True):
        data.joint(joint).qpos[0] = q
    place_in_hand(model, data, bank)
    q = np.array([data.joint(name).qpos[0] for name in FR3_LEAP.names])
    it = SimpleNamespace(spec=spec, bank=bank, model=model, data=data, q=q)
    it.truth = held_tool_state(model, data, bank.family, bank.params[0], "tweezers")
    return it


def body(held: SimpleNamespace, q: np.ndarray | None = None) -> OwnBody:
    return OwnBody(held.spec, lambda: held.q if q is None else q, held.bank)


def test_the_tool_is_where_it_was_put(held):
    tool = body(held).tool()
    assert tool is not None
    assert tool.opening == pytest.approx(held.truth.opening, abs=2e-4)
    np.testing.assert_allclose(tool.T_world_tip, held.truth.T_world_tip, atol=1e-3)
    assert (tool.name, tool.family, tool.opening_max) == ("tweezers", "tweezers", held.truth.opening_max)


@pytest.mark.parametrize("anchor", [0, 2])
def test_an_opening_that_was_settled_in_physics_is_felt_from_another(held, anchor):
    """The bank's grasps were settled one by one; from one to the other no finger was watched."""
    q = held.q.copy()
    own = body(held, q)
    ends = held.bank.start[0, [1, anchor], :16]
    for share in np.linspace(0, 1, 15):
        q[7:] = (1 - share) * ends[0] + share * ends[1]
        tool = own.tool()
    assert tool is not None
    assert tool.opening == pytest.approx(held.bank.openings[0, anchor], abs=0.0025)


def test_a_hand_of_another_shape_holds_nothing(held):
    q = held.q.copy()
    own = body(held, q)
    q[7:] = 0.0
    assert own.tool() is None


def test_a_bare_hand_has_no_tool(held):
    assert OwnBody(held.spec.model_copy(update={"tool": None}), lambda: held.q).tool() is None


def test_the_camera_puts_a_tool_right_that_has_crept(held):
    camera = DepthCamera(held.model, held.data, rng=np.random.default_rng(0))
    frame = camera.read()
    camera.close()
    own = body(held)
    before = own._felt.pose.copy()
    crept = before.copy()
    crept[:3, :3] = rotations.rotate(rotations.from_rotvec(np.array([0.04, 0.0, 0.03])), before[:3, :3].T).T
    crept[:3, 3] += [0.002, -0.002, 0.001]
    own._felt.correct(own._fingertips(held.q[7:]), crept)

    def off() -> float:
        tool = own.tool()
        return float(np.linalg.norm(tool.T_world_tip[:3, 3] - held.truth.T_world_tip[:3, 3]))

    wrong = off()
    for _ in range(8):
        own.watch(tabletop.view(frame, TABLE, own.hidden(frame)))
    assert wrong > 0.003
    assert off() < 0.0025 and off() < wrong / 2


def test_the_robot_hides_its_own_pixels_and_few_others(held):
    camera = DepthCamera(held.model, held.data, noise=None)
    frame = camera.read()
    camera.close()
    mask = body(held).hidden(frame)
    seen = tabletop.view(frame, TABLE, mask)
    high = (seen.height > 0.06) & (frame.depth < 0.75)  # over the cup, nearer than the pedestal: only the robot
    assert high.sum() > 2000
    assert (high & ~mask).sum() < 0.01 * high.sum()
    table = (np.abs(seen.height) < 0.002) & (frame.depth > 0)
    assert (table & mask).sum() < 0.25 * mask.sum()
