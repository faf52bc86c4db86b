"""A RealSense camera made of the vendor's software device: two sensors whose images somebody else provides.

    camera = SoftwareCamera(size=(64, 48))
    with camera.running(images):          # images(i) -> depth (H, W) uint16 in millimeters, color (H, W, 3) uint8
        ...

The device, its profiles, queues, recorder and filters are the vendor's; only pixels and stamps are ours.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Images = Callable[[int], tuple[np.ndarray, np.ndarray]]


class SoftwareCamera:
    """Sensors, intrinsics and extrinsics like a D435's.

    Args:
        size: width and height [px].
        focal: px, of depth and color.
        baseline: m from the depth camera to the color camera, along x.
        rate: 1/s.
        serial: number.
    """

    def __init__(
        self,
        size: tuple[int, int] = (64, 48),
        focal: tuple[float, float] = (60.0, 58.0),
        baseline: float = 0.015,
        rate: int = 30,
        serial: str = "0001",
    ) -> None:
        import pyrealsense2 as rs

        self.rs, self.size, self.rate = rs, size, rate
        self.started_at = 5000.0  # ms, the camera's clock at the first frame
        self.sent = 0
        self.plugged_in = True
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, "Intel RealSense D435 (software)")
        self.device.register_info(rs.camera_info.serial_number, serial)
        self._sensors = {"depth": self.device.add_sensor("Stereo Module"), "color": self.device.add_sensor("RGB")}
        self._sensors["depth"].add_read_only_option(rs.option.depth_units, 0.001)
        streams = {"depth": (rs.stream.depth, rs.format.z16, 2), "color": (rs.stream.color, rs.format.rgb8, 3)}
        self._profiles = {}
        for number, (kind, described) in enumerate(streams.items()):
            stream = self._stream(*described, number, focal[number])
            self._profiles[kind] = self._sensors[kind].add_video_stream(stream, True).as_video_stream_profile()
        beside = rs.extrinsics()
        beside.rotation, beside.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [baseline, 0, 0]
        self._profiles["depth"].register_extrinsics_to(self._profiles["color"], beside)
        self._pixels: deque[np.ndarray] = deque(maxlen=200)  # the library does not copy them

    def _stream(self, kind: Any, format_: Any, size: int, number: int, focal: float) -> Any:
        stream = self.rs.video_stream()
        stream.type, stream.fmt, stream.bpp = kind, format_, size
        stream.index, stream.uid, stream.fps = 0, number, self.rate
        stream.width, stream.height = self.size
        lens = self.rs.intrinsics()
        lens.width, lens.height = self.size
        lens.fx = lens.fy = focal
        lens.ppx, lens.ppy = (self.size[0] - 1) / 2, (self.size[1] - 1) / 2
        lens.model, lens.coeffs = self.rs.distortion.brown_conrady, [0.0] * 5
        stream.intrinsics = lens
        return stream

    def find(self) -> Any:
        """What a driver gets that looks for this camera."""
        from toolwright.hardware.drivers.realsense import CameraMissing

        if not self.plugged_in:
            raise CameraMissing("no RealSense camera: none is found")
        return self.device

    def send(self, depth: np.ndarray, color: np.ndarray) -> None:
        """One pair of images, a period later than the one before by the camera's clock."""
        stamp = self.started_at + 1e3 * self.sent / self.rate
        self.sent += 1
        for kind, pixels, size in (("depth", depth, 2), ("color", color, 3)):
            pixels = np.ascontiguousarray(pixels)
            self._pixels.append(pixels)
            frame = self.rs.software_video_frame()
            frame.pixels, frame.bpp, frame.stride = pixels, size, size * self.size[0]
            frame.timestamp, frame.domain = stamp, self.rs.timestamp_domain.hardware_clock
            frame.frame_number, frame.profile = self.sent, self._profiles[kind]
            frame.depth_units = 0.001
            self._sensors[kind].on_video_frame(frame)

    @contextmanager
    def running(self, images: Images) -> Iterator[None]:
        """Sends images at its rate, while it is plugged in."""
        ended = threading.Event()

        def feed() -> None:
            due = time.monotonic()
            while not ended.is_set():
                if self.plugged_in:
                    self.send(*images(self.sent))
                due = max(due + 1 / self.rate, time.monotonic())
                ended.wait(due - time.monotonic())

        thread = threading.Thread(target=feed, name="software camera", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
