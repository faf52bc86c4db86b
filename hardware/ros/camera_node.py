"""camera_node: any `Camera` on topics: images, camera info, points, and where the camera stands.

A thread of its own watches a camera that knows for how long it has been silent: motion pauses long before it is lost.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toolwright.hardware.robot import Camera, Frame
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import Diagnostics, declare, now, parameter, steady

RETRY = 1.0  # s
LATE = 1.5  # periods of the camera without an image


@dataclass(frozen=True)
class CameraParameters:
    """Of camera_node."""

    camera: str = parameter("d435", "driver", choices=("d435",))
    serial: str = parameter("", "serial number; empty for the only camera")
    rate: float = parameter(15.0, "1/s, frames that are published", 0.5, 60.0)
    stream_rate: int = parameter(60, "1/s, images of the camera itself; motion pauses after 1.5 periods without", 6, 90)
    points: bool = parameter(True, "publish points")
    frame: str = parameter("camera_color_optical_frame", "name of the camera's frame")
    world: str = parameter("world", "name of the world's frame")
    stop_when_lost: bool = parameter(True, "a camera that fails is an emergency stop of the robot")


class CameraTopics:
    """Publishes frames; for camera_node, and for the simulation."""

    def __init__(self, node: Any, points: bool, frame: str, world: str) -> None:
        self._points, self._frame, self._world = points, frame, world
        self._color, self._depth = topics.publisher(node, topics.IMAGE), topics.publisher(node, topics.DEPTH)
        self._info, self._cloud = topics.publisher(node, topics.CAMERA_INFO), topics.publisher(node, topics.POINTS)
        self._pose = topics.publisher(node, topics.CAMERA_POSE)
        self._tf = _tf_publisher(node)

    def publish(self, frame: Frame) -> None:
        color, depth, info = messages.to_images(frame, self._frame)
        self._color.publish(color)
        self._depth.publish(depth)
        self._info.publish(info)
        if self._points:
            self._cloud.publish(messages.to_cloud(frame, self._frame))
        self._pose.publish(messages.to_pose(frame.T_world_cam, frame.stamp, self._world))
        if self._tf is not None:
            self._tf(messages.to_transform(frame.T_world_cam, frame.stamp, self._world, self._frame))


class CameraNode:
    """The node.

    Args:
        open_camera: opens the driver; called again after a loss. Whatever has `close` is closed. Its frames are stamped
            with `time.monotonic`.
        node: a node to use instead of a new one, for tests.
    """

    def __init__(self, open_camera: Callable[[CameraParameters], Camera], node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("camera_node")
        self.parameters = p = declare(self.node, CameraParameters)
        self._open = open_camera
        self._camera: Camera | None = None
        self._trouble, self._retry_at, self._frames = "not opened yet", 0.0, 0
        self._topics = CameraTopics(self.node, p.points, p.frame, p.world)
        self._emergency = topics.publisher(self.node, topics.EMERGENCY)
        self._pause = topics.publisher(self.node, topics.PAUSE)
        self._diagnostics = Diagnostics(self.node, self._diagnose)
        self._timer = self.node.create_timer(1 / p.rate, self._cycle, clock=steady())
        self._ending = threading.Event()
        self._watch = threading.Thread(target=self._watch_silence, daemon=True, name="camera watch")
        if p.stop_when_lost:
            self._watch.start()

    def close(self) -> None:
        """Closes the camera."""
        self._ending.set()
        if self._watch.is_alive():
            self._watch.join(timeout=1.0)
        self._close_camera()

    def _close_camera(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None and hasattr(camera, "close"):
            camera.close()

    def _cycle(self) -> None:
        if self._ending.is_set() or (self._camera is None and time.monotonic() < self._retry_at):
            return
        try:
            if self._camera is None:
                self._camera = self._open(self.parameters)
            frame = self._camera.read()
        except ModuleNotFoundError:
            raise
        except Exception as error:  # whatever a driver raises
            if not self._ending.is_set():  # it was not closed while it was read
                self._lost(error)
            return
        self._trouble = ""
        self._frames += 1
        stamp = now(self.node) - (time.monotonic() - frame.stamp)
        self._topics.publish(dataclasses.replace(frame, stamp=stamp))

    def _lost(self, error: Exception) -> None:
        if not self._trouble and self.parameters.stop_when_lost:
            self._emergency.publish(topics.load(topics.EMERGENCY.type)(data=f"camera: {error}"))
        if str(error) != self._trouble:
            self.node.get_logger().error(str(error))
        self._trouble, self._retry_at = str(error) or type(error).__name__, time.monotonic() + RETRY
        try:
            self._close_camera()
        except Exception as other:
            self.node.get_logger().warning(f"the camera did not close: {other}")

    def _watch_silence(self) -> None:
        """Says when the camera is late, and when it is there again; that it is lost says `read`."""
        patience, late = LATE / self.parameters.stream_rate, False
        left = patience
        while not self._ending.wait(min(max(left, 0.001), patience)):
            camera = self._camera
            if camera is None:
                continue
            silence = getattr(camera, "silence", 0.0)
            left = patience - silence
            if (left < 0) != late:
                late = not late
                why = f" silent for {silence * 1e3:.0f} ms" if late else ""
                self._pause.publish(topics.load(topics.PAUSE.type)(data=f"camera:{why}"))

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {"frames": str(self._frames)}
        return (2, self._trouble, values) if self._trouble else (0, "delivers frames", values)


def _tf_publisher(node: Any) -> Callable[[Any], None] | None:
    """Publishes transforms on /tf where tf2_msgs is installed, as in every installation of ROS but pip's."""
    try:
        from tf2_msgs.msg import TFMessage
    except ModuleNotFoundError:
        node.get_logger().info(f"tf2_msgs is not installed: the camera's place is on {topics.CAMERA_POSE.name} only")
        return None
    publisher = node.create_publisher(TFMessage, "/tf", 100)
    return lambda transform: publisher.publish(TFMessage(transforms=[transform]))
