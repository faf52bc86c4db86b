"""policy_node: the hand's 20 Hz policy, which brings the held tool to a goal opening and keeps it in place.

It acts while goals come, and falls silent when they stop, when what it measures is too old, or when it is too slow:
fingers without new targets stay where they are.
"""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from toolwright.hardware.joints import FR3, FR3_LEAP, LEAP
from toolwright.hardware.mcap_log import plain
from toolwright.hardware.robot import RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, now, parameter
from toolwright.launch.recording import RecordedPolicy
from toolwright.perception.scene import HeldTool

LATE_IN_A_ROW = 3  # periods whose work did not fit, after which the policy gives up
LOOKS = 10  # that are averaged into the pose to keep


@dataclass(frozen=True)
class PolicyParameters:
    """Of policy_node."""

    tool: str = parameter("tweezers", "family of the held tool")
    controller: str = parameter("learned", "learned or closed_form", choices=("learned", "closed_form"))
    goal_age: float = parameter(0.5, "s after which a goal no longer counts", 0.05, 10.0)
    input_age: float = parameter(0.2, "s, age of scene and joint states that the policy still acts on", 0.02, 10.0)


class PolicyNode:
    """The node.

    Raises:
        ParameterError: a parameter is wrong, or there is no such tool or no weights for it.
    """

    def __init__(self, node: Any = None) -> None:
        import rclpy

        from toolwright.policies.low_level import PERIOD
        from toolwright.policies.motion import ArmMotion

        self.node = node or rclpy.create_node("policy_node")
        self.parameters = p = declare(self.node, PolicyParameters)
        self.hand = _hand(p)
        self.period = PERIOD
        self._motion = ArmMotion()
        self._arm, self._fingers = FR3_LEAP.indices(FR3.names), FR3_LEAP.indices(LEAP.names)
        self._state: RobotState | None = None
        self._tools: deque[HeldTool] = deque(maxlen=LOOKS)
        self._seen_at = -np.inf  # s, stamp of the newest scene
        self._goal, self._goal_at = 0.0, -np.inf  # m, s
        self._kept = False  # whether the pose to keep is known
        self._late = 0
        self._status = ""
        self._called_at = 0.0  # s, monotonic
        self.intervals: deque[float] = deque(maxlen=1200)  # s between two calls, real time
        self.works: deque[float] = deque(maxlen=1200)  # s of work in a call
        topics.subscribe(self.node, topics.JOINT_STATES, self._hear_state)
        topics.subscribe(self.node, topics.SCENE, self._hear_scene)
        topics.subscribe(self.node, topics.GOAL, self._hear_goal)
        topics.serve(self.node, topics.POLICY_RESET, self._reset)
        self._targets = topics.publisher(self.node, topics.TRAJECTORY)
        self.hand = RecordedPolicy(self.hand, _Log(self.node), p.tool)
        self._state_topic = topics.publisher(self.node, topics.POLICY_STATE)
        self._diagnostics = Diagnostics(self.node, self._diagnose)
        self._timer = self.node.create_timer(self.period, self._call)
        self._say("idle")

    def close(self) -> None:
        """Nothing to release: without targets the fingers stay."""

    def _hear_state(self, message: Any) -> None:
        self._state = messages.from_joint_state(message, FR3_LEAP)

    def _hear_scene(self, message: Any) -> None:
        from toolwright.launch.nodes.scene_message import from_json

        scene = from_json(message.data)
        self._seen_at = scene.stamp
        if scene.tool is None:
            self._tools.clear()
        else:
            self._tools.append(scene.tool)

    def _hear_goal(self, message: Any) -> None:
        self._goal, self._goal_at = float(message.data), now(self.node)

    def _reset(self) -> str:
        if not self._tools or self._state is None:
            raise RuntimeError("no tool seen, or no joint states yet")
        tool = mean_tool(list(self._tools))
        self.hand.reset(self._state.q[self._fingers], tool)
        self._kept, self._late = True, 0
        self._say("idle")
        return f"keeps the tool at an opening of {tool.opening * 1e3:.1f} mm"

    def _call(self) -> None:
        began, at = time.perf_counter(), now(self.node)
        if self._called_at:
            self.intervals.append(began - self._called_at)
        self._called_at = began
        status = self._act()
        spent = time.perf_counter() - began
        if status == "active":
            self.works.append(spent)
            # By ROS time: a simulation waits, and is then not kept waiting too long.
            self._late = self._late + 1 if now(self.node) - at > self.period else 0
        self._say(status)

    def _act(self) -> str:
        time_now, p = now(self.node), self.parameters
        if not time_now - self._goal_at <= p.goal_age or not np.isfinite(self._goal):
            return "idle"
        if self._late >= LATE_IN_A_ROW:
            return f"gave up: {self._late} periods in a row took longer than {self.period * 1e3:.0f} ms"
        if not self._kept:
            return f"gave up: call {topics.POLICY_RESET.name} first"
        if self._state is None or not time_now - self._state.stamp <= p.input_age:
            return "gave up: joint states are too old"
        if not self._tools:
            return "gave up: no tool is seen in the hand"
        if not time_now - self._seen_at <= p.input_age:
            return "gave up: the scene is too old"
        down = self._motion.palm(self._state.q[self._arm])[:3, :3].T @ np.array([0.0, 0.0, -1.0])
        target = self.hand.target(self._state.q[self._fingers], self._tools[-1], down, self._goal)
        self._targets.publish(messages.to_trajectory(target, LEAP.names, self.period))
        return "active"

    def _say(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._state_topic.publish(topics.load(topics.POLICY_STATE.type)(data=status))
            if status.startswith("gave up"):
                self.node.get_logger().warning(status)

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {}
        if len(self.intervals) > 20:
            off = 1e3 * np.abs(np.array(self.intervals) - self.period)
            values["jitter p50, p99 (ms, real time)"] = f"{np.percentile(off, 50):.2f}, {np.percentile(off, 99):.2f}"
        if self.works:
            work = 1e3 * np.array(self.works)
            values["work p50, p99 (ms)"] = f"{np.percentile(work, 50):.2f}, {np.percentile(work, 99):.2f}"
        return (1 if self._status.startswith("gave up") else 0), self._status, values


class _Log:
    """Stands where a `Recorder` stands: what the policy was asked goes to topics, while somebody listens."""

    def __init__(self, node: Any) -> None:
        self._start = topics.publisher(node, topics.POLICY_START)
        self._steps = topics.publisher(node, topics.POLICY_STEPS)

    def add(self, topic: str, value: Any) -> None:
        publisher = self._start if topic == "/policy/start" else self._steps
        if publisher is self._start or publisher.get_subscription_count():
            text = json.dumps({"topic": topic, "value": plain(value)}, allow_nan=False)
            publisher.publish(topics.load(topics.POLICY_STEPS.type)(data=text))


def mean_tool(tools: list[HeldTool]) -> HeldTool:
    """The last look at a tool, with position, turn and opening averaged over all."""
    quats = np.array([tool.quat_palm for tool in tools])
    quat = (quats * np.sign(quats @ quats[-1])[:, None]).sum(axis=0)
    return replace(
        tools[-1],
        opening=float(np.mean([tool.opening for tool in tools])),
        pos_palm=np.mean([tool.pos_palm for tool in tools], axis=0),
        quat_palm=quat / np.linalg.norm(quat),
    )


def _hand(p: PolicyParameters) -> Any:
    from toolwright.policies.low_level import HandPolicy
    from toolwright.policies.weights import WeightsError
    from toolwright.policies.world import nearest
    from toolwright.sim import grasp_bank
    from toolwright.sim.models import tools

    if p.tool not in tools.TOOLS:
        raise ParameterError(f"policy_node: parameter 'tool': no '{p.tool}'; choose {', '.join(tools.TOOLS)}")
    try:
        bank = grasp_bank.load(p.tool)
        return HandPolicy(bank, nearest(bank, bank.family.params()), p.controller)  # type: ignore[arg-type]
    except (WeightsError, FileNotFoundError) as error:
        raise ParameterError(f"policy_node: {error}") from None
