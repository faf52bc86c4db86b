"""One picture of all shapes: held-out ones in blue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import imageio.v2 as imageio
import mujoco
import numpy as np

from toolwright.sim.models.in_hand import add_shape
from toolwright.sim.object_shapes import Shape
from toolwright.sim.render import snapshot, style

_COLUMNS = 18
_PITCH = 0.11  # m between shapes
_PIXELS = 90  # of a shape's field
_TRAIN, _HELD_OUT = (0.87, 0.60, 0.30, 1.0), (0.25, 0.45, 0.75, 1.0)


def draw(shapes: Sequence[Shape], path: Path) -> None:
    """Writes the picture, shapes in reading order.

    Raises:
        RenderError: no way to draw on this machine.
    """
    spec = mujoco.MjSpec()
    style(spec)
    rows = -(-len(shapes) // _COLUMNS)
    tilt = np.array([0.85, 0.35, 0.25, 0.3])
    for i, shape in enumerate(shapes):
        pos = _PITCH * np.array([i % _COLUMNS, rows - 1 - i // _COLUMNS, 0.0])
        body = add_shape(spec, f"{i}", shape, pos, np.array(_HELD_OUT if shape.held_out else _TRAIN))
        body.quat = tilt / np.linalg.norm(tilt)
    middle = _PITCH * np.array([_COLUMNS - 1, rows - 1, 0.0]) / 2
    # Straight down from far away: nearly parallel rays, so that every shape is seen alike.
    height, distance = rows * _PITCH, 8.0
    spec.visual.global_.fovy = float(2 * np.rad2deg(np.arctan(height / 2 / distance)))
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = middle, distance, 90, -90
    picture = snapshot(model, data, camera, (_COLUMNS * _PIXELS, rows * _PIXELS))
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, picture)
