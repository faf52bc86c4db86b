"""The syringe's job: a commanded volume into a container, measured by the plunger's travel and the barrel's bore."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.motion import pointing_down
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import approach
from toolwright.policies.tool.job_geometry import dose_error, ml_per_meter
from toolwright.policies.tool.tool_loop import Trouble
from toolwright.policies.tool.tool_use import CARRY, DESCEND, ToolUse

AIR = 0.002  # m that the plunger is drawn back on the way, so that nothing drips where the arm shakes it
OVER_RIM = 0.012  # m from the rim to the nozzle
PUSH_RATE = 0.003  # m/s of the plunger
TREMBLE = 0.0002  # m that the plunger goes in and out about where it is held
_CORRECTION = 0.6  # of what is left, at a time
_ARRIVED = 0.00015  # m of travel that may be left
_PATIENCE = 12.0  # s
_REST = 0.6  # s over which a resting plunger is measured


class SyringeUse(ToolUse):
    """`ToolUse` with a syringe in the hand, nozzle down."""

    _level = np.inf  # m, the plunger's furthest travel inwards so far: no liquid leaves before it is there again

    def dispense(self, container: str, volume: float) -> Outcome:
        """Brings the nozzle over a container and pushes the plunger until `volume` [ml] has left."""
        return self._run(lambda: self._dispense(container, volume))

    def _dispense(self, container: str, volume: float) -> tuple[str, dict[str, float]]:
        loop = self._loop
        cup, rate = loop.object(container), ml_per_meter(loop.tool)
        if not cup.opening:
            raise Trouble("no container", f"{container} has no opening to dispense anything into")
        if not np.isfinite(self._level):
            self._level = loop.opening
        left = (self._level - loop.tool.opening_min) * rate
        if volume > left:
            raise Trouble("not enough", f"asked were {volume:.2f} ml, the syringe gives {max(left, 0.0):.2f} ml more")
        before = cup.contents
        self._drawn_back()
        self._bring_nozzle(container)
        started = self._level
        self._push_to(started - volume / rate + TREMBLE)
        self._level = min(self._level, self._at_rest())
        self._drawn_back()
        self._rise_over()
        given = (started - self._level) * rate
        measured = {"dispensed_ml": given, "received_ml": loop.object(container).contents - before}
        if abs(given - volume) > dose_error(volume):
            raise Trouble("wrong volume", f"{given:.2f} ml left the syringe, asked were {volume:.2f} ml")
        if measured["received_ml"] < given - dose_error(volume):
            raise Trouble("spilt", f"{container} got {measured['received_ml']:.2f} of {given:.2f} ml")
        return f"{given:.2f} ml went into {container}", self._measured() | measured

    def _drawn_back(self) -> None:
        loop = self._loop
        loop.set_opening(min(self._level + AIR, loop.tool.opening_max))
        loop.wait(0.5)

    def _bring_nozzle(self, container: str) -> None:
        loop = self._loop
        cup = loop.object(container)
        low = float(cup.pos[2]) + approach.half_height(cup) + OVER_RIM
        over = max(self._clear_height(self._around(())), low)
        yaw, q = self._choose(None, loop.opening, cup.pos[:2], (over, low), self._around((container,)))
        self._go_over(over, q)

        def above(height: float) -> F64:
            return pointing_down(np.array([*loop.object(container).pos[:2], height]), yaw)

        loop.move_tips(lambda: above(over), CARRY, precision=0.003)
        loop.move_tips(lambda: above(low), DESCEND, precision=0.003)

    def _push_to(self, travel: float) -> None:
        """Pushes slowly until the plunger, measured over a while, is there; never draws back on the way."""
        loop = self._loop
        loop.set_opening(loop.opening)
        end = loop.time + _PATIENCE + (loop.opening - travel) / PUSH_RATE
        while loop.time < end:
            ahead = max(travel - 0.001, loop.final_goal - PUSH_RATE * self._robot.period)
            loop.set_opening(max(ahead, travel) if loop.opening - travel > 0.001 else min(loop.goal, travel))
            loop.wait(self._robot.period)
            if loop.opening - travel < 0.0005:
                short = self._at_rest() - travel
                if short < _ARRIVED:
                    return
                loop.set_opening(loop.goal - _CORRECTION * short)

    def _at_rest(self) -> float:
        """The plunger's travel [m], averaged over a while."""
        looks = []
        for _ in range(round(_REST / self._robot.period)):
            self._loop.wait(self._robot.period)
            looks.append(self._loop.tool.opening)
        return float(np.mean(looks))
