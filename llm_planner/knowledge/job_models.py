"""Skill models of the articulated tools' own jobs, on a copy of the measured scene."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.knowledge.job_checks import no_clip, no_cut, no_dose, no_turn
from toolwright.llm_planner.knowledge.skill_models import Impossible, ModelWorld
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import job_geometry

OVER_RIM = 0.012  # m from a container's rim to the nozzle

Said = tuple[str, dict[str, float]]


class JobModelWorld(ModelWorld):
    """`ModelWorld` that knows what syringes, pliers, clothespins and scissors do."""

    _alone = False  # the tool was let go of

    def dispense(self, container: str, volume: float) -> Outcome:
        return self._try(lambda: self._dispense(container, volume))

    def turn(self, name: str, angle: float) -> Outcome:
        return self._try(lambda: self._turn(name, angle))

    def clip_on(self, line: str) -> Outcome:
        return self._try(lambda: self._clip_on(line))

    def cut(self, name: str, length: float) -> Outcome:
        return self._try(lambda: self._cut(name, length))

    def _cut(self, name: str, length: float) -> Said:
        if problem := no_cut(self._scene, name, length):
            raise Impossible("tool use", problem)
        strip = job_geometry.strip_of(self._object(name))
        assert strip is not None
        at = strip[0] + length * strip[1]
        self._check_reach([at], "", self._tool().opening_max, (name,))
        self._tips_to(at, self._tool().opening_max)
        self._change(name, length=length)
        return f"{length * 1e3:.0f} mm of {name} would be left", {"left": length}

    def _dispense(self, container: str, volume: float) -> Said:
        cup = self._object(container)
        if problem := no_dose(self._scene, container, volume):
            raise Impossible("tool use", problem)
        over = np.array([*cup.pos[:2], cup.top + OVER_RIM])
        self._check_reach([over], "", self._tool().opening, (container,))
        opening = self._tool().opening - volume / job_geometry.ml_per_meter(self._tool())
        self._tips_to(over, opening)
        self._change(container, contents=cup.contents + volume)
        return f"{volume:.2f} ml would go into {container}", {"dispensed_ml": volume}

    def _turn(self, name: str, angle: float) -> Said:
        bolt = self._object(name)
        if problem := no_turn(self._scene, name):
            raise Impossible("tool use", problem)
        nut = job_geometry.nut_of(bolt)
        assert nut is not None
        at = bolt.pos + nut.pos
        self._check_reach([at + np.array([0, 0, geometry.TIP_TOLERANCE]), at], "", self._tool().opening_max, (name,))
        self._change(name, turn=bolt.turn + angle)
        self._tips_to(at, self._tool().opening)
        return f"{name} would be turned by {np.rad2deg(angle):.0f} degrees", {"turned": angle}

    def _clip_on(self, line: str) -> Said:
        if self._alone:
            raise Impossible("logic", "the clothespin was let go of before")
        if problem := no_clip(self._scene, line):
            raise Impossible("tool use", problem)
        strung = job_geometry.line_of(self._object(line))
        assert strung is not None
        middle, along, radius = strung
        self._check_reach([middle], "", self._tool().opening_max, (line,))
        self._tips_to(middle - np.array([0, 0, job_geometry.JAWS / 2]), 2 * radius)
        tool = self._tool()
        T_world_tip = tool.T_world_tip.copy()
        across = np.cross(along, [0.0, 0, 1.0])
        T_world_tip[:3, :3] = np.column_stack([across, np.cross([0.0, 0, -1.0], across), [0.0, 0, -1.0]])
        away = tool.pos_palm + np.array([0, 0, 2 * job_geometry.CLEAR])
        self._scene = replace(self._scene, tool=replace(tool, T_world_tip=T_world_tip, pos_palm=away))
        self._alone = True
        return f"the clothespin would hang on {line}", {}

    def _change(self, name: str, **changes: Any) -> None:
        there = replace(self._scene.objects[name], **changes)
        self._scene = replace(self._scene, objects={**self._scene.objects, name: there})
