"""What the robot knows of the tool in its hand: two limbs of plain solids, one joint, and how fingers took it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.robot import F64

_EDGES = np.eye(3)
FINGERS = ("if", "mf", "th")  # that hold a tool, in this order


@dataclass(frozen=True)
class ToolModel:
    """A tool of known dimensions: k solids on two limbs.

    The mid frame is between the limbs, z along them towards the tips and x along the opening. Of a hinge, limb 0 is
    turned in it by minus half the joint's angle about y and limb 1 by plus half of it; of a slide, limb 1 is shifted
    by the joint's travel against z.
    """

    slide: bool  # else a hinge
    reach: tuple[float, float]  # of the joint, rad or m
    opening: Callable[[float], float]  # joint -> m between the working tips
    tip: F64  # (3,) m between the tips, mid frame
    limb: NDArray[np.intp]  # (k,) 0 or 1
    at: F64  # (k, 3) m, in the limb's frame
    turn: F64  # (k, 3, 3)
    box: NDArray[np.bool_]  # (k,) else round about z
    half: F64  # (k, 3) m: half edges; of round ones the radius of the flat end, 0, half length
    radius: F64  # (k,) m by which a solid is rounded: of a capsule
    taken: F64  # (4, 4) of the mid frame in the palm, as the hand took the tool
    grip_limb: NDArray[np.intp]  # (3,) that each of FINGERS holds
    grip: F64  # (3, 3) m: the middles of their fingertips in that limb's frame

    @cached_property
    def grip_out(self) -> F64:
        """(3, 3) unit: the way out of the limb where each finger holds it, in the limb's frame."""
        middle = 0.5 * sum(self.reach)
        turns, places = self.limbs(middle)
        turn = turns[self.grip_limb]
        _, way, _ = self.surface(np.einsum("fij,fj->fi", turn, self.grip) + places[self.grip_limb], middle)
        return np.einsum("fji,fj->fi", turn, way)

    @cached_property
    def numbers(self) -> F64:
        """(8,) of order one: what a network is told of the tool besides where its surface is."""
        low, high = self.reach
        size = 20 * np.ptp(self.at, axis=0)
        return np.array(
            [float(self.slide), 10 * self.tip[2], 20 * self.opening(high), high - low, *size, len(self.at) / 10]
        )

    def limbs(self, joint: float) -> tuple[F64, F64]:
        """Rotations (2, 3, 3) and places (2, 3) [m] of both limbs in the mid frame."""
        if self.slide:
            return np.stack([_EDGES, _EDGES]), np.array([[0.0, 0, 0], [0, 0, -joint]])
        c, s = np.cos(joint / 2), np.sin(joint / 2)
        return np.array([[[c, 0, -s], [0, 1, 0], [s, 0, c]], [[c, 0, s], [0, 1, 0], [-s, 0, c]]]), np.zeros((2, 3))

    def surface(self, points: F64, joint: float) -> tuple[F64, F64, NDArray[np.intp]]:
        """The tool's surface nearest to points (n, 3) [m] of the mid frame.

        Returns:
            Signed distance (n,) [m], the way out (n, 3), and the limb (n,).
        """
        from toolwright.perception.affordance.compiled import nearest  # not where only the values are needed

        turns, places = self.limbs(joint)
        of_limb = turns[self.limb]
        center = (of_limb @ self.at[..., None])[..., 0] + places[self.limb]
        axes = (of_limb @ self.turn).transpose(0, 2, 1)
        gap, way, solid = nearest(points, center, axes, self.half, self.radius, ~self.box)
        return gap, way, self.limb[solid]

    @cached_property
    def solids(self) -> tuple[Any, ...]:
        """As `compiled.fit` reads them."""
        return self.limb, self.at, self.turn, self.half, self.radius, ~self.box

    @cached_property
    def grips(self) -> tuple[Any, ...]:
        """As `compiled.fit` reads them."""
        return self.grip_limb, self.grip, self.grip_out
