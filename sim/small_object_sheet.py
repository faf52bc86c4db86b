"""One picture of the small objects, each as it came to lie, with its name; held-out ones are marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v2 as imageio
import mujoco
import numpy as np

from toolwright.sim import render
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.small_objects import add_meshes, add_small_object, resting, small_objects

_COLUMNS, _TILE, _LABEL = 6, (240, 180), 30  # tiles in a row, px, px
_INK, _PAPER = (32, 36, 42), (246, 247, 249)
_PITCH = 0.2  # m between objects, so that none is in the next one's picture
_VIEW = (0.05, 115.0, -32.0)  # m, degrees about the vertical, degrees above


def draw(path: Path, report: Callable[[str], None] = lambda line: None) -> None:
    """Writes the picture.

    Args:
        path: .png or .jpg; its folder is made.
        report: called with a line of progress.

    Raises:
        ValueError: another kind of file.
        RenderError: no OpenGL here.
    """
    if path.suffix.lower() not in (".png", ".jpg"):
        raise ValueError(f"{path}: a picture is .png or .jpg")
    lies, heights = resting()
    spec = new_spec()
    render.style(spec)
    spec.stat.extent = 0.1
    ground = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[9, 9, 1])
    ground.rgba = [0.88, 0.83, 0.75, 1]
    add_meshes(spec)
    for i in range(len(small_objects())):
        add_small_object(spec, i, f"thing_{i}", np.array([_PITCH * i, 0.0, heights[i, 0]]), lies[i, 0])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    tiles = [_tile(model, data, i) for i in range(len(small_objects()))]
    rows = [np.concatenate(tiles[i : i + _COLUMNS], axis=1) for i in range(0, len(tiles), _COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, np.concatenate(rows, axis=0))
    report(f"drew {len(tiles)} objects")


def _tile(model: mujoco.MjModel, data: mujoco.MjData, index: int) -> render.RGB:
    from PIL import Image, ImageDraw, ImageFont

    camera = mujoco.MjvCamera()
    camera.lookat[:] = data.body(f"thing_{index}").xpos
    camera.distance, camera.azimuth, camera.elevation = _VIEW
    picture = render.snapshot(model, data, camera, _TILE)
    thing = small_objects()[index]
    sheet = Image.new("RGB", (_TILE[0], _TILE[1] + _LABEL), _PAPER)
    sheet.paste(Image.fromarray(picture[3:-3, 3:-3]), (3, 3))
    text = f"{thing.name}{' (held out)' if thing.held_out else ''}, {thing.mass * 1e3:.1f} g"
    ImageDraw.Draw(sheet).text((8, _TILE[1] + 5), text, fill=_INK, font=ImageFont.load_default(15))
    return np.asarray(sheet)
