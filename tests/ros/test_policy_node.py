"""policy_node on its own: when it acts, when it gives up, and how even its 20 Hz are."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import FR3_HOME, FR3_LEAP, LEAP
from toolwright.hardware.robot import RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import ParameterError, now
from toolwright.launch.nodes.policy_node import PolicyNode, mean_tool
from toolwright.launch.nodes.scene_message import to_json
from toolwright.perception.scene import Box, HeldTool, Scene

TOOL = HeldTool(
    "tweezers", "tweezers", 0.015, 0.03, np.array([0.05, 0.0, 0.03]), np.array([1.0, 0, 0, 0]), np.eye(4), 0.1
)
Q = np.concatenate([FR3_HOME, np.full(16, 0.5)])


@pytest.fixture
def policy(make_node, spin, until):
    """The node; `it.feed` says which of its inputs keep coming, 50 times a second."""
    it = SimpleNamespace(states=[], targets=[], feed={"states", "scene", "goal"}, tool=TOOL)
    it.policy = PolicyNode(make_node("policy_node", controller="closed_form"))
    it.node = node = make_node("tester")
    topics.subscribe(node, topics.POLICY_STATE, lambda m: it.states.append(m.data))
    topics.subscribe(node, topics.TRAJECTORY, lambda m: it.targets.append(messages.from_trajectory(m)))
    joints, scenes = topics.publisher(node, topics.JOINT_STATES), topics.publisher(node, topics.SCENE)
    goals = topics.publisher(node, topics.GOAL)
    ending = threading.Event()

    def feed() -> None:
        while not ending.wait(0.02):
            stamp = now(node)
            if "states" in it.feed:
                joints.publish(messages.to_joint_state(RobotState(stamp, Q, 0 * Q, 0 * Q), FR3_LEAP.names))
            if "scene" in it.feed:
                scene = Scene(stamp, {}, it.tool, Box(np.zeros(3), np.ones(3)), 0.0)
                scenes.publish(topics.load(topics.SCENE.type)(data=to_json(scene)))
            if "goal" in it.feed:
                goals.publish(topics.load(topics.GOAL.type)(data=0.012))

    spin(it.policy.node)
    spin(node)
    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    until(lambda: it.states)
    yield it
    ending.set()
    feeder.join()


def begin(policy: SimpleNamespace, until: Any, call: Any) -> None:
    """Sets the node to work once all of its inputs have reached it."""
    until(lambda: policy.states[-1].startswith("gave up: call hand_policy/reset"))
    assert call(policy.node, topics.POLICY_RESET.name).success
    until(lambda: policy.states[-1] == "active")


def test_it_acts_on_the_fingers_after_it_was_told_which_pose_to_keep(policy, until, call):
    until(lambda: policy.states[-1].startswith("gave up: call hand_policy/reset"))
    assert not policy.targets
    assert call(policy.node, topics.POLICY_RESET.name).success
    until(lambda: len(policy.targets) > 5)
    names, q = policy.targets[-1]
    assert names == LEAP.names and np.isfinite(q).all()
    assert policy.states[-1] == "active"


@pytest.mark.parametrize(
    ("missing", "status"),
    [
        ("goal", "idle"),
        ("states", "gave up: joint states are too old"),
        ("scene", "gave up: the scene is too old"),
    ],
)
def test_it_falls_silent_when_an_input_does(policy, until, call, missing, status):
    begin(policy, until, call)
    policy.feed.discard(missing)
    until(lambda: policy.states[-1] == status)
    time.sleep(0.1)
    n = len(policy.targets)
    time.sleep(0.3)
    assert len(policy.targets) == n
    policy.feed.add(missing)
    until(lambda: policy.states[-1] == "active")


def test_it_gives_up_when_the_tool_is_gone(policy, until, call):
    begin(policy, until, call)
    policy.tool = None
    until(lambda: policy.states[-1] == "gave up: no tool is seen in the hand")


def test_it_gives_up_when_its_work_does_not_fit_into_the_period(policy, until, call):
    begin(policy, until, call)
    quick, slow = policy.policy.hand.target, 1.2 * policy.policy.period

    def late(*given: Any) -> Any:
        time.sleep(slow)
        return quick(*given)

    policy.policy.hand.target = late
    until(lambda: "in a row took longer than 50 ms" in policy.states[-1])
    policy.policy.hand.target = quick
    call(policy.node, topics.POLICY_RESET.name)
    until(lambda: policy.states[-1] == "active")


def test_what_it_was_asked_is_recorded_and_asked_again(policy, make_node, spin, until, call, tmp_path):
    pytest.importorskip("mcap", reason="mcap is not installed")
    from toolwright.hardware.mcap_log import Recording
    from toolwright.launch import replay
    from toolwright.launch.nodes.record_node import RecordNode

    begin(policy, until, call)
    recorder = RecordNode(make_node("record_node", file=str(tmp_path / "a.mcap")))
    heard: list[str] = []
    add = recorder.recorder.add
    recorder.recorder.add = lambda topic, *more: (heard.append(topic), add(topic, *more))
    spin(recorder.node)
    until(lambda: heard.count("/policy/step") >= 3, what="steps whose reset was before the recording")
    assert call(policy.node, topics.POLICY_RESET.name).success
    before = len(policy.targets)
    until(lambda: len(policy.targets) > before + 20)
    recorder.close()
    recording = Recording(tmp_path / "a.mcap")
    check = replay.rerun_policy(recording)
    assert check.same and 10 < check.steps <= recording.topics["/policy/step"] - 3


def test_reset_without_a_tool_says_so(policy, until, call):
    policy.tool = None
    time.sleep(0.3)
    answer = call(policy.node, topics.POLICY_RESET.name)
    assert not answer.success and "no tool seen" in answer.message


def test_its_loop_runs_at_20_hz(policy, until, call, record_property):
    begin(policy, until, call)
    policy.policy.intervals.clear()
    policy.policy.works.clear()
    until(lambda: len(policy.policy.intervals) >= 120, 30)
    intervals, works = np.array(policy.policy.intervals), np.array(policy.policy.works)
    off = 1e3 * np.abs(intervals - 0.05)
    figures = (
        f"mean {1e3 * intervals.mean():.2f} ms, jitter p50 {np.percentile(off, 50):.2f} ms, "
        f"p99 {np.percentile(off, 99):.2f} ms, work p50 {1e3 * np.median(works):.2f} ms, N = {len(off)}"
    )
    record_property("20 Hz loop", figures)
    print(figures)
    # The mean is the timer's; the jitter is mostly this machine's load and is only reported.
    assert intervals.mean() == pytest.approx(0.05, rel=0.1)
    assert np.median(works) < 0.025


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"tool": "hammer"}, "no 'hammer'; choose"), ({"controller": "lerned"}, r"did you mean learned\?")],
)
def test_a_wrong_parameter_is_named(make_node, parameters, message):
    with pytest.raises(ParameterError, match=message):
        PolicyNode(make_node("policy_node", **parameters))


def test_mean_tool_averages_turns_of_either_sign():
    from dataclasses import replace

    others = [replace(TOOL, opening=0.017, quat_palm=-TOOL.quat_palm), TOOL]
    mean = mean_tool(others)
    assert mean.opening == pytest.approx(0.016)
    np.testing.assert_allclose(mean.quat_palm, TOOL.quat_palm)
