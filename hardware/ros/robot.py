"""`RosRobot`: the robot behind robot_node as a `Robot`, for a program on the network; and what it waits for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64, JointSpec, JointTarget, RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.safety import EmergencyStopped


class NoAnswer(RuntimeError):
    """robot_node says nothing."""


class Cancelled(KeyboardInterrupt):
    """The program was told to stop, from another thread: see `RosRobot.cancel`."""


@dataclass(frozen=True)
class Patience:
    """s to wait for others."""

    state: float = 0.3  # for newer joint states
    start: float = 10.0  # for the first ones


class RosRobot:
    """Implements `hardware.robot.Robot`. The node must spin in another thread: see `node.spinning`.

    `send` takes one period, as on every robot: it returns when joint states of the next period are there, so a loop
    around it keeps the robot's pace, also that of a simulation.

    Args:
        node: rclpy node.
        joints: of the robot, all that robot_node has.
        period: s between two `send` calls.
        commands: joints that this program commands; the others are left to other nodes. All by default.
        patience: s to wait.
    """

    def __init__(
        self,
        node: Any,
        joints: JointSpec,
        period: float = 0.05,
        commands: tuple[str, ...] | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self.joints, self.period, self.patience = joints, period, patience
        self._names = commands or joints.names
        self._where = joints.indices(self._names)
        self._node = node
        self._news = threading.Condition()
        self._state: RobotState | None = None
        self._id, self._number = f"{os.getpid()}-{id(self)}:", 0  # of targets, to know the answers
        self._sent: tuple[int, F64] = (0, np.zeros(0))  # number and (n,) rad
        self._stopped, self._cancelled = "", ""
        self._due = -np.inf  # s, when the present period is over
        self._publisher = topics.publisher(node, topics.TRAJECTORY)
        topics.subscribe(node, topics.JOINT_STATES, self._hear_state)
        topics.subscribe(node, topics.SENT, self._hear_sent)
        topics.subscribe(node, topics.STOPPED, self._hear_stopped)
        self._hold = node.create_client(topics.load(topics.HOLD_CALL.type, "srv"), topics.HOLD_CALL.name)

    def connect(self) -> None:
        """Waits for joint states.

        Raises:
            NoAnswer: none come.
            JointOrderError: of another robot.
        """
        self._cancelled = ""
        self._wait(lambda: self._state is not None, self.patience.start, "joint states")

    def read(self) -> RobotState:
        """The newest state.

        Raises:
            NoAnswer: there is none yet.
        """
        with self._news:
            if self._state is None:
                raise NoAnswer(f"no {topics.JOINT_STATES.name}: is robot_node running, and has it found its devices?")
            return self._state

    def send(self, target: JointTarget) -> JointTarget:
        """Asks for a target and waits for the next period.

        Returns:
            What robot_node really sent; for joints that others command, their targets.

        Raises:
            EmergencyStopped: the emergency stop is latched.
            NoAnswer: robot_node does not send it on, or joint states stop coming.
            Cancelled: see `cancel`.
        """
        q = np.asarray(target.q, dtype=np.float64)
        began = self.read().stamp
        self._raise_if_stopped()
        self._number += 1
        message = messages.to_trajectory(q[self._where], self._names, self.period)
        message.header.frame_id = f"{self._id}{self._number}"
        self._publisher.publish(message)
        # Half a period early or late is the same period: states of a simulation come in steps of a whole one.
        self._due = due = max(self._due + self.period, began + self.period / 2)
        self._wait(lambda: self._sent[0] >= self._number, self.patience.state, "answer of robot_node to a target")
        self._wait(lambda: self._state is not None and self._state.stamp >= due, self.patience.state, "joint states")
        return JointTarget(self._sent[1].copy())

    def stop(self, reason: str) -> None:
        """Asks robot_node to hold. Also without an answer: what was sent ends after a period."""
        self._node.get_logger().warning(f"hold: {reason}")
        if self._hold.service_is_ready():
            done = threading.Event()
            self._hold.call_async(self._hold.srv_type.Request()).add_done_callback(lambda _: done.set())
            done.wait(self.patience.state)

    def close(self) -> None:
        """The robot holds where it is."""

    def cancel(self, reason: str) -> None:
        """Lets the `send` that runs, or the next one, raise `Cancelled`. Callable from any thread."""
        with self._news:
            self._cancelled = reason
            self._news.notify_all()

    @property
    def stopped(self) -> str:
        """Why the emergency stop is latched; empty where it is not."""
        return self._stopped

    def _raise_if_stopped(self) -> None:
        if self._cancelled:
            raise Cancelled(self._cancelled)
        if self._stopped:
            raise EmergencyStopped(f"{self._stopped}: mend it, then call {topics.CLEAR_CALL.name}")

    def _wait(self, there: Callable[[], bool], patience: float, what: str) -> None:
        end = time.monotonic() + patience
        with self._news:
            while not there():
                self._raise_if_stopped()
                if not self._news.wait(min(0.05, max(0.0, end - time.monotonic()))) and time.monotonic() > end:
                    raise NoAnswer(f"no {what} for {patience:g} s: is robot_node running? see its log")

    def _hear_state(self, message: Any) -> None:
        state = messages.from_joint_state(message, self.joints)
        with self._news:
            if self._state is None or state.stamp > self._state.stamp or state.stamp < self._state.stamp - 1.0:
                self._state = state
                self._news.notify_all()

    def _hear_sent(self, message: Any) -> None:
        _, q = messages.from_trajectory(message)
        mine = [word.removeprefix(self._id) for word in message.header.frame_id.split() if word.startswith(self._id)]
        if mine:
            with self._news:
                self._sent = (max(map(int, mine)), q)
                self._news.notify_all()

    def _hear_stopped(self, message: Any) -> None:
        with self._news:
            self._stopped = message.data
            self._news.notify_all()
