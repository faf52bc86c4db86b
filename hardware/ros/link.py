"""One device behind two topics as a `Robot` that never blocks: any ros2_control arm, or the hand behind its node."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64, JointOrderError, JointSpec, JointTarget, RobotState
from toolwright.hardware.ros import topics
from toolwright.hardware.ros.commanders import Commander, TopicCommander
from toolwright.hardware.ros.messages import MessageRefused, from_joint_state


class LinkLost(RuntimeError):
    """A device whose joint states stopped coming, or that does not follow."""


@dataclass(frozen=True)
class LinkSettings:
    """Times of a link, and what counts as following."""

    lost_after: float = 0.025  # s without joint states
    brake: float = 0.015  # s in which a stop ends the motion
    tracking: float = 0.0  # rad that a joint may lag behind its target; 0 is not watched
    tracking_time: float = 0.3  # s that it may do so
    keeps_goal: bool = False  # a stop leaves the last target in force, as a grip needs it


class Link:
    """Implements `hardware.robot.Robot` over a topic of joint states and one of trajectories.

    Every target is a trajectory of one point, one period ahead: a controller that hears no more holds there. Nothing
    here spins the node; callbacks come in the thread that does, and the methods are for that thread, too.

    Args:
        node: rclpy node.
        name: for messages to people.
        joints: of the device.
        states: topic of sensor_msgs/JointState; other joints in it are ignored.
        commands: topic of trajectory_msgs/JointTrajectory.
        period: s between two `send` calls.
        settings: of the link.
        commander: another way for points than the topic.
    """

    def __init__(
        self,
        node: Any,
        name: str,
        joints: JointSpec,
        states: str,
        commands: str,
        period: float,
        settings: LinkSettings = LinkSettings(),
        commander: Commander | None = None,
    ) -> None:
        self.name, self.joints, self.period, self.settings = name, joints, period, settings
        self.states, self.commands = states, commands
        self.muted = False  # targets are not published: nobody has asked this device for anything
        self._state: RobotState | None = None
        self._heard = -math.inf  # s, monotonic
        self._refusal = ""
        self._sent: F64 | None = None  # rad
        self._behind_since = math.inf  # s, monotonic
        self._commander = commander or TopicCommander(node, commands)
        self._subscription = topics.subscribe(node, topics.JOINT_STATES, self._hear, states)

    @property
    def newest(self) -> float:
        """s, stamp of the newest joint states; 0 before the first."""
        return self._state.stamp if self._state is not None else 0.0

    def connect(self) -> None:
        """Checks that joint states come.

        Raises:
            LinkLost: they do not.
        """
        self._sent = None
        self._check_heard()

    def read(self) -> RobotState:
        """The newest joint states.

        Raises:
            LinkLost: none came lately, or the device does not follow its targets.
        """
        self._check_heard()
        assert self._state is not None
        self._check_following(self._state.q)
        return self._state

    def send(self, target: JointTarget) -> JointTarget:
        """Publishes the target as a point that is to be reached in one period; nothing while `muted`."""
        if not self.muted:
            self._publish(target.q, self.period)
        return JointTarget(np.array(target.q, dtype=np.float64))

    def stop(self, reason: str) -> None:
        """Brakes evenly from the measured speed and holds there. With nothing measured, the last point stands."""
        del reason
        state, brake = self._state, self.settings.brake
        if state is None or self._sent is None or self.settings.keeps_goal:
            return
        if self._silence() <= self.settings.lost_after:
            joints = self.joints
            self._publish(np.clip(state.q + state.dq * brake / 2, joints.lower, joints.upper), brake)
        self._sent, self._behind_since = None, math.inf

    def close(self) -> None:
        """The device holds its last point."""

    def _publish(self, q: F64, reach: float) -> None:
        self._commander.send(q, self.joints.names, reach)
        self._sent = np.array(q, dtype=np.float64)

    def _hear(self, message: Any) -> None:
        try:
            state = from_joint_state(message, self.joints, self._state)
        except JointOrderError as error:
            # The topic may be shared: another broadcaster's joints are none of this device's business.
            self._refusal = str(error)
            return
        except MessageRefused as error:
            self._refusal = str(error)
            return
        if self._state is None or state.stamp >= self._state.stamp or self._silence() > self.settings.lost_after:
            self._state, self._heard, self._refusal = state, time.monotonic(), ""

    def _silence(self) -> float:
        return time.monotonic() - self._heard

    def _check_heard(self) -> None:
        silence = self._silence()
        if silence > self.settings.lost_after:
            ever = f"for {silence * 1e3:.0f} ms" if math.isfinite(silence) else "yet"
            why = self._refusal or "is its driver running, and this topic its own?"
            raise LinkLost(f"no joint states of the {self.name} on {self.states} {ever}: {why}")

    def _check_following(self, q: F64) -> None:
        if self._sent is None:
            return
        if self._commander.trouble:
            raise LinkLost(f"the {self.name}: {self._commander.trouble}")
        if not self.settings.tracking:
            return
        behind = np.abs(self._sent - q)
        now = time.monotonic()
        if not (behind > self.settings.tracking).any():
            self._behind_since = math.inf
            return
        self._behind_since = min(self._behind_since, now)
        if now - self._behind_since > self.settings.tracking_time:
            worst = int(behind.argmax())
            self._behind_since = math.inf
            raise LinkLost(
                f"the {self.name} does not follow: {self.joints.names[worst]} is {behind[worst]:.3f} rad from its "
                f"target: did its controller on {self.commands} reject or abort? see its log"
            )
