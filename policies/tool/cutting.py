"""The scissors' job: a strip is cut so that a commanded length of it stays at its stand."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.motion import pointing_down
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import approach
from toolwright.policies.tool.job_geometry import strip_of
from toolwright.policies.tool.tool_loop import CLOSE_RATE, Trouble
from toolwright.policies.tool.tool_use import CARRY, DESCEND, ToolUse

DEPTH = 0.022  # m from the tips to the strip's middle: where the blades meet it
HOVER = 0.03  # m over the strip
PRESS_SECONDS = 1.2  # that the blades press on after they should have met
_BITES = 3
_REST = 0.8  # s in which what was cut off falls


class ScissorsUse(ToolUse):
    """`ToolUse` with scissors in the hand, blades down."""

    def cut(self, name: str, length: float) -> Outcome:
        """Cuts a strip so that `length` [m] of it stays."""
        return self._run(lambda: self._cut(name, length))

    def _cut(self, name: str, length: float) -> tuple[str, dict[str, float]]:
        loop = self._loop
        strip = strip_of(loop.object(name))
        if strip is None:
            raise Trouble("no strip", f"{name} is nothing that scissors cut")
        start, along, piece, width = strip
        if not piece / 2 < length < loop.object(name).length - piece / 2:
            whole = loop.object(name).length
            raise Trouble("no such cut", f"{length * 1e3:.0f} mm of {whole * 1e3:.0f} mm cannot stay")
        at = start + length * along
        yaw = float(np.arctan2(along[1], along[0])) - np.pi / 2
        low, over = float(at[2]) - DEPTH, float(at[2]) + width / 2 + HOVER
        loop.set_opening(loop.tool.opening_max)
        loop.wait(0.8)
        poses = {
            turn: [pointing_down(np.array([*at[:2], z]), turn) for z in (over, low)] for turn in (yaw, yaw + np.pi)
        }
        now = approach.yaw_of(loop.commanded_tips())
        yaw, q = approach.choose(self._motion, poses, loop.T_palm_tip, loop.q_arm, np.zeros((0, 3)), [], now)
        self._go_over(over, q)

        def held_at(height: float) -> F64:
            return pointing_down(np.array([*at[:2], height]), yaw)

        loop.move_tips(lambda: held_at(over), CARRY, precision=0.002)
        loop.move_tips(lambda: held_at(low), DESCEND, precision=0.002)
        for _ in range(_BITES):
            loop.set_opening(0.0)
            loop.move_tips(lambda: held_at(low), DESCEND, at_least=loop.goal / CLOSE_RATE + PRESS_SECONDS)
            loop.set_opening(loop.tool.opening_max)
            loop.wait(1.0)
            if loop.object(name).length < length + piece:
                break
        loop.move_tips(lambda: held_at(over), DESCEND, precision=0.005)
        loop.wait(_REST)
        left = loop.object(name).length
        if abs(left - length) > piece / 2 + 1e-6:
            raise Trouble("not cut", f"{left * 1e3:.0f} mm of {name} are left, asked were {length * 1e3:.0f} mm")
        return f"{left * 1e3:.0f} mm of {name} are left", self._measured() | {"left": left}
