"""A simulator built from what was perceived: a copy of the world with full physics, to try a plan on.

On hardware the scene file says what the robot is and what it holds; everything else comes from the measured `Scene`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.tool import approach
from toolwright.policies.world import SENSOR, SimulatedWorld, simulate
from toolwright.sim.scene import SceneSpec
from toolwright.sim.scene_spec import Randomization, SceneError

RESTING = 0.004  # m over the table that perception's noise explains
_LIGHTEST = 1e-5  # kg, that a scene may hold


class TwinError(RuntimeError):
    """What was perceived cannot be built: the reason, in words."""


def twin(
    spec: SceneSpec, scene: Scene, seed: int = 0, controller: Literal["learned", "closed_form"] = "learned"
) -> SimulatedWorld:
    """Builds a simulated world as the measured one is.

    The arm starts at home and the tool as it is held from the start: a copy of a world before its first motion.

    Args:
        spec: robot, tool, table and workspace; its objects say what perception cannot see, for instance friction.
        scene: measured now.
        seed: of the copy's own perception noise.
        controller: of the hand.

    Raises:
        TwinError: an object is held, or is of a kind that cannot be built from what is seen.
    """
    objects: dict[str, Any] = {}
    for name, item in scene.objects.items():
        if scene.tool is not None and approach.between_tips(item, scene.tool, scene.tool.T_world_tip, 0.01):
            raise TwinError(f"{name} is held, and a grip cannot be built from a look")
        known = spec.objects.get(name)
        seen = known.model_dump() if known is not None and known.shape == item.shape else _seen(item)
        objects[name] = seen | _pose(item, scene.table_height)
    told = spec.model_dump() | {"objects": objects, "randomize": Randomization().model_dump()}
    try:
        # Lists of a validated scene come back as tuples, which is what a strict scene wants.
        return simulate(SceneSpec.model_validate(told), np.random.default_rng(seed), controller, SENSOR)
    except (SceneError, ValidationError) as error:
        raise TwinError(f"no copy can be built of what is seen: {error}") from error


def _pose(item: SceneObject, table: float) -> dict[str, Any]:
    x, y, z = (float(value) for value in item.pos)
    resting = abs(z - approach.half_height(item) - table) < RESTING
    if item.shape == "sphere":
        return {"pos": (x, y) if resting else (x, y, z), "yaw": None, "quat": None}
    quat = tuple(float(value) for value in item.quat / np.linalg.norm(item.quat))
    return {"pos": (x, y) if resting else (x, y, z), "yaw": None, "quat": quat}


def _seen(item: SceneObject) -> dict[str, Any]:
    """An object of which nothing is known but what is seen."""
    width, depth, height = (float(value) for value in item.size)
    common: dict[str, Any] = {"shape": item.shape, "mass": max(item.mass, _LIGHTEST), "fixed": item.fixed}
    if item.shape == "sphere":
        return common | {"radius": width / 2}
    if item.shape == "box":
        return common | {"size": (width, depth, height)}
    if item.shape in ("cylinder", "capsule"):
        return common | {"radius": width / 2, "height": height}
    if item.shape == "cup":
        return common | {
            "inner_diameter": item.opening,
            "height": height,
            "wall": max((width - item.opening) / 2, 0.001),
        }
    raise TwinError(f"{item.name} is a {item.shape}, which cannot be built from its outline")
