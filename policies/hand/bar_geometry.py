"""Where a held bar has to be to pull, push, poke or press: plain geometry, for planning and for doing alike.

A bar is described by its measured parts; poses are those of its body frame, level, at a yaw about the vertical.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.scene import SceneObject

BESIDE = 0.010  # m between the bar and a thing that it passes
BEYOND = 0.015  # m by which the head comes down behind a thing
HEAD_COVERS = 0.6  # of a thing's breadth: what the head must reach over, so that the thing does not turn around it
NEAR_END = 0.035  # m from the far end: where the bar's side pushes
FINGERS = 0.065  # m that the fingers around the handle need ahead of its middle, clear of a thing that is drawn


@dataclass(frozen=True)
class Bar:
    """Lengths of a bar, from the middle of its handle."""

    length: float  # m, to the far end
    width: float  # m
    height: float  # m
    heads: dict[int, float]  # m that the head stands out from the bar's side: left (+1), right (-1)
    handle: F64  # (3,) m, middle of the handle in the body frame

    @property
    def inner(self) -> float:
        """From the handle's middle to the head's inner face [m]."""
        return self.length - self.width


def bar_of(item: SceneObject) -> Bar | None:
    """The bar that an object is; None for anything else."""
    parts = {part.name: part for part in item.parts}
    if "handle" not in parts or "bar" not in parts:
        return None
    hilt, bar, head = parts["handle"], parts["bar"], parts.get("head")
    end = max(part.pos[0] + part.size[0] / 2 for part in (bar, head) if part is not None)
    heads: dict[int, float] = {}
    if head is not None:
        for side in (1, -1):
            out = float(side * (head.pos[1] - bar.pos[1]) + head.size[1] / 2 - bar.size[1] / 2)
            if out > 0.001:
                heads[side] = out
    return Bar(float(end - hilt.pos[0]), float(bar.size[1]), float(bar.size[2]), heads, hilt.pos)


def pose(bar: Bar, handle: F64, along: F64, height: float, size_z: float) -> F64:
    """Pose (4, 4) of the bar's body frame.

    Args:
        bar: the bar.
        handle: (2,) m, where the middle of the handle shall be.
        along: (2,) unit, from the handle to the far end.
        height: m, of the bar's underside.
        size_z: m, height of the whole thing.
    """
    T = np.eye(4)
    T[:2, 0], T[:2, 1] = along, [-along[1], along[0]]
    T[:2, 3] = handle - T[:2, :2] @ bar.handle[:2]
    T[2, 3] = height + size_z / 2
    return T


def hooked(bar: Bar, side: int, center: F64, half_along: float, half_across: float, along: F64) -> F64:
    """Handle (2,) [m] with which the head touches the far side of a thing and the bar passes beside it.

    Args:
        bar: with a head on that side.
        side: 1 for the left, -1 for the right, seen from the handle.
        center: (2,) m, middle of the thing.
        half_along: m, its half extent along the bar.
        half_across: m, across the bar.
        along: (2,) unit, from handle to far end.
    """
    left = np.array([-along[1], along[0]])
    return center - along * (bar.inner - half_along) - side * left * (bar.width / 2 + half_across + BESIDE)


def covers(bar: Bar, side: int, half_across: float) -> bool:
    """Whether the head reaches over enough of a thing of this half breadth [m] to pull it."""
    return bar.heads.get(side, 0.0) >= BESIDE + 2 * HEAD_COVERS * half_across


def spans(bar: Bar, half_along: float) -> bool:
    """Whether a thing of this half length [m] has room between the fingers and the head."""
    return bar.inner - 2 * half_along >= FINGERS


def beside(bar: Bar, center: F64, half_along: float, push: F64, along: F64) -> F64:
    """Handle (2,) [m] with which the bar's side, near its end, touches a thing on the side away from `push`.

    Args:
        bar: the bar.
        center: (2,) m, middle of the thing.
        half_along: m, its half extent along `push`.
        push: (2,) unit, where the thing shall go; across the bar.
        along: (2,) unit, from handle to far end.
    """
    reach = (bar.inner - 0.02) if bar.heads else (bar.length - NEAR_END)
    return center - along * reach - push * (bar.width / 2 + half_along)
