"""A robot that one thread moves, that others look at meanwhile, and that anyone may stop."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.hardware.robot import JointSpec, JointTarget, Robot, RobotState
from toolwright.hardware.safety import EmergencyStopped, SafetyGate
from toolwright.perception.scene import Perception, Scene

if TYPE_CHECKING:
    from toolwright.launch.session import Session
    from toolwright.llm_planner.skills.choice import AnyActions

STILL = 0.02  # rad/s, of the fastest joint of a robot that stands
PATIENCE = 1.0  # s of robot time in which a stopped robot comes to rest


class Live:
    """A session for a program that shows and asks while the robot moves.

    One thread at a time calls `actions`; `state`, `perception` and `stop` are for any thread. A stop reaches the
    robot at once, through the gate's emergency stop, and the moving thread leaves its motion with a KeyboardInterrupt
    at the next target. `settle` then waits until the robot stands, and releases the stop.

    Args:
        session: open; it belongs to the caller.
        speed: times real time at which a simulation may go at most; 0 for as fast as it can.
    """

    def __init__(self, session: Session, speed: float = 0.0) -> None:
        self.session, self.speed = session, speed
        self.lock = threading.RLock()  # held while the world changes or is looked at
        self.scene: Scene | None = None  # as seen last, by whomever
        self.last: RobotState | None = None  # after the last target
        self.reason = ""  # of the stop
        self._halt = threading.Event()
        self._robot: _StoppableRobot | None = None
        self.perception: Perception = _SharedEyes(session.perception, self)
        actions: Any = session.actions
        actions.tap(robot=self._around, eyes=lambda eyes: _SharedEyes(eyes, self), hand=lambda hand: hand)

    @property
    def actions(self) -> AnyActions:
        """What moves the robot."""
        return self.session.actions

    @property
    def stopping(self) -> bool:
        """A stop was asked for and is not released yet."""
        return self._halt.is_set()

    @property
    def latched(self) -> str:
        """Why the gate's emergency stop is latched; empty where it is not."""
        gate = self.session.gate
        return gate.stopped if isinstance(gate, SafetyGate) else ""

    def state(self) -> RobotState:
        """Measures the joints."""
        with self.lock:
            return self.session.robot.read()

    def begin(self) -> None:
        """Forgets an earlier stop; called ahead of a motion, while nothing moves."""
        if self.stopping:  # it came when the motion had just ended
            self.settle()
        self.reason = ""
        if self._robot is not None:
            self._robot.restart_clock()

    def stop(self, reason: str) -> None:
        """Stops the robot where it is."""
        self.reason = self.reason or reason
        self._halt.set()  # first: the moving thread then leaves as stopped, not as one that failed at the gate
        self.latch(reason)

    def latch(self, reason: str) -> None:
        """Stops the robot for good, after a fault: it takes `release` to move again."""
        if isinstance(self.session.gate, SafetyGate):
            self.session.gate.emergency_stop(reason)

    def release(self) -> None:
        """Releases the emergency stop.

        Raises:
            Exception: the robot makes no sense or is lost; the stop stays.
        """
        if isinstance(self.session.gate, SafetyGate):
            self.session.gate.clear()

    def settle(self) -> float:
        """Waits until a stopped robot stands, and releases the stop. For when the moving thread has left its motion.

        Time passes in a simulation only with targets, so the robot is told to hold.

        Returns:
            s of robot time until no joint was faster than `STILL`; `PATIENCE` where one still was.
        """
        began = self.state().stamp
        while True:
            self._halt.clear()
            self.release()
            try:
                return self._hold_until_still(began)
            except EmergencyStopped:
                if not self.stopping:
                    raise  # somebody else's
            # Another stop while it was coming to rest.

    def _hold_until_still(self, began: float) -> float:
        hold = self._robot.hold() if self._robot is not None else None
        while True:
            self.last = state = self.state()
            elapsed = state.stamp - began
            if hold is None or self.session.gate is None or np.abs(state.dq).max() < STILL or elapsed >= PATIENCE:
                return elapsed
            with self.lock:
                self.session.gate.send(hold)

    def raise_if_stopped(self) -> None:
        """Ends the motion of the calling thread after a stop.

        Raises:
            KeyboardInterrupt: as Ctrl-C would, so that nothing takes it for a failed skill.
        """
        if self._halt.is_set():
            raise KeyboardInterrupt(self.reason)

    def pause(self, seconds: float) -> None:
        """Sleeps; a stop ends the sleep."""
        self._halt.wait(seconds)

    def _around(self, robot: Robot) -> _StoppableRobot:
        self._robot = _StoppableRobot(robot, self)
        return self._robot


class _StoppableRobot:
    """Implements `hardware.robot.Robot` around one: takes no target after a stop, and goes no faster than is wanted."""

    def __init__(self, robot: Robot, live: Live) -> None:
        self.joints: JointSpec = robot.joints
        self.period: float = robot.period
        self._robot, self._live = robot, live
        self._sent: JointTarget | None = None
        self._start: tuple[float, float] | None = None  # s, on the wall and of the robot

    def connect(self) -> None:
        self._robot.connect()

    def read(self) -> RobotState:
        with self._live.lock:
            return self._robot.read()

    def send(self, target: JointTarget) -> JointTarget:
        self._live.raise_if_stopped()
        with self._live.lock:
            self._sent = sent = self._robot.send(target)
            self._live.last = state = self._robot.read()
        self._pace(state.stamp)
        return sent

    def stop(self, reason: str) -> None:
        with self._live.lock:
            self._robot.stop(reason)

    def close(self) -> None:
        self._robot.close()

    def hold(self) -> JointTarget | None:
        """Where it stands, with the servo targets that were in force: without them the hand would lose its grip."""
        if self._sent is None:
            return None
        from toolwright.hardware.joints import FR3

        arm = np.array([name in FR3.names for name in self.joints.names])
        return JointTarget(np.where(arm, self.read().q, self._sent.q))

    def restart_clock(self) -> None:
        """The pace counts from the next target on."""
        self._start = None

    def _pace(self, stamp: float) -> None:
        if not self._live.speed:
            return
        if self._start is None:
            self._start = time.monotonic(), stamp
        ahead = (stamp - self._start[1]) / self._live.speed - (time.monotonic() - self._start[0])
        if ahead > 0:
            self._live.pause(ahead)
        elif ahead < -self.period:  # the simulation is slower; what was lost is not caught up in a rush
            self._start = time.monotonic(), stamp


class _SharedEyes:
    """Implements `perception.scene.Perception` around one; only one looks at a time, and never into a moving step."""

    def __init__(self, eyes: Perception, live: Live) -> None:
        self._eyes, self._live = eyes, live

    def look(self) -> Scene:
        with self._live.lock:
            self._live.scene = scene = self._eyes.look()
        return scene
