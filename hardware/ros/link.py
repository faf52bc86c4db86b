"""One device behind two topics as a `Robot` that never blocks: any ros2_control arm, or the hand behind its node."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64, JointOrderError, JointSpec, JointTarget, RobotState
from toolwright.hardware.ros import topics
from toolwright.hardware.ros.commanders import Commander, TopicCommander
from toolwright.hardware.ros.messages import MessageRefused, from_joint_state

_SHORTEST = 0.005  # s of a braking path
_GUESS = 2.0  # times `lost_after` for which the last speed says where a silent device is


class LinkLost(RuntimeError):
    """A device whose joint states stopped coming, or that does not follow."""


@dataclass(frozen=True)
class LinkSettings:
    """Times of a link, and what counts as following."""

    pause_after: float = 0.02  # s without joint states; motion pauses, and goes on when they come again
    lost_after: float = 0.1  # s without joint states; the device is lost
    braking: float | F64 = 30.0  # rad/s^2, of a stop
    tracking: float = 0.0  # rad that a joint may lag behind its target; 0 is not watched
    tracking_time: float = 0.3  # s that it may do so
    keeps_goal: bool = False  # a stop holds a point between targets, as a grip needs it, not what is measured


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
        self.on_news: Callable[[], None] = lambda: None  # called after new joint states, in the node's thread
        self._state: RobotState | None = None
        self._heard = -math.inf  # s, monotonic
        self._refusal = ""
        self._sent: F64 | None = None  # rad
        self._way: tuple[float, F64] | None = None  # when the last target was sent (s, monotonic), and the one before
        self._behind_since = math.inf  # s, monotonic
        self._commander = commander or TopicCommander(node, commands)
        self._subscription = topics.subscribe(node, topics.JOINT_STATES, self._hear, states)

    @property
    def newest(self) -> float:
        """s, stamp of the newest joint states; 0 before the first."""
        return self._state.stamp if self._state is not None else 0.0

    @property
    def late(self) -> float:
        """s of silence, where it is longer than a live device's; 0 otherwise.

        Long before a device counts as lost, motion can pause: if it was jitter, nothing but a moment is lost.
        """
        silence = self._silence()
        return silence if silence > self.settings.pause_after else 0.0

    def connect(self) -> None:
        """Checks that joint states come.

        Raises:
            LinkLost: they do not.
        """
        self._sent = self._way = None
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
        """Brakes evenly from the measured speed and holds there. With nothing measured, the last point stands.

        Where the goal is kept, what holds is the point that the way to the last target has come to.
        """
        del reason
        if self.settings.keeps_goal:
            self._stop_on_the_way()
            return
        state, silence = self._state, self._silence()
        if state is None or self._sent is None:
            return
        if silence <= _GUESS * self.settings.lost_after:
            joints = self.joints
            seconds = max(float((np.abs(state.dq) / self.settings.braking).max()), _SHORTEST)
            at = np.clip(state.q + state.dq * silence, joints.lower, joints.upper)
            room = np.where(state.dq > 0, joints.upper - at, joints.lower - at)  # rad, signed as the motion
            dq = np.where(np.abs(state.dq) * seconds / 2 > np.abs(room), 2 * room / seconds, state.dq)
            self._commander.brake(at, dq, joints.names, seconds)
        self._sent, self._behind_since = None, math.inf

    def close(self) -> None:
        """The device holds its last point."""

    def _stop_on_the_way(self) -> None:
        if self._sent is None or self._way is None:
            return
        at, before = self._way
        share = (time.monotonic() - at) / self.period
        if share < 1:
            self._publish(before + share * (self._sent - before), _SHORTEST)
        self._way = None

    def _publish(self, q: F64, reach: float) -> None:
        self._commander.send(q, self.joints.names, reach)
        q = np.array(q, dtype=np.float64)
        self._way = (time.monotonic(), q if self._sent is None else self._sent)
        self._sent = q

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
            self.on_news()

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
