"""Which camera driver a name stands for."""

from __future__ import annotations

import logging

from toolwright.hardware import calibration
from toolwright.hardware.robot import F64, Camera
from toolwright.hardware.ros.camera_node import CameraParameters

log = logging.getLogger(__name__)


def open_camera(parameters: CameraParameters) -> Camera:
    """Opens the camera of camera_node's parameters, where the calibration says that it stands.

    Raises:
        ModuleNotFoundError: the driver's library is not installed.
        CameraError: no camera, or one that does not work.
        CalibrationFileError: the calibration is damaged, or of another camera.
    """
    from toolwright.hardware.drivers.realsense import CameraSettings, RealSense

    T_base_cam = place(parameters.serial)
    settings = CameraSettings(rate=parameters.stream_rate)
    camera = RealSense(serial=parameters.serial or None, settings=settings, T_world_cam=T_base_cam)
    camera.connect()
    return camera


def place(serial: str) -> F64 | None:
    """Pose (4, 4) of the camera in the arm's base frame; None, with a warning, where it was never calibrated.

    Raises:
        CalibrationFileError: the file is damaged, or of a camera with another serial number.
    """
    known = calibration.load().camera
    if known is None:
        log.warning("the place of the camera is not known: run 'toolwright calibrate camera'")
        return None
    if serial and known.serial and serial != known.serial:
        raise calibration.CalibrationFileError(
            f"{calibration.default_path()} is of camera {known.serial}, not {serial}: run 'toolwright calibrate camera'"
        )
    return known.T_base_cam
