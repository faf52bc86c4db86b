import subprocess
import sys

import numpy as np
import pytest

from toolwright.hardware.joints import FR3, FR3_HOME
from toolwright.policies.motion import (
    ACCELERATION,
    SPEED_SHARE,
    ArmMotion,
    TipLimits,
    TipStream,
    Unreachable,
    joint_path,
    pointing_down,
)

PERIOD = 0.05  # s
IN_PALM = np.eye(4)
IN_PALM[:3, 3] = [-0.03, -0.03, -0.2]


@pytest.fixture(scope="module")
def motion():
    return ArmMotion()


def test_importing_motion_loads_no_simulator():
    code = (
        "import sys, toolwright.policies.motion; sys.exit(any(n in sys.modules for n in ('mujoco', 'mink', 'ruckig')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_inverse_kinematics_finds_poses_that_forward_kinematics_made(motion):
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = FR3_HOME + rng.uniform(-0.3, 0.3, 7)
        T = motion.palm(q) @ IN_PALM
        found = motion.solve(T, IN_PALM, FR3_HOME)
        again = motion.palm(found) @ IN_PALM
        assert np.linalg.norm(again[:3, 3] - T[:3, 3]) < 5e-4
        assert np.abs(again[:3, :3] - T[:3, :3]).max() < 0.01
        assert (found >= FR3.lower).all() and (found <= FR3.upper).all()


def test_inverse_kinematics_of_a_solution_stays_there(motion):
    T = motion.palm(FR3_HOME) @ IN_PALM
    T[2, 3] += 1e-4
    assert np.abs(motion.solve(T, IN_PALM, FR3_HOME, posture=FR3_HOME) - FR3_HOME).max() < 2e-3


def test_a_target_out_of_reach_says_how_far(motion):
    with pytest.raises(Unreachable, match="out of the arm's reach") as error:
        motion.solve(pointing_down(np.array([1.5, 0, 0.3]), 0.0), IN_PALM, FR3_HOME)
    assert 0.4 < error.value.distance < 1.2


def test_the_base_may_stand_elsewhere(motion):
    T_world_base = np.eye(4)
    T_world_base[:3, 3] = [0.2, -0.3, 0.1]
    moved = ArmMotion(T_world_base).palm(FR3_HOME)
    assert moved[:3, 3] - motion.palm(FR3_HOME)[:3, 3] == pytest.approx([0.2, -0.3, 0.1])


def test_pointing_down_has_z_down_and_x_along_the_yaw():
    T = pointing_down(np.array([1.0, 2.0, 3.0]), 0.7)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    assert T[:3, 2] == pytest.approx([0, 0, -1])
    assert T[:3, 0] == pytest.approx([np.cos(0.7), np.sin(0.7), 0])


def test_joint_paths_keep_the_arm_s_limits_and_arrive():
    end = FR3_HOME + np.array([0.8, -0.3, 0.4, 0.5, -1.0, 0.6, 1.5])
    path = joint_path(FR3_HOME, end)
    times = np.arange(0, path.duration + PERIOD, 0.005)
    q = np.array([path.at(t) for t in times])
    speed, acceleration = np.diff(q, axis=0) / 0.005, np.diff(q, 2, axis=0) / 0.005**2
    assert (np.abs(speed) <= SPEED_SHARE * FR3.velocity + 1e-6).all()
    assert np.abs(acceleration).max() <= SPEED_SHARE * ACCELERATION + 1e-3
    assert q[0] == pytest.approx(FR3_HOME) and q[-1] == pytest.approx(end)


def test_a_path_outside_of_the_joints_is_refused():
    with pytest.raises(ValueError, match="within their limits"):
        joint_path(FR3_HOME, FR3_HOME + 4.0)


def test_the_tips_move_straight_and_within_their_limits():
    start, goal = pointing_down(np.array([0.4, 0.1, 0.2]), 0.3), pointing_down(np.array([0.5, -0.1, 0.1]), 0.9)
    limits, stream = TipLimits(), TipStream(PERIOD)
    stream.start(start, goal, limits)
    line = (goal - start)[:3, 3] / np.linalg.norm((goal - start)[:3, 3])
    way = [start[:3, 3]]
    while not stream.done:
        T = stream.next()
        offset = T[:3, 3] - start[:3, 3]
        assert np.linalg.norm(offset - (offset @ line) * line) < 1e-6
        way.append(T[:3, 3])
    assert goal == pytest.approx(T, abs=1e-9)
    assert np.abs(np.diff(way, axis=0)).max() <= limits.speed * PERIOD + 1e-9


def test_a_goal_may_shift_on_the_way_without_a_jump():
    start, goal = pointing_down(np.array([0.4, 0.0, 0.2]), 0.0), pointing_down(np.array([0.5, 0.0, 0.2]), 0.0)
    stream = TipStream(PERIOD)
    stream.start(start, goal, TipLimits())
    way = [start[:3, 3]]
    shifted = pointing_down(np.array([0.5, 0.02, 0.19]), 0.0)
    for i in range(60):
        if i == 6:
            now = np.eye(4)
            now[:3, :3], now[:3, 3] = start[:3, :3], way[-1]
            stream.retarget(now, shifted)
        way.append(stream.next()[:3, 3])
    assert np.abs(np.diff(way, 2, axis=0)).max() / PERIOD**2 < 2 * TipLimits().acceleration
    assert way[-1] == pytest.approx([0.5, 0.02, 0.19])
