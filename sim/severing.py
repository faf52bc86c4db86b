"""Cutting, the only place where it happens: a joint of a strip is switched off by the blades' measured forces.

Two blades part the joint between two neighboring pieces where both press on these pieces, each with at least the
strip's strength, and their plane passes within half a piece of the joint. Nothing else switches a joint off, and none
is ever switched on again. What the pieces do then, gravity and contact say.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.sim.scene_fixtures import Strip
from toolwright.sim.scene_spec import SceneSpec


def severing(model: mujoco.MjModel, data: mujoco.MjData, scene: SceneSpec) -> Callable[[], None] | None:
    """What a step of physics does to the strips of a scene; None where there is no strip or no scissors.

    Args:
        model: built from `scene`.
        data: its state.
        scene: drawn.
    """
    strips = {name: obj for name, obj in scene.objects.items() if isinstance(obj, Strip)}
    if not strips or scene.tool is None or scene.tool.family != "scissors":
        return None
    tool = scene.tool_name
    blades = {model.geom(f"{body}_blade").id: side for side, body in enumerate((tool, f"{tool}_b"))}
    owner = {model.geom(f"{name}_piece{i}").id: (name, i) for name, obj in strips.items() for i in range(obj.pieces)}
    joints = {
        (name, i): model.equality(f"{name}_joint{i}").id for name, obj in strips.items() for i in range(obj.pieces)
    }
    force = np.zeros(6)

    def step() -> None:
        pressed: dict[tuple[str, int], np.ndarray] = {}
        for i, contact in enumerate(data.contact[: data.ncon]):
            first, second = contact.geom
            blade, piece = (first, second) if first in blades else (second, first)
            if blade in blades and piece in owner:
                mujoco.mj_contactForce(model, data, i, force)
                pressed.setdefault(owner[piece], np.zeros(2))[blades[blade]] += force[0]
        for name, i in pressed:
            for joint in (i, i + 1):
                if (name, joint) in joints and joint > 0 and _parts(name, joint, pressed):
                    data.eq_active[joints[name, joint]] = 0

    def _parts(name: str, joint: int, pressed: dict[tuple[str, int], np.ndarray]) -> bool:
        nothing = np.zeros(2)
        forces = pressed.get((name, joint - 1), nothing) + pressed.get((name, joint), nothing)
        if forces.min() < strips[name].strength:
            return False
        middle = (data.body(f"{name}_piece{joint - 1}").xpos + data.body(f"{name}_piece{joint}").xpos) / 2
        normal = rotations.rotate(data.body(tool).xquat, np.array([0.0, 1, 0]))
        return bool(abs((middle - data.body(tool).xpos) @ normal) < strips[name].piece / 2)

    return step
