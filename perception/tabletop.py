"""The table in a depth image, and what stands out of it: by height where that is sure, by color where it is not.

A bead of 4 mm is no more than the noise of a depth camera half a meter away; its color still tells it from the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from toolwright.hardware.robot import F64, Frame
from toolwright.perception import palette
from toolwright.perception.scene import Box

Mask = NDArray[np.bool_]
DISPARITY_NOISE = 0.08  # px, of a stereo camera's matcher
BASELINE = 0.05  # m, of the D435
_SEARCH = 0.04  # m around the height at which the table is expected
_ENOUGH = 20000  # points that a plane is fitted to
_SIGMAS = 5.0  # of height noise that stands out
_LEAST_HEIGHT = 0.004  # m
_COLOR_STEP = 17.0  # of 255, distance from the table's color in any light
_COLOR_SIGMAS = 4.2  # of the camera's color noise that count as such a distance
_SHADE = (0.33, 1.12)  # of the table's brightness: shadow to glare
_LEAST_PIXELS = 5
_JUMP = 0.02  # m in depth between neighbors that are two things
_CELL = 20  # px, on which the table's color is known


class NoTable(RuntimeError):
    """No table is seen where one is expected."""


@dataclass(frozen=True)
class Plane:
    """The table's top: z = a x + b y + c in the world."""

    coefficients: F64  # a, b, c [m]
    rest: float  # m, root mean square of what is left

    def height(self, xy: F64) -> F64:
        """Heights (...) [m] of the table at places (..., 2) [m]."""
        return xy @ self.coefficients[:2] + self.coefficients[2]


@dataclass(frozen=True)
class View:
    """A frame in the world, and the table in it."""

    frame: Frame
    points: F64  # (H, W, 3) m, world; NaN where there is no return
    foot: F64  # (H, W, 3) m, where each pixel's ray meets the table; NaN where it does not
    height: F64  # (H, W) m over the table; NaN where there is no return
    sigma: F64  # (H, W) m, noise of the height on the table
    plane: Plane
    hidden: Mask  # (H, W) the robot

    @property
    def eye(self) -> F64:
        """(3,) m, the camera's place."""
        return self.frame.T_world_cam[:3, 3]


@dataclass(frozen=True)
class Segment:
    """Pixels of one thing."""

    mask: Mask  # (H, W)
    family: int  # of color: see `palette.families`

    @property
    def pixels(self) -> NDArray[np.intp]:
        """(n, 2) column and row."""
        v, u = np.nonzero(self.mask)
        return np.column_stack([u, v])


def view(frame: Frame, region: Box, hidden: Mask | None = None) -> View:
    """Finds the table.

    Args:
        frame: of the camera.
        region: whose x and y bound the table, and whose lower z is where its top is expected.
        hidden: (H, W) pixels that show the robot.

    Raises:
        NoTable: fewer than a tenth of the pixels that should show it do.
    """
    rays = _rays(frame)
    eye = frame.T_world_cam[:3, 3]
    seen = frame.depth > 0
    points = np.where(seen[..., None], eye + rays * frame.depth[..., None], np.nan)
    hidden = np.zeros(seen.shape, dtype=bool) if hidden is None else hidden
    inside = seen & ~hidden & _within(points, region)
    sigma_z = frame.depth**2 * DISPARITY_NOISE / (frame.K[0, 0] * BASELINE)
    plane = _fit(points[inside], region.lower[2], inside.size)
    foot = _meet(eye, rays, plane)
    height = points[..., 2] - plane.height(points[..., :2])
    sigma = np.abs(rays[..., 2]) * sigma_z
    return View(frame, points, foot, height, sigma, plane, hidden)


def segments(seen: View, region: Box) -> list[Segment]:
    """Everything on the table that is not the robot.

    Args:
        seen: from `view`.
        region: whose x and y bound the things' places.
    """
    on_table = _within(seen.foot, region) | (_within(seen.points, region) & (seen.height > _LEAST_HEIGHT))
    allowed = on_table & ~seen.hidden
    high = seen.height > np.maximum(_SIGMAS * seen.sigma, _LEAST_HEIGHT)
    # Where a side is seen at a grazing angle, the returns are few and far between.
    closed = ndimage.binary_closing(high, structure=np.ones((5, 5)))
    high = ndimage.binary_opening(high | (closed & (seen.frame.depth == 0))) & allowed
    colored = _unlike_the_table(seen, allowed & ~high) & allowed & ~(seen.height < -_LEAST_HEIGHT * 3)
    return _parts(seen, high | colored)


def _rays(frame: Frame) -> F64:
    """(H, W, 3) world directions, of length 1 along the optical axis."""
    height, width = frame.depth.shape
    u, v = np.arange(width), np.arange(height)[:, None]
    x, y = (u - frame.K[0, 2]) / frame.K[0, 0], (v - frame.K[1, 2]) / frame.K[1, 1]
    return np.stack(np.broadcast_arrays(x, y, 1.0), axis=-1) @ frame.T_world_cam[:3, :3].T


def _within(points: F64, region: Box) -> Mask:
    with np.errstate(invalid="ignore"):
        inside = (points[..., :2] >= region.lower[:2]) & (points[..., :2] <= region.upper[:2])
        return np.asarray(inside.all(axis=-1))


def _fit(points: F64, expected: float, pixels: int) -> Plane:
    """Least squares, twice without what stands out."""
    near = points[np.abs(points[:, 2] - expected) < _SEARCH]
    if len(near) < 0.02 * pixels:
        raise NoTable(
            f"only {len(near)} points of a table {_SEARCH * 1e3:.0f} mm around z = {expected:.3f} m: is the camera "
            "where its calibration says, and does it see the table?"
        )
    near = near[:: 1 + len(near) // _ENOUGH]
    coefficients = np.array([0.0, 0.0, float(np.median(near[:, 2]))])
    for keep in (0.02, 0.006, 0.004):
        off = near[:, 2] - (near[:, :2] @ coefficients[:2] + coefficients[2])
        table = near[np.abs(off) < keep]
        coefficients = np.linalg.lstsq(np.column_stack([table[:, :2], np.ones(len(table))]), table[:, 2], rcond=None)[0]
    off = table[:, 2] - (table[:, :2] @ coefficients[:2] + coefficients[2])
    return Plane(coefficients, float(np.sqrt((off**2).mean())))


def _meet(eye: F64, rays: F64, plane: Plane, height: float = 0.0) -> F64:
    """Where rays (..., 3) from the eye meet the table, or a plane `height` [m] over it; NaN where they do not."""
    a, b, c = plane.coefficients
    down = rays[..., 2] - a * rays[..., 0] - b * rays[..., 1]
    along = (a * eye[0] + b * eye[1] + c + height - eye[2]) / np.where(np.abs(down) > 1e-6, down, np.nan)
    return np.where((along > 0)[..., None], eye + rays * along[..., None], np.nan)


def _unlike_the_table(seen: View, allowed: Mask) -> Mask:
    """Pixels whose color is not the table's there, in light or shade."""
    rgb = seen.frame.rgb.astype(np.float64)
    flat = allowed & (np.abs(seen.height) < 3 * seen.sigma + 0.002)
    if not flat.any():
        return np.zeros_like(allowed)
    bright = rgb.sum(axis=-1)
    lit = flat & (bright > 0.8 * np.percentile(bright[flat], 90))
    base = np.median(rgb[lit], axis=0)
    direction = base / np.linalg.norm(base)
    along = rgb @ direction
    away = np.linalg.norm(rgb - along[..., None] * direction, axis=-1)
    # Shade on a pale table is a little grayer or bluer than light: its own middle is the measure there.
    shade = flat & ~lit & (along > _SHADE[0] * np.linalg.norm(base))
    tint = _tint(rgb, shade, along) if shade.sum() > 200 else None
    if tint is not None:
        away = np.minimum(away, np.linalg.norm(rgb - along[..., None] * tint, axis=-1))
    strength = along / np.linalg.norm(base)
    # Of two noisy numbers, half are further away than this many standard deviations.
    noise = float(np.median(away[lit])) / np.sqrt(2 * np.log(2))
    return (away > max(_COLOR_STEP, _COLOR_SIGMAS * noise)) | (strength < _SHADE[0]) | (strength > _SHADE[1])


def _tint(rgb: F64, where: Mask, along: F64) -> F64:
    return np.median(rgb[where] / along[where][:, None], axis=0)


def _parts(seen: View, foreground: Mask) -> list[Segment]:
    """Connected pixels of one family of color; narrow seams of mixed color join their larger neighbor."""
    family = np.zeros(foreground.shape, dtype=np.intp)
    family[foreground] = palette.families(seen.frame.rgb[foreground])
    depth = np.where(seen.frame.depth > 0, seen.frame.depth, np.nan)
    labels = np.zeros(foreground.shape, dtype=np.intp)
    count = 0
    for number in np.unique(family[foreground]):
        found, n = ndimage.label(foreground & (family == number), structure=np.ones((3, 3)))
        labels = np.where(found > 0, found + count, labels)
        count += n
    labels = _without_seams(labels, count)
    result = []
    for number in np.unique(labels[labels > 0]):
        mask = labels == number
        if mask.sum() < _LEAST_PIXELS:
            continue
        for piece in _by_depth(mask, depth):
            values = np.bincount(family[piece])
            result.append(Segment(piece, int(values.argmax())))
    return result


def _without_seams(labels: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Labels without those that are nowhere two pixels deep, where they touch one that is."""
    labels = labels.copy()
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(labels, max_label=count)
    for number in np.argsort(sizes[1:]) + 1:
        box = boxes[number - 1]
        if box is None or sizes[number] > 400:
            continue
        box = tuple(slice(max(part.start - 2, 0), part.stop + 2) for part in box)
        here = labels[box] == number
        if ndimage.binary_erosion(here, structure=np.ones((3, 3))).any():
            continue
        around = labels[box][ndimage.binary_dilation(here, structure=np.ones((3, 3))) & ~here]
        around = around[around > 0]
        if len(around) > 0.3 * sizes[number]:
            other = int(np.bincount(around).argmax())
            if sizes[other] > sizes[number]:
                labels[box][here] = other
                sizes[other] += sizes[number]
                sizes[number] = 0
    return labels


def _by_depth(mask: Mask, depth: F64) -> list[Mask]:
    """The mask cut where the depth jumps; pixels without a return go with the piece around them."""
    if mask.sum() < 300:
        return [mask]
    filled = np.where(mask, depth, np.nan)
    jump = np.zeros_like(mask)
    for axis in (0, 1):
        step = np.abs(np.diff(filled, axis=axis)) > _JUMP
        jump |= np.pad(step, [(0, 1) if i == axis else (0, 0) for i in range(2)])
    pieces, n = ndimage.label(mask & ~jump)
    sizes = np.bincount(pieces.ravel())[1:]
    large = [i + 1 for i in range(n) if sizes[i] > 0.1 * mask.sum()]
    return [mask] if len(large) < 2 else [pieces == i for i in large]
