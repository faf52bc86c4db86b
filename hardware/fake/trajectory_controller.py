"""A faked arm behind the interfaces of ros2_control. It lags, rejects, aborts and falls silent when a test says so.

    python -m toolwright.hardware.fake.trajectory_controller ur5e      # serves until interrupted

It does what joint_trajectory_controller of ros2_control documents: a new trajectory replaces the one in force, goes
linearly from where the arm is to each point, and ends in holding; one with wrong names is rejected. The joints follow
with a delay of the first order. Not an arm: no dynamics, no limits.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64, RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.arms import ArmConfig, load_arm
from toolwright.hardware.ros.node import steady


class TrajectoryController:
    """The node. Its faults are attributes that a test sets.

    Args:
        arm: whose topics and joints it has.
        q: (n,) rad, where it starts.
        rate: 1/s, of joint states.
        lag: s, time constant with which joints follow.
    """

    def __init__(self, arm: ArmConfig, q: F64, rate: float = 200.0, lag: float = 0.002, node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("trajectory_controller")
        self.arm, self.lag = arm, lag
        self.rejects = False  # takes no trajectory
        self.aborts_after = 0  # trajectories, then it holds and takes no more; 0 never
        self.silent = False  # publishes no joint states
        self.effort = np.zeros(len(arm.joints))  # N m, that it reports
        self.rejected: list[str] = []
        self.received: list[tuple[float, F64]] = []  # s monotonic, (n,) rad
        self.history: list[tuple[float, F64]] = []  # s monotonic, (n,) rad/s
        self._q = np.array(q, dtype=np.float64)
        self._dq = np.zeros(len(q))
        self._path: list[tuple[float, F64]] = [(0.0, self._q.copy())]  # s monotonic, rad
        self._at = time.monotonic()
        self._publisher = topics.publisher(self.node, topics.JOINT_STATES, arm.states)
        self._subscription = topics.subscribe(self.node, topics.TRAJECTORY, self._hear, arm.commands)
        self._timer = self.node.create_timer(1 / rate, self._step, clock=steady())

    @property
    def q(self) -> F64:
        """(n,) rad, where the joints are."""
        return self._q.copy()

    def close(self) -> None:
        """Nothing to release."""

    def _hear(self, message: Any) -> None:
        names = tuple(message.joint_names)
        reason = ""
        if self.rejects:
            reason = "told to reject"
        elif self.aborts_after and len(self.received) >= self.aborts_after:
            reason = "aborted"
        elif sorted(names) != sorted(self.arm.joints.names):
            reason = f"joints {names}"
        elif not message.points or any(len(point.positions) != len(names) for point in message.points):
            reason = "points without positions"
        if reason:
            self.rejected.append(reason)
            return
        order = [names.index(name) for name in self.arm.joints.names]
        now = time.monotonic()
        path = [(now, self._reference(now))]
        for point in message.points:
            path.append((now + messages.seconds(point.time_from_start), np.array(point.positions)[order]))
        self._path = path
        self.received.append((now, path[-1][1]))

    def _reference(self, now: float) -> F64:
        times = np.array([at for at, _ in self._path])
        values = np.array([q for _, q in self._path])
        return np.array([np.interp(now, times, column) for column in values.T])

    def _step(self) -> None:
        now = time.monotonic()
        dt, self._at = now - self._at, now
        before = self._q
        self._q = before + (self._reference(now) - before) * (1 - np.exp(-dt / self.lag))
        self._dq = (self._q - before) / max(dt, 1e-6)
        self.history.append((now, self._dq))
        if not self.silent:
            stamp = self.node.get_clock().now().nanoseconds * 1e-9
            state = RobotState(stamp, self._q, self._dq, self.effort)
            self._publisher.publish(messages.to_joint_state(state, self.arm.joints.names))


def main() -> int:
    """Serves one arm."""
    from toolwright.hardware.ros.node import run

    arm = load_arm(sys.argv[1] if len(sys.argv) > 1 else "fr3")
    middle = (arm.joints.lower + arm.joints.upper) / 2
    return run(lambda: TrajectoryController(arm, middle))


if __name__ == "__main__":
    sys.exit(main())
