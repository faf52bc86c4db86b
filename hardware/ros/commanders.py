"""How a point gets to a trajectory controller: on its topic, or as a goal of its FollowJointTrajectory action.

The topic works everywhere, and whether the controller obeys is seen in the joint states. The action says when a point
is rejected or aborted, and why; its type is in control_msgs, which every installation of ros2_control has.
"""

from __future__ import annotations

from typing import Any, Protocol

from toolwright.hardware.robot import F64
from toolwright.hardware.ros import topics
from toolwright.hardware.ros.messages import to_braking, to_trajectory

# Of control_msgs/FollowJointTrajectory.
_CODES = {
    -1: "invalid goal",
    -2: "invalid joints",
    -3: "a stamp from the past",
    -4: "path tolerance violated",
    -5: "goal tolerance violated",
}
_ABORTED = 6  # of action_msgs/GoalStatus


class Commander(Protocol):
    """Sends points; `trouble` says what came back, empty while all is well."""

    trouble: str

    def send(self, q: F64, names: tuple[str, ...], reach: float) -> None: ...

    def brake(self, q: F64, dq: F64, names: tuple[str, ...], seconds: float) -> None: ...


class TopicCommander:
    """Publishes points."""

    trouble = ""

    def __init__(self, node: Any, topic: str) -> None:
        self._publisher = topics.publisher(node, topics.TRAJECTORY, topic)

    def send(self, q: F64, names: tuple[str, ...], reach: float) -> None:
        """One point (n,) [rad], to be reached in `reach` [s]."""
        self._publisher.publish(to_trajectory(q, names, reach))

    def brake(self, q: F64, dq: F64, names: tuple[str, ...], seconds: float) -> None:
        """Comes to rest from joints (n,) [rad] that move at `dq` [rad/s]."""
        self._publisher.publish(to_braking(q, dq, names, seconds))


class ActionCommander:
    """Sends each point as a goal, which replaces the one before. Only the newest goal's fate counts.

    Args:
        node: rclpy node.
        action: name of the action.
        client: an action client to use instead of a new one, for tests.
        kind: the action's type; control_msgs/FollowJointTrajectory by default.

    Raises:
        ModuleNotFoundError: control_msgs is not installed.
    """

    def __init__(self, node: Any, action: str, client: Any = None, kind: Any = None) -> None:
        self._kind = kind or topics.load("control_msgs/FollowJointTrajectory", "action")
        if client is None:
            from rclpy.action import ActionClient

            client = ActionClient(node, self._kind, action)
        self._client, self._action = client, action
        self._number = 0
        self.trouble = ""

    def send(self, q: F64, names: tuple[str, ...], reach: float) -> None:
        """One point (n,) [rad], to be reached in `reach` [s]."""
        self._follow(to_trajectory(q, names, reach))

    def brake(self, q: F64, dq: F64, names: tuple[str, ...], seconds: float) -> None:
        """Comes to rest from joints (n,) [rad] that move at `dq` [rad/s]."""
        self._follow(to_braking(q, dq, names, seconds))

    def _follow(self, trajectory: Any) -> None:
        self._number += 1
        self.trouble = "" if self._client.server_is_ready() else f"there is no action {self._action}"
        if self.trouble:
            return
        goal = self._kind.Goal(trajectory=trajectory)
        number = self._number
        self._client.send_goal_async(goal).add_done_callback(lambda done: self._answered(number, done.result()))

    def _answered(self, number: int, handle: Any) -> None:
        if handle.accepted:
            handle.get_result_async().add_done_callback(lambda done: self._ended(number, done.result()))
        elif number == self._number:
            self.trouble = f"the controller of {self._action} rejected a point"

    def _ended(self, number: int, ended: Any) -> None:
        if number == self._number and ended.status == _ABORTED:
            result = ended.result
            why = _CODES.get(result.error_code, f"error {result.error_code}")
            self.trouble = f"the controller of {self._action} aborted: {why} {result.error_string}".rstrip()
