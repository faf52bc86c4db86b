"""Actions with a held tool: pick, drop, place, open, move. The hierarchy's upper level, by a privileged heuristic.

Five times a second the heuristic reads the measured `Scene` and sets where the tips go and how far they open; twenty
times a second the hand's policy turns the opening into joint targets. Every action ends by looking, and reports what
it saw.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import numpy as np

from toolwright.hardware.joints import FR3_HOME, LEAP
from toolwright.hardware.robot import F64, Robot
from toolwright.perception.scene import Perception, SceneObject
from toolwright.policies.low_level import HandPolicy
from toolwright.policies.motion import ArmMotion, TipLimits, Unreachable, pointing_down
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import approach
from toolwright.policies.tool.tool_loop import CLOSE_RATE, OPEN_RATE, ToolLoop, Trouble
from toolwright.sim.grasp_bank import GraspBank

ATTEMPTS = 3
HOVER = 0.03  # m over the object's top
SPARE = 0.02  # m over anything that is passed
CARRY = TipLimits(speed=0.20, acceleration=0.6, jerk=6.0, turn=0.8)
DESCEND = TipLimits(speed=0.08, acceleration=0.3, jerk=3.0, turn=0.5)
LIFT = TipLimits(speed=0.10, acceleration=0.3, jerk=2.0, turn=0.5)
SIDE = 0.004  # m between each pad and the object when the tool opens around it to let go
PLACED = 0.02  # m from the place that still counts as there
SQUEEZE_SECONDS = 0.5  # that the hand presses on after the tips have met the object
TIPS_REACHED, OPENING_REACHED = 0.005, 0.0015  # m
HOME_REACHED = 0.02  # rad
REST_SECONDS, REST_MOVED, REST_PATIENCE = 0.5, 0.001, 4.0  # s, m, s
_SLIPPED_LOOKS = 4  # in a row, before an object counts as lost: one look may err
_RAISED_SHARE = 0.8
_PADS = ("pad_length", "grip", "jaw_grip")  # what a tool calls the length of its working ends

log = logging.getLogger(__name__)


class ToolUse:
    """Implements what the language side calls `Actions`. Lengths in m, world frame.

    Args:
        robot: arm and hand, connected.
        perception: the only eyes.
        bank: grasps of the held tool's family.
        index: which tool of the bank is held.
        controller: of the hand.
        T_world_base: (4, 4) where the arm stands; the world's origin by default.
    """

    def __init__(
        self,
        robot: Robot,
        perception: Perception,
        bank: GraspBank,
        index: int = 0,
        controller: Literal["learned", "closed_form"] = "learned",
        T_world_base: F64 | None = None,
    ) -> None:
        self._robot, self._params = robot, bank.params[index]
        self._bank, self._index = bank, index
        self._pad = next((float(getattr(self._params, name)) for name in _PADS if hasattr(self._params, name)), 0.0)
        self._motion = ArmMotion(T_world_base)
        self._loop = ToolLoop(robot, perception, HandPolicy(bank, index, controller), self._motion)
        self._shape = approach.HandShape()
        self._fingers = robot.joints.indices(LEAP.names)
        self._held = ""  # what was picked and not yet let go
        self._missed = 0  # looks in a row at which it was not between the tips

    def tap(
        self,
        robot: Callable[[Robot], Robot],
        eyes: Callable[[Perception], Perception],
        hand: Callable[[HandPolicy], HandPolicy],
    ) -> None:
        """Puts something around robot, eyes and the hand's policy, for instance what records them."""
        self._robot = self._loop.robot = robot(self._robot)
        self._loop.perception, self._loop.hand = eyes(self._loop.perception), hand(self._loop.hand)

    # -- actions ------------------------------------------------------------------------------------------------------

    def fetch(self, name: str) -> Outcome:
        """Takes the tool out of its stand, checks that it is held right, and corrects what is not."""
        start = self._robot.read().stamp
        try:
            reason, measured = self._fetch(name)
            success = True
        except (Trouble, Unreachable) as error:
            success, reason, measured = False, _in_words(error), {}
        return Outcome(success, reason, measured, self._robot.read().stamp - start)

    def pick(self, name: str, opening: float, grip: float, lift: float) -> Outcome:
        """Opens, comes down around the object, closes, lifts; tries again where the object was missed."""
        return self._run(lambda: self._pick(name, opening, grip, lift))

    def drop_in(self, name: str, container: str, height: float) -> Outcome:
        """Carries the held object over a container's mouth, lowers it to `height` above the rim, opens."""
        return self._run(lambda: self._drop_in(name, container, height))

    def place_at(self, name: str, x: float, y: float) -> Outcome:
        """Puts the held object down."""
        return self._run(lambda: self._place_at(name, x, y))

    def set_opening(self, opening: float) -> Outcome:
        """Opens or closes the tool, the arm at rest."""
        return self._run(lambda: self._set_opening(opening))

    def move_tips(self, x: float, y: float, z: float) -> Outcome:
        """Moves the point between the tips, over things that are in the way."""
        return self._run(lambda: self._move_tips(np.array([x, y, z])))

    def home(self) -> Outcome:
        """Moves the arm to its home pose."""
        return self._run(self._home)

    def stop(self, reason: str) -> None:
        """Stops the robot where it is."""
        self._robot.stop(reason)
        self._loop.hold()

    def _run(self, action: Callable[[], tuple[str, dict[str, float]]]) -> Outcome:
        start = self._robot.read().stamp
        try:
            self._loop.begin()
            reason, measured = action()
            success = True
        except (Trouble, approach.NoWay, Unreachable) as error:
            success, reason, measured = False, _in_words(error), self._measured()
        return Outcome(success, reason, measured, self._robot.read().stamp - start)

    # -- fetch --------------------------------------------------------------------------------------------------------

    def _fetch(self, name: str) -> tuple[str, dict[str, float]]:
        from toolwright.policies.tool.fetching import Fetching

        loop = self._loop
        scene = loop.perception.look()
        if scene.tool is not None:
            if scene.tool.name != name:
                raise Trouble("hand full", f"{scene.tool.name} is in the hand")
            return f"{name} is in the hand already", {}
        fetching = Fetching(self._robot, loop.perception, self._motion, loop.hand, self._bank, self._index)
        found = fetching.take(name)
        loop.begun, loop.taken = False, True
        loop.begin()
        off = f"{found.moved * 1e3:.1f} mm and {found.turned:.2f} rad off its place"
        text = f"{name} is in the hand, {off}, its opening follows to {found.opening_off * 1e3:.1f} mm"
        measured = {
            "moved": found.moved,
            "turned": found.turned,
            "opening_off": found.opening_off,
            "attempts": float(found.attempts),
        }
        return text, self._measured() | measured

    # -- pick ---------------------------------------------------------------------------------------------------------

    def _pick(self, name: str, opening: float, grip: float, lift: float) -> tuple[str, dict[str, float]]:
        item = self._loop.object(name)
        self._check_can_grip(item, opening)
        self._held = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._approach(name, opening)
                self._close_on(name, grip)
                return self._raise(name, lift)
            except Trouble as trouble:
                if trouble.cause not in ("missed", "slipped", "knocked away") or attempt == ATTEMPTS:
                    raise
                log.info("attempt %d at %s: %s; trying again", attempt, name, trouble)
                self._held = ""
                self._loop.set_opening(max(self._loop.goal, opening))
                self._rise_over()
        raise AssertionError("the last attempt returns or raises")

    def _check_can_grip(self, item: SceneObject, opening: float) -> None:
        across, widest = approach.width(item), self._loop.tool.opening_max
        if item.fixed:
            raise Trouble("fixed", f"{item.name} is fixed and cannot be picked")
        if across >= min(opening, widest):
            wide = f"{item.name} is {across * 1e3:.0f} mm wide"
            raise Trouble("too wide", f"{wide}, the tips open {opening * 1e3:.0f} of at most {widest * 1e3:.0f} mm")

    def _approach(self, name: str, opening: float) -> None:
        loop = self._loop
        loop.set_opening(opening)
        item = loop.object(name)
        around = self._around(without=(name,))
        height = self._grasp_height(item)
        over = max(float(item.pos[2]) + approach.half_height(item) + HOVER, self._clear_height(around))
        yaw, q = self._choose(item, opening, item.pos[:2], (over, height), around)
        self._go_over(over, q)
        started_at = item.pos.copy()

        def above() -> F64:
            return pointing_down(np.array([*loop.object(name).pos[:2], over]), yaw)

        def around_it() -> F64:
            seen = loop.object(name)
            return pointing_down(np.array([*seen.pos[:2], self._grasp_height(seen)]), yaw)

        def still_there() -> None:
            away = float(np.linalg.norm(loop.object(name).pos[:2] - started_at[:2]))
            if away > 0.02:
                raise Trouble("knocked away", f"{name} moved {away * 1e3:.0f} mm during the approach")

        loop.move_tips(above, CARRY, still_there, at_least=0.4)
        loop.move_tips(around_it, DESCEND, still_there)

    def _close_on(self, name: str, grip: float) -> None:
        loop = self._loop
        stay = loop.commanded_tips()
        yaw = approach.yaw_of(stay)
        across = approach.width(loop.object(name))
        loop.set_opening(grip)
        seconds = abs(loop.goal - grip) / CLOSE_RATE + SQUEEZE_SECONDS
        down = pointing_down(np.array([*loop.object(name).pos[:2], self._grasp_height(loop.object(name))]), yaw)
        loop.move_tips(lambda: down, DESCEND, at_least=seconds)
        between = approach.between_tips(loop.object(name), loop.tool, loop.tips(), self._pad)
        if not between or loop.opening < 0.6 * across - 0.001:
            gap = float(np.linalg.norm(loop.object(name).pos - loop.tips()[:3, 3]))
            closed = f"closed to {loop.opening * 1e3:.1f} mm, {gap * 1e3:.0f} mm from {name}"
            raise Trouble("missed", f"{closed}, which is {across * 1e3:.1f} mm wide")
        loop.keep_opening()
        self._held, self._missed = name, 0

    def _raise(self, name: str, lift: float) -> tuple[str, dict[str, float]]:
        loop = self._loop
        start = loop.object(name).pos[2]
        up = loop.commanded_tips()
        goal = pointing_down(up[:3, 3] + np.array([0, 0, lift]), approach.yaw_of(up))
        loop.move_tips(lambda: goal, LIFT, self._still_held, precision=0.002)
        loop.wait(0.2, self._still_held)
        risen = float(loop.object(name).pos[2] - start)
        if risen < _RAISED_SHARE * lift:
            raise Trouble("slipped", f"{name} rose {risen * 1e3:.0f} of {lift * 1e3:.0f} mm")
        text = f"{name} is between the tips, raised {risen * 1e3:.0f} mm, held {loop.opening * 1e3:.1f} mm wide"
        return text, self._measured() | {"risen": risen}

    # -- drop, place --------------------------------------------------------------------------------------------------

    def _drop_in(self, name: str, container: str, height: float) -> tuple[str, dict[str, float]]:
        loop = self._loop
        cup = loop.object(container)
        self._check_held(name)
        if not cup.opening:
            raise Trouble("no container", f"{container} has no opening to drop anything into")
        rim = float(cup.pos[2]) + approach.half_height(cup)
        self._bring(name, cup.pos[:2], rim + height, without=(name, container), follow=container)
        self._let_go(name)
        self._rise_over()
        self._wait_for_rest(name)
        item, cup = loop.object(name), loop.object(container)
        away, up = float(np.linalg.norm(item.pos[:2] - cup.pos[:2])), float(item.pos[2] - cup.pos[2])
        if away > cup.opening / 2 or abs(up) > approach.half_height(cup):
            where = f"{away * 1e3:.0f} mm from its axis, {up * 1e3:.0f} mm above its middle"
            raise Trouble("missed the container", f"{name} is not in {container}: {where}")
        return f"{name} lies in {container}", self._measured() | {"from_axis": away}

    def _place_at(self, name: str, x: float, y: float) -> tuple[str, dict[str, float]]:
        loop = self._loop
        self._check_held(name)
        assert loop.scene is not None
        self._bring(name, np.array([x, y]), loop.scene.table_height + approach.TABLE_GAP, without=(name,))
        self._let_go(name)
        self._rise_over()
        self._wait_for_rest(name)
        item = loop.object(name)
        away = float(np.linalg.norm(item.pos[:2] - [x, y]))
        height = float(item.pos[2]) - approach.half_height(item) - loop.scene.table_height
        if away > PLACED or height > 0.01:
            raise Trouble("misplaced", f"{name} is {away * 1e3:.0f} mm from the place, {height * 1e3:.0f} mm up")
        return f"{name} rests {away * 1e3:.1f} mm from the place", self._measured() | {"from_place": away}

    def _check_held(self, name: str) -> None:
        loop = self._loop
        if not approach.between_tips(loop.object(name), loop.tool, loop.tips(), self._pad):
            raise Trouble("not held", f"{name} is not between the tips")
        self._held, self._missed = name, 0

    def _bring(self, name: str, xy: F64, bottom: float, without: tuple[str, ...], follow: str | None = None) -> None:
        """Carries the held object up, over, and down until its lowest point is at the height `bottom`."""
        loop = self._loop
        item = loop.object(name)
        hangs = float(loop.tips()[2, 3] - item.pos[2]) + approach.half_height(
            item
        )  # m, its lowest point below the tips
        over = max(self._clear_height(self._around((name,))) + max(0.0, hangs), bottom + hangs)
        yaw, _ = self._choose(None, loop.opening, xy, (over, bottom + hangs), self._around(without))

        def target(z: float) -> F64:
            at = xy if follow is None else loop.object(follow).pos[:2]
            T = pointing_down(np.array([*at, z]), yaw)
            # The object, not the tips, has to arrive.
            beside = (loop.tips()[:3, :3].T @ (loop.object(name).pos - loop.tips()[:3, 3]))[:2]
            T[:2, 3] -= (T[:3, :3] @ np.array([*beside, 0.0]))[:2]
            return T

        now = loop.commanded_tips()
        up = pointing_down(np.array([*now[:2, 3], max(over, now[2, 3])]), approach.yaw_of(now))
        loop.move_tips(lambda: up, LIFT, self._still_held, precision=0.005)
        loop.move_tips(lambda: target(up[2, 3]), CARRY, self._still_held, precision=0.002)
        loop.move_tips(lambda: target(bottom + hangs), DESCEND, self._still_held, precision=0.002)

    def _let_go(self, name: str) -> None:
        loop = self._loop
        self._held = ""
        loop.set_opening(min(loop.opening + 2 * SIDE, loop.tool.opening_max))
        loop.wait((loop.final_goal - loop.goal) / OPEN_RATE + 0.5)

    def _wait_for_rest(self, name: str) -> None:
        """Looks until an object has stopped rolling, or patience ends."""
        for _ in range(round(REST_PATIENCE / REST_SECONDS)):
            before = self._loop.object(name).pos
            self._loop.wait(REST_SECONDS)
            if np.linalg.norm(self._loop.object(name).pos - before) < REST_MOVED:
                return

    def _still_held(self) -> None:
        if not self._held:
            return
        loop = self._loop
        held = approach.between_tips(loop.object(self._held), loop.tool, loop.tips(), self._pad)
        self._missed = 0 if held else self._missed + 1
        if self._missed >= _SLIPPED_LOOKS:
            name, self._held = self._held, ""
            away = float(np.linalg.norm(loop.object(name).pos - loop.tips()[:3, 3]))
            raise Trouble("slipped", f"{name} left the tips and is now {away * 1e3:.0f} mm from them")

    # -- moves --------------------------------------------------------------------------------------------------------

    def _set_opening(self, opening: float) -> tuple[str, dict[str, float]]:
        loop = self._loop
        self._held = ""
        loop.set_opening(opening)
        loop.wait(abs(opening - loop.goal) / CLOSE_RATE + 0.5)
        for _ in range(60):
            if abs(loop.opening - opening) < OPENING_REACHED / 2:
                break
            loop.wait(0.05)
        off = loop.opening - opening
        if abs(off) > OPENING_REACHED:
            raise Trouble("opening off", f"it is {loop.opening * 1e3:.1f} mm, asked were {opening * 1e3:.1f} mm")
        return f"the opening is {loop.opening * 1e3:.1f} mm", self._measured()

    def _move_tips(self, pos: F64) -> tuple[str, dict[str, float]]:
        loop = self._loop
        around = self._around((self._held,))
        over = max(self._clear_height(around), float(pos[2]))
        yaw, _ = self._choose(None, loop.opening, pos[:2], (over, float(pos[2])), around)
        now = loop.commanded_tips()
        if np.linalg.norm(now[:2, 3] - pos[:2]) > 0.01:
            up = pointing_down(np.array([*now[:2, 3], max(over, now[2, 3])]), approach.yaw_of(now))
            loop.move_tips(lambda: up, LIFT, self._still_held, precision=0.005)
            across = pointing_down(np.array([*pos[:2], up[2, 3]]), yaw)
            loop.move_tips(lambda: across, CARRY, self._still_held, precision=0.005)
        loop.move_tips(lambda: pointing_down(pos, yaw), LIFT, self._still_held, precision=0.001)
        away = float(np.linalg.norm(loop.tips()[:3, 3] - pos))
        if away > TIPS_REACHED:
            raise Trouble("not reached", f"the tips are {away * 1e3:.0f} mm from the point")
        return f"the tips are {away * 1e3:.1f} mm from the point", self._measured()

    def _home(self) -> tuple[str, dict[str, float]]:
        self._rise_over()
        self._loop.move_joints(FR3_HOME, self._still_held)
        self._loop.wait(0.3, self._still_held)
        off = float(np.abs(self._loop.q_arm - FR3_HOME).max())
        if off > HOME_REACHED:
            raise Trouble("not reached", f"a joint is {off:.2f} rad from home")
        return "the arm is at home", self._measured()

    def _go_over(self, height: float, q: F64) -> None:
        """Up to a height that is clear of everything, then through the air to joints (7,) [rad]."""
        loop = self._loop
        self._rise_over(height)
        # A path that is straight for the joints is not for the tips: what it sags, the tips rise before.
        shares = np.linspace(0, 1, 12)[:, None]
        way = (1 - shares) * loop.q_arm + shares * q
        lowest = min(float((self._motion.palm(joints) @ loop.T_palm_tip)[2, 3]) for joints in way)
        if lowest < height - SPARE / 2:
            self._rise_over(2 * height - lowest)
        loop.move_joints(q)

    def _rise_over(self, height: float | None = None) -> None:
        loop = self._loop
        now = loop.commanded_tips()
        height = self._clear_height(self._around((self._held,))) if height is None else height
        if now[2, 3] < height:
            goal = pointing_down(np.array([*now[:2, 3], height]), approach.yaw_of(now))
            loop.move_tips(lambda: goal, LIFT, self._still_held, precision=0.005)

    # -- the world ----------------------------------------------------------------------------------------------------

    def _around(self, without: tuple[str, ...]) -> list[approach.Obstacle]:
        assert self._loop.scene is not None
        return approach.obstacles(self._loop.scene, without)

    def _clear_height(self, around: list[approach.Obstacle]) -> float:
        assert self._loop.scene is not None
        return max([self._loop.scene.table_height + HOVER, *(thing.top for thing in around)]) + SPARE

    def _grasp_height(self, item: SceneObject) -> float:
        assert self._loop.scene is not None
        return approach.grasp_height(item, self._loop.scene.table_height, self._pad)

    def _choose(
        self,
        item: SceneObject | None,
        opening: float,
        xy: F64,
        heights: tuple[float, ...],
        around: list[approach.Obstacle],
    ) -> tuple[float, F64]:
        loop = self._loop
        now = approach.yaw_of(loop.commanded_tips())
        yaws = approach.candidates(item, opening, now)
        if item is not None and not yaws:
            raise Trouble("too wide", f"{item.name} has no sides that the tips can close on")
        poses = {yaw: [pointing_down(np.array([*xy, z]), yaw) for z in heights] for yaw in yaws}
        points = self._shape.points(loop.robot.read().q[self._fingers], loop.T_palm_tip, opening)
        return approach.choose(self._motion, poses, loop.T_palm_tip, loop.q_arm, points, around, now)

    def _measured(self) -> dict[str, float]:
        if not self._loop.begun:
            return {}
        x, y, z = self._loop.tips()[:3, 3]
        return {"opening": self._loop.opening, "tips_x": float(x), "tips_y": float(y), "tips_z": float(z)}


def _in_words(error: Exception) -> str:
    if isinstance(error, Unreachable):
        return f"out of reach: the tips stay {error.distance * 1e3:.0f} mm and {error.angle:.2f} rad short"
    if isinstance(error, approach.NoWay):
        return f"no way: {error}"
    return str(error)
