"""Jogging: what keys and gamepads ask for, and how arm and hand follow, one control period at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware import rotations
from toolwright.hardware.drivers.gamepad import Gamepad
from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import F64, JointTarget, Robot, RobotState
from toolwright.perception.scene import Perception
from toolwright.policies.low_level import HandPolicy
from toolwright.policies.motion import ArmMotion, Unreachable

LINEAR, ANGULAR, JOINT, OPENING = 0.5, 1.5, 1.5, 0.04  # m/s, rad/s, rad/s, m/s at full speed
RAMP = 0.2  # s from rest to the speed asked for, and back
HELD = 0.15  # s that a key counts as held after it came: terminals tell of no release
SPEEDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # shares of full speed
MOVES = {  # keys: which of the six axes, or the opening, which way
    "w": (0, 1), "s": (0, -1), "a": (1, 1), "d": (1, -1), "r": (2, 1), "f": (2, -1),
    "u": (3, 1), "o": (3, -1), "i": (4, 1), "k": (4, -1), "j": (5, 1), "l": (5, -1),
    "e": (6, 1), "z": (6, -1), "+": (7, 1), "=": (7, 1), "-": (7, -1),
}  # fmt: skip
HELP = """\
  move      w/s x   a/d y   r/f z        turn   u/o about x   i/k y   j/l z
  tool      e open, z close              joint  tab next, backspace previous, +/- move
  speed     , slower   . faster          stop   space EMERGENCY STOP   c clear it   q quit"""


@dataclass(frozen=True)
class Wish:
    """What is asked for in one period."""

    axes: F64 = field(default_factory=lambda: np.zeros(8))  # -1..1: x, y, z, about x, y, z, opening, chosen joint
    orders: tuple[str, ...] = ()  # stop, clear, quit, faster, slower, next, previous


class Source(Protocol):
    """Somebody who asks."""

    def wish(self, now: float) -> Wish: ...


class Keys:
    """Turns keys into wishes; a key that does not come again is released."""

    ORDERS = {
        " ": "stop", "c": "clear", "q": "quit", "esc": "quit", ".": "faster", ",": "slower", "tab": "next",
        "backspace": "previous",
    }  # fmt: skip

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._orders: list[str] = []

    def press(self, key: str, now: float) -> None:
        """A key came, at a time [s]."""
        if key in MOVES:
            self._until[key] = now + HELD
        elif key in self.ORDERS:
            self._orders.append(self.ORDERS[key])

    def wish(self, now: float) -> Wish:
        """What is held at a time [s], and what was ordered since the last call."""
        axes = np.zeros(8)
        for key, until in self._until.items():
            if now < until:
                axis, way = MOVES[key]
                axes[axis] = np.clip(axes[axis] + way, -1, 1)
        orders, self._orders = tuple(self._orders), []
        return Wish(axes, orders)


class Pad:
    """Turns a gamepad into wishes: nothing moves unless the left shoulder button is held."""

    ORDERS = {"b": "stop", "start": "clear", "back": "quit", "y": "faster", "x": "slower"}

    def __init__(self, pad: Gamepad) -> None:
        self._pad = pad

    def wish(self, now: float) -> Wish:
        """As the pad is now.

        Raises:
            PadLost: it was unplugged.
        """
        del now
        state = self._pad.read()
        orders = tuple(order for button, order in self.ORDERS.items() if button in state.pressed)
        axes = np.zeros(8)
        if "left shoulder" in state.held:
            at = state.axes.get
            turns = ("cross y", "cross x") if "a" in state.held else ("", "")
            axes[:3] = [-at("left y", 0.0), -at("left x", 0.0), -at("right y", 0.0)]
            axes[3:6] = [-at(turns[0], 0.0), -at(turns[1], 0.0), -at("right x", 0.0)]
            axes[6] = (at("right trigger", -1.0) - at("left trigger", -1.0)) / 2
        return Wish(axes, orders)


class Fingers(Protocol):
    """Whatever turns an opening into targets of the fingers."""

    opening: float  # m, that is asked for

    def start(self, state: RobotState) -> None: ...
    def targets(self, state: RobotState, down: F64) -> F64: ...


class HeldToolFingers:
    """The hand's policy with the tool that it holds; `opening` is between the tool's tips.

    Args:
        policy: of the hand.
        eyes: see the tool.
        fingers: where they are among the robot's joints.
    """

    LOOKS = 20

    def __init__(self, policy: HandPolicy, eyes: Perception, fingers: NDArray[np.intp]) -> None:
        self._policy, self._eyes, self._fingers = policy, eyes, fingers
        self.opening = 0.0
        self.T_world_tip = np.eye(4)

    def start(self, state: RobotState) -> None:
        """Takes the tool's present place as the one to keep.

        Raises:
            RuntimeError: the hand holds no tool.
        """
        tool = self._tool()
        self.opening = float(np.mean([self._tool().opening for _ in range(self.LOOKS)]))
        self._policy.reset(state.q[self._fingers], tool)
        self.T_world_tip = tool.T_world_tip

    def targets(self, state: RobotState, down: F64) -> F64:
        """(16,) rad; `down` (3,) is gravity's direction in the palm."""
        tool = self._tool()
        self.opening = float(np.clip(self.opening, 0.0, tool.opening_max))
        return self._policy.target(state.q[self._fingers], tool, down, self.opening)

    def _tool(self):  # type: ignore[no-untyped-def]
        tool = self._eyes.look().tool
        if tool is None:
            raise RuntimeError("the tool is no longer seen in the hand")
        return tool


class FreeFingers:
    """An empty hand, or one whose tool nobody sees: the fingers close along a grasp's synergy, from where they are.

    Args:
        synergy: targets (16,) [rad] for an opening [m], and its range.
        span: m, smallest and largest opening.
        fingers: where they are among the robot's joints.
    """

    def __init__(self, synergy, span: tuple[float, float], fingers: NDArray[np.intp]) -> None:  # type: ignore[no-untyped-def]
        self._synergy, self._span, self._fingers = synergy, span, fingers
        self.opening = sum(span) / 2
        self._offset = np.zeros(len(LEAP))

    def start(self, state: RobotState) -> None:
        """Begins at the fingers' present angles."""
        self._offset = state.q[self._fingers] - self._along()

    def targets(self, state: RobotState, down: F64) -> F64:
        """(16,) rad."""
        del state, down
        self.opening = float(np.clip(self.opening, *self._span))
        return np.clip(self._along() + self._offset, LEAP.lower, LEAP.upper)

    def _along(self) -> F64:
        return np.asarray(self._synergy(np.array([self.opening]))[0])


class Jogger:
    """Moves a robot as it is wished. What is released comes to rest within `RAMP` seconds.

    Args:
        robot: behind a gate.
        motion: the arm's kinematics; None for a hand alone.
        fingers: what drives the hand; None for an arm alone.
        speed: share of full speed.
    """

    def __init__(self, robot: Robot, motion: ArmMotion | None, fingers: Fingers | None, speed: float = 0.1) -> None:
        self.robot, self.speed = robot, speed
        names = robot.joints.names
        self._arm = robot.joints.indices(FR3.names) if motion is not None else np.zeros(0, dtype=np.intp)
        self._hand = np.array([i for i, name in enumerate(names) if name in LEAP.names], dtype=np.intp)
        self._motion, self._fingers = motion, fingers
        self.chosen, self.message = 0, ""
        self._pace = np.zeros(8)  # of the axes, in shares of full speed
        self._jogged = np.zeros(len(names))  # rad, what was jogged on top of what drives the fingers
        self._q = np.zeros(len(names))
        self._T_palm_tip = np.eye(4)
        self.start()

    @property
    def joint(self) -> str:
        """The chosen joint's name."""
        return self.robot.joints.names[self.chosen]

    @property
    def opening(self) -> float | None:
        """m, asked for."""
        return None if self._fingers is None else self._fingers.opening

    @property
    def tips(self) -> F64 | None:
        """(3,) m, where the arm's commanded joints bring the tips."""
        return None if self._motion is None else self._tip_pose()[:3, 3]

    def start(self) -> None:
        """Takes over where the robot is, at rest."""
        state = self.robot.read()
        self._q, self._pace[:], self._jogged[:] = state.q.copy(), 0.0, 0.0
        if self._fingers is not None:
            self._fingers.start(state)
        if self._motion is not None and isinstance(self._fingers, HeldToolFingers):
            self._T_palm_tip = np.linalg.inv(self._motion.palm(state.q[self._arm])) @ self._fingers.T_world_tip

    def choose(self, step: int) -> None:
        """The next joint to jog, or the one before."""
        self.chosen = (self.chosen + step) % len(self.robot.joints)

    def faster(self, step: int) -> None:
        """The next speed, or the one before."""
        at = int(np.argmin(np.abs(np.array(SPEEDS) - self.speed)))
        self.speed = SPEEDS[int(np.clip(at + step, 0, len(SPEEDS) - 1))]

    def tick(self, axes: F64) -> None:
        """One period.

        Args:
            axes: (8,) -1..1, as in `Wish`.

        Raises:
            EmergencyStopped: it is latched.
            Exception: what the robot raises; the gate has stopped it.
        """
        dt, self.message = self.robot.period, ""
        change = self.speed * dt / RAMP
        self._pace += np.clip(self.speed * np.clip(axes, -1, 1) - self._pace, -change, change)
        state = self.robot.read()
        target = self._q.copy()
        if len(self._arm):
            target[self._arm] = self._arm_target(dt)
        self._jogged[self.chosen] += self._pace[7] * JOINT * dt
        if self._fingers is not None:
            self._fingers.opening += self._pace[6] * OPENING * dt
            target[self._hand] = self._fingers.targets(state, self._down()) + self._jogged[self._hand]
        elif len(self._hand):
            target[self._hand] += self._jogged[self._hand]
            self._jogged[self._hand] = 0.0
        joints = self.robot.joints
        self._q = self.robot.send(JointTarget(np.clip(target, joints.lower, joints.upper))).q.copy()

    def _arm_target(self, dt: float) -> F64:
        assert self._motion is not None
        q = self._q[self._arm] + self._jogged[self._arm]
        self._jogged[self._arm] = 0.0
        if not self._pace[:6].any():
            return q
        goal = self._tip_pose()
        goal[:3, 3] += self._pace[:3] * LINEAR * dt
        turn = rotations.from_rotvec(self._pace[3:6] * ANGULAR * dt)
        goal[:3, :3] = rotations.rotate(turn, goal[:3, :3].T).T
        try:
            return self._motion.solve(goal, self._T_palm_tip, q, posture=q)
        except Unreachable:
            self.message = "out of the arm's reach"
            self._pace[:6] = 0.0
            return q

    def _tip_pose(self) -> F64:
        assert self._motion is not None
        return self._motion.palm(self._q[self._arm]) @ self._T_palm_tip

    def _down(self) -> F64:
        if self._motion is None:
            return np.array([0.0, 0.0, -1.0])
        return self._motion.palm(self._q[self._arm])[:3, :3].T @ np.array([0.0, 0.0, -1.0])
