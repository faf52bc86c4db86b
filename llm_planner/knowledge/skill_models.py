"""Skill models: what each skill needs and what it leaves behind, as geometry on a copy of the measured scene.

`ModelWorld` is a copy of the world that moves by these models: it costs well under a millisecond a skill, and any
plan's code can be tried on it before anything moves. A skill without a model is not judged, and nothing that depends on
it is either. What only physics knows (friction, rolling, a tool that turns in the hand) is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.knowledge.stored_tool import as_fetched, out_of_stand
from toolwright.llm_planner.offline.planner import LEAST_CLEARANCE, MASS_LIMIT
from toolwright.llm_planner.roles import Cause
from toolwright.perception.scene import HeldTool, Scene, SceneObject
from toolwright.policies.outcome import Outcome

# Where an object lies is measured with noise; how far the tips may go is not.
MEASURED = 0.005  # m
_HOVER = 0.03  # m over an object's top before the tips come down

Point = tuple[float, float, float]
Arguments = Mapping[str, str | float | int | bool]


class Impossible(Exception):
    """A skill that cannot work as it is called. `cause` says what kind of mistake that is."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause: Cause = cause


class Reach(Protocol):
    """What the arm and the hand can reach: kinematics, where the robot's model is at hand."""

    def __call__(self, scene: Scene, points: Sequence[F64], item: str, opening: float, without: tuple[str, ...]) -> str:
        """Why the tips, pointing down, cannot be brought to these points one after another; empty where they can.

        Args:
            scene: with everything that may be in the way.
            points: (3,) m each, of the tips.
            item: the object to close on; empty for any direction of the opening.
            opening: m between the tips on the way.
            without: objects that are not in the way.
        """
        ...


def _targets(name: str, arguments: Arguments, scene: Scene) -> list[F64]:
    """Points that the tips will go to, by the skill's name; empty for skills that are not known here."""
    if name == "pick":
        pos = scene.objects[str(arguments["name"])].pos
        return [pos, pos + np.array([0, 0, float(arguments["lift"])])]
    if name == "drop_in":
        cup = scene.objects[str(arguments["container"])]
        return [np.array([*cup.pos[:2], cup.top + float(arguments["height"])])]
    return []


def leaves_workspace(name: str, arguments: Arguments, scene: Scene) -> str:
    """Which point outside of the workspace a skill would take the tips to; empty where there is none."""
    lower, upper = scene.workspace.lower - MEASURED, scene.workspace.upper + MEASURED
    lower[2] -= geometry.TIP_TOLERANCE
    for point in _targets(name, arguments, scene):
        if not ((point >= lower) & (point <= upper)).all():
            return f"the tips would go to {_at(point)}, outside of the workspace"
    return ""


class ModelWorld:
    """A copy of a measured scene that the skill models change. Implements `Actions` and `Perception`.

    Args:
        scene: as measured.
        reach: kinematics; None checks the workspace alone.
    """

    def __init__(self, scene: Scene, reach: Reach | None = None) -> None:
        self._scene, self._reach = scene, reach
        self._home = None if scene.tool is None else scene.tool.T_world_tip[:3, 3].copy()
        self._held = geometry.held_object(scene)
        self.unknown = ""  # the first skill without a model: from there on nothing is known
        self.trouble: Impossible | None = None  # of the last action

    def look(self) -> Scene:
        return self._scene

    def stop(self, reason: str) -> None:
        """Nothing moves here."""

    def __getattr__(self, name: str) -> Callable[..., Outcome]:
        if name.startswith("_"):
            raise AttributeError(name)

        def unmodelled(*args: Any, **kwargs: Any) -> Outcome:
            self.trouble, self.unknown = None, self.unknown or name
            return Outcome(True, f"there is no model of {name}: not judged", self._measured())

        return unmodelled

    # -- actions ------------------------------------------------------------------------------------------------------

    def fetch(self, name: str) -> Outcome:
        return self._try(lambda: self._fetch(name))

    def pick(self, name: str, opening: float, grip: float, lift: float) -> Outcome:
        return self._try(lambda: self._pick(name, opening, grip, lift))

    def drop_in(self, name: str, container: str, height: float) -> Outcome:
        return self._try(lambda: self._drop_in(name, container, height))

    def place_at(self, name: str, x: float, y: float) -> Outcome:
        return self._try(lambda: self._place_at(name, x, y))

    def set_opening(self, opening: float) -> Outcome:
        return self._try(lambda: self._set_opening(opening))

    def move_tips(self, x: float, y: float, z: float) -> Outcome:
        return self._try(lambda: self._move_tips(np.array([x, y, z])))

    def home(self) -> Outcome:
        return self._try(self._go_home)

    # -- models -------------------------------------------------------------------------------------------------------

    def _try(self, model: Callable[[], tuple[str, dict[str, float]]]) -> Outcome:
        self.trouble = None
        if self.unknown:
            return Outcome(True, f"not judged: it follows {self.unknown}, which has no model", self._measured())
        try:
            reason, measured = model()
        except Impossible as error:
            self.trouble = error
            return Outcome(False, str(error), self._measured())
        return Outcome(True, reason, self._measured() | measured)

    def _fetch(self, name: str) -> tuple[str, dict[str, float]]:
        if self._scene.tool is not None:
            raise Impossible("logic", f"{self._scene.tool.name} is in the hand already")
        if self._scene.loose is None or self._scene.loose.name != name:
            raise Impossible("perception", f"there is no tool {name} in view that is not in the hand")
        if where := out_of_stand(self._scene):
            raise Impossible("perception", where)
        self._scene = as_fetched(self._scene)
        self._home = self._tool().T_world_tip[:3, 3].copy()
        return f"{name} would be in the hand", {}

    def _pick(self, name: str, opening: float, grip: float, lift: float) -> tuple[str, dict[str, float]]:
        item, tool = self._object(name), self._tool()
        across = geometry.width(item)
        if self._held and self._held != name:
            raise Impossible("logic", f"the tool holds {self._held} and would drop it")
        if item.fixed:
            raise Impossible("tool use", f"{name} is fixed and cannot be picked up")
        if across + LEAST_CLEARANCE > tool.opening_max:
            raise Impossible("tool use", f"{name} is {_mm(across)} wide, the tool opens to {_mm(tool.opening_max)}")
        if item.mass > MASS_LIMIT:
            raise Impossible("tool use", f"{name} weighs {item.mass:.3f} kg, the tool holds at most {MASS_LIMIT:g} kg")
        if across >= opening:
            raise Impossible("numbers", f"{name} is {_mm(across)} wide and does not fit an opening of {_mm(opening)}")
        if grip >= across:
            raise Impossible("numbers", f"a grip of {_mm(grip)} does not press on {name}, {_mm(across)} wide")
        around = next(
            (other.name for other in self._scene.objects.values() if other.opening and geometry.inside(item, other)), ""
        )
        if around:
            raise Impossible("tool use", f"{name} lies in {around}, where the hand has no room")
        top = float(item.pos[2]) + geometry.half_height(item)
        over = np.array([*item.pos[:2], top + _HOVER])
        self._check_reach([over, item.pos], name, opening, (name,))
        self._check_reach([item.pos + np.array([0, 0, lift])], "", across, (name,))
        self._held = name
        self._put(name, item.pos + np.array([0, 0, lift]))
        self._tips_to(self._scene.objects[name].pos, across)
        return f"{name} would be between the tips, raised {_mm(lift)}", {"risen": lift}

    def _drop_in(self, name: str, container: str, height: float) -> tuple[str, dict[str, float]]:
        item, cup = self._object(name), self._object(container)
        self._check_held(name)
        if name == container:
            raise Impossible("logic", f"{name} cannot go into itself")
        if cup.opening <= 0:
            raise Impossible("tool use", f"{container} has no opening to drop anything into")
        if geometry.breadth(item) >= cup.opening:
            mouth = f"the mouth of {container}, {_mm(cup.opening)}"
            raise Impossible("tool use", f"{name} is {_mm(geometry.breadth(item))} wide, too wide for {mouth}")
        over = np.array([*cup.pos[:2], cup.top + height + geometry.half_height(item)])
        self._check_reach([over], "", geometry.width(item), (name, container))
        self._held = ""
        bottom = float(cup.pos[2]) - geometry.half_height(cup)
        self._put(name, np.array([*cup.pos[:2], bottom + geometry.half_height(item)]))
        self._tips_to(over, self._opened())
        return f"{name} would lie in {container}", {"from_axis": 0.0}

    def _place_at(self, name: str, x: float, y: float) -> tuple[str, dict[str, float]]:
        item = self._object(name)
        self._check_held(name)
        other = geometry.blocker(self._scene, name, x, y)
        if other:
            raise Impossible("numbers", f"{other} stands at ({x:.3f}, {y:.3f}), where {name} would go")
        rest = np.array([x, y, self._scene.table_height + geometry.half_height(item)])
        self._check_reach([rest + np.array([0, 0, _HOVER]), rest], "", geometry.width(item), (name,))
        self._held = ""
        self._put(name, rest)
        self._tips_to(rest + np.array([0, 0, _HOVER]), self._opened())
        return f"{name} would rest at ({x:.3f}, {y:.3f})", {"from_place": 0.0}

    def _set_opening(self, opening: float) -> tuple[str, dict[str, float]]:
        if not 0 <= opening <= self._tool().opening_max + 1e-4:
            raise Impossible("numbers", f"the tool opens to {_mm(self._tool().opening_max)}, not {_mm(opening)}")
        if self._held and opening > geometry.width(self._object(self._held)):
            item, self._held = self._object(self._held), ""
            height = self._scene.table_height + geometry.half_height(item)
            self._put(item.name, np.array([*item.pos[:2], height]))
        self._tips_to(self._tool().T_world_tip[:3, 3], opening)
        return f"the opening would be {_mm(opening)}", {}

    def _move_tips(self, pos: F64) -> tuple[str, dict[str, float]]:
        if not geometry.reachable(self._scene, *(float(value) for value in pos)):
            raise Impossible("numbers", f"{_at(pos)} is outside of the workspace")
        self._check_reach([pos], "", self._tool().opening, (self._held,))
        shift = pos - self._tool().T_world_tip[:3, 3]
        if self._held:
            self._put(self._held, self._object(self._held).pos + shift)
        self._tips_to(pos, self._tool().opening)
        return f"the tips would be at {_at(pos)}", {}

    def _go_home(self) -> tuple[str, dict[str, float]]:
        if self._home is not None:
            shift = self._home - self._tool().T_world_tip[:3, 3]
            if self._held:
                self._put(self._held, self._object(self._held).pos + shift)
            self._tips_to(self._home, self._tool().opening)
        return "the arm would be at home", {}

    # -- the copy -----------------------------------------------------------------------------------------------------

    def _check_held(self, name: str) -> None:
        if self._held != name:
            raise Impossible("logic", f"{name} is not held; " + (f"{self._held} is" if self._held else "nothing is"))

    def _check_reach(self, points: Sequence[F64], item: str, opening: float, without: tuple[str, ...]) -> None:
        for point in points:
            away = np.maximum(self._scene.workspace.lower - point, point - self._scene.workspace.upper)
            away[2] = max(float(point[2] - self._scene.workspace.upper[2]), 0.0)
            if away.max() > MEASURED:
                raise Impossible("numbers", f"{_at(point)} is outside of the workspace")
        found = self._reach(self._scene, points, item, opening, without) if self._reach else ""
        if found:
            raise Impossible("tool use", found)

    def _object(self, name: str) -> SceneObject:
        if name not in self._scene.objects:
            raise Impossible("perception", f"there is no {name} in view")
        return self._scene.objects[name]

    def _tool(self) -> HeldTool:
        if self._scene.tool is None:
            raise Impossible("tool use", "the hand holds no tool")
        return self._scene.tool

    def _opened(self) -> float:
        tool = self._tool()
        return min(tool.opening + 2 * geometry.TIP_TOLERANCE, tool.opening_max)

    def _put(self, name: str, pos: F64) -> None:
        there = replace(self._scene.objects[name], pos=np.array(pos, dtype=float))
        self._scene = replace(self._scene, objects={**self._scene.objects, name: there})

    def _tips_to(self, pos: F64, opening: float) -> None:
        tool = self._tool()
        T_world_tip = tool.T_world_tip.copy()
        T_world_tip[:3, 3] = pos
        self._scene = replace(self._scene, tool=replace(tool, T_world_tip=T_world_tip, opening=opening))

    def _measured(self) -> dict[str, float]:
        if self._scene.tool is None:
            return {}
        x, y, z = (float(value) for value in self._scene.tool.T_world_tip[:3, 3])
        return {"opening": self._scene.tool.opening, "tips_x": x, "tips_y": y, "tips_z": z}


def _mm(length: float) -> str:
    return f"{length * 1e3:.1f} mm"


def _at(point: F64) -> str:
    return f"({', '.join(f'{value:.3f}' for value in point)})"
