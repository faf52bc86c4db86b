"""A robot whose joints go where they are told, and motions that take time: for what shows, asks and stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from toolwright.hardware.joints import FR3
from toolwright.hardware.robot import JointTarget, Robot, RobotState
from toolwright.hardware.safety import SafetyGate
from toolwright.perception.scene import Box, HeldTool, Perception, Scene, SceneObject
from toolwright.policies.outcome import Outcome

PERIOD = 0.05  # s
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


class QuickRobot:
    """Implements `hardware.robot.Robot`; it is where it was told to be after one period."""

    joints = FR3
    period = PERIOD

    def __init__(self) -> None:
        self.q = (FR3.lower + FR3.upper) / 2
        self.dq = np.zeros(len(FR3))
        self.stamp = 0.0
        self.sent = 0
        self.stops: list[str] = []

    def connect(self) -> None: ...

    def read(self) -> RobotState:
        return RobotState(self.stamp, self.q.copy(), self.dq.copy(), np.zeros(len(FR3)))

    def send(self, target: JointTarget) -> JointTarget:
        self.dq, self.q = (target.q - self.q) / PERIOD, target.q.copy()
        self.stamp += PERIOD
        self.sent += 1
        return target

    def stop(self, reason: str) -> None:
        self.stops.append(reason)

    def close(self) -> None: ...


class World:
    """Actions and perception over that robot: each motion takes `seconds` of robot time."""

    def __init__(self, names: tuple[str, ...] = ("bead",), seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.calls: list[str] = []
        self.stops: list[str] = []
        self.fault: Exception | None = None  # raised in the midst of a motion
        self.tips, self.held, self.opening = np.array([0.45, 0.0, 0.3]), "", 0.01
        self.objects = {name: self._ball(name, 0.05 * i) for i, name in enumerate(names)}
        size = np.array([0.066, 0.066, 0.05])
        pos = np.array([0.45, -0.12, 0.025])
        self.objects["cup"] = SceneObject("cup", "cup", pos, UPRIGHT, size, 0.1, fixed=True, opening=0.06, color="blue")
        self.body = QuickRobot()
        self.gate = SafetyGate(self.body, clock=lambda: self.body.stamp)
        self.gate.connect()
        self.gate.read()
        self.robot: Robot = self.gate
        self.eyes: Perception = self

    def _ball(self, name: str, y: float) -> SceneObject:
        return SceneObject(
            name, "sphere", np.array([0.45, y, 0.005]), UPRIGHT, np.full(3, 0.01), 0.002, False, color="red"
        )

    def session(self) -> SimpleNamespace:
        return SimpleNamespace(robot=self.body, perception=self, actions=self, gate=self.gate)

    def tap(self, robot: Callable, eyes: Callable, hand: Callable) -> None:
        self.robot, self.eyes = robot(self.robot), eyes(self.eyes)

    def look(self) -> Scene:
        T_world_tip = np.diag([1.0, -1.0, -1.0, 1.0])
        T_world_tip[:3, 3] = self.tips
        tool = HeldTool("tweezers", "tweezers", self.opening, 0.03, np.zeros(3), UPRIGHT, T_world_tip, 0.1)
        workspace = Box(np.array([0.2, -0.3, 0.0]), np.array([0.7, 0.3, 0.5]))
        return Scene(self.body.stamp, dict(self.objects), tool, workspace, 0.0)

    def _move(self, name: str, change: Callable[[], None]) -> Outcome:
        self.calls.append(name)
        start = self.robot.read().q
        steps = round(self.seconds / PERIOD)
        for i in range(steps):
            if self.fault is not None and i == steps // 2:
                raise self.fault
            self.eyes.look()
            q = start.copy()
            q[0] += 0.3 * (i + 1) * PERIOD
            self.robot.send(JointTarget(q))
        change()
        return Outcome(True, f"{name} done", {"tips_z": float(self.tips[2])}, self.seconds)

    def _carry(self, pos: np.ndarray) -> None:
        self.tips = np.array(pos, dtype=float)
        if self.held:
            self.objects[self.held] = replace(self.objects[self.held], pos=self.tips.copy())

    def pick(self, name: str, opening: float, grip: float, lift: float) -> Outcome:
        def change() -> None:
            self.tips = self.objects[name].pos.copy()
            self.held, self.opening = name, 0.01
            self._carry(self.tips + [0, 0, lift])

        return self._move("pick", change)

    def drop_in(self, name: str, container: str, height: float) -> Outcome:
        def change() -> None:
            target = self.objects[container]
            self._carry(np.array([*target.pos[:2], 0.01]))
            self.held, self.opening, self.tips = "", 0.02, target.pos + [0, 0, 0.1]

        return self._move("drop_in", change)

    def place_at(self, name: str, x: float, y: float) -> Outcome:
        return self._move("place_at", lambda: self._carry(np.array([x, y, 0.005])))

    def set_opening(self, opening: float) -> Outcome:
        return self._move("set_opening", lambda: setattr(self, "opening", opening))

    def move_tips(self, x: float, y: float, z: float) -> Outcome:
        return self._move("move_tips", lambda: self._carry(np.array([x, y, z])))

    def home(self) -> Outcome:
        return self._move("home", lambda: None)

    def stop(self, reason: str) -> None:
        self.stops.append(reason)
        self.robot.stop(reason)


@pytest.fixture
def make_moving() -> Callable[..., World]:
    return World


@pytest.fixture
def moving() -> World:
    """A bead and a cup; each motion takes a second."""
    return World()
