"""Which camera driver a name stands for."""

from __future__ import annotations

from toolwright.hardware.robot import Camera
from toolwright.hardware.ros.camera_node import CameraParameters


def open_camera(parameters: CameraParameters) -> Camera:
    """Opens the camera of camera_node's parameters.

    Raises:
        ModuleNotFoundError: the driver's library is not installed.
        CameraError: no camera, or one that does not work.
    """
    from toolwright.hardware.drivers.realsense import RealSense

    camera = RealSense(serial=parameters.serial or None)
    camera.connect()
    return camera
