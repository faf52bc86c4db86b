"""What was measured of this robot and no other: where its camera is, where its hand's joints are zero.

One JSON file, by default calibration.json in ~/.config/toolwright, or the file that TOOLWRIGHT_CALIBRATION names. It is
replaced whole or not at all, and the one before stays beside it as calibration.previous.json.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.joints import LEAP_MOTORS, MotorMap
from toolwright.hardware.robot import F64

VARIABLE = "TOOLWRIGHT_CALIBRATION"


class CalibrationFileError(ValueError):
    """A calibration file that cannot be used, or lacks what is asked of it."""


@dataclass(frozen=True)
class CameraPlace:
    """Where a fixed camera stands, and how the board was held when that was found."""

    T_base_cam: F64  # (4, 4) color camera in the arm's base frame
    T_hand_board: F64  # (4, 4)
    serial: str = ""
    position_std: float = 0.0  # m
    angle_std: float = 0.0  # rad
    views: int = 0
    date: str = ""


@dataclass(frozen=True)
class HandZero:
    """Angles of the motors at joint zero."""

    offsets: dict[str, float]  # rad, by joint
    method: str = ""
    date: str = ""


@dataclass(frozen=True)
class Calibration:
    """All that is known."""

    camera: CameraPlace | None = None
    hand: HandZero | None = None
    other: dict[str, Any] = field(default_factory=dict)  # what a newer version wrote; kept


def default_path() -> Path:
    """Where the file is unless somebody says otherwise."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "toolwright" / "calibration.json"


def load(path: Path | None = None) -> Calibration:
    """Reads the file; one that is not there is an empty calibration.

    Raises:
        CalibrationFileError: damaged; says how to get the one before.
    """
    path = path or default_path()
    if not path.exists():
        return Calibration()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        camera, hand = data.pop("camera", None), data.pop("hand", None)
        return Calibration(
            camera and CameraPlace(**{key: _array(value) for key, value in camera.items()}),
            hand and HandZero(**hand),
            data,
        )
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise CalibrationFileError(
            f"{path} is damaged ({error}): calibrate again, or go back with: mv '{previous(path)}' '{path}'"
        ) from error


def save(calibration: Calibration, path: Path | None = None) -> Path:
    """Replaces the file, whole or not at all; the one before is kept beside it. Returns where it is."""
    path = path or default_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    data = dict(calibration.other)
    for name, part in (("camera", calibration.camera), ("hand", calibration.hand)):
        if part is not None:
            data[name] = {
                key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(part).items()
            }
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            spare = temporary.with_suffix(".previous")
            spare.write_bytes(path.read_bytes())
            os.replace(spare, previous(path))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def previous(path: Path) -> Path:
    """Where the calibration before is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def leap_motors(path: Path | None = None, motors: MotorMap = LEAP_MOTORS) -> MotorMap:
    """The hand's wiring with this hand's own zeros; the nominal ones where it was never zeroed.

    Raises:
        CalibrationFileError: the file is damaged, or its joints are not the hand's.
    """
    zero = load(path).hand
    if zero is None:
        return motors
    if set(zero.offsets) != set(motors.joints):
        odd = sorted(set(zero.offsets) ^ set(motors.joints))
        raise CalibrationFileError(
            f"{path or default_path()} has zeros for another hand ({', '.join(odd)}): zero it anew"
        )
    return replace(motors, offset=np.array([zero.offsets[joint] for joint in motors.joints]))


def camera_pose(path: Path | None = None) -> F64:
    """Pose (4, 4) of the camera in the arm's base frame.

    Raises:
        CalibrationFileError: it was never calibrated, or the file is damaged.
    """
    camera = load(path).camera
    if camera is None:
        raise CalibrationFileError(
            f"{path or default_path()} does not say where the camera is: run 'toolwright calibrate camera'"
        )
    return camera.T_base_cam


def _array(value: Any) -> Any:
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value
