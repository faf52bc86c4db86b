"""The pliers' job: a nut on a bolt is turned by a commanded angle, with new bites where the arm's wrist ends."""

from __future__ import annotations

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.scene import ObjectPart, SceneObject
from toolwright.policies.motion import TipLimits, Unreachable, pointing_down
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import approach
from toolwright.policies.tool.job_geometry import TURNED, nut_of
from toolwright.policies.tool.tool_loop import CLOSE_RATE, Trouble
from toolwright.policies.tool.tool_use import CARRY, DESCEND, HOVER, SQUEEZE_SECONDS, ToolUse

BITE = np.deg2rad(110)  # rad, most that one grip turns: the tool shifts a little in the hand with every degree
PLAY = 0.004  # m between the flats and the opened jaws, both sides together
SQUEEZE = 0.004  # m that the commanded opening goes below the flats
SLACK = np.deg2rad(25)  # rad that jaws turn on a nut before they take it along, or slip back on it
PRESS = 0.0008  # m that is asked for less than is there, while the jaws turn
COAST = np.deg2rad(4)  # rad that the nut still turns after the jaws are told to stop
BELOW = 0.001  # m that the jaws reach below the nut
TURN = TipLimits(speed=0.05, acceleration=0.2, jerk=2.0, turn=0.3)
_BITES = 12
_PATIENCE = 4.0  # s that the jaws may take to open
_SETTLE = 1.5  # s after a turn
_STEP = np.deg2rad(15)  # rad between poses that have to be within reach
_SMOOTH = 1.8  # times the turn of the jaws that a joint may turn: beyond, the arm is near a singular pose
_FLAT = np.pi / 3  # rad between two flats of a hexagon


class PliersUse(ToolUse):
    """`ToolUse` with pliers in the hand, jaws down."""

    def turn(self, name: str, angle: float) -> Outcome:
        """Turns a nut by `angle` [rad], counter-clockwise from above where it is positive."""
        return self._run(lambda: self._turn(name, angle))

    def _turn(self, name: str, angle: float) -> tuple[str, dict[str, float]]:
        loop = self._loop
        nut = loop.object(name)
        flats = flats_of(nut)
        if min(flats + PLAY / 2, loop.tool.opening_max) <= flats:
            raise Trouble("too wide", f"{name} is {flats * 1e3:.1f} mm wide, more than the jaws open")
        start = nut.turn
        bites = 0
        while abs(left := start + angle - self._seen_turn(name)) > 0.6 * TURNED and bites < _BITES:
            before = self._seen_turn(name)
            self._bite(name, float(np.clip(left, -BITE, BITE)))
            bites += 1
            if bites > 2 and abs(self._seen_turn(name) - before) < np.deg2rad(2):
                break
        turned = self._seen_turn(name) - start
        off = abs(turned - angle)
        measured = {"turned": turned, "bites": float(bites)}
        text = f"{name} was turned by {np.rad2deg(turned):.0f} degrees"
        if off > TURNED:
            raise Trouble("not turned", f"{text}, asked were {np.rad2deg(angle):.0f}")
        return f"{text} in {bites} bite{'s' * (bites != 1)}", self._measured() | measured

    def _bite(self, name: str, angle: float) -> None:
        """Comes down around the nut, closes, turns, opens and rises."""
        loop = self._loop
        nut = loop.object(name)
        flats = flats_of(nut)
        loop.set_opening(min(flats + PLAY, loop.tool.opening_max))
        low, over = nut_bottom(nut) - BELOW, max(nut.top + HOVER, self._clear_height(self._around((name,))))
        yaw, most, q = self._way(nut, angle + np.sign(angle) * SLACK, low, over)
        self._go_over(over, q)
        at = nut.pos[:2]
        loop.move_tips(lambda: pointing_down(np.array([*at, over]), yaw), CARRY, at_least=0.4)
        loop.move_tips(lambda: pointing_down(np.array([*at, low]), yaw), DESCEND)
        grip = flats - SQUEEZE
        loop.set_opening(grip)
        here = pointing_down(np.array([*at, low]), yaw)
        loop.move_tips(lambda: here, DESCEND, at_least=abs(loop.goal - grip) / CLOSE_RATE + SQUEEZE_SECONDS)
        loop.keep_opening(PRESS)
        self._turn_jaws(name, at, low, yaw, (_within(angle, most), most))
        self._open_around(flats)
        self._rise_over(over)

    def _open_around(self, flats: float) -> None:
        """Opens until the jaws are clear of the nut: a hand that pressed hard needs a while."""
        loop = self._loop
        loop.set_opening(min(flats + PLAY, loop.tool.opening_max))
        end = loop.time + _PATIENCE
        while loop.opening < flats + PLAY / 2 and loop.time < end:
            loop.wait(self._robot.period)

    def _turn_jaws(self, name: str, at: F64, low: float, yaw: float, turn: tuple[float, float]) -> None:
        """Turns the closed jaws until the nut has turned by `turn[0]` [rad], and the jaws by `turn[1]` at most."""
        loop, (angle, most) = self._loop, turn
        coast = min(COAST, abs(angle) / 2)
        target = loop.object(name).turn + angle - np.sign(angle) * coast

        def ahead() -> F64:
            now = approach.yaw_of(loop.commanded_tips())
            come = float((now - yaw + np.pi) % (2 * np.pi) - np.pi)
            left = max(0.0, np.sign(angle) * (target - loop.object(name).turn)) * np.sign(angle)  # never back
            further = _within(come + left, most)
            return pointing_down(np.array([*at, low]), yaw + further)

        # A motion of the tips ends when their place is reached; a turn in place has to be given its time.
        loop.move_tips(ahead, TURN, at_least=abs(angle) / TURN.turn + _SETTLE)

    def _way(self, nut: SceneObject, angle: float, low: float, over: float) -> tuple[float, float, F64]:
        """The direction of the jaws at which the arm can turn furthest, that turn, and the arm's joints over it."""
        flat = yaw_of(nut) + nut.turn + _FLAT / 2
        ways = [
            (yaw, *self._turns_by(nut.pos[:2], yaw, angle, low, over)) for yaw in (flat + k * _FLAT for k in range(6))
        ]
        yaw, reached, _, q = max(ways, key=lambda way: (round(abs(way[1]) / _STEP), -way[2]))
        if q is None or abs(reached) < min(abs(angle), _STEP):
            raise approach.NoWay("the arm cannot turn the jaws around the nut")
        return yaw, reached, q

    def _turns_by(self, xy: F64, yaw: float, angle: float, low: float, over: float) -> tuple[float, float, F64 | None]:
        """How far [rad] of a turn from `yaw` the arm follows smoothly, its joints' largest step on the way, and its
        joints over the start; none where that is out of reach."""
        loop, T_palm_tip = self._loop, self._loop.T_palm_tip
        try:
            q = self._motion.solve(pointing_down(np.array([*xy, over]), yaw), T_palm_tip, loop.q_arm)
            joints = self._motion.solve(pointing_down(np.array([*xy, low]), yaw), T_palm_tip, q)
        except Unreachable:
            return 0.0, np.inf, None
        reached = worst = 0.0
        for share in np.linspace(0, 1, max(2, round(abs(angle) / _STEP) + 1))[1:]:
            pose = pointing_down(np.array([*xy, low]), yaw + share * angle)
            try:
                further = self._motion.solve(pose, T_palm_tip, joints, posture=joints)
            except Unreachable:
                break
            step = float(np.abs(further - joints).max())
            if step > _SMOOTH * _STEP:
                break
            reached, worst, joints = share * angle, max(worst, step), further
        return reached, worst, q

    def _seen_turn(self, name: str) -> float:
        """How far the nut is turned [rad], averaged over a few looks."""
        looks = []
        for _ in range(5):
            self._loop.wait(self._robot.period)
            looks.append(self._loop.object(name).turn)
        return float(np.mean(looks))


def _within(angle: float, most: float) -> float:
    """An angle between 0 and `most`, whichever is the larger."""
    return float(np.clip(angle, min(0.0, most), max(0.0, most)))


def flats_of(nut: SceneObject) -> float:
    """Width of a nut across its flats [m]."""
    return float(_part(nut).size[1])


def nut_bottom(nut: SceneObject) -> float:
    """Height of a nut's lower face [m], world frame."""
    part = _part(nut)
    return float(nut.pos[2] + part.pos[2] - part.size[2] / 2)


def yaw_of(nut: SceneObject) -> float:
    """Turn of the bolt about the vertical [rad]."""
    axis = rotations.rotate(nut.quat, np.array([1.0, 0, 0]))
    return float(np.arctan2(axis[1], axis[0]))


def _part(nut: SceneObject) -> ObjectPart:
    found = nut_of(nut)
    if found is None:
        raise Trouble("no nut", f"{nut.name} has no nut to turn")
    return found
