"""What the bare hand does with upright things: wrap around them from above, raise, carry, put down.

Contact alone moves them. Every action ends by looking, and reports what it saw.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from toolwright.hardware.joints import FR3_HOME
from toolwright.hardware.robot import F64, Robot
from toolwright.perception.scene import ObjectPart, Perception, SceneObject
from toolwright.policies.hand import hand_room, hand_shapes
from toolwright.policies.hand.hand_loop import Check, HandLoop, pose_of
from toolwright.policies.hand.hand_shapes import upright
from toolwright.policies.motion import ArmMotion, TipLimits, Unreachable
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import approach
from toolwright.policies.tool.tool_loop import Trouble

ATTEMPTS = 3
SPARE = 0.02  # m over anything that is passed
FREE = TipLimits(speed=0.30, acceleration=0.8, jerk=6.0, turn=1.2)
CARRY = TipLimits(speed=0.15, acceleration=0.4, jerk=3.0, turn=0.6)
SLOW = TipLimits(speed=0.06, acceleration=0.2, jerk=2.0, turn=0.4)
CLOSE_SECONDS = 2.2
LIFTED_SHARE = 0.7
LOST = 0.045  # m that a held thing may slip in the hand before it counts as lost
PLACED = 0.03  # m from the place that still counts as there
DIP = 0.01  # m that a motion of the joints may sink below the heights of its ends
EDGE = 0.01  # m that the hand may get beyond the workspace, for noise and play
GENTLE = 0.15  # share of the arm's speed and acceleration with something in the hand
TABLE_GAP = 0.004  # m kept between a carried thing and the table while it is put down
TALL_ENOUGH = 0.085  # m: a lower thing ends below the lowest finger's grip
YAWS = np.deg2rad([0, -20, 20, -40, 40, -60, 60, -85, 85])  # directions of the fingers tried on round things

log = logging.getLogger(__name__)
Result = tuple[str, dict[str, float]]


class HandUse:
    """The actions of grasping. Lengths in m, world frame.

    Args:
        robot: arm and hand, connected.
        perception: the only eyes.
        T_world_base: (4, 4) where the arm stands; the world's origin by default.
    """

    def __init__(self, robot: Robot, perception: Perception, T_world_base: F64 | None = None) -> None:
        self._robot = robot
        self.motion = ArmMotion(T_world_base)
        self.loop = HandLoop(robot, perception, self.motion)
        self._shape = approach.HandShape()
        self.held = ""  # what is in the hand
        self.T_palm_wrap = hand_shapes.wrap_frame(0.045)
        self._kept = np.zeros(3)  # (3,) m, where the held thing was in the palm

    def tap(self, robot: Callable[[Robot], Robot], eyes: Callable[[Perception], Perception], **_: object) -> None:
        """Puts something between the actions and the robot or the eyes, for a recording."""
        self._robot = self.loop.robot = robot(self.loop.robot)
        self.loop.perception = eyes(self.loop.perception)

    # -- actions ------------------------------------------------------------------------------------------------------

    def grasp(self, name: str, lift: float) -> Outcome:
        """Wraps the hand around an upright thing, or a tool's handle, and raises it."""
        return self.run(lambda: self._grasp(name, lift))

    def place(self, name: str, x: float, y: float) -> Outcome:
        """Puts the held thing down and opens the hand."""
        return self.run(lambda: self._place(name, np.array([x, y])))

    def release(self) -> Outcome:
        """Lowers what is held to the table, opens the hand and rises."""
        return self.run(self._release)

    def home(self) -> Outcome:
        """Moves the arm to its home pose."""
        return self.run(self._home)

    def stop(self, reason: str) -> None:
        """Stops the robot where it is."""
        self._robot.stop(reason)
        self.loop.hold()

    def run(self, action: Callable[[], Result]) -> Outcome:
        start = self._robot.read().stamp
        try:
            self.loop.begin()
            reason, measured = action()
            success = True
        except (Trouble, approach.NoWay) as error:
            success, reason, measured = False, str(error), {}
        except Unreachable as error:
            success, measured = False, {"left": error.distance}
            reason = f"out of reach: {error.distance * 1e3:.0f} mm and {error.angle:.2f} rad are left"
        return Outcome(success, reason, measured, self._robot.read().stamp - start)

    # -- grasp --------------------------------------------------------------------------------------------------------

    def _grasp(self, name: str, lift: float) -> Result:
        if self.held:
            raise Trouble("hand full", f"{self.held} is in the hand")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._grasp_once(name, lift)
            except Trouble as trouble:
                if trouble.cause not in ("missed", "slipped", "knocked away") or attempt == ATTEMPTS:
                    raise
                log.info("attempt %d at %s: %s; trying again", attempt, name, trouble)
                self.held = ""
                self.loop.shape(hand_shapes.OPEN)
                self.rise()
        raise AssertionError("the last attempt returns or raises")

    def _grasp_once(self, name: str, lift: float) -> Result:
        loop = self.loop
        self.rise()
        loop.shape(hand_shapes.OPEN)
        center, yaw, height, depth = self._choose_grasp(name)
        T_palm_wrap = self.T_palm_wrap = hand_shapes.wrap_frame(depth)
        over = self.clear_height() + hand_shapes.BELOW
        self.go(T_palm_wrap, upright(np.array([*center, over]), yaw))
        started = loop.object(name).pos.copy()

        def still_there() -> None:
            away = float(np.linalg.norm(loop.object(name).pos[:2] - started[:2]))
            if away > 0.03:
                raise Trouble("knocked away", f"{name} moved {away * 1e3:.0f} mm during the approach")

        loop.move(T_palm_wrap, upright(np.array([*center, height]), yaw), CARRY, still_there)
        loop.close(CLOSE_SECONDS)
        if not loop.closed_on_something():
            raise Trouble("missed", f"the hand closed without {name} in it")
        self.held = name
        self._kept = self._grip()
        before = float(loop.object(name).pos[2])
        at = loop.commanded(T_palm_wrap)
        loop.move(T_palm_wrap, upright(at[:3, 3] + np.array([0, 0, lift]), yaw), SLOW, self.still_held)
        loop.wait(0.3, self.still_held)
        risen = float(loop.object(name).pos[2]) - before
        if risen < LIFTED_SHARE * lift:
            self.held = ""
            raise Trouble("slipped", f"{name} rose {risen * 1e3:.0f} of {lift * 1e3:.0f} mm")
        return f"{name} is in the hand, raised {risen * 1e3:.0f} mm", {"risen": risen}

    def _choose_grasp(self, name: str) -> tuple[F64, float, float, float]:
        """Middle (2,) m, direction of the fingers, height of the wrap's middle, depth of what the fingers hold."""
        item = self.loop.object(name)
        if item.fixed:
            raise Trouble("fixed", f"{name} is fixed and cannot be grasped")
        part = handle(item)
        T = pose_of(item)
        up = float(T[2, 2])
        if abs(up) < 0.95:
            raise Trouble("not upright", f"{name} lies on its side")
        center = (T @ np.array([*part.pos, 1.0]))[:3]
        bottom, top = center[2] - part.size[2] / 2, center[2] + part.size[2] / 2
        table = self.loop.scene.table_height
        if top - table < TALL_ENOUGH:
            high = f"{name} is {(top - table) * 1e3:.0f} mm high"
            raise Trouble("too low", f"{high}, the fingers need {TALL_ENOUGH * 1e3:.0f}")
        height = max(table + hand_shapes.BELOW + 0.004, min((bottom + top) / 2, top - hand_shapes.SPAN))
        size = part.size[:2]
        own = float(np.arctan2(T[1, 0], T[0, 0]))
        if item.shape in ("cylinder", "cup"):
            sides = [(float(yaw), float(size[0]), float(size[0])) for yaw in YAWS]
        else:
            # Fingers along the object's y close on its x extent, and the other way round.
            turns = [(own + k * np.pi / 2, size[(k + 1) % 2], size[k % 2]) for k in range(4)]
            sides = [(wrap_angle(yaw), float(across), float(depth)) for yaw, across, depth in turns]
        fitting = [side for side in sides if hand_shapes.NARROWEST <= side[1] <= hand_shapes.WIDEST]
        if not fitting:
            raise Trouble("wrong size", f"{name} is {min(size) * 1e3:.0f} mm wide; the hand holds 36 to 68 mm")
        along_bar = own if item.shape == "bar" else 0.0
        fitting = [side for side in fitting if abs(side[0]) < np.deg2rad(100) and side[2] <= hand_shapes.LONGEST_DEPTH]
        fitting.sort(key=lambda side: abs(wrap_angle(side[0] - along_bar)))
        around = hand_room.footprints(self.loop.scene, (name,))
        best: tuple[float, float, float] | None = None
        for yaw, _, depth in fitting:
            frame = hand_shapes.wrap_frame(depth)
            try:
                self.motion.solve(upright(np.array([*center[:2], height]), yaw), frame, FR3_HOME)
            except Unreachable:
                continue
            points = self._shape.points(hand_shapes.OPEN, frame, 0.0)[:-42]
            room = hand_room.room(points, upright(np.array([*center[:2], height]), yaw), around)
            if room > 0.012:
                return center[:2], yaw, height, depth
            if best is None or room > best[0]:
                best = (room, yaw, depth)
        if best is None:
            at = f"x {center[0]:.2f}, y {center[1]:.2f}"
            raise Trouble("out of reach", f"the hand does not get around {name} at {at}")
        if best[0] < 0:
            raise Trouble("no room", f"other things stand too close to {name} for the hand")
        return center[:2], best[1], height, best[2]

    def still_held(self) -> None:
        """Raises Trouble where what was grasped is no longer in the hand."""
        if self.held:
            slipped = float(np.linalg.norm(self._grip() - self._kept))
            if slipped > LOST:
                name, self.held = self.held, ""
                raise Trouble("slipped", f"{name} left the hand: it is {slipped * 1e3:.0f} mm from where it was held")

    def _grip(self) -> F64:
        """Where the middle of the held thing, or of its handle, is in the palm (3,) [m]."""
        pos = handle(self.loop.object(self.held)).pos
        return (self.loop.in_palm(self.held) @ np.array([*pos, 1.0]))[:3]

    # -- put down -----------------------------------------------------------------------------------------------------

    def _place(self, name: str, xy: F64) -> Result:
        if self.held != name:
            raise Trouble("not held", f"{name} is not in the hand")
        self.carry_to(xy)
        self._release()
        away = float(np.linalg.norm(grip_point(self.loop.object(name)) - xy))
        if away > PLACED:
            raise Trouble("misplaced", f"{name} is {away * 1e3:.0f} mm from the place")
        return f"{name} stands {away * 1e3:.0f} mm from the place", {"from_place": away}

    def carry_to(self, xy: F64) -> None:
        """Carries the held thing over everything else until its middle, or its handle, is over a place (2,) [m]."""
        loop, name = self.loop, self.held
        self.keep_inside(xy)
        bottom = self.bottom(name)
        clear = self.clear_height((name,)) - bottom
        self.shift(np.array([0, 0, max(clear, 0.02)]), CARRY)
        self.shift(np.array([*(xy - grip_point(loop.object(name))), 0.0]), CARRY)
        self.shift(np.array([*(xy - grip_point(loop.object(name))), 0.0]), SLOW)

    def shift(self, by: F64, limits: TipLimits) -> None:
        """Moves the hand, with what it holds, by (3,) [m]."""
        at = self.loop.commanded(self.T_palm_wrap)
        at[:3, 3] += by
        self.straight(self.T_palm_wrap, at, limits, self.still_held)

    def straight(self, frame: F64, goal: F64, limits: TipLimits, check: Check, precision: float = 0.003) -> None:
        """Moves a frame of the palm straight to a pose; where the arm gets stuck on the line, with its joints alone."""
        try:
            self.loop.move(frame, goal, limits, check, precision)
        except Unreachable:
            q = self.motion.solve(goal, frame, FR3_HOME)
            if self._sinks(frame, q) > DIP:
                raise
            self.loop.move_joints(q, check, GENTLE)
            self.loop.move(frame, goal, limits, check, precision)

    def bottom(self, name: str) -> float:
        """Height [m] of an object's lowest point."""
        item = self.loop.object(name)
        return float(item.pos[2]) - approach.half_height(item)

    def _release(self) -> Result:
        name = self.held
        if name:
            down = self.bottom(name) - self.loop.scene.table_height - TABLE_GAP
            if down > 0:
                self.shift(np.array([0, 0, -down]), SLOW)
        self.held = ""
        self.loop.shape(hand_shapes.OPEN)
        self.rise()
        return (f"{name} is let go" if name else "the hand is open"), {}

    # -- through the air ----------------------------------------------------------------------------------------------

    def go(self, frame: F64, goal: F64) -> None:
        """Moves a frame of the palm through the air to a pose; the hand is high enough already."""
        self.keep_inside(goal[:2, 3])
        q = self.motion.solve(goal, frame, self.loop.q_arm)
        if self._sinks(frame, q) < DIP:
            self.loop.move_joints(q)
        self.loop.move(frame, goal, FREE)

    def _sinks(self, frame: F64, q: F64) -> float:
        """How far [m] a frame of the palm gets below both ends of a straight way of the joints to (7,) [rad]."""
        way = (self.loop.q_arm + share * (q - self.loop.q_arm) for share in np.linspace(0.0, 1.0, 9))
        heights = [float((self.motion.palm(at) @ frame)[2, 3]) for at in way]
        return min(heights[0], heights[-1]) - min(heights)

    def keep_inside(self, xy: F64) -> None:
        """Raises Trouble where hand or thumb would leave the workspace at (2,) [m]. The arm itself goes further."""
        box = self.loop.scene.workspace
        away = float(np.maximum(np.maximum(box.lower[:2] - xy, xy - box.upper[:2]), 0.0).max())
        if away > EDGE:
            at = f"x {xy[0]:.2f}, y {xy[1]:.2f}"
            raise Trouble("out of reach", f"the hand would be {away * 1e3:.0f} mm outside the workspace at {at}")

    def rise(self) -> None:
        """Straight up until hand and what it holds are over everything else."""
        frame = self.T_palm_wrap
        at = self.loop.commanded(frame)
        over = self.clear_height((self.held,)) + hand_shapes.BELOW
        if at[2, 3] < over:
            at[2, 3] = over
            self.loop.move(frame, at, FREE, precision=0.01)

    def clear_height(self, without: tuple[str, ...] = ()) -> float:
        """Height [m] over everything but the objects named."""
        return hand_room.tallest(self.loop.scene, without) + SPARE

    def _home(self) -> Result:
        self.rise()
        self.loop.move_joints(FR3_HOME, self.still_held)
        self.loop.wait(0.3, self.still_held)
        return "the arm is at home", {}


def handle(item: SceneObject) -> ObjectPart:
    """What the hand wraps around: a tool's handle, else the whole thing."""
    named = [part for part in item.parts if part.name == "handle"]
    return named[0] if named else ObjectPart(item.name, np.zeros(3), item.size)


def grip_point(item: SceneObject) -> F64:
    """(2,) m, middle of what the hand wraps around."""
    return np.asarray((pose_of(item) @ np.array([*handle(item).pos, 1.0]))[:2])


def extent(item: SceneObject, along: F64) -> float:
    """Half of an object's extent [m] in a level direction (2,); of a tool that of its handle."""
    if item.shape in ("sphere", "cylinder", "cup", "capsule"):
        return float(item.size[0] / 2)
    axes = pose_of(item)[:2, :2]
    return float(np.abs(along @ axes) @ handle(item).size[:2] / 2)


def wrap_angle(angle: float) -> float:
    """The same direction between -pi and pi [rad]."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
