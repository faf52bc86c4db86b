"""What the tool's network reads: a cloud as it lies about the tool that was fitted to it, and what the fit knows.

The very same code prepares clouds for training and on the robot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.robot import F64
from toolwright.perception.affordance import align
from toolwright.perception.affordance.clouds import LEAST, CloudError, ToolCloud, sample
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.affordance.tool_model import ToolModel

F32 = NDArray[np.float32]
FITTED, MENDING = 160, 100  # points that the fit reads: away from the hand, and on it
FREE, HAND = 160, 48  # points that the network reads
CHANNELS, NUMBERS = 10, 29  # of a point; of the whole
_PLACE, _GAP, _FAR = 0.04, 0.003, 0.01  # m, units of places, of distances from the tool, and from the hand
_SPREAD = 0.001  # m, unit of standard deviations


@dataclass(frozen=True)
class ToolInput:
    """One cloud of a held tool."""

    aligned: align.Aligned
    mended: align.Mended
    free: F32  # (a, CHANNELS) points away from the hand, those of the fit first
    hand: F32  # (b, CHANNELS) points on the hand, may be none
    numbers: F32  # (NUMBERS,)
    opening: float  # m, as fitted
    doubt: float  # m, standard deviation of the opening by the fit's own reckoning

    def points(self, rng: np.random.Generator) -> F32:
        """(FREE + HAND, CHANNELS) as the network reads them."""
        return chosen(self.free, self.hand, rng)

    def tip(self, tool: ToolModel) -> F64:
        """(3,) m, palm frame, as fitted."""
        return self.aligned.place + self.aligned.rotation @ tool.tip


def chosen(free: F32, hand: F32, rng: np.random.Generator) -> F32:
    """(FREE + HAND, CHANNELS) of pools of points; free ones stand in where none is on the hand."""
    own = hand if len(hand) else free
    return np.concatenate([free[sample(len(free), FREE, rng)], own[sample(len(own), HAND, rng)]])


def tool_input(
    cloud: ToolCloud, q: F64, eye: F64, tool: ToolModel, hand: HandModel, rng: np.random.Generator, pool: int = FREE
) -> ToolInput:
    """Fits the tool, and looks at the cloud from there.

    Args:
        cloud: near the hand.
        q: (16,) rad, measured.
        eye: (3,) m, the camera in the palm frame.
        tool: what the hand holds.
        hand: its model.
        rng: chooses among many points.
        pool: points away from the hand that are wanted.

    Raises:
        CloudError: too few points away from the hand.
    """
    if len(cloud.free) < LEAST:
        raise CloudError(
            f"no tool to be seen: {len(cloud.free)} points near the hand are not the hand itself, {LEAST} are needed"
        )
    some = rng.permutation(len(cloud.hand))[:MENDING]
    mended = align.mend(cloud.hand[some], q, hand)
    order = rng.permutation(len(cloud.free))[:pool]
    free = mended.applied(cloud.free[order].astype(np.float64))
    found = align.align(free[:FITTED], eye, tool, mended, hand)
    on = mended.applied(cloud.hand[some[:HAND]].astype(np.float64))
    numbers, doubt = _numbers(found, mended, eye, tool)
    return ToolInput(
        aligned=found,
        mended=mended,
        free=_rows(free, cloud.free_gap[order], eye, found, tool, 0.0),
        hand=_rows(on, cloud.hand_gap[some[:HAND]], eye, found, tool, 1.0),
        numbers=numbers,
        opening=tool.opening(found.joint),
        doubt=doubt,
    )


def _rows(points: F64, gap: F32, eye: F64, found: align.Aligned, tool: ToolModel, own: float) -> F32:
    """(n, CHANNELS) of order one: place from the tips, distance from the tool's side that is seen and the way out of
    it, limb, distance from the hand, and whether it is the hand's."""
    if not len(points):
        return np.zeros((0, CHANNELS), np.float32)
    local, rays = (points - found.place) @ found.rotation, align.rays(points, eye) @ found.rotation
    away, way, limb = align.seen_surface(tool, local, rays, found.joint)
    columns = [
        np.clip((local - tool.tip) / _PLACE, -4, 4),
        np.clip(away[:, None] / _GAP, -3, 3),
        way,
        2.0 * limb[:, None] - 1.0,
        np.clip(gap, -0.01, 0.03)[:, None] / _FAR,
        np.full((len(points), 1), own),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _numbers(found: align.Aligned, mended: align.Mended, eye: F64, tool: ToolModel) -> tuple[F32, float]:
    """(NUMBERS,) of order one, and the opening's standard deviation [m]."""
    spread = np.linalg.inv(found.sure)
    arm = found.rotation @ tool.tip
    lever = np.zeros((3, 7))
    lever[:, :3] = [[0, arm[2], -arm[1]], [-arm[2], 0, arm[0]], [arm[1], -arm[0], 0]]
    lever[:, 3:6] = np.eye(3)
    lever = found.rotation.T @ lever
    low, high = tool.reach
    step = 0.01 * (high - low)
    slope = (tool.opening(found.joint + step) - tool.opening(found.joint - step)) / (2 * step)
    doubt = float(np.sqrt(spread[6, 6]) * abs(slope))
    of_tip = np.sqrt(np.einsum("ai,ij,aj->a", lever, spread, lever))
    tip = found.place + arm
    look = found.rotation.T @ (eye - tip)
    distance = float(np.linalg.norm(look))
    columns: list[F64 | list[float]] = [
        tool.numbers,  # 8
        [(found.joint - low) / (high - low)],  # 1
        look / distance,  # 3
        [2 * distance],  # 1
        np.log(np.array([doubt, *of_tip]) / _SPREAD),  # 4
        ((found.tips - tip) @ found.rotation / (2 * _PLACE)).ravel(),  # 9
        found.rotation.T @ mended.shift / _GAP,  # 3
    ]
    return np.concatenate(columns).astype(np.float32), doubt
