"""Things that can lie in the palm-up hand and be turned there: a die, a screwdriver, a letter. Part of the schema."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from toolwright.hardware.robot import F64
from toolwright.sim.object_shapes import Part, Shape, box, cylinder, finish
from toolwright.sim.scene_base import Color, SceneThing
from toolwright.sim.shape_glyphs import HELD_OUT_GLYPHS, TRAIN_GLYPHS

GLYPHS = TRAIN_GLYPHS | HELD_OUT_GLYPHS
# Opposite faces of a die add up to seven. Directions in the die's frame.
_X, _Y, _Z = np.eye(3)
FACES = {"one": -_Z, "two": _X, "three": -_Y, "four": _Y, "five": -_X, "six": _Z}
_PIPS = {
    "one": [(0, 0)],
    "two": [(-1, -1), (1, 1)],
    "three": [(-1, -1), (0, 0), (1, 1)],
    "four": [(-1, -1), (-1, 1), (1, -1), (1, 1)],
    "five": [(-1, -1), (-1, 1), (0, 0), (1, -1), (1, 1)],
    "six": [(-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1)],
}
PIP = (0.09, 0.5)  # radius and distance from the middle of a face, in half edges


class _Turnable(SceneThing):
    """What they have in common. The origin of the frame is the center of mass."""

    fixed: ClassVar[bool] = False

    mass: float = Field(0.1, ge=0.01, le=0.4, description="Mass [kg].")


class Die(_Turnable):
    """A die. Six points along its own +z, two along +x, four along +y; opposite faces add up to seven."""

    shape: Literal["die"]
    edge: float = Field(0.055, ge=0.04, le=0.075, description="Edge of the cube [m].")
    color: Color = Field("white", description="Palette name or #rrggbb.")


class Screwdriver(_Turnable):
    """A stubby screwdriver along its own z, the tip at +z."""

    shape: Literal["screwdriver"]
    length: float = Field(0.085, ge=0.06, le=0.11, description="From end to end [m].")
    color: Color = Field("red", description="Palette name or #rrggbb.")


class Letter(_Turnable):
    """A letter or digit cut from a plate. Its front is +z, its top +y, its right +x."""

    shape: Literal["letter"]
    glyph: str = Field("L", description="Which: a capital letter or a digit.")
    height: float = Field(0.075, ge=0.05, le=0.09, description="Of the letter, its longest side [m].")
    color: Color = Field("blue", description="Palette name or #rrggbb.")

    @field_validator("glyph")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in GLYPHS:
            raise ValueError(f"'{value}' is no letter that is known here; known: {' '.join(sorted(GLYPHS))}")
        return value


Turnable = Die | Screwdriver | Letter


def shape_of(thing: Turnable) -> Shape:
    """Its geometry, with the center of mass as origin."""
    match thing:
        case Die():
            return _die(thing.edge)
        case Screwdriver():
            return _screwdriver(thing.length)
        case Letter():
            return _letter(thing.glyph, thing.height)


def marks(thing: Turnable) -> dict[str, F64]:
    """Directions (3,) in its frame that have a name."""
    match thing:
        case Die():
            return FACES
        case Screwdriver():
            return {"tip": _Z, "handle": -_Z}
        case Letter():
            return {"front": _Z, "back": -_Z, "top": _Y, "bottom": -_Y, "right": _X, "left": -_X}


def pips(thing: Turnable) -> list[tuple[F64, F64, float]]:
    """Points painted on a die: middle (3,) [m], normal (3,), radius [m]; none on other things."""
    if not isinstance(thing, Die):
        return []
    half = thing.edge / 2
    found = []
    for name, normal in FACES.items():
        u, v = np.roll(normal, 1), np.roll(normal, 2)
        for a, b in _PIPS[name]:
            found.append((half * (normal + PIP[1] * (a * u + b * v)), normal, PIP[0] * half))
    return found


@lru_cache(maxsize=32)
def _die(edge: float) -> Shape:
    return finish("die", "die", False, [box([0.5, 0.5, 0.5])], edge)


@lru_cache(maxsize=32)
def _screwdriver(length: float) -> Shape:
    parts: list[Part] = [
        cylinder(0.17, 0.29, [0, 0, -0.21]),
        cylinder(0.085, 0.17, [0, 0, 0.23]),
        box([0.085, 0.04, 0.05], [0, 0, 0.45]),
    ]
    return finish("screwdriver", "tool", False, parts, length)


@lru_cache(maxsize=32)
def _letter(glyph: str, height: float) -> Shape:
    thick, depth = 0.42, 0.62  # half widths, in units of the grid that letters are drawn on
    parts: list[Part] = []
    for x0, y0, x1, y1 in GLYPHS[glyph]:
        length, angle = np.hypot(x1 - x0, y1 - y0), np.arctan2(y1 - y0, x1 - x0)
        turn = (np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2))
        parts.append(box([length / 2 + thick, thick, depth], [(x0 + x1) / 2, (y0 + y1) / 2, 0], turn))
    return finish(glyph, "letter", False, parts, height)
