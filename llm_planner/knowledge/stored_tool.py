"""A tool that is not in the hand: where it is, and the scene as it will be once it was fetched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolwright.perception.scene import Scene

RAISED = 0.15  # m that the tips are above where they stood, after the tool was fetched
BESIDE, LEANING = 0.02, 0.35  # m, rad: a tool further off a stand's middle, or leaning more, does not stand in it


def as_fetched(scene: Scene) -> Scene:
    """The scene with the loose tool in the hand, over its stand, half open. As it is where there is no loose tool."""
    tool = scene.loose
    if tool is None:
        return scene
    T_world_tip = tool.T_world_tip.copy()
    T_world_tip[2, 3] += RAISED
    half = (tool.opening_min + tool.opening_max) / 2
    return replace(scene, tool=replace(tool, T_world_tip=T_world_tip, opening=half), loose=None)


def out_of_stand(scene: Scene) -> str:
    """Why the loose tool cannot be taken from a stand, in words; empty where it stands in one."""
    tool = scene.loose
    if tool is None:
        return "no tool is in view"
    stands = [item for item in scene.objects.values() if item.shape == "stand"]
    if not stands:
        return f"there is no stand that {tool.name} could be taken from"
    x, y = tool.T_world_tip[:2, 3]
    away = min(float(np.hypot(*(item.pos[:2] - [x, y]))) for item in stands)
    leans = float(np.arccos(np.clip(-tool.T_world_tip[2, 2], -1, 1)))
    if away <= BESIDE and leans <= LEANING:
        return ""
    return f"{tool.name} is not in its stand but at x {x:.2f}, y {y:.2f}, leaning {np.rad2deg(leans):.0f} degrees"
