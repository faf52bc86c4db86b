"""The measured scene as a language model reads it: one line of JSON for each object, quoted as data.

Names come from scene files and cameras, so that they may hold anything: JSON keeps line ends and quotes inside the
string, angle brackets are escaped so that no name closes the quotation, and a name of absurd length is left out.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from toolwright.llm_planner.knowledge import geometry
from toolwright.perception.scene import Scene

MAX_NAME = 60  # characters; a longer one is no name but a text
_LEFT_OUT = ("quat", "pos_palm", "quat_palm", "T_world_tip", "angle")


def quoted(tag: str, *values: Any) -> str:
    """Values as JSON, one a line, between <tag> and </tag>; no value can end the quotation."""
    lines = (json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e") for value in values)
    return "\n".join([f"<{tag}>", *lines, f"</{tag}>"])


def describe(scene: Scene) -> str:
    """The scene in SI units, the world frame."""
    shown = {name: item for name, item in scene.objects.items() if len(name) <= MAX_NAME}
    rest: dict[str, Any] = {
        "workspace": [_plain(scene.workspace.lower), _plain(scene.workspace.upper)],
        "table_height": _plain(scene.table_height),
        "held_object": geometry.held_object(scene) or None,
        "tool_in_hand": None,
    }
    if scene.tool is not None:
        rest["tool_in_hand"] = {**_plain(scene.tool), "tips": _plain(scene.tool.T_world_tip[:3, 3])}
    elif scene.loose is not None:
        rest["tool_to_fetch"] = {**_plain(scene.loose), "tips": _plain(scene.loose.T_world_tip[:3, 3])}
    notes = [note[: 2 * MAX_NAME] for note in scene.notes]
    if len(shown) < len(scene.objects):
        notes.append(f"{len(scene.objects) - len(shown)} object(s) with a name that is too long are left out")
    return quoted("scene", rest, *map(_plain, shown.values()), *({"note": note} for note in notes))


def _plain(value: Any) -> Any:
    """A value of the scene for JSON: lengths to 0.1 mm, and without what is empty."""
    if dataclasses.is_dataclass(value):
        items = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        kept = {field.name: _plain(item) for field, item in items if field.name not in _LEFT_OUT}
        return {name: item for name, item in kept.items() if item not in (0, "", [], None, False)}
    if isinstance(value, np.ndarray):
        return [_plain(float(item)) for item in value.ravel()]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, float | int | np.generic):
        return round(float(value), 4)
    return [_plain(item) for item in value]
