"""What lies on a table, from one frame of a depth camera: shape, place, size and color of each thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64, Frame
from toolwright.perception import palette, solids, tabletop
from toolwright.perception.scene import Box, SceneObject
from toolwright.perception.solids import Evidence, Solid
from toolwright.perception.tabletop import Mask, Segment, View

DENSITY = 1200.0  # kg/m^3, that is assumed: a camera does not weigh
_BAD = 3.0  # cost of a fit above which the thing is none of these shapes
_SMALL = 0.02  # m, a ball below is a bead
_KINDS = {"box": "block", "cylinder": "post", "cup": "cup"}


@dataclass(frozen=True)
class Sighting:
    """One thing as one frame shows it."""

    segment: Segment
    evidence: Evidence
    color: str

    @property
    def family(self) -> int:
        return self.segment.family


def sightings(seen: View, region: Box) -> list[Sighting]:
    """Everything on the table.

    Args:
        seen: from `tabletop.view`.
        region: whose x and y bound the things' places.
    """
    parts = tabletop.segments(seen, region)
    things = np.any([part.mask for part in parts], axis=0) if parts else np.zeros_like(seen.hidden)
    # A thing's own neighborhood may be a pixel into the shadow of an edge; the robot's outline is less sure than that.
    robot = ndimage.binary_dilation(seen.hidden, iterations=2) if seen.hidden.any() else seen.hidden
    result = []
    for part in parts:
        found = solids.evidence(seen, part, (things & ~part.mask) | robot)
        result.append(Sighting(part, found, palette.name(found.core)))
    return result


def look(frame: Frame, region: Box, hidden: Mask | None = None) -> dict[str, SceneObject]:
    """All things of one frame by name. For a single picture; see `camera_scene` for a camera that goes on looking.

    Args:
        frame: of the camera.
        region: whose x and y bound the table's part that counts, and whose lower z is where its top is expected.
        hidden: (H, W) pixels that show the robot.

    Raises:
        NoTable: no table is seen.
    """
    seen = tabletop.view(frame, region, hidden)
    found = [(solids.recognize(seen, it.segment, it.evidence), it.color) for it in sightings(seen, region)]
    named = names([(kind(solid), color) for solid, color in found])
    return {name: scene_object(name, solid, color, seen) for name, (solid, color) in zip(named, found, strict=True)}


def kind(solid: Solid) -> str:
    """What people call it."""
    if solid.shape == "sphere":
        return "bead" if solid.size[0] < _SMALL else "ball"
    return _KINDS[solid.shape] if solid.cost < _BAD else "thing"


def names(kinds: list[tuple[str, str]], taken: frozenset[str] = frozenset()) -> list[str]:
    """Names for things of (kind, color): the kind alone where it is the only one, with color or a number otherwise."""
    counted = [word for word, _ in kinds]
    result: list[str] = []
    for word, color in kinds:
        name = word if counted.count(word) == 1 and word not in taken else f"{color}_{word}"
        number, first = 2, name
        while name in taken or name in result:
            name, number = f"{first}_{number}", number + 1
        result.append(name)
    return result


def scene_object(name: str, solid: Solid, color: str, seen: View) -> SceneObject:
    """A thing as the scene has it. What no camera sees, its mass, is that of a filled plastic."""
    half = solid.size[2] / 2
    pos = np.array([*solid.xy, float(seen.plane.height(solid.xy)) + half])
    return SceneObject(
        name=name,
        shape=solid.shape,
        pos=pos,
        quat=rotations.from_rotvec(np.array([0.0, 0, solid.yaw])),
        size=solid.size.copy(),
        mass=_mass(solid),
        fixed=False,
        opening=solid.opening,
        color=color,
    )


def _mass(solid: Solid) -> float:
    x, y, z = solid.size
    if solid.shape == "sphere":
        return float(DENSITY * np.pi / 6 * x**3)
    if solid.shape == "box":
        return float(DENSITY * x * y * z)
    whole = np.pi / 4 * x**2 * z
    hollow = np.pi / 4 * solid.opening**2 * max(z - solids.FLOOR, 0) if solid.shape == "cup" else 0.0
    return float(DENSITY * (whole - hollow))


def place(seen: View, pixel: F64, height: float) -> F64:
    """(3,) m, world: the point of a pixel's ray that is `height` [m] over the table."""
    return solids.on_ray(seen, pixel, height)
