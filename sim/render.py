"""Pictures and videos of a simulation, without a display.

MuJoCo draws through EGL (libegl1) or OSMesa (libosmesa6). `MUJOCO_GL` chooses; without it, what is installed is used.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import imageio.v2 as imageio
import mujoco
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
_LIBRARIES = {"egl": ("libEGL.so.1", "libEGL.so"), "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")}
_HINT = "install libegl1 and libgl1 (or libosmesa6, with MUJOCO_GL=osmesa)"


class RenderError(RuntimeError):
    """Pictures cannot be made on this machine; the message says what to install."""


def gl_backend() -> str:
    """The OpenGL backend in use: `MUJOCO_GL` where it is set, else EGL or OSMesa by what is installed.

    Raises:
        RenderError: none is there.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen in ("disable", "disabled", "off", "false", "0"):
        raise RenderError(f"MUJOCO_GL={chosen} forbids rendering; unset it")
    if chosen in ("egl", "osmesa", "glfw", "glx", "cgl", "wgl"):
        return chosen
    if not sys.platform.startswith("linux"):
        return "glfw"
    for backend, libraries in _LIBRARIES.items():
        if any(_loads(library) for library in libraries):
            return backend
    raise RenderError(f"no OpenGL for rendering without a display: {_HINT}")


def open_renderer(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    """A renderer of this size on whatever backend works here. Enlarges the model's offscreen buffer where it must.

    Args:
        model: the model to draw.
        width: px.
        height: px.

    Raises:
        RenderError: no backend works.
    """
    backend = gl_backend()
    _use_backend(backend)
    model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
    model.vis.global_.offheight = max(model.vis.global_.offheight, height)
    try:
        return mujoco.Renderer(model, height=height, width=width)
    except (ImportError, RuntimeError, AttributeError, mujoco.FatalError) as error:
        raise RenderError(f"cannot render through {backend}: {_HINT}; it said: {_first_line(error)}") from error


def snapshot(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    camera: str | mujoco.MjvCamera = "overview",
    size: tuple[int, int] = (1280, 720),
) -> RGB:
    """One picture.

    Args:
        model: the model.
        data: its state; poses must be current (`mj_forward`).
        camera: a camera's name, or a free camera.
        size: width and height [px].

    Returns:
        (H, W, 3) picture.

    Raises:
        RenderError: no backend works.
        ValueError: no such camera.
    """
    with open_renderer(model, *size) as renderer:
        renderer.update_scene(data, camera, _OPTIONS)
        return renderer.render()


class VideoWriter:
    """Writes frames as they come: H.264 for .mp4, an endless animation for .gif.

        with VideoWriter(Path("run.mp4"), fps=30) as video:
            video.capture(model, data)

    Args:
        path: .mp4 or .gif; its folder is made.
        fps: frames a second.
        size: width and height [px], even numbers.

    Raises:
        ValueError: another kind of file, or an odd size.
    """

    def __init__(self, path: str | Path, fps: float = 30.0, size: tuple[int, int] = (1280, 720)) -> None:
        self.path, self.fps, self.size = Path(path), fps, size
        self.frames = 0
        self._renderer: mujoco.Renderer | None = None
        if self.path.suffix not in (".mp4", ".gif"):
            raise ValueError(f"{self.path}: a video is .mp4 or .gif")
        if size[0] % 2 or size[1] % 2:
            raise ValueError(f"a video's size must be even, is {size[0]}x{size[1]}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer: Any = _open_writer[self.path.suffix](self.path, fps)

    def write(self, frame: RGB) -> None:
        """Adds one frame.

        Args:
            frame: (H, W, 3) of the writer's size.

        Raises:
            ValueError: another size.
        """
        if frame.shape != (self.size[1], self.size[0], 3):
            raise ValueError(f"a frame of {frame.shape} does not fit a video of {self.size[0]}x{self.size[1]}")
        self._writer.append_data(frame)
        self.frames += 1

    def capture(self, model: mujoco.MjModel, data: mujoco.MjData, camera: str | mujoco.MjvCamera = "overview") -> None:
        """Draws the state and adds it as a frame.

        Args:
            model: the model, the same at every call.
            data: its state.
            camera: a camera's name, or a free camera.

        Raises:
            RenderError: no backend works.
        """
        if self._renderer is None:
            self._renderer = open_renderer(model, *self.size)
        self._renderer.update_scene(data, camera, _OPTIONS)
        self.write(self._renderer.render())

    def close(self) -> None:
        """Finishes the file; may be called twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        self._writer.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def style(spec: mujoco.MjSpec) -> None:
    """Gives a model its look: soft light from two sides, shadows, a plain bright background, a quiet floor.

    Args:
        spec: the model to extend; gains the material `floor`.
    """
    spec.visual.headlight.ambient = [0.36, 0.36, 0.36]
    spec.visual.headlight.diffuse = [0.16, 0.16, 0.16]
    spec.visual.headlight.specular = [0.05, 0.05, 0.05]
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 2048, 4
    spec.visual.map.znear, spec.visual.map.zfar = 0.01, 30
    spec.visual.map.shadowclip = 0.8
    spec.stat.center, spec.stat.extent = [0.4, 0.0, 0.1], 1.5
    texture = mujoco.mjtTexture
    spec.add_texture(
        name="sky",
        type=texture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.93, 0.95, 0.97],
        rgb2=[0.70, 0.74, 0.79],
        width=256,
        height=256,
    )
    spec.add_material(name="floor", rgba=[0.80, 0.81, 0.83, 1.0], specular=0.0, shininess=0.0)
    key = spec.worldbody.add_light(
        name="key",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0.85, -0.75, 2.0],
        dir=[-0.2, 0.375, -1.0],
        castshadow=True,
    )
    key.diffuse, key.specular = [0.52, 0.51, 0.49], [0.2, 0.2, 0.2]
    fill = spec.worldbody.add_light(
        name="fill", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[1.5, 1.5, 2.0], dir=[-0.6, -0.7, -0.8]
    )
    fill.castshadow = False
    fill.diffuse, fill.specular = [0.16, 0.17, 0.19], [0.0, 0.0, 0.0]


def _plain_options() -> mujoco.MjvOption:
    options = mujoco.MjvOption()
    options.sitegroup[:] = 0
    return options


_OPTIONS = _plain_options()


def _open_mp4(path: Path, fps: float) -> Any:
    return imageio.get_writer(path, fps=fps, codec="libx264", quality=8, macro_block_size=2, pixelformat="yuv420p")


def _open_gif(path: Path, fps: float) -> Any:
    return imageio.get_writer(path, duration=1000 / fps, loop=0)


_open_writer: dict[str, Callable[[Path, float], Any]] = {".mp4": _open_mp4, ".gif": _open_gif}


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _use_backend(backend: str) -> None:
    """MuJoCo picks its backend when it is imported, which was before anybody could look what is installed."""
    if backend not in _LIBRARIES:
        return
    gl_context: Any = importlib.import_module("mujoco.rendering.classic.gl_context")
    try:
        gl_context.GLContext = importlib.import_module(f"mujoco.{backend}").GLContext
    except (ImportError, AttributeError, RuntimeError) as error:
        raise RenderError(f"cannot render through {backend}: {_HINT}; it said: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
