"""record_node, whose file `toolwright replay` reads, and estop_node on a terminal."""

from __future__ import annotations

import json
import os
import pty
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import FR3_LEAP
from toolwright.hardware.robot import Frame, RobotState
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
    assert recording.about["joints"] == list(FR3_LEAP.names) and recording.about["period"] == 0.05
    assert recording.stamps("/command").tolist() == [5.0], "the stamp of the state that it follows"
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'toolwright[lerobot]'")
    from toolwright.launch import lerobot

    exported = lerobot.export([recording], tmp_path / "dataset")
    assert (exported.frames, exported.fps) == (1, 20)


@pytest.fixture
def recorded(make_node, until, tmp_path, monkeypatch):
    """A function that plays messages to record_node, one after the other, and returns the recording."""
    pytest.importorskip("mcap", reason="mcap is not installed")
    from toolwright.hardware.mcap_log import Recording
    from toolwright.launch.nodes.record_node import RecordNode

    def play(parts: list[tuple[topics.Topic, Any]]) -> Recording:
        heard: list[str] = []
        for name in ("_state", "_status", "_record", "_image"):
            monkeypatch.setattr(RecordNode, name, _noted(getattr(RecordNode, name), heard))
        path = tmp_path / "run.mcap"
        recorder, node = RecordNode(make_node("record_node", file=str(path))), make_node("tester")
        out = {topic: topics.publisher(node, topic) for topic, _ in parts}
        with spinning(recorder.node):
            until(lambda: all(publisher.get_subscription_count() for publisher in out.values()))
            for n, (topic, message) in enumerate(parts):
                out[topic].publish(message)
                until(lambda n=n: len(heard) > n)
        recorder.close()
        return Recording(path)

    return play


def _noted(method: Any, heard: list[str]) -> Any:
    def noted(self: Any, *given: Any) -> None:
        method(self, *given)
        heard.append(method.__name__)

    return noted


def test_a_task_is_shown_by_replay_and_an_older_task_s_record_is_not_taken(recorded, tmp_path):
    from toolwright.launch import replay

    def text(value: dict[str, Any]) -> Any:
        return topics.load("std_msgs/String")(data=json.dumps(value))

    skill = {"name": "pick", "success": True, "reason": ""}
    state = messages.to_joint_state(RobotState(5.0, Q, 2 * Q, 3 * Q), FR3_LEAP.names)
    status = {"state": "running", "sentence": "pick it up", "reason": "", "number": 2}
    old = {"sentence": "something else", "status": "failed", "reason": "old", "skills": []}
    new = {"sentence": "pick it up", "status": "done", "reason": "it is held", "skills": [skill]}
    recording = recorded(
        [
            (topics.JOINT_STATES, state),
            (topics.TASK_STATUS, text(status)),
            (topics.TASK_RECORD, text(old)),
            (topics.TASK_RECORD, text(new)),
        ]
    )
    summary = replay.summarize(recording)
    assert (summary.sentence, summary.status, summary.reason) == ("pick it up", "done", "it is held")
    assert summary.skills == ["pick: done"]
    replay.plot(recording, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_what_comes_before_the_first_state_has_the_same_clock(recorded):
    text = json.dumps({"state": "idle", "sentence": "", "reason": "", "number": 0})
    recording = recorded([(topics.TASK_STATUS, topics.load("std_msgs/String")(data=text))])
    assert abs(recording.of("/task/status")[0].stamp - time.time()) < 60


def test_frames_are_recorded_and_at_most_one_in_a_period(recorded):
    from toolwright.hardware.mcap_log import decode_color, decode_depth

    parts = []
    for stamp in (1.0, 1.1, 1.6):
        rgb, T = np.full((48, 64, 3), round(100 * stamp), np.uint8), np.diag([1.0, -1, -1, 1])
        frame = Frame(stamp, np.full((48, 64), 0.5 * stamp), rgb, np.diag([60.0, 60, 1]), T)
        color, depth, info = messages.to_images(frame, "camera")
        sent = {topics.IMAGE: color, topics.DEPTH: depth, topics.CAMERA_INFO: info}
        sent[topics.CAMERA_POSE] = messages.to_pose(T, stamp, "world")
        parts += sent.items()
    recording = recorded(parts)
    assert recording.stamps("/camera/color").tolist() == [1.0, 1.6]
    assert abs(int(decode_color(recording.of("/camera/color")[1].value)[5, 5, 0]) - 160) < 4
    assert decode_depth(recording.of("/camera/depth")[1].value)[5, 5] == pytest.approx(0.8)
    assert recording.of("/camera/info")[0].value["T_world_cam"] == np.diag([1.0, -1, -1, 1]).tolist()


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
