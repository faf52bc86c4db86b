"""Several devices as one robot."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.hardware.composite import Composite, DeviceLost
from toolwright.hardware.robot import JointSpec, JointTarget, Robot, RobotState


class Device:
    """A robot that does what it is told, until told to fail."""

    def __init__(self, *names: str, stamp: float = 0.0) -> None:
        n = len(names)
        self.joints = JointSpec(names, np.full(n, -1.0), np.ones(n), np.ones(n), np.ones(n))
        self.period, self.stamp = 0.05, stamp
        self.q = np.arange(n) / 10
        self.stops: list[str] = []
        self.closed = False
        self.fails: set[str] = set()

    def connect(self) -> None:
        self._maybe("connect")

    def read(self) -> RobotState:
        self._maybe("read")
        return RobotState(self.stamp, self.q, 0 * self.q, 0 * self.q)

    def send(self, target: JointTarget) -> JointTarget:
        self._maybe("send")
        self.q = target.q.copy()
        return JointTarget(self.q / 2)

    def stop(self, reason: str) -> None:
        self._maybe("stop")
        self.stops.append(reason)

    def close(self) -> None:
        self.closed = True

    def _maybe(self, call: str) -> None:
        if call in self.fails:
            raise OSError(f"{call}: unplugged")


@pytest.fixture
def arm() -> Device:
    return Device("a", "b", stamp=2.0)


@pytest.fixture
def hand() -> Device:
    return Device("c", stamp=1.0)


@pytest.fixture
def both(arm, hand) -> Composite:
    return Composite({"arm": arm, "hand": hand})


def test_it_is_a_robot_with_the_joints_in_a_row(both):
    assert isinstance(both, Robot)
    assert both.joints.names == ("a", "b", "c")


def test_each_device_gets_its_part_and_what_was_sent_comes_back(both, arm, hand):
    sent = both.send(JointTarget(np.array([0.2, 0.4, 0.6])))
    np.testing.assert_allclose(arm.q, [0.2, 0.4])
    np.testing.assert_allclose(hand.q, [0.6])
    np.testing.assert_allclose(sent.q, [0.1, 0.2, 0.3])


def test_state_is_as_old_as_its_oldest_part(both):
    assert both.read().stamp == 1.0
    np.testing.assert_allclose(both.read().q, [0.0, 0.1, 0.0])


@pytest.mark.parametrize("call", ["read", "send"])
@pytest.mark.parametrize(("lost", "other"), [("arm", "hand"), ("hand", "arm")])
def test_a_lost_device_stops_the_other_in_the_same_call(both, call, lost, other):
    both.devices[lost].fails = {call}
    with pytest.raises(DeviceLost, match=f"{lost}: {call}: unplugged") as error:
        both.read() if call == "read" else both.send(JointTarget(np.zeros(3)))
    assert error.value.device == lost
    assert both.devices[other].stops == [f"{lost} was lost"]


def test_one_that_cannot_be_stopped_does_not_keep_the_others_from_it(both, arm, hand):
    arm.fails = {"stop"}
    both.stop("enough")
    assert hand.stops == ["enough"]


def test_where_one_does_not_connect_all_are_closed(both, arm, hand):
    hand.fails = {"connect"}
    with pytest.raises(DeviceLost, match="hand"):
        both.connect()
    assert arm.closed and hand.closed
