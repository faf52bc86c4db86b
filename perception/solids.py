"""Upright solids on a table, fitted to what one camera sees of them: balls, blocks, cylinders and cups.

Two measurements speak: points on the surface, good to a millimeter or two, and the outline in the image, good to half
a pixel. Sides of the outline that something hides are left out. Heights are over the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.spatial import ConvexHull, QhullError

from toolwright.hardware.robot import F64
from toolwright.perception.tabletop import Segment, View

Shape = Literal["sphere", "box", "cylinder", "cup"]
WALL, FLOOR = 0.003, 0.012  # m, of a cup as it is assumed
_NOISE = 0.0015  # m, of a point on a surface
_PIXEL = 0.5  # px, of the outline
_POINTS = 240  # that are used of a thing
_LEAST_CUP = 0.025  # m, across
_RIM = 0.17  # px at the edge of a small thing that count although most of them is table
_FEW = 60  # pixels below which a thing is taken for a ball: nothing else can be told
_OUTLINE_WEIGHT = 12.0  # of the share of the outline that does not fit, against squared distances over their noise
_ROUND = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_SIMPLER: dict[Shape, float] = {"sphere": 0.9, "cylinder": 1.0, "cup": 1.0, "box": 1.1}  # with more numbers, more fits


@dataclass(frozen=True)
class Solid:
    """A solid that stands on the table."""

    shape: Shape
    xy: F64  # (2,) m, of its middle
    yaw: float  # rad, of its first axis
    size: F64  # (3,) m, along its axes; the third is the height
    cost: float  # of the fit, about 1 where it is as good as the noise
    complete: bool  # the whole outline was seen

    @property
    def opening(self) -> float:
        """Inner diameter [m] of a cup; 0 for others."""
        return float(self.size[0]) - 2 * WALL if self.shape == "cup" else 0.0


@dataclass(frozen=True)
class Evidence:
    """What a segment says of its thing."""

    points: F64  # (n, 3) m, world x and y, height over the table
    sides: F64  # (4,) px: left, top, right and bottom end of the outline
    sure: np.ndarray  # (4,) bool, which of them are the thing's own
    area: float  # px
    middle: F64  # (2,) px
    core: F64  # (n, 3) colors of its pixels that are least mixed with what is around


def evidence(seen: View, segment: Segment, others: np.ndarray) -> Evidence:
    """Points and outline of a segment.

    Args:
        seen: the view.
        segment: of one thing.
        others: (H, W) bool, pixels that may hide this thing: the robot, other things.
    """
    mask = segment.mask
    pixels = segment.pixels
    inner = ndimage.binary_erosion(mask) if len(pixels) > 4 * _FEW else mask
    at = inner & np.isfinite(seen.height)
    points = np.column_stack([seen.points[at][:, :2], seen.height[at]])
    if len(points) > _POINTS:
        points = points[np.linspace(0, len(points) - 1, _POINTS).astype(np.intp)]
    (u0, v0), (u1, v1) = pixels.min(axis=0), pixels.max(axis=0)
    sides = np.array([u0 - 0.5, v0 - 0.5, u1 + 0.5, v1 + 0.5])
    return Evidence(
        points, sides, _sure(mask, others), float(len(pixels)), pixels.mean(axis=0), _core(seen, mask, pixels)
    )


def _core(seen: View, mask: np.ndarray, pixels: np.ndarray) -> F64:
    """Colors (n, 3) of the pixels of a thing that are least mixed with what is around it."""
    rgb = seen.frame.rgb
    if len(pixels) > 4 * _FEW:
        inner = ndimage.binary_erosion(mask, iterations=2)
        return rgb[inner if inner.any() else mask].astype(np.float64)
    (u0, v0), (u1, v1) = np.maximum(pixels.min(axis=0) - 3, 0), pixels.max(axis=0) + 4
    here, patch = mask[v0:v1, u0:u1], rgb[v0:v1, u0:u1].astype(np.float64)
    around = patch[~ndimage.binary_dilation(here, structure=np.ones((3, 3)))]
    if not len(around):
        return patch[here]
    away = np.linalg.norm(patch[here] - np.median(around, axis=0), axis=1)
    return patch[here][away >= np.percentile(away, 60)]


def _sure(mask: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which ends of the outline end at the table, and neither at the picture's edge nor at something else."""
    height, width = mask.shape
    v, u = np.nonzero(mask)
    result = []
    for axis, end, step in ((u, u.min(), (0, -1)), (v, v.min(), (-1, 0)), (u, u.max(), (0, 1)), (v, v.max(), (1, 0))):
        there = np.abs(axis - end) <= 1
        free = True
        for away in (1, 2, 3):
            vs, us = v[there] + away * step[0], u[there] + away * step[1]
            inside = (vs >= 0) & (us >= 0) & (vs < height) & (us < width)
            free = free and bool(inside.all()) and not others[vs[inside], us[inside]].any()
        result.append(free)
    return np.array(result)


def recognize(seen: View, segment: Segment, found: Evidence) -> Solid:
    """The solid that explains a segment best."""
    if found.area < _FEW or len(found.points) < 12:
        return ball(seen, found)
    shapes: list[Shape] = ["sphere", "cylinder", "box"]
    if np.ptp(found.points[:, :2], axis=0).max() > _LEAST_CUP:
        shapes.append("cup")
    candidates = [_fit(seen, segment, found, shape) for shape in shapes]
    return min(candidates, key=lambda solid: solid.cost * _SIMPLER[solid.shape])


def ball(seen: View, found: Evidence) -> Solid:
    """A ball on the table from its outline alone: as wide as it looks where its middle's ray is a radius high."""
    K = seen.frame.K
    center = found.middle
    spans = (found.sides[2:] - found.sides[:2])[found.sure[:2] & found.sure[2:]]
    # By area where the outline is whole; a half-hidden ball is as wide as its widest whole side.
    across = 2 * np.sqrt(found.area / np.pi) if found.sure.all() or not len(spans) else float(spans.max())
    across = max(across - 2 * _RIM, 1.0)
    radius = 0.004
    for _ in range(6):
        at = on_ray(seen, center, radius)
        z = float((np.linalg.inv(seen.frame.T_world_cam) @ [*at, 1.0])[2])
        radius = across / 2 * z / K[0, 0]
    return Solid("sphere", at[:2], 0.0, np.full(3, 2 * radius), 1.0, bool(found.sure.all()))


def on_ray(seen: View, pixel: F64, height: float) -> F64:
    """(3,) m, world: where the ray of a pixel is `height` [m] over the table."""
    frame = seen.frame
    ray = frame.T_world_cam[:3, :3] @ np.array([*((pixel - frame.K[:2, 2]) / frame.K[[0, 1], [0, 1]]), 1.0])
    a, b, c = seen.plane.coefficients
    eye = seen.eye
    along = (a * eye[0] + b * eye[1] + c + height - eye[2]) / (ray[2] - a * ray[0] - b * ray[1])
    return eye + along * ray


# -- fits -------------------------------------------------------------------------------------------------------------


def _fit(seen: View, segment: Segment, found: Evidence, shape: Shape) -> Solid:
    start = _start(found, shape)
    weight = np.sqrt(len(found.points) / 8)
    distance, outline = _DISTANCE[shape], _OUTLINE[shape]

    def residuals(x: F64) -> F64:
        off = distance(x, found.points) / _NOISE
        pixels = _project(seen, outline(x, seen))
        ends = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
        return np.concatenate([_soft(off), weight * np.tanh((ends - found.sides)[found.sure] / (8 * _PIXEL)) * 4])

    best = None
    for x0 in start:
        lower, upper = _bounds(x0, shape)
        fit = least_squares(
            residuals, np.clip(x0, lower, upper), bounds=(lower, upper), x_scale=_SCALE[shape], max_nfev=25
        )
        if best is None or fit.cost < best.cost:
            best = fit
    assert best is not None
    x = best.x
    surface = float((_soft(distance(x, found.points) / _NOISE) ** 2).mean())
    cost = surface + _OUTLINE_WEIGHT * _misfit(segment.mask, _project(seen, outline(x, seen)), found)
    xy, yaw, size = _read(x, shape)
    return Solid(shape, xy, yaw, size, cost, bool(found.sure.all()))


def _soft(x: F64) -> F64:
    """Squares for what may be noise, growing like a root for what is something else."""
    return np.sign(x) * np.sqrt(2 * (np.sqrt(1 + x**2 / 2) - 1))


def _start(found: Evidence, shape: Shape) -> list[F64]:
    points = found.points
    top = float(np.percentile(points[:, 2], 97))
    low, high = np.percentile(points[:, :2], [3, 97], axis=0)
    if shape == "sphere":
        return [np.array([*(low + high) / 2, max(top / 2, 0.002)])]
    upper = points[points[:, 2] > 0.75 * top] if shape != "cup" else points[points[:, 2] > top - 0.012]
    if len(upper) < 8:
        upper = points
    middle = (np.percentile(upper[:, :2], 4, axis=0) + np.percentile(upper[:, :2], 96, axis=0)) / 2
    radius = float(np.percentile(np.linalg.norm(upper[:, :2] - middle, axis=1), 92))
    if shape in ("cylinder", "cup"):
        return [np.array([*middle, max(radius, 0.003), max(top, 0.003)])]
    starts = []
    for yaw in np.arange(4) * np.pi / 8:
        across = (upper[:, :2] - middle) @ _turn(yaw)
        ends = np.percentile(across, [2, 98], axis=0)
        x0 = np.array(
            [*(middle + _turn(yaw) @ ends.mean(axis=0)), yaw, *np.maximum(np.diff(ends, axis=0)[0], 0.004), top]
        )
        starts.append((float(np.prod(np.diff(ends, axis=0))), x0))
    return [x0 for _, x0 in sorted(starts, key=lambda pair: pair[0])[:2]]


def _turn(yaw: float) -> F64:
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s], [s, c]])


_SCALE: dict[Shape, F64] = {
    "sphere": np.full(3, 0.005),
    "cylinder": np.full(4, 0.005),
    "cup": np.full(4, 0.005),
    "box": np.array([0.005, 0.005, 0.1, 0.005, 0.005, 0.005]),
}


def _bounds(x0: F64, shape: Shape) -> tuple[F64, F64]:
    least = {"sphere": 0.001, "cup": 0.008}.get(shape, 0.002)
    if shape == "box":
        return (
            np.array([x0[0] - 0.1, x0[1] - 0.1, x0[2] - 1.6, least, least, least]),
            np.array([x0[0] + 0.1, x0[1] + 0.1, x0[2] + 1.6, 0.6, 0.6, 0.6]),
        )
    sizes = len(x0) - 2
    return np.array([*(x0[:2] - 0.1), *[least] * sizes]), np.array([*(x0[:2] + 0.1), *[0.4] * sizes])


def _read(x: F64, shape: Shape) -> tuple[F64, float, F64]:
    if shape == "sphere":
        return x[:2], 0.0, np.full(3, 2 * x[2])
    if shape == "box":
        yaw = (x[2] + np.pi / 4) % (np.pi / 2) - np.pi / 4  # a turn by a quarter swaps the sides
        swapped = round((x[2] - yaw) / (np.pi / 2)) % 2 == 1
        return x[:2], float(yaw), np.array([x[4], x[3], x[5]]) if swapped else x[3:6]
    return x[:2], 0.0, np.array([2 * x[2], 2 * x[2], x[3]])


# -- surfaces: distances of points (n, 3) from them [m] ---------------------------------------------------------------


def _to_sphere(x: F64, p: F64) -> F64:
    return np.linalg.norm(p - [x[0], x[1], x[2]], axis=1) - x[2]


def _to_cylinder(x: F64, p: F64) -> F64:
    out = np.linalg.norm(p[:, :2] - x[:2], axis=1) - x[2]
    return _solid(np.column_stack([out, p[:, 2] - x[3]]))


def _to_box(x: F64, p: F64) -> F64:
    at = np.abs((p[:, :2] - x[:2]) @ _turn(x[2])) - x[3:5] / 2
    return _solid(np.column_stack([at, p[:, 2] - x[5]]))


def _solid(over: F64) -> F64:
    """Signed distance from how far (n, k) a point is beyond each pair of faces."""
    return np.linalg.norm(np.maximum(over, 0), axis=1) + np.minimum(over.max(axis=1), 0)


def _to_cup(x: F64, p: F64) -> F64:
    """The nearest of the outer wall, the inner wall and the bottom; between the walls, of the rim."""
    from_axis = np.linalg.norm(p[:, :2] - x[:2], axis=1)
    over = np.maximum(p[:, 2] - x[3], 0)
    walls = np.stack([np.hypot(from_axis - x[2], over), np.hypot(from_axis - (x[2] - WALL), over)])
    rim = np.where((from_axis < x[2]) & (from_axis > x[2] - WALL), np.abs(p[:, 2] - x[3]), np.inf)
    floor = np.where(from_axis < x[2] - WALL, np.abs(p[:, 2] - FLOOR), np.inf)
    return np.minimum(np.minimum(walls.min(axis=0), rim), floor)


_DISTANCE: dict[Shape, Callable[[F64, F64], F64]] = {
    "sphere": _to_sphere,
    "cylinder": _to_cylinder,
    "cup": _to_cup,
    "box": _to_box,
}


# -- outlines: points (k, 3) [m] whose hull in the image is the solid's -----------------------------------------------


def _sphere_outline(x: F64, seen: View) -> F64:
    center = np.array([x[0], x[1], x[2]])
    eye = seen.eye - [0, 0, seen.plane.height(seen.eye[:2])]
    axis = (center - eye) / np.linalg.norm(center - eye)
    right = np.cross(axis, [0.0, 0, 1])
    right /= max(np.linalg.norm(right), 1e-9)
    return center + x[2] * (np.cos(_ROUND)[:, None] * right + np.sin(_ROUND)[:, None] * np.cross(axis, right))


def _round_outline(x: F64, seen: View) -> F64:
    ring = x[:2] + x[2] * np.column_stack([np.cos(_ROUND), np.sin(_ROUND)])
    return np.concatenate([np.column_stack([ring, np.full(len(ring), z)]) for z in (0.0, x[3])])


def _box_outline(x: F64, seen: View) -> F64:
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    corners = x[:2] + (signs * x[3:5] / 2) @ _turn(x[2]).T
    return np.concatenate([np.column_stack([corners, np.full(4, z)]) for z in (0.0, x[5])])


_OUTLINE: dict[Shape, Callable[[F64, View], F64]] = {
    "sphere": _sphere_outline,
    "cylinder": _round_outline,
    "cup": _round_outline,
    "box": _box_outline,
}


def _project(seen: View, points: F64) -> F64:
    """(k, 2) px of points whose third number is the height over the table."""
    world = points + np.column_stack([np.zeros((len(points), 2)), seen.plane.height(points[:, :2])])
    frame = seen.frame
    camera = (world - frame.T_world_cam[:3, 3]) @ frame.T_world_cam[:3, :3]
    return camera[:, :2] / np.maximum(camera[:, 2:], 1e-3) * frame.K[[0, 1], [0, 1]] + frame.K[:2, 2]


def _misfit(mask: np.ndarray, outline: F64, found: Evidence) -> float:
    """Share of pixels that only one of mask and outline has. Where something hides the thing, only the mask's count."""
    try:
        hull = ConvexHull(outline).equations
    except QhullError:
        return 1.0
    low = np.floor(np.minimum(outline.min(axis=0), found.sides[:2])).astype(int) - 1
    high = np.ceil(np.maximum(outline.max(axis=0), found.sides[2:])).astype(int) + 2
    low, high = np.maximum(low, 0), np.minimum(high, [mask.shape[1], mask.shape[0]])
    u, v = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    if not u.size or u.size > 4e5:
        return 1.0
    inside = (np.stack([u, v], axis=-1) @ hull[:, :2].T + hull[:, 2] <= 0).all(axis=-1)
    here = mask[low[1] : high[1], low[0] : high[0]]
    missed = float((here & ~inside).sum())
    extra = float((inside & ~here).sum()) if found.sure.all() else 0.0
    return (missed + extra) / found.area
