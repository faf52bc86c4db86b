"""A `Scene` as JSON in a std_msgs/String: no standard message has objects with sizes and an articulated tool.

The fields are those of `perception/scene.py`; arrays are lists, SI units, world frame.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from toolwright.perception.scene import Box, HeldTool, Scene, SceneObject


def to_json(scene: Scene) -> str:
    """The scene as text."""
    return json.dumps(dataclasses.asdict(scene), default=lambda value: value.tolist())


def from_json(text: str) -> Scene:
    """The scene of a text.

    Raises:
        ValueError: it is none; says which field.
    """
    try:
        raw = json.loads(text)
        return Scene(
            stamp=float(raw["stamp"]),
            objects={name: _arrays(SceneObject, item) for name, item in raw["objects"].items()},
            tool=_arrays(HeldTool, raw["tool"]) if raw["tool"] is not None else None,
            workspace=_arrays(Box, raw["workspace"]),
            table_height=float(raw["table_height"]),
            notes=tuple(raw["notes"]),
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"no scene: {type(error).__name__}: {error}") from error


def _arrays(kind: type, raw: dict[str, Any]) -> Any:
    return kind(
        **{key: np.array(value, dtype=float) if isinstance(value, list) else value for key, value in raw.items()}
    )
