"""record_node, whose file `toolwright replay` reads, and estop_node on a terminal."""

from __future__ import annotations

import os
import pty

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import FR3_LEAP
from toolwright.hardware.robot import RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import ParameterError, spinning

Q = np.linspace(0, 1, 23)


def test_a_recording_holds_what_went_over_the_topics(make_node, until, tmp_path):
    pytest.importorskip("mcap", reason="mcap is not installed")
    from toolwright.hardware.mcap_log import Recording
    from toolwright.launch.nodes.record_node import RecordNode

    path = tmp_path / "run.mcap"
    recorder, node = RecordNode(make_node("record_node", file=str(path))), make_node("tester")
    text = topics.load("std_msgs/String")
    out = {
        topic.name: topics.publisher(node, topic)
        for topic in (topics.JOINT_STATES, topics.TRAJECTORY, topics.SENT, topics.GATE_EVENTS, topics.STOPPED)
    }
    with spinning(recorder.node):
        until(lambda: all(publisher.get_subscription_count() for publisher in out.values()))
        state = RobotState(5.0, Q, 2 * Q, 3 * Q)
        out[topics.JOINT_STATES.name].publish(messages.to_joint_state(state, FR3_LEAP.names))
        out[topics.TRAJECTORY.name].publish(messages.to_trajectory(Q[:7] + 1, FR3_LEAP.names[:7], 0.05))
        until(lambda: recorder._asked)
        out[topics.SENT.name].publish(messages.to_trajectory(Q, FR3_LEAP.names, 0.05, 5.05))
        out[topics.GATE_EVENTS.name].publish(text(data='{"stamp": 5.05, "limits": {"rate": ["a"]}, "reason": ""}'))
        out[topics.STOPPED.name].publish(text(data="smoke"))
        until(lambda: recorder._count >= 4)
    recorder.close()
    recording = Recording(path)
    assert recording.complete
    np.testing.assert_array_equal(recording.array("/state", "q"), [Q])
    np.testing.assert_array_equal(recording.array("/command", "sent"), [Q])
    np.testing.assert_array_equal(recording.array("/command", "asked"), [np.concatenate([Q[:7] + 1, Q[7:]])])
    assert recording.of("/gate")[0].value["limits"] == {"rate": ["a"]}
    assert recording.of("/stopped")[-1].value == {"reason": "smoke"}


@pytest.mark.parametrize(("file", "message"), [("run.bag", "is .mcap"), ("/proc/none/run.mcap", "parameter 'file'")])
def test_a_file_that_cannot_be_written_is_named(make_node, file, message):
    pytest.importorskip("mcap", reason="mcap is not installed")
    from toolwright.launch.nodes.record_node import RecordNode

    with pytest.raises(ParameterError, match=message):
        RecordNode(make_node("record_node", file=file))


def test_keys_stop_and_clear(make_node, until, capfd):
    from toolwright.launch.nodes.estop_node import EstopNode

    ours, theirs = pty.openpty()
    heard: list[str] = []
    cleared: list[int] = []
    robot = make_node("robot")
    topics.subscribe(robot, topics.EMERGENCY, lambda m: heard.append(m.data))
    topics.serve(robot, topics.CLEAR_CALL, lambda: cleared.append(1) or "cleared")
    estop = EstopNode(make_node("estop_node", terminal=os.ttyname(theirs)))
    with spinning(estop.node), spinning(robot):
        until(lambda: estop._stop.get_subscription_count())
        os.write(ours, b"x")
        os.write(ours, b" ")
        until(lambda: heard == ["space bar"])
        until(lambda: estop._clear.service_is_ready())
        os.write(ours, b"c")
        until(lambda: cleared)
    estop.close()
    os.close(ours)
    os.close(theirs)


def test_without_a_terminal_the_keyboard_says_so(make_node, monkeypatch):
    from toolwright.launch.keyboard import Keyboard
    from toolwright.launch.nodes.estop_node import EstopNode

    monkeypatch.setattr(Keyboard, "is_there", staticmethod(lambda: False))
    with pytest.raises(ParameterError, match="needs a terminal"):
        EstopNode(make_node("estop_node"))
    with pytest.raises(ParameterError, match="'terminal'"):
        EstopNode(make_node("estop_node_2", terminal="/dev/nowhere"))
