"""hand_node: the LEAP hand's driver on topics. On a fault it stops the whole robot, and tries to connect again."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

from toolwright.hardware.calibration import CalibrationFileError, leap_motors
from toolwright.hardware.drivers.dynamixel import BusError
from toolwright.hardware.drivers.leap_hand import HandError, HandSettings, LeapHand
from toolwright.hardware.joints import LEAP_MOTORS, MotorMap
from toolwright.hardware.robot import JointOrderError, JointTarget, RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, now, parameter, steady

RETRY = 1.0  # s
_FAKED = 0.1  # s that faked motors may be late: they share this process


@dataclass(frozen=True)
class HandParameters:
    """Of hand_node."""

    port: str = parameter("/dev/ttyUSB0", "serial adapter of the hand; 'fake' for sixteen faked motors")
    baudrate: int = parameter(4_000_000, "bit/s of the motors", 9_600, 4_500_000)
    rate: float = parameter(100.0, "1/s, joint states", 10.0, 500.0)
    period: float = parameter(0.05, "s between two targets", 0.005, 1.0)
    current_limit: float = parameter(0.55, "A per motor", 0.05, 0.9)
    reply_timeout: float = parameter(0.006, "s that a motor's reply may be late", 0.001, 0.1)
    release_on_close: bool = parameter(False, "let go when the node ends; otherwise the grip stays")


class HandNode:
    """The node and its driver."""

    def __init__(self, node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("hand_node")
        self.parameters = p = declare(self.node, HandParameters)
        self._fake: Any = None
        if p.port == "fake":
            from toolwright.hardware.fake.dynamixel_bus import DynamixelBus

            self._fake = DynamixelBus()
            self._fake.plug()
        settings = HandSettings(
            baudrate=p.baudrate,
            current_limit=p.current_limit,
            reply_timeout=max(p.reply_timeout, _FAKED) if self._fake else p.reply_timeout,
            release_on_close=p.release_on_close,
        )
        self.hand = LeapHand(self._fake.port if self._fake else p.port, p.period, settings, _motors(bool(self._fake)))
        self._connected, self._trouble, self._retry_at = False, "not connected yet", 0.0
        self._states = topics.publisher(self.node, topics.HAND_STATES)
        self._emergency = topics.publisher(self.node, topics.EMERGENCY)
        topics.subscribe(self.node, topics.HAND_TRAJECTORY, self._hear)
        topics.serve(self.node, topics.FAULTS_CALL, self._clear)
        self._diagnostics = Diagnostics(self.node, self._diagnose)
        self._timer = self.node.create_timer(1 / p.rate, self._cycle, clock=steady())

    def close(self) -> None:
        """Closes the driver; the motors hold their last goals, unless told to let go."""
        self.hand.close()
        if self._fake is not None:
            self._fake.close()

    def _cycle(self) -> None:
        try:
            if not self._connected:
                self._connect()
            else:
                self._publish(self.hand.read())
        except (HandError, BusError) as error:
            self._lost(error)

    def _connect(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        self._retry_at = time.monotonic() + RETRY
        self.hand.connect()
        self._connected, self._trouble = True, ""
        self.node.get_logger().info(f"the hand on {self.parameters.port} is connected")

    def _publish(self, state: RobotState) -> None:
        stamp = now(self.node) - (time.monotonic() - state.stamp)
        self._states.publish(messages.to_joint_state(dataclasses.replace(state, stamp=stamp), self.hand.joints.names))

    def _hear(self, message: Any) -> None:
        try:
            names, q = messages.from_trajectory(message)
            if names != self.hand.joints.names:
                raise JointOrderError(f"expected {list(self.hand.joints.names)}, got {list(names)}")
            if self._connected:
                self.hand.send(JointTarget(q))
        except (messages.MessageRefused, JointOrderError) as error:
            self.node.get_logger().warning(f"refused: {error}")
        except (HandError, BusError) as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        if self._connected:
            self._emergency.publish(topics.load(topics.EMERGENCY.type)(data=f"hand: {error}"))
        if self._connected or str(error) != self._trouble:
            self.node.get_logger().error(str(error))
        self._connected, self._trouble = False, str(error)
        self._retry_at = time.monotonic() + RETRY

    def _clear(self) -> str:
        if self._connected:
            return "the hand has no fault"
        self.hand.clear_faults()
        self._connected, self._trouble = True, ""
        return "the hand is connected again"

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {"port": self.parameters.port, "damaged replies": str(self.hand.damaged_replies)}
        return (2, self._trouble, values) if self._trouble else (0, "connected", values)


def _motors(fake: bool) -> MotorMap:
    """The wiring with this hand's own zeros; faked motors have the nominal ones."""
    try:
        return LEAP_MOTORS if fake else leap_motors()
    except CalibrationFileError as error:
        raise ParameterError(f"hand_node: {error}") from None
