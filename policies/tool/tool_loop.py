"""The loop beneath every action with a held tool: look, steer the arm at 5 Hz, drive the hand at 20 Hz, send, notice.

It knows the world through `Perception.look` and `Robot.read` alone. Where the tips are in the palm is filtered in the
palm's frame, where nothing moves fast, and so is the opening; objects are filtered while they lie still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import F64, JointTarget, Robot
from toolwright.perception.scene import HeldTool, Perception, Scene, SceneObject
from toolwright.policies.low_level import HandPolicy
from toolwright.policies.motion import ArmMotion, TipLimits, TipStream, joint_path

STEER_EVERY = 4  # control periods: 5 Hz
_FIRST_LOOKS = 20  # averaged before anything moves
_FORGET = 0.15  # share of a new look in the filtered tips and opening
_FORGET_OBJECT = 0.25
_JUMP = 0.003  # m: an object seen this far from where it was has moved, and is believed at once
_LOST = (0.05, 1.0)  # m, rad: a tool this far from where it was grasped is no longer held
OPEN_RATE, CLOSE_RATE = 0.04, 0.02  # m/s of the goal opening
_PRESS = 0.0001  # m
_AT_REST = 0.0008  # m
_PATIENCE = 1.5  # s that the tips may take to settle

Check = Callable[[], None]  # raises Trouble


class Trouble(Exception):
    """An action that cannot go on: `cause` in a word or two, `detail` with what was measured."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause, self.detail = cause, detail


class ToolLoop:
    """State and clock of the actions.

    Args:
        robot: arm and hand.
        perception: the only eyes.
        hand: the hand's policy.
        motion: the arm's kinematics.
    """

    def __init__(self, robot: Robot, perception: Perception, hand: HandPolicy, motion: ArmMotion) -> None:
        self.robot, self.perception, self.hand, self.motion = robot, perception, hand, motion
        self._arm, self._fingers = robot.joints.indices(FR3.names), robot.joints.indices(LEAP.names)
        self._stream = TipStream(robot.period)
        self._objects: dict[str, F64] = {}
        self._ticks = 0
        self.begun = self._keeping = False
        self.taken = False  # the hand's policy already keeps a tool that was fetched: it knows the place to keep
        self._press = _PRESS
        self.watch: Check | None = None  # called after every look
        self.released: F64 | None = None  # (16,) rad, where the hand is after it has let go of the tool for good
        self.q_arm = self._q_seen = np.zeros(len(FR3))  # rad, commanded, and measured at the last look
        self.goal = self.final_goal = 0.0  # m, opening: now, and where the ramp ends
        self.opening = 0.0  # m, filtered
        self.T_palm_tip = np.eye(4)  # filtered
        self.scene: Scene | None = None

    def begin(self) -> None:
        """Looks; the first time for a while, and takes the tool's present place in the hand as the one to keep.

        Raises:
            Trouble: the hand holds no tool.
        """
        if self.begun:
            self._look()
            return
        state = self.robot.read()
        self.q_arm = self._q_seen = state.q[self._arm].copy()
        T_palm_world = np.linalg.inv(self.motion.palm(self.q_arm))
        looks = [self.perception.look() for _ in range(_FIRST_LOOKS)]
        tools = [scene.tool for scene in looks if scene.tool is not None]
        if len(tools) < len(looks):
            loose = looks[-1].loose
            where = f"; the {loose.name} are to be fetched first" if loose is not None else ""
            raise Trouble("no tool", f"the hand holds no tool{where}")
        mean = replace(
            tools[0],
            opening=float(np.mean([tool.opening for tool in tools])),
            pos_palm=np.mean([tool.pos_palm for tool in tools], axis=0),
            quat_palm=_mean_quat([tool.quat_palm for tool in tools]),
        )
        if not self.taken:
            self.hand.reset(state.q[self._fingers], mean)
        self.opening = self.goal = self.final_goal = mean.opening
        self.T_palm_tip = _rigid(np.mean([T_palm_world @ tool.T_world_tip for tool in tools], axis=0))
        for name in looks[0].objects:
            self._objects[name] = np.mean([scene.objects[name].pos for scene in looks], axis=0)
        self.scene = looks[-1]
        self.begun = True

    def hold(self) -> None:
        """Forgets what was commanded: the arm stays where it is measured to be."""
        self.q_arm = self.robot.read().q[self._arm].copy()

    @property
    def tool(self) -> HeldTool:
        """The tool as seen last."""
        assert self.scene is not None and self.scene.tool is not None
        return self.scene.tool

    @property
    def time(self) -> float:
        """s, of the last look."""
        assert self.scene is not None
        return self.scene.stamp

    def object(self, name: str) -> SceneObject:
        """An object as seen last, its position filtered.

        Raises:
            Trouble: it is not seen.
        """
        assert self.scene is not None
        if name not in self.scene.objects:
            raise Trouble("not seen", f"there is no {name} in view")
        return replace(self.scene.objects[name], pos=self._objects[name])

    def tips(self) -> F64:
        """Pose (4, 4) of the tips at the last look, through measured arm joints and the filtered tool in the hand."""
        return self.motion.palm(self._q_seen) @ self.T_palm_tip

    def commanded_tips(self) -> F64:
        """Pose (4, 4) of the tips where the commanded arm joints bring them."""
        return self.motion.palm(self.q_arm) @ self.T_palm_tip

    def tick(self, q_arm: F64) -> None:
        """One control period with these arm targets (7,) [rad].

        Raises:
            Trouble: the tool is no longer in the hand.
        """
        self._look()
        if self._keeping:
            self.goal = self.final_goal = self.opening - self._press
        step = self.robot.period * (OPEN_RATE if self.final_goal > self.goal else CLOSE_RATE)
        self.goal += float(np.clip(self.final_goal - self.goal, -step, step))
        fingers = self.robot.read().q[self._fingers]
        down = self.motion.palm(self.q_arm)[:3, :3].T @ np.array([0.0, 0.0, -1.0])
        target = np.empty(len(self.robot.joints))
        target[self._arm] = q_arm
        if self.released is None:
            target[self._fingers] = self.hand.target(fingers, self.tool, down, self.goal)
        else:
            target[self._fingers] = self.released
        self.q_arm = self.robot.send(JointTarget(target)).q[self._arm]
        self._ticks += 1

    def keep_opening(self, press: float = _PRESS) -> None:
        """Asks for the opening that is there, a little less, until another is asked for.

        The grip on an object stays as firm as it has become. With a goal out of reach behind the object, the hand's
        integral would press ever harder; with one above it, ever weaker.

        Args:
            press: m by which less is asked for: a larger one presses harder the longer it lasts.
        """
        self._keeping, self._press = True, press

    def set_opening(self, opening: float) -> None:
        """Sets the opening [m] to which the goal goes at a gentle rate, from what is there now."""
        self._keeping, self.final_goal = False, opening

    def wait(self, seconds: float, check: Check | None = None) -> None:
        """Holds the arm still."""
        for _ in range(round(seconds / self.robot.period)):
            self.tick(self.q_arm)
            if check is not None:
                check()

    def move_joints(self, q: F64, check: Check | None = None) -> None:
        """Moves the arm to joints (7,) [rad], jerk-limited."""
        path = joint_path(self.q_arm, q)
        for i in range(1, int(np.ceil(path.duration / self.robot.period)) + 1):
            self.tick(path.at(i * self.robot.period))
            if check is not None:
                check()

    def move_tips(
        self,
        goal: Callable[[], F64],
        limits: TipLimits,
        check: Check | None = None,
        precision: float = _AT_REST,
        at_least: float = 0.0,
    ) -> float:
        """Moves the tips straight to a pose, and corrects what is measured to be wrong on the way and at the end.

        Args:
            goal: asked five times a second: the pose (4, 4) as it should be by what is known then.
            limits: of speed, acceleration and jerk.
            check: called every period.
            precision: m that may be left in the end.
            at_least: s that the motion goes on, corrections included.

        Returns:
            m that were left when it ended.

        Raises:
            Unreachable: the arm cannot follow.
            Trouble: from `check`.
        """
        wanted = goal()
        self._stream.start(self.commanded_tips(), wanted, limits)
        T_palm_tip, started, arrived = self.T_palm_tip.copy(), self.time, 0.0
        quiet = 0
        while True:
            if self._ticks % STEER_EVERY == 0:
                wanted, T_palm_tip = goal(), self.T_palm_tip.copy()
                self._stream.retarget(self.motion.palm(self.q_arm) @ T_palm_tip, wanted)
            self.tick(self.motion.solve(self._stream.next(), T_palm_tip, self.q_arm, posture=self.q_arm))
            if check is not None:
                check()
            left = float(np.linalg.norm(self.tips()[:3, 3] - wanted[:3, 3]))
            quiet = quiet + 1 if left < precision else 0
            arrived = arrived or (self.time if self._near(wanted) else 0.0)
            settled = quiet >= 3 or (arrived and self.time - arrived > _PATIENCE)
            if settled and self.time - started >= at_least:
                return left

    def _near(self, wanted: F64) -> bool:
        return bool(np.linalg.norm(self.commanded_tips()[:3, 3] - wanted[:3, 3]) < 0.003)

    def _look(self) -> None:
        self.scene = scene = self.perception.look()
        if scene.tool is None:
            raise Trouble("tool dropped", "the tool is no longer seen in the hand")
        self._see_tool(scene.tool)
        for name, item in scene.objects.items():
            known = self._objects.get(name, item.pos)
            moved_far = np.linalg.norm(item.pos - known) > _JUMP
            self._objects[name] = item.pos if moved_far else known + _FORGET_OBJECT * (item.pos - known)
        if self.watch is not None:
            self.watch()

    def _see_tool(self, tool: HeldTool) -> None:
        self._q_seen = self.robot.read().q[self._arm]
        self.opening += _FORGET * (tool.opening - self.opening)
        if self.released is not None:
            return
        moved = self.hand.displacement(tool)
        away, turned = float(np.linalg.norm(moved[:3])), float(np.linalg.norm(moved[3:]))
        if away > _LOST[0] or turned > _LOST[1]:
            raise Trouble("tool dropped", f"it is {away * 1e3:.0f} mm and {turned:.1f} rad from where it was held")
        T_palm_world = np.linalg.inv(self.motion.palm(self._q_seen))
        self.T_palm_tip = _rigid((1 - _FORGET) * self.T_palm_tip + _FORGET * (T_palm_world @ tool.T_world_tip))


def _mean_quat(quats: list[F64]) -> F64:
    turns = [rotations.to_rotvec(rotations.multiply(quat, rotations.conjugate(quats[0]))) for quat in quats]
    return rotations.multiply(rotations.from_rotvec(np.mean(turns, axis=0)), quats[0])


def _rigid(T: F64) -> F64:
    """The rigid transform nearest to a mean of rigid transforms."""
    u, _, v = np.linalg.svd(T[:3, :3])
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = u @ v, T[:3, 3]
    return rigid
