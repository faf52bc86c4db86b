"""Names of colors, and which pixels have the same one whatever the light.

Light changes how bright a thing is, hardly its hue, and not its saturation; names are made of these three.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.robot import F64

GRAY = 0
# Upper ends of the families' hues [degrees]; red begins again behind the last. Family 0 has no hue.
_HUES = (("red", 16.0), ("orange", 37.0), ("yellow", 68.0), ("green", 170.0), ("blue", 250.0), ("purple", 300.0))
_PALE = 0.16  # saturation below which there is no hue
_PALE_PINK = 0.62  # saturation below which a red is pink
_DARK_ORANGE = (0.66, 0.72)  # value and saturation below which an orange is brown
_BRIGHT = 0.82  # value above which a gray is white
_BLACK = 0.30  # value below which it is black
_LIT = 70.0  # percentile of brightness: what a thing looks like where light falls on it


def hsv(rgb: NDArray[np.uint8] | F64) -> F64:
    """Hue [degrees], saturation and value [0..1] of colors (..., 3) in 0..255."""
    c = np.asarray(rgb, dtype=np.float64) / 255
    value, low = c.max(axis=-1), c.min(axis=-1)
    span = value - low
    safe = np.where(span > 0, span, 1.0)
    r, g, b = np.moveaxis(c, -1, 0)
    hue = np.select(
        [span == 0, value == r, value == g], [0.0, ((g - b) / safe) % 6, (b - r) / safe + 2], (r - g) / safe + 4
    )
    return np.stack([60 * hue, np.where(value > 0, span / np.where(value > 0, value, 1.0), 0.0), value], axis=-1)


def families(rgb: NDArray[np.uint8] | F64) -> NDArray[np.intp]:
    """A number (...) for each color (..., 3): equal numbers may be one thing in light and shade; 0 is without hue."""
    h, s, v = np.moveaxis(hsv(rgb), -1, 0)
    number = 1 + np.searchsorted([end for _, end in _HUES], h, side="right")
    number = np.where(number > len(_HUES), 1, number)  # pinks and reds
    return np.where((s < _PALE) | (v < 0.12), GRAY, number)


def name(rgb: NDArray[np.uint8] | F64) -> str:
    """The name of a thing's color from its pixels (n, 3)."""
    pixels = np.asarray(rgb, dtype=np.float64).reshape(-1, 3)
    brightness = pixels.sum(axis=1)
    lit = np.median(pixels[brightness >= np.percentile(brightness, _LIT)], axis=0)
    h, s, v = hsv(lit)
    if s < _PALE:
        return "white" if v > _BRIGHT else "black" if v < _BLACK else "gray"
    family = next((family for family, end in _HUES if h < end), "red")
    if family == "red" and s < _PALE_PINK and (h > 300 or h < 8) and v > 0.6:
        return "pink"
    if family in ("orange", "red") and 8 < h and v < _DARK_ORANGE[0] and s < _DARK_ORANGE[1]:
        return "brown"
    return family
