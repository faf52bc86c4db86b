"""Points as goals of an action, with a stand-in for action client and type: pip's ROS has no control_msgs."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import JointTarget, RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.commanders import ActionCommander
from toolwright.hardware.ros.link import Link, LinkLost, LinkSettings

Q = np.array([0.0, 0.0, 0.0, -1.6, 0.0, 1.6, -0.8])


class Future:
    """Something that is answered when the test says so."""

    def add_done_callback(self, callback: Any) -> None:
        self._callback = callback

    def answer(self, value: Any) -> None:
        self._callback(SimpleNamespace(result=lambda: value))


class Client:
    """An action client that keeps its goals."""

    def __init__(self) -> None:
        self.ready = True
        self.goals: list[tuple[Any, Future]] = []

    def server_is_ready(self) -> bool:
        return self.ready

    def send_goal_async(self, goal: Any) -> Future:
        self.goals.append((goal, Future()))
        return self.goals[-1][1]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def commander(client) -> ActionCommander:
    return ActionCommander(None, "/arm/follow", client, SimpleNamespace(Goal=lambda **given: given))


def send(commander: ActionCommander) -> None:
    commander.send(Q, FR3.names, 0.05)


def accept(client: Client, index: int = -1) -> Future:
    result = Future()
    client.goals[index][1].answer(SimpleNamespace(accepted=True, get_result_async=lambda: result))
    return result


def ended(status: int, code: int = 0, text: str = "") -> SimpleNamespace:
    return SimpleNamespace(status=status, result=SimpleNamespace(error_code=code, error_string=text))


def test_a_point_is_a_goal(commander, client):
    send(commander)
    names, q = messages.from_trajectory(client.goals[0][0]["trajectory"])
    assert names == FR3.names and commander.trouble == ""
    np.testing.assert_array_equal(q, Q)


def test_a_rejected_goal_is_trouble(commander, client):
    send(commander)
    client.goals[0][1].answer(SimpleNamespace(accepted=False))
    assert "rejected" in commander.trouble


def test_an_aborted_goal_is_trouble_with_the_reason(commander, client):
    send(commander)
    accept(client).answer(ended(6, -4, "fr3_joint1 is 0.3 rad off"))
    assert "aborted: path tolerance violated fr3_joint1 is 0.3 rad off" in commander.trouble


@pytest.mark.parametrize("status", [4, 5])
def test_a_goal_that_is_reached_or_cancelled_is_none(commander, client, status):
    send(commander)
    accept(client).answer(ended(status))
    assert commander.trouble == ""


def test_what_becomes_of_a_replaced_goal_does_not_matter(commander, client):
    send(commander)
    result = accept(client)
    send(commander)
    result.answer(ended(6, -1))
    assert commander.trouble == ""


def test_a_missing_server_is_trouble(commander, client):
    client.ready = False
    send(commander)
    assert "there is no action /arm/follow" in commander.trouble and not client.goals


@pytest.fixture
def moving(commander, client, make_node, spin, until):
    """A function that returns a link to an arm that moves, and what it was told."""

    def start(q: Any, dq: Any, braking: float) -> tuple[Link, Client]:
        node = make_node("link")
        settings = LinkSettings(60.0, 60.0, braking)
        link = Link(node, "arm", FR3, "states", "commands", 0.05, settings, commander)
        states = topics.publisher(node, topics.JOINT_STATES, "states")
        spin(node)
        until(states.get_subscription_count)
        states.publish(messages.to_joint_state(RobotState(1.0, q, dq, 0 * q), FR3.names))
        until(lambda: link.newest)
        link.send(JointTarget(q))
        return link, client

    return start


@pytest.mark.parametrize("speed", [0.1, 0.4, 2.6])
def test_a_stop_brakes_evenly_within_the_limit(moving, speed):
    dq = speed * np.array([1.0, -1, 0.5, 0, 0.2, 0, 0])
    link, client = moving(Q, dq, braking=30.0)
    link.stop("a device is lost")
    points = client.goals[-1][0]["trajectory"].points
    times = np.array([0.0, *(messages.seconds(point.time_from_start) for point in points)])
    speeds = np.array([dq, *(point.velocities for point in points)])
    assert np.abs(np.diff(speeds, axis=0) / np.diff(times)[:, None]).max() <= 30.0 * 1.001
    np.testing.assert_array_equal(speeds[-1], 0)
    assert times[-1] == pytest.approx(max(speed / 30.0, 0.005), rel=1e-6)
    steps = np.diff([point.positions for point in points], axis=0)
    np.testing.assert_allclose(steps, (speeds[1:-1] + speeds[2:]) / 2 * np.diff(times)[1:, None], atol=1e-9)


def test_a_stop_at_the_end_of_a_range_stays_inside(moving):
    q = Q.copy()
    q[0] = FR3.upper[0] - 0.001
    link, client = moving(q, 2.0 * np.eye(7)[0], braking=30.0)
    link.stop("a device is lost")
    points = client.goals[-1][0]["trajectory"].points
    assert max(point.positions[0] for point in points) <= FR3.upper[0] + 1e-12


def test_a_grip_is_stopped_on_the_way_between_its_targets(make_node):
    """Not where it is measured: what fingers press with is the distance from there to their target."""
    sent = []
    commander = SimpleNamespace(send=lambda q, names, reach: sent.append(q), trouble="")
    link = Link(make_node("link"), "hand", LEAP, "states", "commands", 0.5, LinkSettings(keeps_goal=True), commander)
    before, after = LEAP.lower + 0.1, LEAP.lower + 0.3
    link.send(JointTarget(before))
    link.send(JointTarget(after))
    link.stop("a device is lost")
    link.stop("and again")
    assert len(sent) == 3 and ((before <= sent[2]) & (sent[2] < after)).all()
    link.send(JointTarget(after))
    time.sleep(0.5)
    link.stop("when it has arrived")
    assert len(sent) == 4


def test_trouble_of_the_controller_is_a_lost_arm(commander, client, make_node, spin, until):
    node = make_node("link")
    link = Link(node, "arm", FR3, "states", "commands", 0.05, LinkSettings(5.0, 5.0), commander)
    states = topics.publisher(node, topics.JOINT_STATES, "states")
    spin(node)
    until(states.get_subscription_count)
    states.publish(messages.to_joint_state(RobotState(1.0, Q, 0 * Q, 0 * Q), FR3.names))
    until(lambda: link.newest)
    link.connect()
    link.send(JointTarget(Q))
    assert link.read().stamp == 1.0
    client.goals[0][1].answer(SimpleNamespace(accepted=False))
    with pytest.raises(LinkLost, match="the arm: the controller of /arm/follow rejected a point"):
        link.read()
