"""The clothespin's job: opened, brought over a line, shut by its own spring, and left there by the hand."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.motion import TipLimits, pointing_down
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import approach
from toolwright.policies.tool.job_geometry import ON_AXIS, in_hand, line_of, off_line
from toolwright.policies.tool.tool_loop import Trouble
from toolwright.policies.tool.tool_use import CARRY, DESCEND, ToolUse

ROOM = 0.004  # m that the jaws open more than the line is thick, on each side
DEPTH = 0.65  # of the jaws' working length: how deep the line comes to lie in it
HOVER = 0.03  # m over the line
LET_GO = 0.035  # m below shut to which the fingers go on opening: they leave the handles
LET_GO_SECONDS = 1.5
_SETTLE = 0.8  # s after that
AWAY = 0.13  # m that the hand draws back, off the handles
STAYS = 2.0  # s that the clothespin has to stay alone
RETREAT = TipLimits(speed=0.06, acceleration=0.15, jerk=1.0, turn=0.3)
_STILL = 0.005  # m that it may move in that time: perception's noise, and a line that swings out


class ClothespinUse(ToolUse):
    """`ToolUse` with a clothespin in the hand, jaws down."""

    def clip_on(self, line: str) -> Outcome:
        """Clips the clothespin on a line, lets go of it and draws the hand back."""
        return self._run(lambda: self._clip_on(line))

    def _clip_on(self, name: str) -> tuple[str, dict[str, float]]:
        loop = self._loop
        if loop.released is not None:
            raise Trouble("not held", "the clothespin was let go of before")
        line = line_of(loop.object(name))
        if line is None:
            raise Trouble("no line", f"{name} is no line that anything can hang on")
        middle, along, radius = line
        wide = min(2 * (radius + ROOM), loop.tool.opening_max)
        if wide < 2 * radius + 0.002:
            raise Trouble("too thick", f"{name} is {2e3 * radius:.1f} mm thick, too much for the jaws")
        loop.set_opening(wide)
        loop.wait(0.5)
        self._bring_over(middle, along)
        loop.set_opening(0.0)
        loop.wait(1.2)
        was = loop.tool.pos_palm.copy()
        self._let_go_of_tool()
        self._draw_back()
        placed = self._tips_seen()
        loop.wait(STAYS)
        moved = float(np.linalg.norm(self._tips_seen() - placed))
        off = off_line(loop.tool, loop.object(name))
        if in_hand(loop.tool, was):
            raise Trouble("not released", "the clothespin came along with the hand")
        if off > ON_AXIS or moved > _STILL:
            raise Trouble("fell", f"the clothespin is not on {name}, it moved {moved * 1e3:.0f} mm")
        text = f"the clothespin stayed on {name} for {STAYS:g} s, the hand {AWAY * 1e3:.0f} mm away"
        return text, {"opening": loop.opening, "off_axis": off, "moved": moved}

    def _bring_over(self, middle: F64, along: F64) -> None:
        """Over the line with the jaws across it, and down until it is between them."""
        loop = self._loop
        across = float(np.arctan2(along[1], along[0])) + np.pi / 2
        now = approach.yaw_of(loop.commanded_tips())
        low, over = float(middle[2]) - DEPTH * self._pad, float(middle[2]) + HOVER
        poses = {
            yaw: [pointing_down(np.array([*middle[:2], z]), yaw) for z in (over, low)]
            for yaw in (across, across + np.pi)
        }
        points = np.zeros((0, 3))  # the hand stays above the line, and its posts are no higher
        yaw, q = approach.choose(self._motion, poses, loop.T_palm_tip, loop.q_arm, points, [], now)
        self._go_over(over, q)
        loop.move_tips(lambda: pointing_down(np.array([*middle[:2], over]), yaw), CARRY, precision=0.002)
        loop.move_tips(lambda: pointing_down(np.array([*middle[:2], low]), yaw), DESCEND, precision=0.001)

    def _let_go_of_tool(self) -> None:
        """Gives in to the spring faster than it can push: fingers that linger would turn the clothespin on the line."""
        loop = self._loop
        start = self._robot.read().q[self._fingers]
        goal = loop.hand.synergy(np.array([-LET_GO]))[0]
        limits = loop.robot.joints
        goal = np.clip(goal, limits.lower[self._fingers], limits.upper[self._fingers])
        steps = round(LET_GO_SECONDS / self._robot.period)
        for i in range(1, steps + 1):
            loop.released = start + (goal - start) * i / steps
            loop.wait(self._robot.period)
        loop.wait(_SETTLE)

    def _draw_back(self) -> None:
        """Away from the tool, in the direction from its handles to the palm; then up, clear of the line."""
        loop = self._loop
        now = loop.commanded_tips()
        palm = now[:3, :3].T @ (self._motion.palm(loop.q_arm)[:3, 3] - now[:3, 3])
        back = now.copy()
        back[:3, 3] += now[:3, 1] * np.sign(palm[1]) * AWAY
        loop.move_tips(lambda: back, RETREAT, precision=0.01)

    def _tips_seen(self) -> F64:
        """Where the tips are (3,) [m], averaged over a few looks."""
        looks = []
        for _ in range(10):
            self._loop.wait(self._robot.period)
            looks.append(self._loop.tool.T_world_tip[:3, 3])
        return np.asarray(np.mean(looks, axis=0))
