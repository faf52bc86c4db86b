"""robot_node: arm and hand as one robot behind the safety gate, for everyone on the network.

It merges targets for some of the joints into one, once a period: the arm's may come from one node and the fingers' from
another. A device nobody has sent a target to since the last stop is left alone, so that a hand keeps its grip.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from toolwright.hardware.barriers import Barrier
from toolwright.hardware.composite import Composite
from toolwright.hardware.joints import LEAP
from toolwright.hardware.joints import acceleration as known_acceleration
from toolwright.hardware.robot import F64, JointOrderError, JointSpec, JointTarget, RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.arms import ArmError, load_arm
from toolwright.hardware.ros.commanders import ActionCommander
from toolwright.hardware.ros.link import Link, LinkLost, LinkSettings
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, now, parameter, steady
from toolwright.hardware.safety import GateReport, GateSettings, SafetyGate

CYCLE = 0.005  # s between two looks at the devices
ACTIVE = 3.0  # periods after which joints that get no more targets are not waited for


@dataclass(frozen=True)
class RobotParameters:
    """Of robot_node."""

    arm: str = parameter("fr3", "the arm: fr3, ur5e, xarm7, none, or the path of a file like theirs")
    hand: str = parameter("leap", "the hand", choices=("leap", "none"))
    interface: str = parameter(
        "topic", "of the arm's controller; action needs control_msgs", choices=("topic", "action")
    )
    period: float = parameter(0.05, "s between two targets", 0.005, 1.0)
    speed: float = parameter(1.0, "share of the velocity and acceleration limits that the gate allows", 0.01, 1.0)
    arm_pause_after: float = parameter(
        0.0, "s without the arm's joint states; motion pauses; 0: as its file says", 0.0, 60.0
    )
    hand_pause_after: float = parameter(0.02, "s without the hand's joint states; motion pauses", 0.005, 60.0)
    arm_lost_after: float = parameter(0.0, "s without the arm's joint states; 0: as its file says", 0.0, 60.0)
    hand_lost_after: float = parameter(0.1, "s without the hand's joint states", 0.01, 60.0)
    follow: bool = parameter(True, "stop where the arm does not follow its targets")
    stale: float = parameter(0.15, "s, age of states and targets that the gate still takes", 0.02, 10.0)
    workspace: str = parameter("", "m, box that the palm does not leave: x y z of its low, then of its high corner")
    self_distance: float = parameter(0.01, "m that the FR3 keeps from itself; 0: not watched", 0.0, 0.04)
    watch: str = parameter("", "topics, separated by commas, whose silence is an emergency stop, for instance scene")
    watch_after: float = parameter(0.2, "s of silence", 0.02, 60.0)


Barriers = Callable[[JointSpec, RobotParameters], tuple[Barrier, ...]]


class RobotNode:
    """The node and its gate.

    Args:
        barriers: makes forbidden configurations of these joints, where kinematics are known.
        node: a node to use instead of a new one, for tests.

    Raises:
        ParameterError: a parameter is wrong.
    """

    def __init__(self, barriers: Barriers | None = None, node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("robot_node")
        self.parameters = p = declare(self.node, RobotParameters)
        devices, limits = self._devices(p)
        self.robot = Composite(devices, p.period)
        spec = self.robot.joints
        self.robot.joints = dataclasses.replace(spec, velocity=p.speed * spec.velocity)
        self.gate = SafetyGate(
            self.robot,
            barriers(spec, p) if barriers is not None else (),
            p.speed * limits,
            GateSettings(stale=p.stale),
            clock=self._time,
            on_event=self._tell,
        )
        n = len(spec)
        self._links = devices
        for link in devices.values():
            link.on_news = self._watch_links  # whoever still speaks is the clock for who has fallen silent
        self._connected = False
        self._complaint, self._warned, self._retry_at = "", "", 0.0
        self._silent_until = time.monotonic() + 2.0  # a start in any order is no news
        self._state: RobotState | None = None
        self._wanted: F64 | None = None  # (n,) rad; None after a stop
        self._fresh, self._asked_at = np.zeros(n, dtype=bool), np.full(n, -math.inf)
        self._forwarded_at = -math.inf
        self._askers: list[str] = []  # whose targets are in the next one
        self._stopped = "?"
        self._counts = {"forwarded": 0, "changed": 0, "refused": 0, "pauses": 0}
        self._paused = False
        self._pauses: dict[str, str] = {}  # of others: who, why
        self._heard: dict[str, float] = {}
        self._connect_topics(p)

    def close(self) -> None:
        """Stops the robot, which goes on holding where it is."""
        if self._connected:
            self.gate.stop("robot_node ends")
        self.robot.close()

    # -- set up -------------------------------------------------------------------------------------------------------

    def _devices(self, p: RobotParameters) -> tuple[dict[str, Link], F64]:
        devices: dict[str, Link] = {}
        limits = []
        if p.arm != "none":
            try:
                arm = load_arm(p.arm)
            except ArmError as error:
                raise ParameterError(f"robot_node: parameter 'arm': {error}") from None
            settings = LinkSettings(
                pause_after=p.arm_pause_after or arm.pause_after,
                lost_after=p.arm_lost_after or arm.lost_after,
                braking=arm.braking,
                tracking=arm.tracking if p.follow else 0.0,
                tracking_time=arm.tracking_time,
            )
            commander = ActionCommander(self.node, arm.action) if p.interface == "action" else None
            devices["arm"] = Link(self.node, "arm", arm.joints, arm.states, arm.commands, p.period, settings, commander)
            limits.append(arm.acceleration)
        if p.hand == "leap":
            settings = LinkSettings(p.hand_pause_after, p.hand_lost_after, keeps_goal=True)
            states, commands = topics.HAND_STATES.name, topics.HAND_TRAJECTORY.name
            devices["hand"] = Link(self.node, "hand", LEAP, states, commands, p.period, settings)
            limits.append(known_acceleration(LEAP))
        if not devices:
            raise ParameterError("robot_node: arm and hand are both 'none': there is nothing to drive")
        return devices, np.concatenate(limits)

    def _connect_topics(self, p: RobotParameters) -> None:
        node = self.node
        self._states = topics.publisher(node, topics.JOINT_STATES)
        self._sent = topics.publisher(node, topics.SENT)
        self._events = topics.publisher(node, topics.GATE_EVENTS)
        self._stopped_topic = topics.publisher(node, topics.STOPPED)
        known = {topic.name: topic for topic in topics.TOPICS}
        for name in filter(None, (word.strip() for word in p.watch.split(","))):
            if name not in known:
                raise ParameterError(f"robot_node: parameter 'watch': no topic '{name}'; choose {', '.join(known)}")
            topics.subscribe(node, known[name], partial(self._note, name))
        topics.subscribe(node, topics.TRAJECTORY, self._hear)
        topics.subscribe(node, topics.EMERGENCY, self._hear_emergency)
        topics.subscribe(node, topics.PAUSE, self._hear_pause)
        topics.serve(node, topics.EMERGENCY_CALL, lambda: self._emergency(""))
        topics.serve(node, topics.CLEAR_CALL, self._clear)
        topics.serve(node, topics.HOLD_CALL, self._hold)
        self._diagnostics = Diagnostics(node, self._diagnose)
        self._timers = [
            node.create_timer(CYCLE, self._cycle, clock=steady()),
            node.create_timer(p.period, self._tick),
        ]

    # -- every 5 ms ---------------------------------------------------------------------------------------------------

    def _cycle(self) -> None:
        if not self._connected:
            self._connect()
        elif self.gate.stopped:
            self._peek()
        else:
            self._watch_links()
            self._read()
            self._check_watched()
        self._say_stopped()

    def _connect(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        try:
            self.gate.connect()
        except Exception as error:
            self._retry_at = time.monotonic() + 0.2
            self._complaint = str(error)
            if self._complaint != self._warned and time.monotonic() > self._silent_until:
                self._warned = self._complaint
                self.node.get_logger().warning(f"waiting: {error}")
            return
        self._connected, self._complaint, self._warned = True, "", ""
        self._forget()
        self.node.get_logger().info(f"ready: {', '.join(self._links)}, {len(self.robot.joints)} joints")

    def _read(self) -> None:
        try:
            self._publish(self.gate.read())
        except Exception as error:
            self._forget()
            self.node.get_logger().error(f"stopped: {error}")

    def _watch_links(self) -> None:
        """Pauses while a device is late: the others come to rest before it is known whether it is lost."""
        if not self._connected or self.gate.stopped:
            return
        late = {name: f"silent for {link.late * 1e3:.0f} ms" for name, link in self._links.items() if link.late}
        late |= self._pauses
        if late and not self._paused:
            self._counts["pauses"] += 1
            self.gate.stop(f"pause: {', '.join(f'{name} {why}' for name, why in late.items())}")
            self._forget()
        self._paused = bool(late)

    def _peek(self) -> None:
        """Goes on reporting while the emergency stop is latched; what cannot be read is no news then."""
        try:
            states = [link.read() for link in self._links.values()]
        except LinkLost:
            return
        q, dq, effort = (np.concatenate([getattr(s, field) for s in states]) for field in ("q", "dq", "effort"))
        self._publish(RobotState(min(s.stamp for s in states), q, dq, effort))

    def _publish(self, state: RobotState) -> None:
        if self._state is None or state.stamp != self._state.stamp:
            self._states.publish(messages.to_joint_state(state, self.robot.joints.names))
        self._state = state

    def _note(self, name: str, _: Any) -> None:
        self._heard[name] = time.monotonic()

    def _check_watched(self) -> None:
        for name, at in self._heard.items():
            silence = time.monotonic() - at
            if silence > self.parameters.watch_after:
                self._emergency(f"{name} has been silent for {silence * 1e3:.0f} ms")
                return

    # -- targets ------------------------------------------------------------------------------------------------------

    def _hear(self, message: Any) -> None:
        joints = self.robot.joints
        try:
            names, q = messages.from_trajectory(message)
            where = joints.indices(names)
        except (messages.MessageRefused, JointOrderError) as error:
            self._refuse(str(error))
            return
        stamp, time_now = messages.seconds(message.header.stamp), self._time()
        if stamp and not abs(time_now - stamp) <= self.parameters.stale:
            self._counts["refused"] += 1
            self._tell(GateReport(time_now, {"stale": names}, f"a target of {time_now - stamp:.3f} s ago"))
            return
        if not self._connected or self.gate.stopped or self._paused or self._state is None:
            self._counts["refused"] += 1
            return
        if self._wanted is None:
            self._wanted = np.clip(self._state.q, joints.lower, joints.upper)
        self._wanted[where], self._fresh[where], self._asked_at[where] = q, True, time_now
        self._askers += message.header.frame_id.split()[:1]
        for link in self._links.values():
            link.muted = link.muted and not set(names) & set(link.joints.names)
        active = time_now - self._asked_at < ACTIVE * self.robot.period
        if self._fresh[active].all():
            self._forward()

    def _tick(self) -> None:
        """What has waited for the rest of its target for a period is sent without."""
        if self._fresh.any() and self._time() - self._forwarded_at >= 0.9 * self.robot.period:
            self._forward()

    def _forward(self) -> None:
        self._fresh[:] = False
        askers, self._askers = self._askers, []
        if self._wanted is None or self.gate.stopped or self._paused:
            return
        try:
            self._publish(self.gate.read())
            self._forwarded_at = self._time()
            sent = self.gate.send(JointTarget(self._wanted.copy())).q
        except Exception as error:
            self._forget()
            self.node.get_logger().error(f"not sent: {error}")
            return
        self._counts["forwarded"] += 1
        answer = messages.to_trajectory(sent, self.robot.joints.names, self.robot.period, self._forwarded_at)
        answer.header.frame_id = " ".join(askers)
        self._sent.publish(answer)

    def _refuse(self, reason: str) -> None:
        self._counts["refused"] += 1
        self.node.get_logger().warning(f"refused: {reason}")
        if self._connected:
            self.gate.stop(f"refused: {reason}")
        self._forget()

    # -- stops --------------------------------------------------------------------------------------------------------

    def _hear_emergency(self, message: Any) -> None:
        self._emergency(message.data)

    def _hear_pause(self, message: Any) -> None:
        name, _, why = message.data.partition(":")
        if why.strip():
            self._pauses[name.strip()] = why.strip()[:200]
        else:
            self._pauses.pop(name.strip(), None)
        self._watch_links()

    def _emergency(self, reason: str) -> str:
        self.gate.emergency_stop(reason.strip()[:200] or "emergency stop")
        self._forget()
        self._say_stopped()
        return f"stopped: {self.gate.stopped}"

    def _clear(self) -> str:
        self._pauses.clear()  # the arm can be moved out of trouble without a camera
        if not self.gate.stopped:
            return "was not stopped"
        if not self._connected:
            self.robot.connect()
        self._heard.clear()
        self.gate.clear()
        self._forget()
        self._say_stopped()
        return "cleared"

    def _hold(self) -> str:
        if not self._connected:
            raise RuntimeError(f"not connected: {self._complaint}")
        self.gate.stop("hold")
        self._forget()
        return "holding"

    def _forget(self) -> None:
        self._wanted = None
        for link in self._links.values():
            link.muted = True
        self._fresh[:], self._asked_at[:] = False, -math.inf

    def _say_stopped(self) -> None:
        if self.gate.stopped != self._stopped:
            self._stopped = self.gate.stopped
            self._stopped_topic.publish(topics.load(topics.STOPPED.type)(data=self._stopped))

    # -- reports ------------------------------------------------------------------------------------------------------

    def _time(self) -> float:
        """s, ROS time; never behind the newest state, which a simulated clock's message may overtake."""
        newest = max((link.newest for link in self._links.values()), default=0.0)
        time_now = now(self.node)
        return max(time_now, newest) if newest - time_now < 0.5 else time_now

    def _tell(self, report: GateReport) -> None:
        self._counts["changed"] += bool(report.limits)
        text = json.dumps(
            {"stamp": report.stamp, "limits": {k: list(v) for k, v in report.limits.items()}, "reason": report.reason}
        )
        self._events.publish(topics.load(topics.GATE_EVENTS.type)(data=text))

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {name: str(count) for name, count in self._counts.items()}
        if self.gate.stopped:
            return 2, f"emergency stop: {self.gate.stopped}", values
        if not self._connected:
            return 1, f"waiting: {self._complaint}", values
        return 0, "ready", values
