"""The loop that moves a hand to a tool which is not held yet, and holds it from then on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64, Robot
from toolwright.perception.scene import HeldTool, Perception
from toolwright.policies.hand.hand_loop import HandLoop
from toolwright.policies.low_level import HandPolicy
from toolwright.policies.motion import ArmMotion, rotvec
from toolwright.policies.tool.tool_loop import Trouble

OPEN_RATE = 0.02  # m/s of the goal opening
_FORGET = 0.1  # share of a new look in the filtered tool


class FetchLoop(HandLoop):
    """The hand's loop with an eye on the tool, and with the tool's policy in command of the fingers once it is held."""

    def __init__(self, robot: Robot, perception: Perception, motion: ArmMotion, hand: HandPolicy) -> None:
        super().__init__(robot, perception, motion)
        self.policy, self.engaged = hand, False
        self.goal = self.final_goal = 0.0  # m of opening: now, and where the ramp ends
        self.opening = 0.0  # m, filtered
        self.T_world_tip = np.eye(4)  # filtered, while the tool stands still

    @property
    def tool(self) -> HeldTool:
        """The tool as seen last, in the hand or not.

        Raises:
            Trouble: none is seen.
        """
        tool = self.scene.tool or self.scene.loose
        if tool is None:
            raise Trouble("not seen", "there is no tool in view")
        return tool

    def tick(self, q_arm: F64, q_hand: F64 | None = None) -> None:
        """One control period; where the policy is engaged it moves the fingers."""
        if self.engaged:
            step = OPEN_RATE * self.robot.period
            self.goal += float(np.clip(self.final_goal - self.goal, -step, step))
            fingers = self.robot.read().q[self._fingers]
            down = self.motion.palm(self.q_arm)[:3, :3].T @ np.array([0.0, 0.0, -1.0])
            q_hand = self.policy.target(fingers, self.tool, down, self.goal)
        super().tick(q_arm, q_hand)

    def engage(self, T_palm_tool: F64) -> None:
        """Gives the fingers to the policy, which is to keep the tool at a pose (4, 4) in the palm."""
        quat = rotations.from_rotvec(rotvec(T_palm_tool[:3, :3]))
        place = replace(self.tool, pos_palm=T_palm_tool[:3, 3].copy(), quat_palm=quat, opening=self.opening)
        self.policy.reset(self.robot.read().q[self._fingers], place, self.q_hand)
        self.goal = self.final_goal = self.opening
        self.engaged = True

    def displacement(self) -> tuple[float, float]:
        """How far the tool is off its place in the hand by the last look: m, rad."""
        off = self.policy.displacement(self.tool)
        return float(np.linalg.norm(off[:3])), float(np.linalg.norm(off[3:]))

    def _look(self) -> None:
        super()._look()
        tool = self.scene.tool or self.scene.loose
        if tool is None:
            return
        away = float(np.linalg.norm(tool.T_world_tip[:3, 3] - self.T_world_tip[:3, 3]))
        share = _FORGET if away < 0.01 else 1.0
        self.T_world_tip = _blend(self.T_world_tip, tool.T_world_tip, share)
        self.opening += share * (tool.opening - self.opening)


def _blend(old: F64, new: F64, share: float) -> F64:
    """The rigid transform nearest to a weighted mean of two."""
    mean = (1 - share) * old + share * new
    u, _, v = np.linalg.svd(mean[:3, :3])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = u @ v, mean[:3, 3]
    return T
