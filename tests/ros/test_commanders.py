"""Points as goals of an action, with a stand-in for action client and type: pip's ROS has no control_msgs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import FR3
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


def test_trouble_of_the_controller_is_a_lost_arm(commander, client, make_node, spin, until):
    node = make_node("link")
    link = Link(node, "arm", FR3, "states", "commands", 0.05, LinkSettings(lost_after=5.0), commander)
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
