"""The Franka Research 3 without ROS, over `franky-control` (libfranka): an extra, for those without ros2_control.

The library's own thread keeps the arm's 1 kHz loop and plans jerk-limited motion to the newest target within the arm's
limits; Python is never in that loop. Every target is one to stop at: an arm that hears nothing more rests there.
A reflex or any other error of the arm latches until `clear`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolwright.hardware.joints import FR3
from toolwright.hardware.robot import F64, JointSpec, JointTarget, RobotState

HINT = "franky-control is not installed; get it with: .venv/bin/pip install -e '.[fr3]'"
_OUTSIDE = 0.02  # rad beyond a joint's range that measuring may be wrong
_SLOWEST, _FASTEST = 0.01, 1.0  # share of the limits


class Fr3Error(RuntimeError):
    """The arm is not there, or does not do what it is told."""


class Fr3Stopped(Fr3Error):
    """A reflex or an error of the arm, latched; the message has the arm's own words."""


@dataclass(frozen=True)
class Fr3Settings:
    """What the arm is told when it is connected."""

    speed: float = 0.1  # share of the maker's limits of speed, acceleration and jerk
    torque: float = 20.0  # N m on a joint, beyond which the arm stops itself
    force: float = 30.0  # N at the flange, the same
    realtime: bool = True  # needs a real-time kernel; without it the arm may stop by itself for want of answers


class Fr3Arm:
    """Implements `hardware.robot.Robot`. One thread calls it.

    Args:
        host: address of the arm's control box.
        period: s between two `send` calls.
        settings: of the arm.
    """

    def __init__(self, host: str, period: float = 0.05, settings: Fr3Settings = Fr3Settings()) -> None:
        if not _SLOWEST <= settings.speed <= _FASTEST:
            raise ValueError(f"speed is from {_SLOWEST:g} to {_FASTEST:g} of the arm's limits, got {settings.speed:g}")
        self.joints: JointSpec = FR3
        self.host, self.period, self.settings = host, period, settings
        self._franky: Any = None
        self._robot: Any = None
        self._fault = ""
        self._moving = False

    def connect(self) -> None:
        """Connects; the arm holds where it is. A latched fault stays.

        Raises:
            ModuleNotFoundError: franky-control is not installed.
            Fr3Error: no arm there, another version of its software, no real-time kernel, or a joint out of range.
        """
        try:
            import franky
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(HINT, name=error.name) from error
        self.close()
        self._franky = franky
        realtime = franky.RealtimeConfig.Enforce if self.settings.realtime else franky.RealtimeConfig.Ignore
        try:
            self._robot = franky.Robot(self.host, realtime_config=realtime)
            self._speed(self.settings.speed)
            self._robot.set_collision_behavior(self.settings.torque, self.settings.force)
            state = self._measure()
        except franky.Exception as error:
            self._robot = None
            raise Fr3Error(f"the arm at {self.host}: {error}") from error
        outside = np.maximum(FR3.lower - state.q, state.q - FR3.upper) > _OUTSIDE
        if outside.any():
            self.close()
            raise Fr3Error(
                f"out of their ranges: {[FR3.names[i] for i in np.flatnonzero(outside)]}: guide the arm back"
            )

    def read(self) -> RobotState:
        """The newest state, stamped with `time.monotonic` when it was asked for.

        Raises:
            Fr3Stopped: an error of the arm is latched.
            Fr3Error: not connected.
        """
        robot = self._connected()
        self._check(robot)
        return self._measure()

    def send(self, target: JointTarget) -> JointTarget:
        """Goes on to a target, clipped to the joints' ranges, within the limits of speed, acceleration and jerk.

        Raises:
            Fr3Stopped: an error of the arm is latched.
            Fr3Error: not connected, or a target that is none.
        """
        robot = self._connected()
        q = np.asarray(target.q, dtype=np.float64)
        if q.shape != (len(FR3),) or not np.isfinite(q).all():
            raise Fr3Error(f"a target has {len(FR3)} finite numbers, got {q}")
        self._check(robot)
        sent: F64 = np.clip(q, FR3.lower, FR3.upper)
        motion = self._franky.JointMotion(self._franky.JointState(sent.tolist()), return_when_finished=False)
        if not self._moving:
            self._do(lambda: self._speed(self.settings.speed))
        self._do(lambda: robot.move(motion, asynchronous=True))
        self._moving = True
        return JointTarget(sent)

    def stop(self, reason: str) -> None:
        """Comes to rest as fast as the limits allow, and holds. Does nothing where the arm does not listen."""
        del reason
        if self._robot is None or not self._moving or self._fault:
            return
        self._moving = False
        self._do(lambda: self._speed(1.0))
        self._do(lambda: self._robot.move(self._franky.JointStopMotion(), asynchronous=True))

    def clear(self) -> None:
        """Lets the arm recover from a reflex, and takes over where it is.

        Raises:
            Fr3Stopped: it does not recover; says why.
        """
        robot = self._connected()
        try:
            recovered = robot.recover_from_errors()
        except self._franky.Exception as error:
            raise Fr3Stopped(f"the arm does not recover: {error}") from error
        if not recovered or robot.has_errors:
            raise Fr3Stopped(f"the arm does not recover: {robot.state.current_errors}: see Desk")
        self._fault, self._moving = "", False

    def close(self) -> None:
        """Comes to rest and leaves the arm; may be called twice."""
        robot, self._robot = self._robot, None
        if robot is None or not self._moving:
            return
        self._moving = False
        try:
            robot.move(self._franky.JointStopMotion(), asynchronous=True)
            robot.join_motion(1.0)
        except self._franky.Exception:
            robot.stop()

    @property
    def fault(self) -> str:
        """What is latched; empty where nothing is."""
        return self._fault

    def _connected(self) -> Any:
        if self._robot is None:
            raise Fr3Error("not connected")
        return self._robot

    def _speed(self, share: float) -> None:
        self._robot.relative_dynamics_factor = self._franky.RelativeDynamicsFactor(share)

    def _measure(self) -> RobotState:
        stamp = time.monotonic()
        state = self._robot.state
        q, dq, effort = (np.array(getattr(state, name), dtype=np.float64) for name in ("q", "dq", "tau_J"))
        return RobotState(stamp, q, dq, effort)

    def _check(self, robot: Any) -> None:
        """Latches what went wrong since the last call: motions run in the library's thread."""
        if not self._fault:
            self._do(robot.poll_motion)
            if robot.has_errors:
                self._fault = f"{robot.state.current_errors}"
        if self._fault:
            raise Fr3Stopped(f"the arm stopped: {self._fault}: free it, then clear")

    def _do(self, call: Any) -> None:
        try:
            call()
        except self._franky.Exception as error:
            self._fault, self._moving = str(error) or type(error).__name__, False
            raise Fr3Stopped(f"the arm stopped: {self._fault}: free it, then clear") from error
