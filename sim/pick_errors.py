"""What is wrong with what is measured while picking: the truth with a sensor's noise, or errors assumed for a camera.

In the state `camera` nothing here counts: a depth camera's images are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Errors:
    """What is wrong with measurements: drawn once an episode (bias) and at every look (noise), standard deviations."""

    object_pos: tuple[float, float] = (0.0, 0.0005)  # m on each axis
    object_yaw: tuple[float, float] = (0.0, 0.01)  # rad
    object_width: tuple[float, float] = (0.0, 0.0)  # m
    tool_pos: tuple[float, float] = (0.0, 0.0005)  # m on each axis
    tool_turn: tuple[float, float] = (0.0, 0.01)  # rad about each axis
    opening: tuple[float, float] = (0.0, 0.0003)  # m
    blind: bool = False  # the object is not seen where tips are near it: what was seen before counts


SENSOR, NOTHING = Errors(), Errors(*[(0.0, 0.0)] * 6)  # type: ignore[arg-type]
BLIND = (0.03, 0.02)  # m: tips as near as this, and less than this above it, hide an object from the camera
# Those assumed for a camera are inside what is asked of an encoder: 1 mm opening, 2 mm width, 3 mm tips. For training.
ERRORS = {
    "exact": NOTHING,
    "privileged": SENSOR,
    "camera": replace(NOTHING, blind=True),
    "assumed": Errors(
        object_pos=(0.0010, 0.0005),
        object_yaw=(0.08, 0.03),
        object_width=(0.0010, 0.0003),
        tool_pos=(0.0010, 0.0007),
        tool_turn=(0.015, 0.015),
        opening=(0.0006, 0.0006),
        blind=True,
    ),
}
