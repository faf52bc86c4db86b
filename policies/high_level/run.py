"""Picking on a robot with the heuristic or a learned policy: the same interface code as in the batched task, for one.

It knows the world through its eyes and `Robot.read` alone. Every control period it looks, drives arm and hand, and
sends; every fourth it takes what is known of the object and asks the policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.held_tool import LearnedInterface, Synergy
from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.pick import EVERY, LOST, Affordance, PickInterface, Room
from toolwright.hardware.robot import F64, JointTarget, Robot
from toolwright.hardware.tip_motion import Chain, Poses
from toolwright.perception.scene import Perception, Scene, SceneObject
from toolwright.policies.high_level.actor import HighLevelActor
from toolwright.policies.high_level.env import combine, with_plan
from toolwright.policies.high_level.heuristic import Heuristic
from toolwright.policies.low_level import PERIOD
from toolwright.policies.tool import approach
from toolwright.policies.tool.tool_loop import Trouble
from toolwright.sim.grasp_bank import GraspBank

Goal = Callable[[float], F64]  # s since the start -> (3,) m, where the object shall be


class Eyes(Protocol):
    """What picking must see."""

    def tool(self, q: F64) -> tuple[Poses, float, F64]:
        """Tips in the palm (1), opening [m], and pose (7,) of the tool in the palm, at arm joints (7,) [rad]."""
        ...

    def object(self, aim: float) -> Affordance:
        """Where tips can close on the object (1), the direction nearest to `aim` [rad] where there are several."""
        ...


class SceneEyes:
    """Eyes over a `Perception`.

    Args:
        perception: looks.
        chain: of the arm.
        name: of the object.
    """

    def __init__(self, perception: Perception, chain: Chain, name: str) -> None:
        self._perception, self._chain, self._name = perception, chain, name
        self._scene: Scene | None = None

    def tool(self, q: F64) -> tuple[Poses, float, F64]:
        self._scene = scene = self._perception.look()
        if scene.tool is None:
            raise Trouble("tool dropped", "the tool is no longer seen in the hand")
        quat = rotations.conjugate(_quat(scene.tool.T_world_tip[:3, :3].T))
        world = Poses(scene.tool.T_world_tip[None, :3, 3], quat[None])
        tips = Poses(*self._chain.palm(q[None])).inverse() @ world
        return tips, scene.tool.opening, np.concatenate([scene.tool.pos_palm, scene.tool.quat_palm])

    def object(self, aim: float) -> Affordance:
        scene = self._scene or self._perception.look()
        if self._name not in scene.objects:
            raise Trouble("not seen", f"there is no {self._name} in view")
        return affordance(scene.objects[self._name], scene.table_height, aim)


def affordance(item: SceneObject, table: float, aim: float) -> Affordance:
    """Where tips can close on an object of a scene: its narrowest pair of sides.

    Raises:
        Trouble: it has no upright sides.
    """
    sides = approach.horizontal_sides(item)
    if not sides:
        raise Trouble("too wide", f"{item.name} has no sides that the tips can close on")
    width, yaw = sides[0]
    top = float(item.pos[2]) + approach.half_height(item) - table
    return Affordance(
        item.pos[None].copy(),
        np.array([aim if yaw is None else yaw]),
        np.array([width]),
        np.array([top]),
        np.ones(1, bool),
    )


class PickRun:
    """One robot that picks.

    Args:
        robot: arm and hand, connected.
        eyes: the only ones.
        bank: grasps of the held tool's family.
        index: which tool of the bank is held.
        chain: of the arm.
        room: for the tips.
        actor: the learned policy; None: the heuristic alone.
        hand: weights' `act` of the hand's policy; None: its closed-form part.
        sees_held: whether the eyes see an object between the tips.
    """

    def __init__(
        self,
        robot: Robot,
        eyes: Eyes,
        bank: GraspBank,
        index: int,
        chain: Chain,
        room: Room,
        actor: HighLevelActor | None = None,
        hand: Callable[[F64, F64, F64], F64] | None = None,
        sees_held: bool = True,
    ) -> None:
        row, family, params = slice(index, index + 1), bank.family, bank.params[index]
        self._robot, self._eyes, self._chain, self._actor, self._hand = robot, eyes, chain, actor, hand
        self._arm, self._fingers = robot.joints.indices(FR3.names), robot.joints.indices(LEAP.names)
        widest = float(family.opening(params, family.reach[1] * params.max_angle))
        self.interface = PickInterface(chain, room, np.array([widest]), PERIOD)
        self._synergy = synergy = Synergy(bank.openings[row], bank.ctrl[row], bank.correction[row])
        self.hands = LearnedInterface(synergy, PERIOD)
        self.plan = Heuristic(self.interface, float(params.pad_length), sees_held)
        self._reference = np.zeros(7)
        self._raw = 0.0
        self._sent = np.zeros(len(FR3))

    def begin(self, command: F64 | None = None) -> None:
        """Takes the tool's present place in the hand as the one to keep.

        Args:
            command: (16,) rad, servo targets in force; from the synergy by default.
        """
        one = np.zeros(1, dtype=np.intp)
        q = self._robot.read().q[self._arm]
        tips, opening, self._reference = self._eyes.tool(q)
        command = self._synergy(np.array([opening]))[0] if command is None else command
        self.hands.reset(one, command[None], np.array([opening]))
        self.interface.reset(one, q[None], tips, np.array([opening]))
        self.plan.reset(one)
        self._raw, self._sent = opening, q

    def act(self, goal: F64) -> F64:
        """One action towards a goal (3,) [m] of the object, played; returns it (5,)."""
        self.interface.see(self._eyes.object(float(self.interface.aim[0])))
        action = self._decide(goal[None])
        self.interface.steer(action)
        for _ in range(EVERY):
            self._tick()
        return action[0]

    def pick(self, goal: Goal, seconds: float) -> bool:
        """Acts for some time; whether the tips then hold the object, as far as is seen.

        Raises:
            Trouble: the tool is no longer in the hand, or the object is not seen.
        """
        for k in range(round(seconds / (EVERY * PERIOD))):
            self.act(goal(k * EVERY * PERIOD))
        i = self.interface
        away = float(np.linalg.norm(i.object.center[0] - i.tips.pos[0]))
        return bool(away < 0.02 and i.tips.pos[0, 2] > i.room.table + 0.05)

    def _decide(self, goal: F64) -> F64:
        if self._actor is None:
            return self.plan.act(goal)
        seen = self.interface.observe()
        if not self._actor.residual:
            return self._actor.act(seen, goal)
        planned = self.plan.act(goal)
        learned = self._actor.act(with_plan(seen, planned, self.plan.phase), goal)
        return combine(learned, planned, self._actor.residual)

    def _tick(self) -> None:
        i, robot = self.interface, self._robot
        arm = i.tick()[0]
        fingers = robot.read().q[self._fingers][None]
        down = rotations.rotate(rotations.conjugate(self._chain.palm(self._sent[None])[1]), np.array([0.0, 0, -1]))
        opening = np.array([self._raw])
        target = np.empty(len(robot.joints))
        target[self._arm] = arm
        if self._hand is None:
            target[self._fingers] = self.hands.controller.target(opening, i.displacement, i.goal)[0]
        else:
            seen = self.hands.observe(fingers, i.displacement, down)
            action = self._hand(seen, opening[:, None], i.goal[:, None])
            target[self._fingers] = self.hands.target(action, opening, i.displacement, i.goal)[0]
        self._sent = robot.send(JointTarget(target)).q[self._arm]
        self._look()

    def _look(self) -> None:
        q = self._robot.read().q[self._arm]
        tips, self._raw, pose = self._eyes.tool(q)
        turned = rotations.to_rotvec(rotations.multiply(pose[3:], rotations.conjugate(self._reference[3:])))
        displacement = np.concatenate([pose[:3] - self._reference[:3], turned])
        away, turn = float(np.linalg.norm(displacement[:3])), float(np.linalg.norm(turned))
        if away > LOST[0] or turn > LOST[1]:
            raise Trouble("tool dropped", f"it is {away * 1e3:.0f} mm and {turn:.1f} rad from where it was held")
        self.interface.look(q[None], tips, np.array([self._raw]), displacement[None])


def _quat(turn: F64) -> F64:
    """Quaternion (4,) of the inverse of a rotation matrix (3, 3)."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(turn).as_quat()
    return np.array([w, x, y, z])
