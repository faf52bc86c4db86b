"""A picture of the tools in the hand: every family that has grasps, turned so that its opening is seen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import imageio.v2 as imageio
import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim import grasp, render
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.models.leap import add_leap
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.tools import TOOLS, add_tool

_COLUMNS, _TILE, _LABEL = 3, (560, 440), 64  # tiles in a row, px, px
_MARGIN = 0.92  # around hand and tool; less than one, as the nearest is not at the edge
_ORDER = ("tweezers", "tongs", "pliers", "clothespin", "scissors", "syringe")  # then others
_INK, _PAPER, _GREY = (32, 36, 42), (246, 247, 249), (104, 110, 120)
_LEAN = np.deg2rad(35)  # of the tool out of the vertical, tips down


def draw(path: Path, report: Callable[[str], None] = lambda line: None) -> None:
    """Writes the picture of all tools.

    Args:
        path: .png or .jpg; its folder is made.
        report: called with a line of progress.

    Raises:
        ValueError: another kind of file.
        RenderError: no OpenGL here.
    """
    if path.suffix.lower() not in (".png", ".jpg"):
        raise ValueError(f"{path}: a picture is .png or .jpg")
    tiles = []
    for name in sorted(TOOLS, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        tool = TOOLS[name]
        try:
            bank = load(name)
        except FileNotFoundError as missing:
            report(str(missing))
            continue
        tiles.append(_labelled(held(bank), name, tool.summary))
        report(f"drew {name}")
    blank = np.full_like(tiles[0], _PAPER[0])
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.concatenate(tiles[i : i + _COLUMNS], axis=1) for i in range(0, len(tiles), _COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, np.concatenate(rows, axis=0))


def held(bank: GraspBank, anchor: int = grasp.MIDDLE, size: tuple[int, int] = _TILE) -> render.RGB:
    """The nominal tool of a bank in the hand, from the side that hides less of it.

    Args:
        bank: of grasps.
        anchor: which of its openings.
        size: width and height [px].

    Returns:
        (H, W, 3) picture.
    """
    start = bank.start[0, anchor]
    _, mid = grasp.mid_pose(start[16:], bank.family.turn)
    views = []
    for front in (1.0, -1.0):
        # Tips down and to the right, the plane in which the tool opens towards the viewer.
        z = np.array([np.sin(_LEAN), 0.0, -np.cos(_LEAN)])
        y = np.array([0.0, -front, 0.0])
        wanted = np.stack([np.cross(y, z), y, z], axis=1)
        turn = np.empty(4)
        mujoco.mju_mat2Quat(turn, wanted.ravel())
        model, data = _posed(bank, start, rotations.multiply(turn, rotations.conjugate(mid)))
        views.append((_shown(model, data, size), model, data))
    _, model, data = max(views, key=lambda view: view[0])
    return render.snapshot(model, data, _camera(model, data, size), size)


def _posed(bank: GraspBank, start: F64, palm: F64) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Hand and tool with the palm turned to `palm`."""
    spec = new_spec()
    render.style(spec)
    # A dark hand on a bright ground: more light from the viewer than a scene has.
    spec.visual.headlight.ambient, spec.visual.headlight.diffuse = [0.45] * 3, [0.45] * 3
    spec.texture("sky").rgb1, spec.texture("sky").rgb2 = [0.97, 0.975, 0.98], [0.86, 0.88, 0.905]
    spec.stat.center, spec.stat.extent = [0.0, 0.0, 0.0], 0.25  # a fine shadow map
    spec.light("key").castshadow = False  # shadows of boxes that overlap flicker
    add_leap(spec, spec.worldbody, np.zeros(3), palm)
    add_tool(spec, bank.family, bank.params[0], "tool")
    model = spec.compile()
    data = mujoco.MjData(model)
    data.qpos[:] = start
    data.qpos[16:19] = rotations.rotate(palm, start[16:19])
    data.qpos[19:23] = rotations.multiply(palm, start[19:23])
    mujoco.mj_forward(model, data)
    return model, data


def _camera(model: mujoco.MjModel, data: mujoco.MjData, size: tuple[int, int]) -> mujoco.MjvCamera:
    """From the front and a little above, all of hand and tool in view."""
    camera = mujoco.MjvCamera()
    camera.azimuth, camera.elevation = 78, -14
    azimuth, elevation = np.deg2rad(camera.azimuth), np.deg2rad(camera.elevation)
    ahead = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
    axes = np.stack([right, np.cross(right, ahead), ahead])
    corners = np.array(list(product((-1, 1), repeat=3)))
    # (ngeom, 8, 3): corners of the geoms' bounding boxes as the camera sees them.
    local = model.geom_aabb[:, None, :3] + corners * model.geom_aabb[:, None, 3:]
    world = data.geom_xpos[:, None] + np.einsum("gij,gkj->gki", data.geom_xmat.reshape(-1, 3, 3), local)
    seen = (world @ axes.T).reshape(-1, 3)
    low, high = seen.min(axis=0), seen.max(axis=0)
    camera.lookat[:] = (low + high) / 2 @ axes
    half = (high - low) / 2
    wanted = max(half[1], half[0] * size[1] / size[0])
    camera.distance = _MARGIN * wanted / np.tan(np.deg2rad(model.vis.global_.fovy) / 2) + half[2]
    return camera


def _shown(model: mujoco.MjModel, data: mujoco.MjData, size: tuple[int, int]) -> int:
    """How much of the tool is in view [px]."""
    tool = [g for g in range(model.ngeom) if model.body(model.geom_bodyid[g]).name.startswith("tool")]
    with render.open_renderer(model, size[0] // 4, size[1] // 4) as renderer:
        renderer.enable_segmentation_rendering()
        renderer.update_scene(data, _camera(model, data, size))
        seen = renderer.render()
    geom = seen[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM)
    return int((geom & np.isin(seen[..., 0], tool)).sum())


def _labelled(picture: render.RGB, title: str, text: str) -> render.RGB:
    """A picture on paper, with a title and a line of text below."""
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (_TILE[0], _TILE[1] + _LABEL), _PAPER)
    sheet.paste(Image.fromarray(picture[6:-6, 6:-6]), (6, 6))
    pen = ImageDraw.Draw(sheet)
    pen.text((12, _TILE[1] + 2), title, fill=_INK, font=ImageFont.load_default(24))
    pen.text((12, _TILE[1] + 33), text, fill=_GREY, font=ImageFont.load_default(15))
    return np.asarray(sheet)
