"""Depth images of a hand, a tool and a small thing as a D435 would take them, for training data.

One renderer draws every scene: geoms are handed to it as they are needed, so that no model is compiled for a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np

from toolwright.hardware.robot import F64, Frame
from toolwright.sim.camera import D435Noise, add_noise, d435_focal_length
from toolwright.sim.models.physics import new_spec
from toolwright.sim.render import open_renderer

RESOLUTIONS = ((640, 480), (848, 480), (1280, 720))  # of a D435's depth stream, px
_SIZES = (192, 288, 416, 640)  # px, edges of the images that are drawn; the smallest that holds what is wanted
_NEAR, _FAR = 0.05, 3.0  # m
_FLAT = (24, 10)  # flat faces around a round thing and along it: at most 0.1 mm off for a finger
_MARGIN = 16  # px around what is of interest
_TO_OPENCV = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Geoms:
    """What is drawn, k geoms: MuJoCo's type, size as in a model, pose in the world, mesh (-1: none), and a label."""

    kind: np.ndarray  # (k,)
    size: F64  # (k, 3)
    pos: F64  # (k, 3) m
    mat: F64  # (k, 3, 3)
    mesh: np.ndarray  # (k,)
    label: np.ndarray  # (k,) positive whole numbers, what it belongs to

    def moved(self, T: F64) -> Geoms:
        """The same, taken along by (4, 4)."""
        return replace(self, pos=self.pos @ T[:3, :3].T + T[:3, 3], mat=T[:3, :3] @ self.mat)

    def __add__(self, other: Geoms) -> Geoms:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Geoms(*(np.concatenate(pair) for pair in pairs))


def of_model(model: mujoco.MjModel, data: mujoco.MjData, label: np.ndarray) -> Geoms:
    """The geoms of a state with current kinematics, those with a label (ngeom,) above zero.

    Meshes are numbered as in the model: a stage that draws them has its hulls, see `hulls_of`.
    """
    shown = np.flatnonzero(label > 0)
    meshes = np.where(model.geom_type[shown] == int(mujoco.mjtGeom.mjGEOM_MESH), model.geom_dataid[shown], -1)
    return Geoms(
        model.geom_type[shown],
        model.geom_size[shown],
        data.geom_xpos[shown],
        data.geom_xmat[shown].reshape(-1, 3, 3),
        meshes,
        label[shown],
    )


def hulls_of(model: mujoco.MjModel) -> list[F64]:
    """Corners (k, 3) [m] of a model's meshes."""
    starts, counts = model.mesh_vertadr, model.mesh_vertnum
    return [model.mesh_vert[start : start + n].astype(float) for start, n in zip(starts, counts, strict=True)]


@dataclass(frozen=True)
class Eye:
    """A camera: where it is, and its image."""

    T_world_cam: F64  # (4, 4), OpenCV's axes
    size: tuple[int, int]  # px, width and height

    @property
    def K(self) -> F64:
        """(3, 3) px."""
        focal = d435_focal_length(*self.size)
        return np.array([[focal, 0, (self.size[0] - 1) / 2], [0, focal, (self.size[1] - 1) / 2], [0, 0, 1]])


@dataclass(frozen=True)
class View:
    """A part of a camera's image."""

    frame: Frame
    labels: np.ndarray  # (H, W) of what is seen in truth, 0 where there is nothing; for checks only


class Stage:
    """Draws.

    Args:
        hulls: corner points (k, 3) [m] of the convex meshes that geoms may refer to by index.
    """

    def __init__(self, hulls: list[F64] | None = None) -> None:
        spec = new_spec()
        spec.stat.extent, spec.stat.center = 1.0, [0, 0, 0]
        spec.visual.map.znear, spec.visual.map.zfar = _NEAR, _FAR
        spec.visual.quality.offsamples = 0
        spec.visual.quality.shadowsize = 0
        spec.visual.quality.numslices, spec.visual.quality.numstacks = _FLAT
        spec.worldbody.add_camera(name="camera")
        self._frames = []
        for i, points in enumerate(hulls or []):
            mesh = spec.add_mesh(name=str(i), uservert=points.astype(np.float32).ravel())
            mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
            spec.worldbody.add_geom(name=str(i), type=mujoco.mjtGeom.mjGEOM_MESH, meshname=str(i))
        self._model = spec.compile()
        for i in range(len(hulls or [])):
            # The compiler moves vertices into the mesh's inertial frame, and the geom by the inverse.
            geom = self._model.geom(str(i))
            mat = np.zeros(9)
            mujoco.mju_quat2Mat(mat, geom.quat)
            self._frames.append((geom.pos.copy(), mat.reshape(3, 3)))
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._renderers = {size: open_renderer(self._model, size, size) for size in _SIZES}

    def close(self) -> None:
        """Frees the renderers; may be called twice."""
        for renderer in self._renderers.values():
            renderer.close()

    def view(
        self,
        geoms: Geoms,
        eye: Eye,
        at: F64,
        reach: float,
        noise: D435Noise | None,
        rng: np.random.Generator,
        dull: int = 0,
    ) -> View:
        """The part of a camera's image around a point.

        Args:
            geoms: what there is.
            eye: the camera.
            at: (3,) m, the point.
            reach: m around it that is to be seen.
            noise: of the sensor; None draws the truth.
            rng: for the noise.
            dull: a label that is of interest only near the others: the rest of it is left out.
        """
        K = eye.K
        seen = (np.linalg.inv(eye.T_world_cam) @ [*at, 1.0])[:3]
        focal = K[0, 0]
        wanted = 2 * focal * reach / seen[2]
        size = next((s for s in _SIZES if s >= wanted), _SIZES[-1])
        middle = np.round(seen[:2] / seen[2] * focal + K[:2, 2]).astype(int)
        corner = middle - size // 2  # px in the whole image; may lie outside of it, what is there is cut off below
        depth, labels = self._draw(geoms, eye, K, corner, size)
        K = K.copy()
        K[:2, 2] -= corner
        if dull and np.isin(labels, (0, dull), invert=True).any():
            depth, labels, corner, K = _around(depth, labels, corner, K, dull)
        if noise is not None:
            depth = add_noise(depth, K, noise, rng)
        height, width = depth.shape
        u, v = corner[0] + np.arange(width), corner[1] + np.arange(height)
        inside = ((v >= 0) & (v < eye.size[1]))[:, None] & ((u >= 0) & (u < eye.size[0]))
        depth = np.where(inside, depth, 0.0)
        rgb = np.zeros((height, width, 3), np.uint8)
        return View(Frame(0.0, depth, rgb, K, eye.T_world_cam), np.where(depth > 0, labels, 0))

    def _draw(self, geoms: Geoms, eye: Eye, K: F64, corner: np.ndarray, size: int) -> tuple[F64, np.ndarray]:
        renderer = self._renderers[size]
        renderer.update_scene(self._data, 0)
        scene = renderer.scene
        self._fill(scene, geoms)
        rotation = eye.T_world_cam[:3, :3] @ _TO_OPENCV
        low, high = (corner - 0.5 - K[:2, 2]) * _NEAR / K[0, 0], (corner + size - 0.5 - K[:2, 2]) * _NEAR / K[0, 0]
        for camera in scene.camera:
            camera.pos, camera.forward, camera.up = eye.T_world_cam[:3, 3], -rotation[:, 2], rotation[:, 1]
            camera.frustum_center, camera.frustum_width = (low[0] + high[0]) / 2, (high[0] - low[0]) / 2
            camera.frustum_bottom, camera.frustum_top = -high[1], -low[1]
            camera.frustum_near, camera.frustum_far = _NEAR, _FAR
        depth, which = self._read(size)
        return depth, np.append(geoms.label, 0)[which]

    def _read(self, size: int) -> tuple[F64, np.ndarray]:
        """Depth [m], 0 for nothing, and index of the geom, -1 for nothing: both of one drawing."""
        renderer = self._renderers[size]
        rect, context = mujoco.MjrRect(0, 0, size, size), renderer._mjr_context
        colors, buffer = np.empty((size, size, 3), np.uint8), np.empty((size, size), np.float32)
        renderer._gl_context.make_current()
        scene = renderer.scene
        scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = scene.flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = True
        mujoco.mjr_render(rect, scene, context)
        mujoco.mjr_readPixels(colors, buffer, rect, context)
        which = colors[::-1, :, 0].astype(np.intp) + 256 * colors[::-1, :, 1].astype(np.intp) - 1
        # MuJoCo draws with reversed depth: 1 at the near plane, 0 at the far one.
        depth = _NEAR * _FAR / (_NEAR + buffer[::-1].astype(float) * (_FAR - _NEAR))
        depth[which < 0] = 0.0
        return depth, which

    def _fill(self, scene: mujoco.MjvScene, geoms: Geoms) -> None:
        color = np.ones(4, np.float32)
        for i in range(len(geoms.kind)):
            pos, mat = geoms.pos[i], geoms.mat[i]
            if geoms.mesh[i] >= 0:
                shift, turn = self._frames[geoms.mesh[i]]
                pos, mat = pos + mat @ shift, mat @ turn
            one = scene.geoms[i]
            mujoco.mjv_initGeom(one, int(geoms.kind[i]), geoms.size[i], pos, mat.ravel(), color)
            one.dataid, one.objid, one.segid = 2 * int(geoms.mesh[i]) if geoms.mesh[i] >= 0 else -1, i, i
        scene.ngeom = len(geoms.kind)


def _around(
    depth: F64, labels: np.ndarray, corner: np.ndarray, K: F64, dull: int
) -> tuple[F64, np.ndarray, np.ndarray, F64]:
    """The part of an image in which there is more than what is dull, with a margin."""
    rows, columns = np.nonzero((labels != 0) & (labels != dull))
    low = np.maximum([columns.min() - _MARGIN, rows.min() - _MARGIN], 0)
    high = np.array([columns.max(), rows.max()]) + 1 + _MARGIN
    part = slice(low[1], high[1]), slice(low[0], high[0])
    K = K.copy()
    K[:2, 2] -= low
    return depth[part], labels[part], corner + low, K
