"""A robot and a camera that are recorded while they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolwright.hardware.mcap_log import Recorder
from toolwright.hardware.robot import Camera, Frame, JointSpec, JointTarget, Robot, RobotState
from toolwright.hardware.safety import GateReport, SafetyGate


class RecordedRobot:
    """Implements `hardware.robot.Robot` around one: states, targets, and what a gate did.

    Topics: /state (stamp, q, dq, effort), /command (asked and sent, rad), /gate (limits, reason).

    Args:
        robot: as a rule a `SafetyGate`.
        recorder: takes it down.
        after_send: called with the time [s] after every target, for instance for pictures of a simulation.
    """

    def __init__(self, robot: Robot, recorder: Recorder, after_send: Callable[[float], None] | None = None) -> None:
        self.joints: JointSpec = robot.joints
        self.period: float = robot.period
        self._robot, self._recorder, self._after_send = robot, recorder, after_send
        self._stamp: float | None = None
        self._known: GateReport | None = None

    def connect(self) -> None:
        self._robot.connect()

    def read(self) -> RobotState:
        with self._noted():
            state = self._robot.read()
        if state.stamp != self._stamp:
            self._stamp = state.stamp
            self._recorder.add("/state", state, state.stamp)
        return state

    def send(self, target: JointTarget) -> JointTarget:
        with self._noted():
            sent = self._robot.send(target)
        self._recorder.add("/command", {"asked": target.q, "sent": sent.q}, self._stamp)
        if self._after_send is not None:
            self._after_send(self._stamp or 0.0)
        return sent

    def stop(self, reason: str) -> None:
        with self._noted():
            self._robot.stop(reason)

    def close(self) -> None:
        with self._noted():
            self._robot.close()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Takes down what the gate did, also where the call raised."""
        try:
            yield
        finally:
            self.note()

    def note(self) -> None:
        """Takes down what the gate did last, where it acted."""
        report = self._robot.last_report if isinstance(self._robot, SafetyGate) else None
        if report is not None and report is not self._known and report.acted:
            self._known = report
            self._recorder.add("/gate", {"limits": report.limits, "reason": report.reason}, report.stamp)


class RecordedCamera:
    """Implements `hardware.robot.Camera` around one.

    Args:
        camera: to be read.
        recorder: takes the frames down.
        every: s between two frames that are kept; encoding one takes about 20 ms.
        name: of its topics.
    """

    def __init__(self, camera: Camera, recorder: Recorder, every: float = 0.2, name: str = "camera") -> None:
        self._camera, self._recorder, self._every, self._name = camera, recorder, every, name
        self._next = -float("inf")

    def read(self) -> Frame:
        frame = self._camera.read()
        if frame.stamp >= self._next:
            self._next = frame.stamp + self._every
            self._recorder.add_frame(frame, self._name)
        return frame
