"""Files of arms: the shipped ones hold, and a wrong one is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.hardware.joints import FR3, acceleration
from toolwright.hardware.ros.arms import ArmError, arms, load_arm

NUMBER_OF_JOINTS = {"fr3": 7, "ur5e": 6, "xarm7": 7}


@pytest.mark.parametrize("name", NUMBER_OF_JOINTS)
def test_shipped_arm_is_complete(name):
    arm = load_arm(name)
    assert len(arm.joints) == NUMBER_OF_JOINTS[name]
    assert arm.commands.endswith("/joint_trajectory") and arm.action.endswith("/follow_joint_trajectory")
    assert arm.bringup.startswith("ros2 launch")
    assert arm.pause_after <= 0.02, "a loss must be noticed early enough to stop within 50 ms"


def test_every_shipped_file_is_tested():
    assert set(arms()) == set(NUMBER_OF_JOINTS)


def test_fr3_has_the_limits_of_joints_py():
    arm = load_arm("fr3")
    assert arm.joints.names == FR3.names
    for field in ("lower", "upper", "velocity", "effort"):
        np.testing.assert_array_equal(getattr(arm.joints, field), getattr(FR3, field))
    np.testing.assert_array_equal(arm.acceleration, acceleration(FR3))


def test_own_arm_is_one_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text())
    arm = load_arm(str(path))
    assert (arm.name, arm.joints.names) == ("mine", ("a", "b"))
    np.testing.assert_array_equal(arm.joints.upper, [1, 2])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lower: -1", "lower: 3", "lower is not below upper"),
        ("velocity: 1", "velocity: 0", "above zero"),
        ("velocity: 1,", "", "needs lower, upper, velocity, acceleration, effort"),
        ("effort: 1", "effort: lots", "effort must be a number"),
        ("states: /js", "states: ''", "must be texts"),
        ("states: /js", "sates: /js", "unknown"),
        ("bringup: go", "", "missing"),
        ("pause_after: 0.03", "pause_after: 0.001", "one late message would pause the arm"),
        ("lost_after: 0.04", "lost_after: 0.02", "lost_after is less than pause_after"),
        ("lost_after: 0.04", "lost_after: -1", "must not be negative"),
        ("braking: 30", "braking: 0", "braking must be above zero"),
        ("joints:", "joints: [", "not YAML"),
    ],
)
def test_wrong_file_is_refused_with_the_reason(tmp_path, old, new, message):
    path = tmp_path / "mine.yaml"
    assert old in text()
    path.write_text(text().replace(old, new, 1))
    with pytest.raises(ArmError, match=message) as error:
        load_arm(str(path))
    assert str(path) in str(error.value)


def test_unknown_arm_is_named_with_a_guess():
    with pytest.raises(ArmError, match=r"no arm 'ur5' \(did you mean ur5e\?\)"):
        load_arm("ur5")


def text() -> str:
    return """\
about: mine
joints:
  a: {lower: -1, upper: 1, velocity: 1, acceleration: 1, effort: 1}
  b: {lower: -2, upper: 2, velocity: 1, acceleration: 1, effort: 1}
states: /js
commands: /c/joint_trajectory
action: /c/follow_joint_trajectory
bringup: go
state_rate: 100
pause_after: 0.03
lost_after: 0.04
braking: 30
tracking: 0.1
tracking_time: 0.3
"""
