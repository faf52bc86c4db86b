"""A depth camera in simulation with a stereo sensor's range, noise and holes.

Numbers of the RealSense D435 are from the maker's D400 series datasheet (337029): imager 1280x800, pixel 3 um, focal
length 1.93 mm, baseline 50 mm, nearest distance 0.175 m at 640x480.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from toolwright.hardware.robot import F64, Frame
from toolwright.sim.render import open_renderer

_IMAGER = (1280, 800)  # px
_IMAGER_FOCAL = 1.93e-3 / 3e-6  # px at the imager's full resolution
_TO_OPENCV = np.diag([1.0, -1.0, -1.0])  # MuJoCo's camera has y up and looks along -z


def d435_focal_length(width: int, height: int) -> float:
    """Focal length of the D435's depth image [px]: the imager is scaled until it covers the image, then cropped.

    Args:
        width: px.
        height: px.

    Returns:
        386 at 640x480, 426 at 848x480, 643 at 1280x720; the devices report within 1 % of that.
    """
    return _IMAGER_FOCAL * max(width / _IMAGER[0], height / _IMAGER[1])


@dataclass(frozen=True)
class D435Noise:
    """What the sensor adds to the truth. Zeros switch a part off."""

    subpixel: float = 0.08  # px, error of the disparity
    baseline: float = 0.05  # m
    disparity_max: float = 110.0  # px; whatever is nearer has no match
    range_max: float = 3.0  # m
    resolution: float = 0.001  # m, the unit of the depth image
    correlation: float = 1.0  # px over which neighboring errors are alike (the matcher's window)
    edge_step: float = 0.02  # step between neighbors that makes an edge, as a share of the depth
    edge_dropout: float = 0.5  # chance of a hole at an edge
    grazing: float = 1.35  # rad between ray and surface normal at which half of the pixels are lost
    grazing_width: float = 0.06  # rad over which that happens
    dropout: float = 0.002  # chance of a hole anywhere
    shadow: bool = True  # no depth where only the left imager sees


class DepthCamera:
    """A camera of the model that delivers frames as the sensor would. Implements `hardware.robot.Camera`.

    Intrinsics follow from the model camera's vertical field of view and the image size: square pixels, principal point
    in the middle, whole numbers are pixel centers. `rgb` is seen from the same point, as after the driver's alignment.

    Args:
        model: with the camera.
        data: its state, read at every `read`.
        name: of the camera.
        width: px; the model camera's own resolution by default.
        height: px.
        noise: None gives the exact depth, without range limits.
        rng: for the noise.

    Raises:
        ValueError: no such camera, or noise without a generator.
        RenderError: this machine cannot render.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        name: str = "camera",
        width: int | None = None,
        height: int | None = None,
        noise: D435Noise | None = D435Noise(),
        rng: np.random.Generator | None = None,
    ) -> None:
        self._id = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name)
        if self._id < 0:
            raise ValueError(
                f"the model has no camera '{name}'; it has {[model.cam(i).name for i in range(model.ncam)]}"
            )
        if noise is not None and rng is None:
            raise ValueError("noise needs a random generator: pass rng")
        self._model, self._data, self._noise, self._rng = model, data, noise, rng
        self.width = int(width or model.cam_resolution[self._id][0])
        self.height = int(height or model.cam_resolution[self._id][1])
        focal = self.height / 2 / np.tan(np.deg2rad(model.cam_fovy[self._id]) / 2)
        self.K: F64 = np.array(
            [[focal, 0, (self.width - 1) / 2], [0, focal, (self.height - 1) / 2], [0, 0, 1]], dtype=float
        )
        self._renderer = open_renderer(model, self.width, self.height)
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0

    def read(self) -> Frame:
        """Takes one frame of the present state, stamped with the simulation's time [s]."""
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._renderer.disable_depth_rendering()
        self._renderer.update_scene(self._data, self._id, self._options)
        rgb = self._renderer.render()
        self._renderer.enable_depth_rendering()
        depth = self._renderer.render().astype(float)
        background = depth > 0.99 * self._model.vis.map.zfar * self._model.stat.extent
        depth[background] = 0.0
        if self._noise is not None and self._rng is not None:
            depth = add_noise(depth, self.K, self._noise, self._rng)
        T_world_cam = np.eye(4)
        T_world_cam[:3, :3] = self._data.cam_xmat[self._id].reshape(3, 3) @ _TO_OPENCV
        T_world_cam[:3, 3] = self._data.cam_xpos[self._id]
        return Frame(stamp=float(self._data.time), depth=depth, rgb=rgb, K=self.K.copy(), T_world_cam=T_world_cam)

    def close(self) -> None:
        """Frees the renderer; may be called twice."""
        self._renderer.close()


def add_noise(depth: F64, K: F64, noise: D435Noise, rng: np.random.Generator) -> F64:
    """A sensor's depth image from the true one.

    The disparity d = f b / z gets a Gaussian error, so sigma_z = z^2 subpixel / (f b) (Keselman et al., "Intel
    RealSense stereoscopic depth cameras", CVPRW 2017). Holes: beyond the range, where an edge hides a point from the
    right imager, at edges, on surfaces seen at a grazing angle, and anywhere by chance.

    Args:
        depth: (H, W) m along the optical axis, 0 where there is nothing.
        K: (3, 3) px.
        noise: the sensor.
        rng: the only source of randomness.

    Returns:
        (H, W) m, 0 where there is no return.
    """
    focal_baseline = K[0, 0] * noise.baseline  # px m
    seen = depth > 0
    z = np.where(seen, depth, np.inf)
    disparity = focal_baseline / z
    lost = ~seen | (z > noise.range_max) | (disparity > noise.disparity_max)
    if noise.shadow:
        lost |= _right_imager_is_blind(disparity)
    edges = _edges(np.where(seen, depth, 1e3), noise.edge_step)
    chance = np.where(edges, noise.edge_dropout, noise.dropout)
    if noise.grazing_width > 0:
        grazing = 1 / (1 + np.exp(-(_incidence(depth, K) - noise.grazing) / noise.grazing_width))
        chance = np.where(edges, chance, np.maximum(chance, grazing))
    lost |= rng.random(depth.shape) < chance
    error = noise.subpixel * _correlated(rng.standard_normal(depth.shape), noise.correlation)
    measured = focal_baseline / np.where(lost, 1.0, np.maximum(disparity + error, 1e-3))
    if noise.resolution > 0:
        measured = np.round(measured / noise.resolution) * noise.resolution
    return np.where(lost, 0.0, measured)


def _right_imager_is_blind(disparity: F64) -> np.ndarray:
    """Pixels of the left image whose point is hidden from the right imager by something nearer, further right."""
    x_right = np.arange(disparity.shape[1]) - disparity
    nearest = np.minimum.accumulate(x_right[:, ::-1], axis=1)[:, ::-1]
    return nearest < x_right - 0.5


def _edges(depth: F64, step: float) -> np.ndarray:
    return maximum_filter(depth, 3) - minimum_filter(depth, 3) > step * depth


def _incidence(depth: F64, K: F64) -> F64:
    """(H, W) angle between the ray and the surface normal [rad]; of no meaning at edges."""
    # For rays r with a third component of one, the normal of the surface z(u, v) r has the product z with r.
    along_v, along_u = np.gradient(depth)
    x = (np.arange(depth.shape[1]) - K[0, 2]) / K[0, 0]
    y = ((np.arange(depth.shape[0]) - K[1, 2]) / K[1, 1])[:, None]
    across_u, across_v = K[0, 0] * along_u, K[1, 1] * along_v
    square = across_u**2 + across_v**2 + (depth + x * across_u + y * across_v) ** 2
    length = np.sqrt(square * (x**2 + y**2 + 1))
    return np.where(length > 1e-12, np.arccos(np.minimum(depth / np.maximum(length, 1e-12), 1)), 0.0)


def _correlated(white: F64, length: float) -> F64:
    """Unit-variance noise whose neighbors are alike over `length` pixels."""
    if length <= 0:
        return white
    return gaussian_filter(white, length, mode="wrap") * (2 * np.sqrt(np.pi) * length)
