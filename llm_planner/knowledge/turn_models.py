"""Orientations that a sentence can mean: a side up or down, a turn about an axis. And a copy of the world for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.llm_planner.knowledge.skill_models import Impossible, ModelWorld
from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.outcome import Outcome

TURNED = 0.4  # rad that may be left in the end
VERTICAL = np.array([0.0, 0.0, 1.0])
AXES = ("long", "short", "vertical", "x", "y", "z")


def side(item: SceneObject, name: str) -> F64 | None:
    """Direction (3,) in the world of a side of an object that has a name; None where it has none of that name."""
    found = next((mark.direction for mark in item.marks if mark.name == name), None)
    return None if found is None else rotations.rotate(item.quat, found)


def facing(item: SceneObject, name: str, up: bool) -> F64:
    """The orientation (4,) with a side up, or down, that takes the least turn from where the object is.

    Raises:
        ValueError: no such side.
    """
    now, goal = side(item, name), VERTICAL if up else -VERTICAL
    if now is None:
        raise ValueError(f"{item.name} has no side '{name}'")
    axis = np.cross(now, goal)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-6:  # there already, or opposite: any level axis will do
        axis, sine = np.cross(now, [1.0, 0.0, 0.0] if abs(now[0]) < 0.9 else [0.0, 1.0, 0.0]), 1.0
        axis /= np.linalg.norm(axis)
        angle = 0.0 if float(now @ goal) > 0 else np.pi
    else:
        angle = float(np.arctan2(sine, now @ goal))
    turned = rotations.multiply(rotations.from_rotvec(axis / sine * angle), item.quat)
    return np.asarray(turned / np.linalg.norm(turned))


def about(item: SceneObject, axis: str, angle: float) -> F64:
    """The orientation (4,) after a turn by an angle [rad] about one of `AXES`: the object's own but for "vertical".

    Raises:
        ValueError: no such axis, or the object has no long, or no short, side.
    """
    turned = rotations.multiply(rotations.from_rotvec(angle * _axis(item, axis)), item.quat)
    return np.asarray(turned / np.linalg.norm(turned))


def _axis(item: SceneObject, axis: str) -> F64:
    if axis == "vertical":
        return VERTICAL
    if axis in ("x", "y", "z"):
        own = np.eye(3)["xyz".index(axis)]
    elif axis in ("long", "short"):
        order = np.argsort(item.size)
        chosen, next_to = (order[2], order[1]) if axis == "long" else (order[0], order[1])
        ratio = item.size[chosen] / item.size[next_to]
        if 1 / 1.1 < ratio < 1.1:
            raise ValueError(f"{item.name} has no {axis} axis: its sides are about as long")
        own = np.eye(3)[chosen]
    else:
        raise ValueError(f"no axis '{axis}'; there are {', '.join(AXES)}")
    return np.asarray(rotations.rotate(item.quat, own))


def left(item: SceneObject, quat: F64) -> float:
    """rad between an object's orientation and another (4,)."""
    return float(2 * np.arccos(min(1.0, abs(float(item.quat @ quat)))))


def why_not(scene: Scene, name: str) -> str:
    """Why a thing cannot be turned in the hand; empty where it can."""
    if scene.tool is not None:
        return f"the hand holds {scene.tool.family}; things are turned in a bare hand that faces up"
    if scene.in_palm != name:
        other = f"; {scene.in_palm} lies there" if scene.in_palm else ""
        return f"{name} does not lie in the hand{other}"
    return ""


class TurnModelWorld(ModelWorld):
    """A copy of a scene with a thing in the palm-up hand."""

    def reorient(self, name: str, w: float, x: float, y: float, z: float) -> Outcome:
        """Turns what lies in the hand, if it does."""
        return self._try(lambda: self._reorient(name, np.array([w, x, y, z])))

    def _reorient(self, name: str, quat: F64) -> tuple[str, dict[str, float]]:
        item = self._object(name)
        if reason := why_not(self._scene, name):
            raise Impossible("tool use", reason)
        length = float(np.linalg.norm(quat))
        if abs(length - 1) > 0.02:
            raise Impossible("numbers", f"w, x, y, z must have length 1, theirs is {length:.3g}")
        turned = left(item, quat / length)
        moved = replace(item, quat=quat / length)
        self._scene = replace(self._scene, objects={**self._scene.objects, name: moved})
        return f"{name} would be turned by {np.rad2deg(turned):.0f} degrees", {"turned": turned, "angle_left": 0.0}
