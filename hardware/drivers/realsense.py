"""A RealSense depth camera of the D400 family, for instance a D435. Implements `hardware.robot.Camera`.

Depth is filtered, then aligned to the color image by the vendor's library: `Frame.K` is the color camera's, and one
pixel of `depth` and `rgb` is one ray. Stamps come from the camera's own clock. Tried with the vendor's software device
and with recorded files; not with a real camera.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64, Frame

HINT = (
    "install the camera's library: .venv/bin/pip install -e '.[hardware]'; "
    "on Debian and Ubuntu also: sudo apt-get install libusb-1.0-0"
)
_PLUG = "plug it into a USB 3 port with a USB 3 cable"
_CLOCK_WINDOW = 300  # frames over which the camera's clock is compared with ours
_POLL = 0.1  # s, longest single wait for a frame

log = logging.getLogger(__name__)


class CameraError(RuntimeError):
    """A camera that cannot go on; the message says what to do."""


class CameraMissing(CameraError):
    """No such camera is plugged in."""


class CameraLost(CameraError):
    """The camera was there and is gone, or sends nothing more. `read` finds it again once it is back."""


class RecordingEnded(CameraError):
    """The file that was played has no more frames."""


@dataclass(frozen=True)
class CameraSettings:
    """What the camera is told."""

    width: int = 640  # px
    height: int = 480  # px
    rate: int = 30  # 1/s
    timeout: float = 1.0  # s without a frame after which the camera counts as lost
    spatial: bool = True  # filter: smooths in the image, keeps edges
    temporal: bool = True  # filter: smooths over time; leaves trails behind what moves fast
    range: tuple[float, float] = (0.17, 3.0)  # m; other depths become "no return"
    options: dict[str, float] = field(default_factory=dict)  # of the sensors, by the library's names, for instance
    # {"laser_power": 150, "enable_auto_exposure": 1}


class RealSense:
    """The camera.

    Args:
        serial: number on its label; by default the first camera found.
        file: a recording (.db3) that is played in real time instead.
        settings: what it is told.
        T_world_cam: (4, 4) where its color camera is, from `toolwright calibrate camera`.
        find: gives the library's device; for tests.
    """

    def __init__(
        self,
        serial: str | None = None,
        file: str | Path | None = None,
        settings: CameraSettings = CameraSettings(),
        T_world_cam: F64 | None = None,
        find: Callable[[], Any] | None = None,
    ) -> None:
        self.serial, self.file, self.settings = serial, None if file is None else Path(file), settings
        self.T_world_cam: F64 = np.eye(4) if T_world_cam is None else T_world_cam
        self.K: F64 = np.eye(3)
        self.name = "camera"
        self._find = find or (self._open_file if file is not None else self._plugged_in)
        self._rs: Any = None
        self._device: Any = None
        self._sensors: list[Any] = []
        self._queues: dict[str, Any] = {}
        self._arrived: float | None = None  # s, monotonic, when the newest depth image was here
        self._last_number = -1
        self._offsets: deque[float] = deque(maxlen=_CLOCK_WINDOW)  # s, arrival minus the camera's stamp

    # -- connection ---------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Starts the streams, anew where they run.

        Raises:
            CameraMissing: no camera, or none with this serial number.
            CameraError: it does not have these streams, or another program has it.
            ImportError: the library is not installed.
        """
        self.close()
        self._rs = _library()
        self._device = self._find()
        try:
            self._start()
        except RuntimeError as error:
            self.close()
            if isinstance(error, CameraError):
                raise
            raise CameraError(f"{self.name} does not start ({error}): close other programs that use it, {_PLUG}") from (
                error
            )

    def close(self) -> None:
        """Stops the streams; may be called twice."""
        for sensor in self._sensors:
            for end in (sensor.stop, sensor.close):
                try:
                    end()
                except RuntimeError as error:  # it was unplugged
                    log.debug("%s: %s", self.name, error)
        self._sensors, self._queues, self._device, self._arrived = [], {}, None, None
        self._last_number = -1
        self._offsets.clear()

    def _start(self) -> None:
        rs = self._rs
        info = rs.camera_info
        self.name = " ".join(
            self._device.get_info(key) for key in (info.name, info.serial_number) if self._device.supports(key)
        )
        chosen = {
            "depth": self._choose(rs.stream.depth, (rs.format.z16,)),
            "color": self._choose(rs.stream.color, (rs.format.rgb8, rs.format.bgr8)),
        }
        self._set_options()
        profiles = {kind: profile.as_video_stream_profile() for kind, (_, profile) in chosen.items()}
        intrinsics = profiles["color"].get_intrinsics()
        self.K = np.array([[intrinsics.fx, 0, intrinsics.ppx], [0, intrinsics.fy, intrinsics.ppy], [0, 0, 1.0]])
        if np.abs(intrinsics.coeffs).max() > 1e-3:
            log.warning("%s: its color lens has distortion %s, which is left in", self.name, intrinsics.coeffs)
        self._bgr = profiles["color"].format() == rs.format.bgr8
        self._build_filters(rs)
        for kind, (sensor, profile) in chosen.items():
            queue = rs.frame_queue(1)  # keeps the newest
            sensor.open(profile)
            self._sensors.append(sensor)
            self._queues[kind] = queue
            sensor.start(self._arrival if kind == "depth" else queue)

    def _arrival(self, frame: Any) -> None:
        """Called in the library's thread."""
        self._arrived = time.monotonic()
        self._queues["depth"].enqueue(frame)

    def _choose(self, stream: Any, formats: tuple[Any, ...]) -> tuple[Any, Any]:
        """Sensor and profile of a stream. A recording has one size, and that is taken."""
        wanted = (self.settings.width, self.settings.height, self.settings.rate)
        known = []
        for sensor in self._device.query_sensors():
            for profile in sensor.get_stream_profiles():
                if profile.stream_type() != stream or profile.format() not in formats:
                    continue
                video = profile.as_video_stream_profile()
                size = (video.width(), video.height(), profile.fps())
                if size == wanted or self.file is not None:
                    return sensor, profile
                known.append(size)
        name = str(stream).removeprefix("stream.")
        if not known:
            raise CameraError(f"{self.name} has no {name} stream: a D435 or another camera of its family is needed")
        choice = ", ".join(f"{w}x{h} at {rate}/s" for w, h, rate in sorted(set(known)))
        raise CameraError(
            f"{self.name} has no {name} stream of {wanted[0]}x{wanted[1]} at {wanted[2]}/s; it has {choice}"
            "; behind USB 2 there are fewer: use a USB 3 port and cable"
        )

    def _set_options(self) -> None:
        for name, value in self.settings.options.items():
            option = getattr(self._rs.option, name, None)
            takers = [s for s in self._device.query_sensors() if option is not None and s.supports(option)]
            if not takers:
                raise CameraError(f"{self.name} has no option '{name}'; the names are those of pyrealsense2.option")
            for sensor in takers:
                sensor.set_option(option, value)

    def _build_filters(self, rs: Any) -> None:
        """The order is the vendor's advice: smoothing works on disparity, whose error is the same near and far."""
        smoothing = [rs.spatial_filter()] if self.settings.spatial else []
        smoothing += [rs.temporal_filter()] if self.settings.temporal else []
        if smoothing:
            smoothing = [rs.disparity_transform(True), *smoothing, rs.disparity_transform(False)]
        self._filters = [rs.threshold_filter(*self.settings.range), *smoothing]
        self._align = rs.align(rs.stream.color)
        self._pair: list[Any] = []

        def join(_: Any, source: Any) -> None:
            source.frame_ready(source.allocate_composite_frame(list(self._pair)))

        self._joiner, self._joined = rs.processing_block(join), rs.frame_queue(1)
        self._joiner.start(self._joined)

    def _plugged_in(self) -> Any:
        rs, serials = self._rs, []
        for device in rs.context().query_devices():
            serial = device.get_info(rs.camera_info.serial_number)
            if self.serial in (None, serial):
                return device
            serials.append(serial)
        found = f"there is only {', '.join(serials)}" if serials else f"none is found: {_PLUG}"
        raise CameraMissing(f"no RealSense camera{f' {self.serial}' if self.serial else ''}: {found}")

    def _open_file(self) -> Any:
        assert self.file is not None
        if not self.file.is_file():
            raise CameraMissing(f"{self.file}: no such recording")
        try:
            return self._rs.context().load_device(str(self.file))
        except RuntimeError as error:
            raise CameraError(f"{self.file} is no recording of this library version (.db3): {error}") from error

    # -- frames -------------------------------------------------------------------------------------------------------

    @property
    def silence(self) -> float:
        """s since the newest depth image came, whoever reads it; 0 before the first. May be asked in any thread."""
        arrived = self._arrived
        return 0.0 if arrived is None else time.monotonic() - arrived

    def read(self) -> Frame:
        """The newest pair of images that was not read yet; waits for one. Connects again after the camera was lost.

        Returns:
            Stamp in s on the scale of `time.monotonic` (of a file: of the recording), taken from the camera's clock;
            depth in m, aligned to `rgb`.

        Raises:
            CameraLost: no frame came in time.
            CameraMissing: it was lost, and is not plugged in yet.
            RecordingEnded: the file is over.
        """
        if self._device is None:
            self.connect()
        try:
            depth, color, arrival = self._newest_pair()
            aligned = self._aligned(depth, color)
        except CameraError:
            self.close()
            raise
        except RuntimeError as error:
            self.close()
            raise CameraLost(f"{self.name} is lost ({error}): {_PLUG}") from error
        rgb = np.asanyarray(color.get_data())
        return Frame(
            stamp=self._stamp(depth, arrival),
            depth=np.asanyarray(aligned.get_data()) * float(aligned.get_units()),
            rgb=np.ascontiguousarray(rgb[..., ::-1] if self._bgr else rgb).copy(),
            K=self.K.copy(),
            T_world_cam=self.T_world_cam.copy(),
        )

    def _newest_pair(self) -> tuple[Any, Any, float]:
        """Depth and color that were taken together, and when they were here [s]."""
        half = 0.5e3 / self.settings.rate  # ms
        end = time.monotonic() + self.settings.timeout
        depth = color = None
        while True:
            if depth is None or (color is not None and depth.get_timestamp() < color.get_timestamp() - half):
                depth = self._next("depth", end)
            elif depth.get_frame_number() == self._last_number:
                depth = None
            elif color is None or color.get_timestamp() < depth.get_timestamp() - half:
                color = self._next("color", end)
            else:
                self._last_number = depth.get_frame_number()
                return depth, color, time.monotonic()

    def _next(self, kind: str, end: float) -> Any:
        while time.monotonic() < end:
            there, frame = self._queues[kind].try_wait_for_frame(int(1e3 * _POLL))
            if there:
                return frame
            if self.file is not None and self._is_over():
                raise RecordingEnded(f"{self.file} has no more frames")
        if self.file is not None:
            raise RecordingEnded(f"{self.file} has no more {kind} frames")
        raise CameraLost(
            f"{self.name} sent no {kind} image for {self.settings.timeout:.1f} s: check its cable; {_PLUG}"
        )

    def _is_over(self) -> bool:
        return bool(self._device.as_playback().current_status() == self._rs.playback_status.stopped)

    def _aligned(self, depth: Any, color: Any) -> Any:
        for step in self._filters:
            depth = step.process(depth)
        self._pair = [depth, color]
        self._joiner.invoke(depth)
        both = self._joined.wait_for_frame(int(1e3 * self.settings.timeout)).as_frameset()
        self._pair = []
        return self._align.process(both).as_frameset().get_depth_frame()

    def _stamp(self, frame: Any, arrival: float) -> float:
        """The camera's stamp on our clock: the least delay of the last frames is what the clocks are apart.

        What stays in is the shortest way of a frame through USB and driver, a few milliseconds.
        """
        taken = float(frame.get_timestamp()) * 1e-3
        if self.file is not None:
            return taken
        self._offsets.append(arrival - taken)
        return taken + min(self._offsets)


def _library() -> Any:
    try:
        import pyrealsense2
    except ImportError as error:
        raise ImportError(f"pyrealsense2 cannot be loaded ({error}): {HINT}", name="pyrealsense2") from error
    return pyrealsense2
