"""A picture of some clouds: what the camera sees in truth, and the points that are left for the encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.affordance import clouds
from toolwright.perception.generate_objects import Waiting, look_at_object
from toolwright.perception.generate_shapes import hulls
from toolwright.perception.generate_tools import ViewRange, families, look, robot, states
from toolwright.perception.generate_views import Eye, Stage

_COLUMNS = 4
_LABELS = (
    "#ffffff",
    "#8d99a6",
    "#2c8c4a",
    "#c0392b",
    "#e0d2bd",
    "#6b7fd7",
)  # nothing, hand, tool, object, table, other


def draw(kind: str, path: Path, seed: int = 0) -> int:
    """Writes a picture.

    Args:
        kind: "tools": four clouds of each family; "objects": twenty-four things.
        path: .png.
        seed: of the clouds.

    Returns:
        How many clouds are shown.

    Raises:
        RenderError: no OpenGL here.
    """
    from matplotlib.figure import Figure

    rng = np.random.default_rng(seed)
    shown = _tools(rng) if kind == "tools" else _objects(rng)
    rows = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(5.2 * _COLUMNS, 2.7 * rows), layout="constrained")
    cells = figure.subplots(rows, 2 * _COLUMNS, squeeze=False).ravel()
    for axes in cells:
        axes.axis("off")
    for i, (title, labels, eye, groups, mark) in enumerate(shown):
        image, points = cells[2 * i], cells[2 * i + 1]
        colors = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in _LABELS], np.uint8)
        image.imshow(colors[labels])
        image.set_title(title, fontsize=9)
        for cloud, color in groups:
            if len(cloud):
                points.scatter(*_seen(cloud, eye), s=1.5, c=color, lw=0)
        points.plot(*_seen(mark, eye), color="#1f4fd8", lw=2)
        points.set_aspect("equal")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    return len(shown)


_Cell = tuple[str, np.ndarray, Eye, list[tuple[Any, str]], F64]


def _tools(rng: np.random.Generator) -> list[_Cell]:
    hand, wrist = robot()
    stage, ranges = Stage(), ViewRange()
    cells: list[_Cell] = []
    for name in families():
        source = states(name, "train", rng, worlds=8)
        for _ in range(_COLUMNS):
            view = look(stage, wrist, next(source), ranges, rng)
            cloud, joints, _ = view.measured(ranges, rng)
            found = clouds.split(cloud, joints, hand, rng)
            tip, half = view.state.tip, max(view.state.opening, 0.001) / 2
            mark = tip[:3, 3] + tip[:3, :1].T * np.array([[-half], [half]])
            title = f"{name}, {1000 * view.state.opening:.1f} mm" if view.has_tool else "no tool"
            groups = [(found.hand, "#c4ccd4"), (found.free, "#c0392b")]
            cells.append((title, view.view.labels, view.eye, groups, mark))
    stage.close()
    return cells


def _objects(rng: np.random.Generator) -> list[_Cell]:
    stage, ranges = Stage([points for _, _, points in hulls()]), ViewRange()
    waiting = Waiting.some(families()[:2], rng)
    cells: list[_Cell] = []
    for i in range(6 * _COLUMNS):
        view = look_at_object(stage, waiting, i % 2 == 1, ranges, rng)
        outline = view.shape.outline() @ view.rotation.T + view.pos
        part = "held out" if i % 2 else "train"
        title = f"{view.shape.kind} ({part}), {1000 * np.ptp(outline[:, 2]):.0f} mm high"
        groups = [(outline, "#9ecae1"), (view.measured(ranges, rng), "#c0392b")]
        cells.append((title, view.view.labels, view.eye, groups, view.center[None] + np.zeros((2, 1))))
    stage.close()
    return cells


def _seen(points: F64, eye: Eye) -> tuple[F64, F64]:
    """Image coordinates of points, upwards."""
    T = np.linalg.inv(eye.T_world_cam)
    local = np.asarray(points) @ T[:3, :3].T + T[:3, 3]
    return local[:, 0] / local[:, 2], -local[:, 1] / local[:, 2]
