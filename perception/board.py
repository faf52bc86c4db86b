"""A board of AprilTags: drawn for the printer, found in an image, and placed in front of the camera.

The board's frame: origin in its middle, x to the right and y down as it is read, z away from the reader. Tags are of
the family 36h11, numbered row by row from the upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64

HINT = "OpenCV is not installed; get it with: .venv/bin/pip install -e '.[hardware]'"
_LEAST_TAGS = 4
_WORST_PIXELS = 2.0  # px, of the corners of one image: beyond, it is not this board
_PER_MODULE = 40  # px that a black or white square of a tag has in the drawing
_MODULES = 8  # squares along a tag's side, its black frame included


class CalibrationError(ValueError):
    """A calibration that cannot be made; the message says what to do."""


class BoardNotSeen(CalibrationError):
    """The board is not in the image, or not enough of it."""


@dataclass(frozen=True)
class Board:
    """Sizes of the board; the defaults fit on A4 with room for the gripper screws."""

    columns: int = 5
    rows: int = 4
    tag: float = 0.030  # m, side of a tag's black frame
    gap: float = 0.009  # m, white between two tags

    @property
    def size(self) -> tuple[float, float]:
        """Width and height [m] with a white margin of one gap around."""
        pitch = self.tag + self.gap
        return self.columns * pitch + self.gap, self.rows * pitch + self.gap

    def corners(self) -> F64:
        """(tags, 4, 3) m: each tag's corners, from the upper left one clockwise."""
        width, height = self.size
        row, column = np.divmod(np.arange(self.rows * self.columns), self.columns)
        left = np.column_stack([column, row]) * (self.tag + self.gap) + self.gap - np.array([width, height]) / 2
        square = self.tag * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        flat = left[:, None] + square
        return np.concatenate([flat, np.zeros((*flat.shape[:2], 1))], axis=2)

    def drawing(self) -> np.ndarray:
        """The board for the printer: (h, w) uint8, whose resolution is `pixels_per_meter`."""
        cv2 = _cv2()
        scale = self.pixels_per_meter
        width, height = self.size
        image = np.full((round(height * scale), round(width * scale)), 255, np.uint8)
        side = _PER_MODULE * _MODULES
        for number, corners in enumerate(self.corners()):
            u, v = np.rint((corners[0, :2] + np.array([width, height]) / 2) * scale).astype(int)
            image[v : v + side, u : u + side] = cv2.aruco.generateImageMarker(_family(cv2), number, side)
        return image

    @property
    def pixels_per_meter(self) -> float:
        """Of the drawing."""
        return _PER_MODULE * _MODULES / self.tag

    def save(self, path: Path) -> None:
        """Writes the drawing at its true size: .pdf or .png with its resolution inside."""
        from PIL import Image

        path.parent.mkdir(parents=True, exist_ok=True)
        dots = self.pixels_per_meter * 0.0254
        Image.fromarray(self.drawing()).save(path, dpi=(dots, dots), resolution=dots)


@dataclass(frozen=True)
class Sighting:
    """The board as one image shows it."""

    points: F64  # (n, 3) m, corners in the board's frame
    pixels: F64  # (n, 2) px, where they are seen
    T_cam_board: F64  # (4, 4)
    error: float  # px, root mean square over the corners


def find(image: np.ndarray, K: F64, board: Board = Board()) -> Sighting:
    """Finds the board.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        K: (3, 3) px, of a camera without distortion.
        board: its true sizes, measured on the print.

    Raises:
        BoardNotSeen: fewer than four tags; says what to change.
        CalibrationError: the tags are not arranged as on this board.
    """
    cv2 = _cv2()
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    # As wide as a tag's squares: the default, a third of it, leaves corners half a pixel inside.
    settings.cornerRefinementWinSize, settings.relativeCornerRefinmentWinSize = 4, 1.0
    found, numbers, _ = cv2.aruco.ArucoDetector(_family(cv2), settings).detectMarkers(gray)
    known = board.corners()
    seen = {} if numbers is None else {int(i): c[0] for i, c in zip(np.ravel(numbers), found, strict=True)}
    seen = {number: corners for number, corners in seen.items() if number < len(known)}
    if len(seen) < _LEAST_TAGS:
        raise BoardNotSeen(
            f"{len(seen)} of {len(known)} tags seen, at least {_LEAST_TAGS} are needed: bring the whole board into the "
            "image, nearer and less slanted; avoid glare, motion blur and a dark image"
        )
    points = np.concatenate([known[number] for number in seen]).astype(np.float64)
    pixels = np.concatenate(list(seen.values())).astype(np.float64)
    T_cam_board, error = _place(cv2, points, pixels, K)
    if error > _WORST_PIXELS:
        raise CalibrationError(
            f"the tags do not fit the board: {error:.1f} px off; give the printed sizes (tag "
            f"{1e3 * board.tag:.1f} mm, gap {1e3 * board.gap:.1f} mm were assumed), keep the board flat, and check the "
            "camera's intrinsics"
        )
    return Sighting(points, pixels, T_cam_board, error)


def _place(cv2: Any, points: F64, pixels: F64, K: F64) -> tuple[F64, float]:
    """Pose of the board (4, 4), and how far the corners are off [px]. A plane has two candidate poses: the better."""
    _, turns, shifts, _ = cv2.solvePnPGeneric(points, pixels, K, None, flags=cv2.SOLVEPNP_IPPE)
    best = (np.eye(4), np.inf)
    for turn, shift in zip(turns, shifts, strict=True):
        turn, shift = cv2.solvePnPRefineLM(points, pixels, K, None, turn, shift)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = cv2.Rodrigues(turn)[0], shift.ravel()
        error = float(np.sqrt(((project(points, T, K) - pixels) ** 2).sum(axis=1).mean()))
        if T[2, 3] > 0 and error < best[1]:
            best = (T, error)
    return best


def project(points: F64, T_cam_board: F64, K: F64) -> F64:
    """(n, 2) px at which points (n, 3) [m] of the board appear."""
    at = points @ T_cam_board[:3, :3].T + T_cam_board[:3, 3]
    return at[:, :2] / at[:, 2:] * [K[0, 0], K[1, 1]] + [K[0, 2], K[1, 2]]


def picture(
    board: Board,
    T_cam_board: F64,
    K: F64,
    size: tuple[int, int] = (640, 480),
    rng: np.random.Generator | None = None,
    blur: float = 0.7,
    noise: float = 3.0,
    samples: int = 4,
) -> np.ndarray:
    """A camera's picture of the board, for rehearsals and tests: every pixel is the mean over its area.

    Args:
        board: to be seen.
        T_cam_board: (4, 4), z positive: what faces the camera is readable.
        K: (3, 3) px.
        size: width and height [px].
        rng: of the noise; None for none.
        blur: px, standard deviation.
        noise: gray levels, standard deviation.
        samples: a side of each pixel.

    Returns:
        (H, W, 3) uint8.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    drawing = _soft_drawing(board)
    width, height = board.size
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    u = (np.arange(size[0])[:, None] + steps).ravel()
    v = (np.arange(size[1])[:, None] + steps).ravel()
    rays = np.stack(np.broadcast_arrays((u - K[0, 2]) / K[0, 0], ((v - K[1, 2]) / K[1, 1])[:, None], 1.0), axis=-1)
    R, t = T_cam_board[:3, :3], T_cam_board[:3, 3]
    depth = (R[:, 2] @ t) / (rays @ R[:, 2])
    at = (rays * depth[..., None] - t) @ R[:, :2]  # m, on the board
    inside = (np.abs(at) <= np.array([width, height]) / 2).all(axis=-1) & (depth > 0)
    where = (at + np.array([width, height]) / 2) * board.pixels_per_meter - 0.5
    light = np.broadcast_to(0.35 + 0.5 * np.linspace(0, 1, size[0] * samples), inside.shape)  # uneven, as lamps are
    sampled = np.full(inside.shape, 90.0)
    seen = map_coordinates(drawing, where[inside].T[::-1], order=1, mode="nearest")
    sampled[inside] = 25 + 0.75 * seen * light[inside]
    gray = sampled.reshape(size[1], samples, size[0], samples).mean(axis=(1, 3))
    gray = gaussian_filter(gray, blur)
    if rng is not None:
        gray = gray + rng.normal(0, noise, gray.shape)
    return np.repeat(np.clip(np.rint(gray), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@cache
def _soft_drawing(board: Board) -> np.ndarray:
    """The drawing without steps between its pixels."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(board.drawing().astype(np.float32), 2.0))


def _family(cv2: Any) -> Any:
    return cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"{HINT} ({error})", name="cv2") from error
    return cv2
