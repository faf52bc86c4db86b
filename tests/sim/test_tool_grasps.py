"""The shipped grasps of every tool: what the hand holds, it holds without sinking in and without losing it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.policies.evaluation.held_tool import closed_form, judge, rng_for
from toolwright.sim import grasp, grasp_bank
from toolwright.sim.grasp_bank import GraspBank
from toolwright.sim.models.leap import HandMotors
from toolwright.sim.models.physics import CONTROL_PERIOD
from toolwright.sim.models.tools import TOOLS
from toolwright.sim.randomize import HARD
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

MADE = [name for name in TOOLS if (grasp_bank.FOLDER / f"{name}.npz").is_file()]
pytestmark = pytest.mark.parametrize("bank", MADE, indirect=True)


@pytest.fixture(scope="module")
def bank(request: pytest.FixtureRequest) -> GraspBank:
    return grasp_bank.load(request.param)


def _sample(bank: GraspBank) -> np.ndarray:
    """Some tools of both parts, the nominal one first."""
    return np.r_[0, bank.part("train")[1::24], bank.part("held_out")[::12]]


def test_a_bank_has_the_nominal_tool_and_tools_of_both_parts(bank: GraspBank) -> None:
    assert bank.params[0] == bank.family.nominal
    assert grasp_bank.count(bank.family.name) == (len(bank.part("train")), len(bank.part("held_out")))
    assert len(bank.part("train")) >= 193 and len(bank.part("held_out")) >= 96


def test_held_out_tools_lie_in_bands_that_no_train_tool_lies_in(bank: GraspBank) -> None:
    for name, bands in bank.family.held_out.items():
        values = np.array([getattr(params, name) for params in bank.params])
        inside = np.any([(low <= values) & (values <= high) for low, high in bands], axis=0)
        assert inside[bank.part("held_out")].all()
        assert not inside[bank.part("train")[1:]].any()
        # Not only between the train tools' values: some lie beyond all of them.
        low, high = bank.family.train[name]
        assert (values[bank.held_out] < low).any() or (values[bank.held_out] > high).any()


def test_fingers_sink_less_than_a_millimeter_into_the_tool(bank: GraspBank) -> None:
    for i in _sample(bank):
        model = bank.models[i]
        data = mujoco.MjData(model)
        for start in bank.start[i]:
            data.qpos[:] = start
            mujoco.mj_forward(model, data)
            assert data.ncon >= 3 and data.contact.dist.min() > -0.001


def test_anchors_are_the_openings_that_the_tool_settles_at(bank: GraspBank) -> None:
    for i in _sample(bank):
        opened = bank.family.opening(bank.params[i], bank.start[i, :, -1])
        assert bank.openings[i] == pytest.approx(opened, abs=1e-9)
        # Little is lost of the range that the family says the hand can work in.
        wanted = bank.family.opening(bank.params[i], bank.family.anchors(bank.params[i]))
        assert np.ptp(opened) > 0.8 * np.ptp(wanted)


def test_the_mid_frame_and_the_free_joint_tell_the_same_place(bank: GraspBank) -> None:
    turn = bank.family.turn
    pos, quat = grasp.mid_pose(bank.start[0, 1, 16:], turn)
    assert grasp.limb_pose(pos, quat, bank.start[0, 1, -1], turn) == pytest.approx(bank.start[0, 1, 16:23])


def test_the_nominal_tool_is_held_for_four_seconds_in_perturbed_tests(bank: GraspBank) -> None:
    config = HeldToolConfig(tool=bank.family.name, level="moderate")
    task = HeldToolTask(config, 20, rng_for(0), bank=bank.rows(np.array([0])))
    assert config.horizon * CONTROL_PERIOD >= 4
    judged = judge(task, closed_form)
    assert judged.dropped.sum() <= 1
    assert judged.success.sum() >= 16
    # The tests are tests: without commands, the same hands do not bring the tools to their goals.
    idle = judge(HeldToolTask(config, 20, rng_for(0), bank=bank.rows(np.array([0]))), lambda task: None)
    assert idle.success.sum() < judged.success.sum()


def test_the_grasp_that_a_bank_was_made_with_is_found_again_from_it(bank: GraspBank) -> None:
    tool, params = bank.family, bank.params[0]
    again = grasp_bank.used(bank)
    solved, residual = grasp.solve_grasps(
        tool, [params], bank.pos[:1], bank.quat[:1], bank.q[0, :1], again.shift[None], bank.angles[:1]
    )
    assert residual[0] < 1e-3
    for k in range(bank.openings.shape[1]):
        for contact in tool.contacts(params):
            solver = grasp.GraspSolver(1, {contact.finger: contact.depth})
            new, old = (solver.point(contact.finger, q[k][None])[0] for q in (solved[0].q, bank.q[0]))
            assert new == pytest.approx(old, abs=0.001)


def test_no_servo_needs_more_torque_for_a_grasp_than_it_gives(bank: GraspBank) -> None:
    needed = HandMotors().kp * np.abs(bank.ctrl[0] - bank.q[0]).max()
    weak, strong = HARD.effort
    # Fingers in loops press as hard as they can, others need what even weak servos give.
    looped = any(contact.axis is not None for contact in bank.family.contacts(bank.params[0]))
    assert needed < (strong if looped else weak)
