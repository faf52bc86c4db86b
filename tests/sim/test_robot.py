from dataclasses import replace

import mujoco
import numpy as np
import pytest

from toolwright.hardware.joints import FR3, FR3_HOME, FR3_LEAP, LEAP
from toolwright.hardware.robot import JointSpec, JointTarget, Robot
from toolwright.sim import grasp_bank
from toolwright.sim.models.physics import CONTROL_PERIOD, new_spec
from toolwright.sim.models.robot import add_robot
from toolwright.sim.models.tools import add_tool
from toolwright.sim.robot import FRAME_RATE, Payload, RobotError, SimRobot, SimulationDiverged, place_in_hand

TWO_JOINTS = """
<mujoco>
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody>
    <body><joint name="a" damping="0.1" armature="0.01"/><geom size="0.02"/>
      <body pos="0.1 0 0"><joint name="b" damping="0.1" armature="0.01"/><geom size="0.02"/></body>
    </body>
  </worldbody>
  <actuator><position name="a" joint="a" kp="20" kv="1"/><position name="b" joint="b" kp="20" kv="1"/></actuator>
</mujoco>
"""
JOINTS = JointSpec(("a", "b"), np.array([-0.5, -1.0]), np.array([0.5, 1.0]), np.array([2.0, 4.0]), np.array([5.0, 5.0]))


def small(joints=JOINTS, **options):
    model = mujoco.MjModel.from_xml_string(TWO_JOINTS)
    return SimRobot(model, mujoco.MjData(model), joints, **options)


def arm_and_hand(arm="fr3", hand="leap", tool=False):
    spec = new_spec()
    add_robot(spec, arm, hand, np.zeros(3), np.array([1.0, 0, 0, 0]))
    bank = grasp_bank.load("tweezers")
    if tool:
        add_tool(spec, bank.family, bank.params[0], "tweezers", pos=[0, 0, 2.0])
    model = spec.compile()
    data = mujoco.MjData(model)
    if arm:
        for name, q in zip(FR3.names, FR3_HOME, strict=True):
            data.joint(name).qpos[0] = q
    return model, data, bank


def test_it_is_a_robot():
    assert isinstance(small(), Robot)


def test_send_clips_to_velocity_limit_and_says_so():
    robot = small()
    sent = robot.send(JointTarget(np.array([0.3, -0.9])))
    assert sent.q == pytest.approx([2.0 * CONTROL_PERIOD, -4.0 * CONTROL_PERIOD])
    assert robot.send(JointTarget(np.array([0.3, -0.9]))).q == pytest.approx(2 * sent.q)


def test_send_clips_to_joint_limits():
    robot = small()
    for _ in range(20):
        sent = robot.send(JointTarget(np.array([3.0, 3.0])))
    assert sent.q == pytest.approx(JOINTS.upper)


def test_send_takes_one_period_and_read_tells_its_end():
    robot = small()
    robot.send(JointTarget(np.zeros(2)))
    assert robot.read().stamp == pytest.approx(CONTROL_PERIOD)
    assert robot.read().q.shape == robot.read().dq.shape == robot.read().effort.shape == (2,)


def test_joints_that_are_not_an_arm_get_their_targets_as_they_are_sent():
    robot = small()
    sent = robot.send(JointTarget(np.array([0.05, 0.1])))
    assert (robot.data.ctrl == sent.q).all()


@pytest.mark.parametrize("bad", [np.zeros(3), np.array([0.0, np.nan])])
def test_a_target_that_makes_no_sense_is_refused(bad):
    with pytest.raises(RobotError, match="2 finite numbers"):
        small().send(JointTarget(bad))


def test_a_joint_that_the_model_lacks_is_named():
    with pytest.raises(RobotError, match="'elbow'"):
        small(replace(JOINTS, names=("a", "elbow")))


def test_a_period_must_be_a_whole_number_of_physics_steps():
    with pytest.raises(RobotError, match="whole number"):
        small(period=0.012)


def test_stop_holds_and_may_come_twice():
    model, data, _ = arm_and_hand(hand=None)
    robot = SimRobot(model, data, FR3)
    for _ in range(10):
        robot.send(JointTarget(FR3_HOME + 0.3))
    robot.stop("test")
    robot.stop("test")
    held = robot.read().q
    for _ in range(20):
        mujoco.mj_step(model, data)
    assert np.abs(robot.read().q - held).max() < 0.05
    assert np.abs(robot.read().dq).max() < 0.02


def test_frames_come_at_the_frame_rate():
    stamps = []
    robot = small(on_step=lambda data: stamps.append(data.time))
    for _ in range(20):
        robot.send(JointTarget(np.zeros(2)))
    assert len(stamps) == FRAME_RATE


def test_a_state_that_is_no_longer_finite_is_an_error():
    robot = small()
    robot.data.qvel[0] = np.nan
    with pytest.raises(SimulationDiverged):
        robot.send(JointTarget(np.zeros(2)))


def sag(payload=None):
    model, data, bank = arm_and_hand()
    data.ctrl[7:] = data.qpos[7:] = bank.q[0, 1]
    robot = SimRobot(model, data, FR3_LEAP, payload=payload)
    for _ in range(20):
        robot.send(JointTarget(np.concatenate([FR3_HOME, bank.q[0, 1]])))
    return np.abs(robot.read().q[:7] - FR3_HOME).max()


def test_the_arm_carries_the_payload_that_it_was_told():
    assert sag() < 1e-4
    assert sag(Payload(0.0, np.zeros(3))) > 3e-4


def test_the_arm_tracks_a_moving_target_and_arrives():
    model, data, _ = arm_and_hand(hand=None)
    robot = SimRobot(model, data, FR3)
    # A raised cosine over one second, half a period late by construction.
    for i in range(1, 21):
        robot.send(JointTarget(FR3_HOME + 0.15 * (1 - np.cos(np.pi * i / 20))))
        between = FR3_HOME + 0.15 * (1 - np.cos(np.pi * (i - 0.5) / 20))
        assert np.abs(robot.read().q - between).max() < 0.005
    for _ in range(4):
        robot.send(JointTarget(FR3_HOME + 0.3))
    assert np.abs(robot.read().q - FR3_HOME - 0.3).max() < 5e-4


def test_the_tool_starts_in_the_grasp_and_stays_there():
    model, data, bank = arm_and_hand(tool=True)
    place_in_hand(model, data, bank)
    robot = SimRobot(model, data, FR3_LEAP)
    start = data.body("tweezers").xpos - data.body("palm").xpos
    target = np.concatenate([FR3_HOME, bank.ctrl[0, 1]])
    for _ in range(20):
        assert (robot.send(JointTarget(target)).q == target).all()
    assert np.linalg.norm(data.body("tweezers").xpos - data.body("palm").xpos - start) < 0.005


def test_the_tool_is_put_into_the_hand_of_the_hand_alone():
    model, data, bank = arm_and_hand(arm=None, tool=True)
    place_in_hand(model, data, bank)
    assert (data.ctrl == bank.ctrl[0, 1]).all()
    robot = SimRobot(model, data, LEAP)
    model.opt.gravity[:] = 9.81 * bank.down
    for _ in range(20):
        robot.send(JointTarget(bank.ctrl[0, 1]))
    assert np.linalg.norm(data.qpos[16:19] - bank.start[0, 1, 16:19]) < 0.005


def test_nothing_is_put_into_the_hand_once_time_has_begun():
    model, data, bank = arm_and_hand(tool=True)
    mujoco.mj_step(model, data)
    with pytest.raises(RobotError, match="begun to move"):
        place_in_hand(model, data, bank)


def test_a_tool_that_is_not_there_is_named():
    model, data, bank = arm_and_hand()
    with pytest.raises(RobotError, match="no tool 'tweezers'"):
        place_in_hand(model, data, bank)
