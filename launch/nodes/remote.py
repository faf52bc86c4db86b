"""What task_node sees and moves through topics: perception, and the hand that policy_node drives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import F64
from toolwright.hardware.ros import topics
from toolwright.hardware.ros.robot import NoAnswer
from toolwright.perception.scene import HeldTool, Scene

NEXT, CURRENT = 0.1, 0.2  # s: to wait for another scene, and that a scene may be behind the joint states


class RosPerception:
    """Implements `perception.scene.Perception`: a look is a scene that was not seen before, where there soon is one.

    A simulation that waits for targets has no other scene; then the last one is as true as before.

    Args:
        node: rclpy node; must spin in another thread.
        patience: s to wait for a scene that is as new as the robot's state.
        newest: gives the stamp [s] of the robot's newest state.
    """

    def __init__(self, node: Any, patience: float, newest: Callable[[], float]) -> None:
        self._patience, self._newest = patience, newest
        self._news = threading.Condition()
        self._scene: Scene | None = None
        self._looked_at = -np.inf  # s
        topics.subscribe(node, topics.SCENE, self._hear)

    def connect(self, patience: float = 10.0) -> None:
        """Waits for the first scene.

        Raises:
            NoAnswer: none comes.
        """
        self._wait(self._is_current, patience)

    def look(self) -> Scene:
        """The newest scene.

        Raises:
            NoAnswer: scenes stopped coming.
        """
        with self._news:
            self._news.wait_for(lambda: self._scene is not None and self._scene.stamp > self._looked_at, NEXT)
        scene = self._wait(self._is_current, self._patience)
        self._looked_at = scene.stamp
        return scene

    def _is_current(self) -> bool:
        return self._scene is not None and self._scene.stamp > self._newest() - CURRENT

    def _wait(self, there: Callable[[], bool], patience: float) -> Scene:
        with self._news:
            if not self._news.wait_for(there, patience):
                raise NoAnswer(f"no new message on {topics.SCENE.name} for {patience:g} s: is perception running?")
            assert self._scene is not None
            return self._scene

    def _hear(self, message: Any) -> None:
        from toolwright.launch.nodes.scene_message import from_json

        scene = from_json(message.data)
        with self._news:
            self._scene = scene
            if scene.stamp < self._looked_at - 1.0:  # a simulation that was started anew
                self._looked_at = -np.inf
            self._news.notify_all()


class RemoteHand:
    """Stands where `HandPolicy` stands in the actions: passes goals on to policy_node, which drives the fingers.

    Args:
        node: rclpy node; must spin in another thread.
        patience: s to wait for policy_node.
    """

    def __init__(self, node: Any, patience: float) -> None:
        self._patience = patience
        self._goal = topics.publisher(node, topics.GOAL)
        self._trouble, self._trouble_since = "", 0.0  # of policy_node, and s, monotonic
        topics.subscribe(node, topics.POLICY_STATE, self._hear_state)
        self._client = node.create_client(topics.load(topics.POLICY_RESET.type, "srv"), topics.POLICY_RESET.name)
        self._pos, self._quat = np.zeros(3), np.array([1.0, 0, 0, 0])

    def reset(self, state_q: F64, tool: HeldTool, command: F64 | None = None) -> None:
        """Takes the tool's present pose as the one to keep, here and in policy_node.

        Raises:
            NoAnswer: policy_node does not answer, or sees no tool.
        """
        del state_q, command
        self._pos, self._quat = tool.pos_palm.copy(), tool.quat_palm.copy()
        if not self._client.wait_for_service(timeout_sec=10 * self._patience):
            raise NoAnswer(f"no service {topics.POLICY_RESET.name}: is policy_node running?")
        answer = self._client.call_async(self._client.srv_type.Request())
        done = threading.Event()
        answer.add_done_callback(lambda _: done.set())
        if not done.wait(10 * self._patience) or not answer.result().success:
            why = answer.result().message if answer.done() else "no answer"
            raise NoAnswer(f"policy_node did not take over the hand: {why}")
        self._trouble = ""

    def _hear_state(self, message: Any) -> None:
        gave_up = message.data.startswith("gave up")
        if gave_up and not self._trouble:
            self._trouble_since = time.monotonic()
        self._trouble = message.data if gave_up else ""

    def target(self, state_q: F64, tool: HeldTool, gravity_palm: F64, goal: float) -> F64:
        """Publishes the goal. What is returned, the measured joints, goes to no finger.

        Raises:
            NoAnswer: policy_node gave up and does not recover.
        """
        del tool, gravity_palm
        if self._trouble and time.monotonic() - self._trouble_since > self._patience:
            raise NoAnswer(f"policy_node {self._trouble}")
        self._goal.publish(topics.load(topics.GOAL.type)(data=float(goal)))
        return np.clip(state_q, LEAP.lower, LEAP.upper)

    def displacement(self, tool: HeldTool) -> F64:
        """(6,) m and rad: where the tool is against where it was at `reset`, palm frame."""
        turn = rotations.to_rotvec(rotations.multiply(tool.quat_palm, rotations.conjugate(self._quat)))
        return np.concatenate([tool.pos_palm - self._pos, turn])
