"""A depth camera over hands with things in them, and what it tells: where each thing is in its palm.

The camera stands 41 cm from the middle of the hand, on the side of the fingertips, 25 degrees off the vertical. Its
image is a window of a D435's, with every second pixel in both directions and the sensor's noise, cast by rays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from toolwright.hardware.reorient import CENTER
from toolwright.hardware.robot import F64
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.palm_scene import others
from toolwright.perception.pose_tracker import Fit, Follower, TrackerConfig
from toolwright.perception.shape_field import ShapeField
from toolwright.policies.palm.twin import PalmTwin
from toolwright.sim.camera import D435Noise, add_noise
from toolwright.sim.object_shapes import Shape
from toolwright.sim.shape_distance import bounds, distance
from toolwright.sim.tasks.reorient import ReorientTask

CAMERA = np.array([0.015, -0.03, -0.485])  # m, palm frame
PIXELS, FOCAL = 72, 193.0  # of the window; px


def field_of(shape: Shape) -> ShapeField:
    """The distance field of a shape."""
    return ShapeField.sample(lambda points: distance(shape, points), *bounds(shape))


@dataclass(frozen=True)
class Rays:
    """The window's pixels: directions (PIXELS^2, 3) of unit depth in the palm frame, and the camera's matrix."""

    pos: F64
    directions: F64
    K: F64

    @classmethod
    def towards(cls, pos: F64, target: F64) -> Rays:
        """A camera at (3,) [m] that looks at (3,) [m]."""
        forward = (target - pos) / np.linalg.norm(target - pos)
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(forward, right), forward])
        middle = (PIXELS - 1) / 2
        v, u = np.indices((PIXELS, PIXELS))
        rays = np.stack([(u - middle) / FOCAL, (v - middle) / FOCAL, np.ones((PIXELS, PIXELS))], axis=-1)
        K = np.array([[FOCAL, 0, middle], [0, FOCAL, middle], [0, 0, 1.0]])
        return cls(pos, rays.reshape(-1, 3) @ axes, K)


class TaskEyes:
    """Looks into the worlds of a task and follows their things.

    Args:
        task: whose worlds are looked into.
        rng: of the sensor's noise.
        config: of the tracker.
        noise: of the sensor. Its baseline is doubled, since only every second pixel is there.
    """

    def __init__(
        self,
        task: ReorientTask,
        rng: np.random.Generator,
        config: TrackerConfig | None = None,
        noise: D435Noise | None = None,
    ) -> None:
        self.task, self.rng, self.config = task, rng, config or TrackerConfig()
        sensor = noise or D435Noise()
        self.noise = replace(sensor, baseline=2 * sensor.baseline, disparity_max=2 * sensor.disparity_max)
        self.hand, self.rays = HandModel.load(), Rays.towards(CAMERA, CENTER)
        self._fields: dict[int, ShapeField] = {}
        self._followers: dict[int, Follower] = {}

    def cloud(self, ids: np.ndarray, q: F64) -> list[F64]:
        """For each of the worlds `ids`: points (m, 3) [m] near the hand that are not its own, palm frame.

        Args:
            ids: worlds.
            q: (n, 16) rad, measured joints of all worlds.
        """
        rays = self.rays
        directions = rays.directions / np.linalg.norm(rays.directions, axis=1, keepdims=True)
        hit, _ = self.task.batch.ray(rays.pos, directions, ids=ids)
        scale = np.linalg.norm(rays.directions, axis=1)
        found = []
        for row, world in zip(hit, ids.tolist(), strict=True):
            true = np.where(row > 0, row / scale, 0.0).reshape(PIXELS, PIXELS)
            depth = add_noise(true, rays.K, self.noise, self.rng).ravel()
            points = rays.pos + rays.directions[depth > 0] * depth[depth > 0, None]
            found.append(others(points, q[world], self.hand))
        return found

    def look(self, ids: np.ndarray, q: F64, twin: PalmTwin) -> list[Fit]:
        """Fits the things of the worlds `ids`, each starting from where the twin expects it."""
        clouds = self.cloud(ids, q)
        return [
            self._follower(i).look(points, twin.qpos[i, 16:19], twin.qpos[i, 19:])
            for i, points in zip(ids.tolist(), clouds, strict=True)
        ]

    def _follower(self, world: int) -> Follower:
        if world not in self._followers:
            self._followers[world] = Follower(self._field(world), self.config)
        return self._followers[world]

    def _field(self, world: int) -> ShapeField:
        # What is known of a thing is its shape, not its true size.
        key = int(self.task.variant[world] // self.task.sizes)
        if key not in self._fields:
            self._fields[key] = field_of(self.task.shapes[key])
        return self._fields[key]
