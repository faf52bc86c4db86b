"""Fetching a tool from its stand: come around it with spread fingers, close, check, lift, check again, correct.

Where the tool goes in the hand is known from its grasp; where it stands is measured. From the moment that the fingers
have closed, the hand's policy holds it and brings it to its place in the hand; what it cannot mend is put back into the
stand and taken anew.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from toolwright.hardware.robot import F64, Robot
from toolwright.perception.scene import Perception, SceneObject
from toolwright.policies.hand import hand_room
from toolwright.policies.low_level import HandPolicy
from toolwright.policies.motion import ArmMotion, TipLimits, Unreachable, rotvec
from toolwright.policies.tool import take_plan
from toolwright.policies.tool.approach import HandShape
from toolwright.policies.tool.fetch_loop import OPEN_RATE, FetchLoop
from toolwright.policies.tool.tool_loop import Trouble
from toolwright.sim.grasp_bank import GraspBank
from toolwright.sim.models.stand import FLOOR

ATTEMPTS = 3
APPROACH = TipLimits(speed=0.12, acceleration=0.4, jerk=4.0, turn=0.6)
NEAR = TipLimits(speed=0.05, acceleration=0.2, jerk=2.0, turn=0.4)
RAISE = TipLimits(speed=0.06, acceleration=0.2, jerk=1.5, turn=0.4)
CLOSE_SECONDS = 1.2
SETTLE_SECONDS = 0.6
FIRST_LIFT = 0.035  # m, out of the pocket
LIFT = 0.15  # m in all
UPRIGHT, BESIDE, SUNK = 0.35, 0.02, 0.02  # rad, m, m: a tool that leans or is off its pocket by more is not in it
KNOCKED = (0.012, 0.25)  # m, rad that a tool may move before it is held
HELD_RIGHT = (0.012, 0.25)  # m, rad that it may be off its place in the hand
FOLLOWED = 0.0015  # m that the opening may be off what was asked
ASKED = (0.35, 0.65)  # of the grasp's range of openings: what is asked to see whether the tool follows
_PATIENCE = 2.5  # s that an opening has to be reached in
_LOOKS = 20  # averaged before the hand comes near
_ABOVE_FLOOR = 0.001  # m over where the tool stood, when it is put back
_HIGHER = 0.10  # m, detour over what is in the way through the air
_AROUND, _TALLEST = 0.05, 0.22  # m, room that any tool takes around its middle and above its tips
_DIP = 0.01  # m that the hand keeps off the table
_OF_TOOL = 42  # points of `HandShape` that are the held tool's
RETRIED = ("held wrong", "slipped", "does not follow", "left behind")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """What was measured of the tool in the hand."""

    moved: float  # m off its place
    turned: float  # rad
    opening_off: float  # m, the larger of the two asked
    attempts: int


class Fetching:
    """Takes one tool out of its stand.

    Args:
        robot: arm and hand.
        perception: the only eyes.
        motion: the arm's kinematics.
        hand: the hand's policy for this tool.
        bank: grasps of the tool's family.
        index: which tool of the bank.
    """

    def __init__(
        self, robot: Robot, perception: Perception, motion: ArmMotion, hand: HandPolicy, bank: GraspBank, index: int
    ) -> None:
        self.loop = FetchLoop(robot, perception, motion, hand)
        self._bank, self._index, self._motion = bank, index, motion
        self._shape = HandShape()
        self._T_tool_tip = np.eye(4)
        self._T_tool_tip[:3, 3] = bank.family.tip(bank.params[index])
        self._openings = bank.openings[index]
        self._stand_pose = np.eye(4)  # (4, 4) of the tool as it stood, world
        self._stood_open = 0.0  # m, its opening as it stood
        self._points = np.zeros((0, 3))  # (n, 3) m, of the spread hand, palm frame
        self._way = np.array([0.0, 0.0, -1.0])  # (3,) from where the hand came, tool frame

    def take(self, name: str) -> Checked:
        """Takes the tool and checks it.

        Raises:
            Trouble: it is not there, or was not taken; `cause` says which.
        """
        loop = self.loop
        loop.begin()
        if loop.tool.name != name:
            raise Trouble("wrong tool", f"there is no {name} in view, but {loop.tool.name}")
        stand = self._check_stands(name)
        try:
            plan = take_plan.plan(self._bank, self._index, float(stand.size[2]) - FLOOR)
        except take_plan.NoGrasp as error:
            raise Trouble("no grasp", str(error)) from error
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return replace(self._once(name, plan), attempts=attempt)
            except Trouble as trouble:
                if trouble.cause not in RETRIED or attempt == ATTEMPTS:
                    raise
                log.info("attempt %d at %s: %s; putting it back", attempt, name, trouble)
                self._put_back(plan)
                self._check_stands(name)
        raise AssertionError("the last attempt returns or raises")

    # -- is it there --------------------------------------------------------------------------------------------------

    def _check_stands(self, name: str) -> SceneObject:
        """The stand that the tool stands in, by measurement."""
        loop = self.loop
        for _ in range(_LOOKS):
            loop.tick(loop.q_arm)
        stands = [item for item in loop.scene.objects.values() if item.shape == "stand"]
        if not stands:
            raise Trouble("no stand", f"there is no stand in view that {name} could be taken from")
        tip = loop.T_world_tip
        stand = min(stands, key=lambda item: float(np.linalg.norm(item.pos[:2] - tip[:2, 3])))
        away = float(np.linalg.norm(stand.pos[:2] - tip[:2, 3]))
        leans = float(np.arccos(np.clip(-tip[2, 2], -1, 1)))
        above = float(tip[2, 3]) - (float(stand.pos[2]) - float(stand.size[2]) / 2)
        if away > BESIDE or leans > UPRIGHT or above > SUNK:
            x, y = tip[:2, 3]
            lies = f"its tips are at x {x:.2f}, y {y:.2f}, it leans {np.rad2deg(leans):.0f} degrees"
            raise Trouble(
                "stand empty", f"{name} is not in {stand.name}: {lies}; put it back into {stand.name}, tips down"
            )
        self._stand_pose = loop.T_world_tip @ np.linalg.inv(self._T_tool_tip)
        self._stood_open = loop.opening
        return stand

    # -- one attempt --------------------------------------------------------------------------------------------------

    def _once(self, name: str, plan: take_plan.TakePlan) -> Checked:
        self._come(name, plan)
        self._close(plan)
        moved, turned = self.loop.displacement()
        if moved > 2 * HELD_RIGHT[0] or turned > 2 * HELD_RIGHT[1]:
            raise Trouble(
                "held wrong", f"{name} is {moved * 1e3:.0f} mm and {turned:.2f} rad off its place in the hand"
            )
        self._lift(name, plan.T_palm_tool, FIRST_LIFT)
        if self.loop.scene.tool is None:
            raise Trouble("left behind", f"the hand rose without {name}")
        self._lift(name, plan.T_palm_tool, LIFT - FIRST_LIFT)
        return self._check(name)

    def _come(self, name: str, plan: take_plan.TakePlan) -> None:
        loop = self.loop
        loop.shape(plan.spread)
        way = self._way = self._choose(plan)
        stood = self._stand_pose.copy()

        def beside(far: float, up: float = 0.0) -> F64:
            T = self._tool_now() if far < 0.05 else stood.copy()
            T = T.copy()
            T[:3, 3] += T[:3, :3] @ way * far + np.array([0, 0, up])
            return T

        def undisturbed() -> None:
            now = self._tool_now()
            away = float(np.linalg.norm(now[:3, 3] - stood[:3, 3]))
            turned = float(np.linalg.norm(rotvec(now[:3, :3] @ stood[:3, :3].T)))
            if away > KNOCKED[0] or turned > KNOCKED[1]:
                raise Trouble(
                    "knocked over", f"{name} moved {away * 1e3:.0f} mm and {turned:.2f} rad before it was held"
                )

        self._through_the_air(plan.T_palm_tool, beside(take_plan.FAR, take_plan.over(way)))
        loop.move(plan.T_palm_tool, beside(take_plan.FAR), APPROACH, undisturbed)
        loop.move(plan.T_palm_tool, lambda: beside(0.0), NEAR, undisturbed, precision=0.001)

    def _close(self, plan: take_plan.TakePlan) -> None:
        """Closes the fingers to where they hold the tool as it stands, then lets the policy take over."""
        loop = self.loop
        grip = loop.policy.synergy(np.array([np.clip(loop.opening, self._openings[0], self._openings[-1])]))[0]
        start = loop.q_hand.copy()
        steps = round(CLOSE_SECONDS / loop.robot.period)
        for i in range(1, steps + 1):
            loop.tick(loop.q_arm, start + i / steps * (grip - start))
        loop.wait(0.2)
        loop.engage(plan.T_palm_tool)
        loop.final_goal = self._in_stand()
        loop.wait(abs(loop.final_goal - loop.goal) / OPEN_RATE + SETTLE_SECONDS)

    def _in_stand(self) -> float:
        """Opening [m] at which the tool's tips are clear of the pocket's walls."""
        low, high = self._openings[0], self._openings[-1]
        return float(low + (0.15 if self._bank.family.rest == "shut" else 0.5) * (high - low))

    def _lift(self, name: str, frame: F64, by: float) -> None:
        loop = self.loop
        goal = loop.commanded(frame)
        goal[:3, 3] += np.array([0.0, 0.0, by])

        def held() -> None:
            moved, turned = loop.displacement()
            if moved > 0.05 or turned > 1.0:
                raise Trouble(
                    "dropped", f"{name} is {moved * 1e3:.0f} mm and {turned:.1f} rad off its place in the hand"
                )

        loop.move(frame, goal, RAISE, held)

    def _check(self, name: str) -> Checked:
        """Whether the tool is in its place in the hand and follows two openings."""
        loop = self.loop
        low, high = self._openings[0], self._openings[-1]
        worst = 0.0
        for share in ASKED:
            loop.final_goal = float(low + share * (high - low))
            loop.wait(abs(loop.final_goal - loop.goal) / OPEN_RATE)
            waited, quiet = 0.0, 0
            while waited < _PATIENCE and quiet < 5:
                loop.wait(loop.robot.period)
                waited += loop.robot.period
                quiet = quiet + 1 if abs(loop.opening - loop.final_goal) < FOLLOWED / 2 else 0
            worst = max(worst, abs(loop.opening - loop.final_goal))
        offs = []
        for _ in range(10):
            loop.wait(loop.robot.period)
            offs.append(loop.displacement())
        moved, turned = (float(value) for value in np.mean(offs, axis=0))
        if loop.scene.tool is None:
            raise Trouble("dropped", f"{name} is no longer in the hand")
        if moved > HELD_RIGHT[0] or turned > HELD_RIGHT[1]:
            raise Trouble(
                "held wrong", f"{name} is {moved * 1e3:.0f} mm and {turned:.2f} rad off its place in the hand"
            )
        if worst > FOLLOWED:
            raise Trouble("does not follow", f"the opening of {name} is {worst * 1e3:.1f} mm off what was asked")
        return Checked(moved, turned, worst, 1)

    # -- put back -----------------------------------------------------------------------------------------------------

    def _put_back(self, plan: take_plan.TakePlan) -> None:
        """Lowers the tool to where it stood, lets go of it and draws the hand back."""
        loop, frame = self.loop, plan.T_palm_tool
        if loop.scene.tool is not None:
            T_palm_tool = np.linalg.inv(loop.measured(np.eye(4))) @ self._tool_now()
            over = self._stand_pose.copy()
            over[2, 3] += LIFT
            down = self._stand_pose.copy()
            down[2, 3] += _ABOVE_FLOOR
            loop.final_goal = self._in_stand()
            loop.move(T_palm_tool, over, APPROACH)
            loop.move(T_palm_tool, down, RAISE)
        if loop.engaged:
            # Gently against the pocket's walls: a sprung tool that is let go of all at once flings its limbs through.
            loop.final_goal = float(np.clip(self._stood_open, self._openings[0], self._openings[-1]))
            loop.wait(abs(loop.final_goal - loop.goal) / OPEN_RATE + SETTLE_SECONDS)
        loop.engaged = False
        loop.shape(plan.spread)
        loop.wait(SETTLE_SECONDS)
        at = loop.commanded(frame)
        at[:3, 3] += at[:3, :3] @ self._way * take_plan.FAR
        loop.move(frame, at, APPROACH)

    # -- the way ------------------------------------------------------------------------------------------------------

    def _tool_now(self) -> F64:
        """Pose (4, 4) of the tool as measured, filtered."""
        return self.loop.T_world_tip @ np.linalg.inv(self._T_tool_tip)

    def _choose(self, plan: take_plan.TakePlan) -> F64:
        """The best way (3,), tool frame, that the arm reaches and that other things leave free.

        Raises:
            Trouble: there is none.
        """
        things = hand_room.footprints(self.loop.scene, self._stands())
        self._points = self._shape.points(plan.spread, np.eye(4), 0.0)[:-_OF_TOOL]
        points = (self._points - plan.T_palm_tool[:3, 3]) @ plan.T_palm_tool[:3, :3]
        nearest: Unreachable | None = None
        reached = False
        for way in plan.ways:
            last = self._stand_pose
            first = last.copy()
            first[:3, 3] += last[:3, :3] @ way * take_plan.FAR
            try:
                self._solve_along(plan.T_palm_tool, first, last, take_plan.over(way))
            except Unreachable as error:
                nearest = error
                continue
            reached = True
            if min(hand_room.room(points, T, things) for T in (first, last)) > 0:
                return way
        if reached or nearest is None:
            raise Trouble("no room", "other things stand too close to the stand for the hand")
        raise nearest

    def _solve_along(self, frame: F64, first: F64, last: F64, over: float) -> None:
        """Follows the way and the lift with the arm's kinematics alone.

        Raises:
            Unreachable: the arm does not get along.
        """
        up, lifted = first.copy(), last.copy()
        up[2, 3] += over
        lifted[2, 3] += LIFT
        q = self._motion.solve(up, frame, self.loop.q_arm)
        for start, end in ((up, first), (first, last), (last, lifted)):
            for share in np.linspace(0.25, 1.0, 4):
                between = end.copy()
                between[:3, 3] = (1 - share) * start[:3, 3] + share * end[:3, 3]
                q = self._motion.solve(between, frame, q, posture=q)

    def _stands(self) -> tuple[str, ...]:
        return tuple(name for name, item in self.loop.scene.objects.items() if item.shape == "stand")

    def _through_the_air(self, frame: F64, goal: F64) -> None:
        """Over everything, then to a pose (4, 4) of a frame of the palm."""
        loop = self.loop
        higher = goal.copy()
        higher[2, 3] += _HIGHER
        for through in (goal, higher):
            try:
                q = self._motion.solve(through, frame, loop.q_arm)
            except Unreachable:
                continue
            if self._passes(q):
                loop.move_joints(q)
                break
        loop.move(frame, goal, APPROACH)

    def _passes(self, q: F64) -> bool:
        """Whether the open hand keeps off everything on a straight way of the joints to (7,) [rad]."""
        loop = self.loop
        points = np.hstack([self._points, np.ones((len(self._points), 1))])
        tip = self._stand_pose @ self._T_tool_tip
        things = hand_room.footprints(loop.scene, self._stands())
        for share in np.linspace(0.1, 1.0, 12):
            palm = self._motion.palm(loop.q_arm + share * (q - loop.q_arm))
            at = points @ palm.T
            near = np.linalg.norm(at[:, :2] - tip[:2, 3], axis=1) < _AROUND
            if (at[near, 2] < tip[2, 3] + _TALLEST).any() or at[:, 2].min() < loop.scene.table_height + _DIP:
                return False
            if hand_room.room(at[:, :3], np.eye(4), things) < 0:
                return False
        return True
