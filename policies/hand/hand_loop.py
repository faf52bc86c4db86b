"""The loop beneath every action of the bare hand: look, steer the arm at 5 Hz, move the fingers at 20 Hz, send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, FR3_HOME, LEAP
from toolwright.hardware.robot import F64, JointTarget, Robot
from toolwright.perception.scene import Perception, Scene, SceneObject
from toolwright.policies.hand import hand_shapes
from toolwright.policies.motion import ArmMotion, TipLimits, TipStream, joint_path
from toolwright.policies.tool.tool_loop import Trouble

STEER_EVERY = 4  # control periods: 5 Hz
FINGER_SPEED = 2.5  # rad/s
DRIFT = 0.3  # rad/s of the arm's joints that the target leaves free
_FIRST_LOOKS = 10
_FORGET = 0.25  # share of a new look in a filtered object
_JUMP = 0.004  # m: an object seen this far from where it was has moved, and is believed at once
_PATIENCE = 1.0  # s that the arm may take to settle

Check = Callable[[], None]  # raises Trouble


class HandLoop:
    """State and clock of the actions.

    Args:
        robot: arm and hand.
        perception: the only eyes.
        motion: the arm's kinematics.
    """

    def __init__(self, robot: Robot, perception: Perception, motion: ArmMotion) -> None:
        self.robot, self.perception, self.motion = robot, perception, motion
        self._arm, self._fingers = robot.joints.indices(FR3.names), robot.joints.indices(LEAP.names)
        self._stream = TipStream(robot.period)
        self._poses: dict[str, tuple[F64, F64]] = {}
        self._ticks = 0
        self.begun = False
        self.q_arm, self.q_hand = np.zeros(len(FR3)), np.zeros(len(LEAP))  # rad, commanded
        self._seen = np.zeros(len(FR3))  # rad, arm as measured at the last look
        self._scene: Scene | None = None

    def begin(self) -> None:
        """Looks; the first time for a while."""
        if not self.begun:
            self.hold()
            for _ in range(_FIRST_LOOKS):
                self._look()
            self.begun = True
        self._look()

    def hold(self) -> None:
        """Forgets what was commanded of the arm; the fingers keep their targets, and with them the grip."""
        state = self.robot.read()
        self.q_arm = state.q[self._arm].copy()
        if not self.begun:
            self.q_hand = state.q[self._fingers].copy()

    @property
    def scene(self) -> Scene:
        """As seen last."""
        assert self._scene is not None
        return self._scene

    @property
    def time(self) -> float:
        """s, of the last look."""
        return self.scene.stamp

    def object(self, name: str) -> SceneObject:
        """An object as seen last, its pose filtered.

        Raises:
            Trouble: it is not seen.
        """
        if name not in self.scene.objects:
            raise Trouble("not seen", f"there is no {name} in view")
        pos, quat = self._poses[name]
        return replace(self.scene.objects[name], pos=pos, quat=quat)

    def commanded(self, T_palm_frame: F64) -> F64:
        """World pose (4, 4) of a frame of the palm where the commanded arm joints bring it."""
        return self.motion.palm(self.q_arm) @ T_palm_frame

    def measured(self, T_palm_frame: F64) -> F64:
        """World pose (4, 4) of a frame of the palm by the arm joints as last measured."""
        return self.motion.palm(self._seen) @ T_palm_frame

    def in_palm(self, name: str) -> F64:
        """Pose (4, 4) of an object in the palm frame, as measured now."""
        item = self.object(name)
        return np.linalg.inv(self.motion.palm(self._seen)) @ pose_of(item)

    def tick(self, q_arm: F64, q_hand: F64 | None = None) -> None:
        """One control period with these targets of arm (7,) and hand (16,) [rad]; the hand's stay by default."""
        target = np.empty(len(self.robot.joints))
        target[self._arm] = q_arm
        target[self._fingers] = self.q_hand if q_hand is None else q_hand
        sent = self.robot.send(JointTarget(target)).q
        self.q_arm, self.q_hand = sent[self._arm], sent[self._fingers]
        self._ticks += 1
        self._look()

    def wait(self, seconds: float, check: Check | None = None) -> None:
        """Holds still."""
        for _ in range(round(seconds / self.robot.period)):
            self.tick(self.q_arm)
            if check is not None:
                check()

    def shape(self, q_hand: F64) -> None:
        """Brings the hand's joints to targets (16,) [rad] at a gentle rate."""
        step = FINGER_SPEED * self.robot.period
        while np.abs(q_hand - self.q_hand).max() > 1e-6:
            self.tick(self.q_arm, self.q_hand + np.clip(q_hand - self.q_hand, -step, step))
        self.wait(0.2)

    def close(self, seconds: float) -> None:
        """Closes the wrap until the joints stall: targets run ahead of the joints by no more than the squeeze."""
        opened, closed = hand_shapes.OPEN, hand_shapes.CLOSED
        way = closed - opened
        share = 0.0
        for _ in range(round(seconds / self.robot.period)):
            share = min(1.0, share + hand_shapes.CLOSING * self.robot.period)
            q = self.robot.read().q[self._fingers]
            wanted = opened + share * way
            ahead = np.where(
                way >= 0, np.minimum(wanted, q + hand_shapes.SQUEEZE), np.maximum(wanted, q - hand_shapes.SQUEEZE)
            )
            self.tick(self.q_arm, ahead)

    def closed_on_something(self) -> bool:
        """Whether the thumb and at least one finger stalled before the wrap was closed."""
        left = hand_shapes.CLOSED - self.robot.read().q[self._fingers]
        return bool(left[14] > 0.1 and max(left[0], left[4]) > 0.1)

    def move_joints(self, q: F64, check: Check | None = None, share: float | None = None) -> None:
        """Moves the arm to joints (7,) [rad], jerk-limited."""
        path = joint_path(self.q_arm, q) if share is None else joint_path(self.q_arm, q, share)
        for i in range(1, int(np.ceil(path.duration / self.robot.period)) + 1):
            self.tick(path.at(i * self.robot.period))
            if check is not None:
                check()

    def move(
        self,
        T_palm_frame: F64,
        goal: Callable[[], F64] | F64,
        limits: TipLimits,
        check: Check | None = None,
        precision: float = 0.003,
    ) -> float:
        """Moves a frame of the palm straight to a pose.

        Args:
            T_palm_frame: (4, 4) which frame.
            goal: its pose (4, 4) in the world, or what to ask five times a second for it.
            limits: of speed, acceleration and jerk.
            check: called every period; what it raises ends the motion.
            precision: m that may be left in the end.

        Returns:
            m that were left when it ended.

        Raises:
            Unreachable: the arm cannot follow.
            Trouble: from `check`.
        """
        ask = goal if callable(goal) else lambda: goal
        wanted = ask()
        self._stream.start(self.commanded(T_palm_frame), wanted, limits)
        arrived = 0.0
        while True:
            if self._ticks % STEER_EVERY == 0 and callable(goal):
                wanted = ask()
                self._stream.retarget(self.commanded(T_palm_frame), wanted)
            self.tick(self.motion.solve(self._stream.next(), T_palm_frame, self.q_arm, self._posture()))
            if check is not None:
                check()
            left = float(np.linalg.norm(self.measured(T_palm_frame)[:3, 3] - wanted[:3, 3]))
            done = self._stream.done
            arrived = arrived or (self.time if done else 0.0)
            if done and (left < precision or self.time - arrived > _PATIENCE):
                return left

    def _posture(self) -> F64:
        """Where the elbow should go: towards home, away from the joints' ends, but no faster than the arm follows."""
        step = DRIFT * self.robot.period
        return self.q_arm + np.clip(FR3_HOME - self.q_arm, -step, step)

    def _look(self) -> None:
        self._scene = scene = self.perception.look()
        self._seen = self.robot.read().q[self._arm]
        for name, item in scene.objects.items():
            pos, quat = self._poses.get(name, (item.pos, item.quat))
            if np.linalg.norm(item.pos - pos) > _JUMP or item.fixed:
                self._poses[name] = (item.pos, item.quat)
                continue
            turn = rotations.to_rotvec(rotations.multiply(item.quat, rotations.conjugate(quat)))
            if np.linalg.norm(turn) > 0.1:
                self._poses[name] = (pos + _FORGET * (item.pos - pos), item.quat)
            else:
                turned = rotations.multiply(rotations.from_rotvec(_FORGET * turn), quat)
                self._poses[name] = (pos + _FORGET * (item.pos - pos), turned)


def pose_of(item: SceneObject) -> F64:
    """World pose (4, 4) of an object."""
    T = np.eye(4)
    T[:3, :3] = rotations.rotate(item.quat, np.eye(3)).T
    T[:3, 3] = item.pos
    return T
