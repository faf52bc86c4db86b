"""A copy of the world for the bare hand and rigid tools in it: `ModelWorld` with the models of `hand_models`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.llm_planner.knowledge import geometry, hand_models
from toolwright.llm_planner.knowledge.job_models import JobModelWorld
from toolwright.llm_planner.knowledge.skill_models import Impossible, ModelWorld, Reach
from toolwright.llm_planner.knowledge.turn_models import TurnModelWorld
from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.hand.bar_geometry import Bar, bar_of
from toolwright.policies.outcome import Outcome

LIFTED = 0.013  # m over the table: higher than a mat, lower than any grasp lifts
ON_TOP = 0.01  # m between a mat's top and the bottom of what stands on it
OUT = 0.02  # m past the end of a tube, where something that was poked out lies

Said = tuple[str, dict[str, float]]


def model_world(scene: Scene, reach: Reach | None = None) -> ModelWorld:
    """The copy that fits what is in the hand: a sprung tool for good, or to be fetched, or nothing yet."""
    if scene.in_palm:
        return TurnModelWorld(scene)
    articulated = scene.tool is not None or scene.loose is not None
    return JobModelWorld(scene, reach) if articulated else HandModelWorld(scene)


def in_hand(scene: Scene) -> str:
    """What the bare hand holds: the movable thing that hangs over the table; empty where there is none."""
    if scene.tool is not None:
        return ""
    hanging = [
        name
        for name, item in scene.objects.items()
        if not item.fixed
        and item.pos[2] - geometry.half_height(item) - scene.table_height > LIFTED
        and not any(_stands_on(item, other) or _lies_in(item, other) for other in scene.objects.values())
    ]
    # A bar comes first: what hangs from it hangs beside it.
    return next((name for name in hanging if bar_of(scene.objects[name]) is not None), hanging[0] if hanging else "")


class HandModelWorld(ModelWorld):
    """The same for `HandActions`. Whether other things stand too near is for kinematics and physics to say."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._held = in_hand(scene)
        self._length = 0.0  # m that attached blocks add to the held tool

    def grasp(self, name: str, lift: float) -> Outcome:
        return self._try(lambda: self._grasp(name, lift))

    def place(self, name: str, x: float, y: float) -> Outcome:
        return self._try(lambda: self._place(name, x, y))

    def release(self) -> Outcome:
        return self._try(self._release)

    def push(self, name: str, x: float, y: float) -> Outcome:
        return self._try(lambda: self._push(name, x, y))

    def pull(self, name: str, x: float, y: float) -> Outcome:
        return self._try(lambda: self._pull(name, x, y))

    def drag(self, name: str, dx: float) -> Outcome:
        return self._try(lambda: self._drag(name, dx))

    def press(self, name: str) -> Outcome:
        return self._try(lambda: self._press(name))

    def attach(self, name: str) -> Outcome:
        return self._try(lambda: self._attach(name))

    def poke(self, name: str, tube: str) -> Outcome:
        return self._try(lambda: self._poke(name, tube))

    # -- models -------------------------------------------------------------------------------------------------------

    def _grasp(self, name: str, lift: float) -> Said:
        item = self._object(name)
        self._check_empty()
        _check(hand_models.why_not_grasp(self._scene, item))
        self._held = name
        self._put(name, item.pos + np.array([0, 0, lift]))
        return f"{name} would be in the hand", {"risen": lift}

    def _place(self, name: str, x: float, y: float) -> Said:
        item = self._object(name)
        self._check_held(name)
        other = "" if bar_of(item) is not None else self._blocker(name, x, y)
        if other:
            raise Impossible("numbers", f"{other} stands at ({x:.3f}, {y:.3f}), where {name} would go")
        self._let_go(self._handle_at(item, x, y))
        return f"{name} would stand at ({x:.3f}, {y:.3f})", {"from_place": 0.0}

    def _release(self) -> Said:
        name = self._held
        if name:
            self._let_go(self._object(name).pos)
        return f"{name or 'nothing'} would be let go", {}

    def _push(self, name: str, x: float, y: float) -> Said:
        item = self._object(name)
        if item.fixed:
            raise Impossible("tool use", f"{name} is fixed and cannot be pushed")
        if self._held and bar_of(self._object(self._held)) is None:
            raise Impossible("logic", f"the hand holds {self._held}, which is nothing to push with")
        if self._held == name:
            raise Impossible("logic", f"{name} is in the hand and cannot be pushed")
        for point in ((item.pos[0], item.pos[1]), (x, y)) if not self._held else ():
            if not geometry.reachable(self._scene, float(point[0]), float(point[1])):
                reason = f"({point[0]:.3f}, {point[1]:.3f}) is outside of the workspace, where only a tool gets to"
                raise Impossible("tool use", reason)
        self._put(name, self._handle_at(item, x, y))
        return f"{name} would be at ({x:.3f}, {y:.3f})", {}

    def _pull(self, name: str, x: float, y: float) -> Said:
        item = self._object(name)
        tool, _ = self._bar("pull")
        _check(hand_models.why_not_pull(self._scene, item, tool))
        self._put(name, self._handle_at(item, x, y))
        return f"{name} would be at ({x:.3f}, {y:.3f})", {}

    def _drag(self, name: str, dx: float) -> Said:
        mat = self._object(name)
        self._check_empty()
        if not hand_models.is_mat(mat):
            raise Impossible("tool use", f"{name} is not flat and broad enough to be dragged by the thumb")
        _check(hand_models.why_not_drag(self._scene, mat, mat))
        carried = [other.name for other in self._scene.objects.values() if _stands_on(other, mat)]
        for moved in (name, *carried):
            self._put(moved, self._object(moved).pos + np.array([dx, 0, 0]))
        return f"{name} would come along, with {', '.join(carried) or 'nothing on it'}", {}

    def _press(self, name: str) -> Said:
        button = self._object(name)
        if button.travel_max <= 0:
            raise Impossible("tool use", f"{name} is no button")
        length = 0.0
        if self._held:
            length = self._bar("press")[1].length + self._length
        _check(hand_models.why_not_press(self._scene, button, length))
        pressed = replace(button, travel=button.travel_max)
        self._scene = replace(self._scene, objects={**self._scene.objects, name: pressed})
        return f"{name} would be pressed", {"travel": button.travel_max}

    def _attach(self, name: str) -> Said:
        block = self._object(name)
        tool, bar = self._bar("attach")
        if not (tool.magnetic and block.magnetic):
            raise Impossible("tool use", f"{tool.name} and {name} do not stick to each other")
        _check(hand_models.why_not_attach(self._scene, block, tool, bar.length + self._length))
        self._length += float(block.size[0])
        length = bar.length + self._length
        return f"{name} would stick to {tool.name}, then {length * 1e3:.0f} mm long", {}

    def _poke(self, name: str, tube: str) -> Said:
        item, around = self._object(name), self._object(tube)
        tool, _ = self._bar("poke")
        if around.shape != "tube":
            raise Impossible("logic", f"{tube} is no tube")
        _check(hand_models.why_not_poke(self._scene, around, tool))
        axis = geometry.rotation(around.quat)[:, 0]
        axis = axis if axis[0] >= 0 else -axis
        self._put(name, around.pos + axis * (around.size[0] / 2 + item.size.max() / 2 + OUT))
        return f"{name} would lie behind {tube}", {}

    # -- the copy -----------------------------------------------------------------------------------------------------

    def _check_empty(self) -> None:
        if self._held:
            raise Impossible("logic", f"the hand holds {self._held}; it has to be put back first")

    def _bar(self, skill: str) -> tuple[SceneObject, Bar]:
        if not self._held:
            raise Impossible("logic", f"{skill} needs a tool in the hand, and the hand is empty")
        tool = self._object(self._held)
        bar = bar_of(tool)
        if bar is None:
            raise Impossible("tool use", f"{tool.name} has no handle and is nothing to {skill} with")
        return tool, bar

    def _blocker(self, name: str, x: float, y: float) -> str:
        """What stands where something would go, but for mats, which are there to stand on, and bars, which are thin."""
        there = {
            key: item
            for key, item in self._scene.objects.items()
            if key == name or not (hand_models.is_mat(item) or hand_models.is_bar(item))
        }
        return geometry.blocker(replace(self._scene, objects=there), name, x, y)

    def _handle_at(self, item: SceneObject, x: float, y: float) -> F64:
        """Where an object's center is (3,) [m] when it is brought to (x, y): a tool is brought by its handle."""
        return item.pos + np.array([*(np.array([x, y]) - hand_models.grip_point(item)), 0.0])

    def _let_go(self, pos: F64) -> None:
        name, self._held, self._length = self._held, "", 0.0
        height = self._scene.table_height + geometry.half_height(self._object(name))
        self._put(name, np.array([*pos[:2], height]))


def _check(reason: str) -> None:
    """Raises what a model says against a tool, an object or a place."""
    if reason:
        raise Impossible("tool use", reason)


def _stands_on(item: SceneObject, mat: SceneObject) -> bool:
    if item.name == mat.name or item.fixed or not hand_models.is_mat(mat):
        return False
    local = geometry.rotation(mat.quat).T @ (item.pos - mat.pos)
    over = float(item.pos[2]) - geometry.half_height(item) - float(mat.pos[2]) - geometry.thickness(mat) / 2
    return bool((np.abs(local[:2]) <= mat.size[:2] / 2).all() and abs(over) < ON_TOP)


def _lies_in(item: SceneObject, tube: SceneObject) -> bool:
    if item.name == tube.name or tube.shape not in ("tube", "cup"):
        return False
    local = geometry.rotation(tube.quat).T @ (item.pos - tube.pos)
    return bool((np.abs(local) <= tube.size / 2).all())
