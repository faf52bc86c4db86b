"""The plain geometric estimates beside which the encoder stands: ICP of the known tool, an oriented box of the object.

Both need Open3D (extra `vision`). ICP is given more than the encoder: the very dimensions of the tool in the hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.affordance.directions import approach

_FAR, _NEAR = 0.012, 0.004  # m, farthest correspondences, first and then
_POINTS = 400  # of the cloud; more cost time and change little
_STEEPEST = 0.7  # most of a closing direction that may point up or down


@dataclass(frozen=True)
class KnownTool:
    """The surface of a tool of known dimensions, and what its joint does."""

    limbs: tuple[tuple[F64, F64], ...]  # of limb A and limb B, shut: points (n, 3) [m] and normals (n, 3), mid frame
    move: Callable[[int, float], F64]  # limb, joint coordinate -> (4, 4) in the mid frame
    opening: Callable[[float], float]  # joint coordinate -> m
    tip: F64  # (3,) m, in the mid frame
    reach: tuple[float, float]  # joint coordinate

    def surface(self, angle: float) -> tuple[F64, F64]:
        """Points and normals (n, 3) at a joint coordinate, mid frame."""
        points, normals = [], []
        for limb, (at, out) in enumerate(self.limbs):
            T = self.move(limb, angle)
            points.append(at @ T[:3, :3].T + T[:3, 3])
            normals.append(out @ T[:3, :3].T)
        return np.concatenate(points), np.concatenate(normals)


@dataclass(frozen=True)
class FittedTool:
    """What ICP found."""

    opening: float  # m
    T_palm_tip: F64  # (4, 4)
    fitness: float  # share of the points that have a partner


def fit_tool(points: F64, known: KnownTool, start: F64, steps: int = 9, rounds: int = 2) -> FittedTool:
    """Point-to-plane ICP of a known tool (Chen and Medioni 1992) at several openings; the best one, refined.

    Args:
        points: (N, 3) m, palm frame, without the hand.
        known: the tool.
        start: (4, 4) of its mid frame in the palm frame, where the hand took it.
        steps: openings that are tried in a round.
        rounds: each around the best of the one before.
    """
    import open3d as o3d

    registration = o3d.pipelines.registration
    seen = _cloud(points[:: max(1, len(points) // _POINTS)])
    low, high = known.reach
    cost, found, T_tool_palm, fitness = np.inf, low, np.linalg.inv(start), 0.0
    for _ in range(rounds):
        for angle in np.linspace(low, high, steps).tolist():
            surface, normals = known.surface(angle)
            model = _cloud(surface)
            model.normals = o3d.utility.Vector3dVector(normals)
            T = T_tool_palm
            for reach in (_FAR, _NEAR):
                result = registration.registration_icp(
                    seen, model, reach, T, registration.TransformationEstimationPointToPlane()
                )
                T = result.transformation
            # Points without a partner count as if they were just out of reach.
            now = result.fitness * result.inlier_rmse**2 + (1 - result.fitness) * _NEAR**2
            if result.fitness > 0 and now < cost:  # without a single partner it has run away
                cost, found, T_tool_palm, fitness = now, angle, np.asarray(T), float(result.fitness)
        step = (high - low) / (steps - 1)
        low, high = max(known.reach[0], found - step), min(known.reach[1], found + step)
    T_palm_tip = np.linalg.inv(T_tool_palm)
    T_palm_tip[:3, 3] += T_palm_tip[:3, :3] @ known.tip
    return FittedTool(known.opening(found), T_palm_tip, fitness)


@dataclass(frozen=True)
class BoxedObject:
    """What an oriented box says about a grasp."""

    width: float  # m, along `closing`
    center: F64  # (3,) m
    closing: F64  # (3,) unit
    approach: F64  # (3,) unit


def box_object(cloud: F64, table_height: float) -> BoxedObject:
    """The smallest oriented box of an object's points and of their shadows on the table.

    Args:
        cloud: (N, 3) m, z up.
        table_height: m.

    Raises:
        RuntimeError: too few points for a box.
    """
    import open3d as o3d

    foot = cloud.copy()
    foot[:, 2] = table_height
    # In mm: Open3D's noise against degenerate hulls is absolute, and larger than small things in m.
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        box = _cloud(1000 * np.concatenate([cloud, foot])).get_minimal_oriented_bounding_box(robust=True)
    axes, extent = np.asarray(box.R).T, np.asarray(box.extent) / 1000
    level = np.flatnonzero(np.abs(axes[:, 2]) < _STEEPEST)
    chosen = level[extent[level].argmin()]
    closing = axes[chosen]
    return BoxedObject(float(extent[chosen]), np.asarray(box.center) / 1000, closing, approach(closing))


def _cloud(points: F64) -> Any:
    import open3d as o3d

    return o3d.geometry.PointCloud(o3d.utility.Vector3dVector(np.ascontiguousarray(points, dtype=np.float64)))
