"""hand_node over sixteen faked motors, and camera_node over a camera that fails."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import Frame
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.camera_node import CameraNode
from toolwright.hardware.ros.node import spinning


@pytest.fixture
def hand(make_node, until):
    pytest.importorskip("dynamixel_sdk", reason="dynamixel-sdk is not installed: pip install 'toolwright[hardware]'")
    from toolwright.hardware.ros.hand_node import HandNode

    node = HandNode(make_node("hand_node", port="fake", reply_timeout=0.03))
    tester = make_node("tester")
    node.tester, node.heard, node.emergencies = tester, [], []
    topics.subscribe(tester, topics.HAND_STATES, node.heard.append)
    topics.subscribe(tester, topics.EMERGENCY, lambda m: node.emergencies.append(m.data))
    node.targets = topics.publisher(tester, topics.HAND_TRAJECTORY)
    with spinning(node.node), spinning(tester):
        until(lambda: node.heard and node.targets.get_subscription_count())
        yield node
    node.close()


def test_hand_node_reports_and_moves_the_fingers(hand, until):
    message = hand.heard[-1]
    assert tuple(message.name) == LEAP.names
    now = hand.tester.get_clock().now().nanoseconds * 1e-9
    assert abs(messages.seconds(message.header.stamp) - now) < 1.0, "stamped with ROS time"
    start = np.array(message.position)
    goal = np.clip(start + 0.15, LEAP.lower, LEAP.upper)
    hand.targets.publish(messages.to_trajectory(goal, LEAP.names, 0.05))
    until(lambda: np.allclose(hand.heard[-1].position, goal, atol=0.03))


def test_hand_node_refuses_the_wrong_joints(hand, until):
    start = np.array(hand.heard[-1].position)
    hand.targets.publish(messages.to_trajectory(start + 0.2, LEAP.names[::-1], 0.05))
    time.sleep(0.3)
    np.testing.assert_allclose(hand.heard[-1].position, start, atol=0.02)
    assert not hand.emergencies


def test_an_unplugged_hand_stops_the_robot_and_is_found_again(hand, until):
    hand._fake.unplug()
    until(lambda: hand.emergencies)
    assert hand.emergencies[0].startswith("hand: ")
    n = len(hand.heard)
    hand._fake.plug()
    until(lambda: len(hand.heard) > n, 15)
    assert len(hand.emergencies) == 1, "one loss is said once"


class Camera:
    """Delivers one picture again and again, or fails."""

    def __init__(self) -> None:
        self.trouble = ""
        self.opened = self.closed = 0

    def open(self, _: Any) -> Camera:
        if self.trouble:
            raise RuntimeError(self.trouble)
        self.opened += 1
        return self

    def read(self) -> Frame:
        if self.trouble:
            raise RuntimeError(self.trouble)
        depth = np.full((4, 6), 0.5)
        return Frame(time.monotonic(), depth, np.zeros((4, 6, 3), np.uint8), np.eye(3), np.eye(4))

    def close(self) -> None:
        self.closed += 1


def test_camera_node_publishes_and_reports_a_loss_and_opens_again(make_node, until):
    camera, tester = Camera(), make_node("tester")
    node = CameraNode(camera.open, make_node("camera_node", rate=30.0))
    heard: dict[str, list[Any]] = {}
    for topic in (topics.IMAGE, topics.DEPTH, topics.CAMERA_INFO, topics.POINTS, topics.CAMERA_POSE, topics.EMERGENCY):
        heard[topic.name] = []
        topics.subscribe(tester, topic, heard[topic.name].append)
    with spinning(node.node), spinning(tester):
        emergencies = heard.pop(topics.EMERGENCY.name)
        until(lambda: all(heard.values()), what=str(list(heard)))
        stamp = messages.seconds(heard[topics.POINTS.name][-1].header.stamp)
        assert abs(stamp - tester.get_clock().now().nanoseconds * 1e-9) < 1.0
        camera.trouble = "unplugged"
        until(lambda: emergencies and camera.closed)
        assert emergencies[0].data == "camera: unplugged" and camera.closed == 1
        camera.trouble = ""
        until(lambda: camera.opened == 2)
    node.close()
