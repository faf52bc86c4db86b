"""Pictures and depth images of a live robot's world, drawn in a thread of their own while it moves."""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.hardware.robot import Frame
from toolwright.launch.live import Live

if TYPE_CHECKING:
    from toolwright.sim.camera import DepthCamera
    from toolwright.sim.render import RGB


@dataclass(frozen=True)
class Shot:
    """A picture, and where in it perception saw things last."""

    rgb: RGB  # (H, W, 3)
    marks: dict[str, tuple[float, float]]  # px, column and row of the objects' centers, hidden ones too


VIEWS = ("table", "closeup", "overview", "camera")  # `camera` is the depth camera's own


class Eyes:
    """Draws on request. An OpenGL context belongs to one thread, so one thread draws everything, from a copy.

    Args:
        live: whose world is drawn.
        seed: of the depth camera's noise.
    """

    def __init__(self, live: Live, seed: int = 0) -> None:
        self._live, self._seed = live, seed
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="eyes")
        self._copy: Any = None  # MjData
        self._renderers: dict[tuple[tuple[int, int], bool], Any] = {}
        self._camera: DepthCamera | None = None

    def picture(self, view: str, size: tuple[int, int], sketch: bool = False) -> Future[Shot]:
        """A picture of the present state.

        Args:
            view: one of `VIEWS`.
            size: width and height [px].
            sketch: quick, for small pictures.

        Returns:
            In the future: the picture; or RenderError where this machine cannot draw, ValueError for another view.
        """
        return self._thread.submit(self._picture, view, size, sketch)

    def frame(self) -> Future[Frame]:
        """What the depth camera sees now, with its noise.

        Returns:
            In the future: the frame; or RenderError.
        """
        return self._thread.submit(self._frame)

    def close(self) -> None:
        """Waits for what is being drawn, then frees the renderers."""
        self._thread.submit(self._free)
        self._thread.shutdown(wait=True)

    def _picture(self, view: str, size: tuple[int, int], sketch: bool) -> Shot:
        import mujoco

        if view not in VIEWS:
            raise ValueError(f"there is no view {view!r}; choose {', '.join(VIEWS)}")
        data = self._now()
        options = mujoco.MjvOption()
        options.sitegroup[:] = 0
        scale = 2 if sketch else 1
        renderer = self._renderer((scale * size[0], scale * size[1]), sketch)
        renderer.update_scene(data, self._table() if view == "table" else view, options)
        picture = renderer.render()
        if not sketch:
            return Shot(np.array(picture), self._marks(renderer, size))
        smooth = picture.reshape(size[1], 2, size[0], 2, 3).mean(axis=(1, 3)).astype(np.uint8)
        return Shot(smooth, self._marks(renderer, size))

    def _marks(self, renderer: Any, size: tuple[int, int]) -> dict[str, tuple[float, float]]:
        scene = self._live.scene
        if scene is None:
            return {}
        left, right = renderer.scene.camera  # a picture for one eye is drawn from between the two
        forward, up = np.array(left.forward, dtype=float), np.array(left.up, dtype=float)
        axes = np.array([np.cross(forward, up), -up, forward])
        focal = size[1] * left.frustum_near / (left.frustum_top - left.frustum_bottom)  # px
        middle = (np.array(left.pos, dtype=float) + np.array(right.pos, dtype=float)) / 2
        marks = {}
        for name, item in scene.objects.items():
            x, y, z = axes @ (item.pos - middle)
            u, v = (size[0] + focal * 2 * x / z) / 2, (size[1] + focal * 2 * y / z) / 2
            if z > 0 and 0 <= u < size[0] and 0 <= v < size[1]:
                marks[name] = float(u), float(v)
        return marks

    def _renderer(self, size: tuple[int, int], sketch: bool) -> Any:
        from toolwright.sim.render import open_renderer

        if (size, sketch) not in self._renderers:
            for renderer in self._renderers.values():
                renderer.close()
            robot: Any = self._live.session.robot
            model = copy.copy(robot.model)
            if sketch:  # six times as fast, and no difference at the size of a terminal
                model.vis.quality.shadowsize, model.vis.quality.offsamples = 512, 0
            self._renderers = {(size, sketch): open_renderer(model, *size)}
        return self._renderers[size, sketch]

    def _table(self) -> Any:
        """From the robot's left front, near enough to see hand and table in a small picture."""
        import mujoco

        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = self._live.session.robot.model.stat.center + [0.05, 0.0, 0.1]
        camera.distance, camera.azimuth, camera.elevation = 1.0, 140.0, -25.0
        return camera

    def _frame(self) -> Frame:
        from toolwright.sim.camera import DepthCamera

        data = self._now()
        if self._camera is None:
            rng = np.random.default_rng((self._seed, 2))  # a stream of its own: looking changes no run
            self._camera = DepthCamera(self._live.session.robot.model, data, rng=rng)
        return self._camera.read()

    def _now(self) -> Any:
        """The present state, in a copy that nothing else touches, with current poses."""
        import mujoco

        from toolwright.sim.render import RenderError

        robot: Any = self._live.session.robot
        if not hasattr(robot, "model"):
            raise RenderError("this robot is no simulation, and has no camera here")
        if self._copy is None:
            self._copy = mujoco.MjData(robot.model)
        with self._live.lock:
            mujoco.mj_copyData(self._copy, robot.model, robot.data)
        mujoco.mj_kinematics(robot.model, self._copy)
        mujoco.mj_camlight(robot.model, self._copy)
        return self._copy

    def _free(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        if self._camera is not None:
            self._camera.close()
