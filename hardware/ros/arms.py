"""Arms behind ros2_control: one YAML file each, in `params/` or anywhere; one schema for shipped ones and yours."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64, JointSpec

_TEXTS = ("about", "states", "commands", "action", "bringup")
_NUMBERS = ("pause_after", "lost_after", "braking", "tracking", "tracking_time", "state_rate")
_LIMITS = ("lower", "upper", "velocity", "acceleration", "effort")


class ArmError(ValueError):
    """An arm's file that does not exist, or does not say what it must."""


@dataclass(frozen=True)
class ArmConfig:
    """What a file says of an arm and of the controllers that drive it."""

    name: str
    about: str
    joints: JointSpec
    acceleration: F64  # (n,) rad/s^2
    states: str  # topic of sensor_msgs/JointState
    commands: str  # topic of trajectory_msgs/JointTrajectory
    action: str  # of control_msgs/FollowJointTrajectory
    bringup: str  # the maker's command that starts driver and controllers
    state_rate: float  # 1/s, at which joint states must come
    pause_after: float  # s without joint states
    lost_after: float  # s without joint states
    braking: float  # rad/s^2, of a stop
    tracking: float  # rad
    tracking_time: float  # s


def arms() -> list[str]:
    """Names of the shipped files."""
    return sorted(file.stem for file in _folder().glob("*.yaml"))


def load_arm(name: str) -> ArmConfig:
    """Reads an arm's file.

    Args:
        name: of a shipped file, or the path of one.

    Raises:
        ArmError: there is no such file, or it is not valid; says where and why.
    """
    from ruamel.yaml import YAML, YAMLError

    path = _folder() / f"{name}.yaml" if name in arms() else Path(name)
    if not path.is_file():
        near = difflib.get_close_matches(name, arms(), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ArmError(f"no arm '{name}'{hint}: choose {', '.join(arms())}, or give the path of a file like theirs")
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ArmError(f"{path}: not YAML: {error}") from error
    try:
        return _config(path.stem, raw)
    except ValueError as error:
        raise ArmError(f"{path}: {error}") from error


def _config(name: str, raw: Any) -> ArmConfig:
    if not isinstance(raw, dict):
        raise ValueError("expected names and values at the top")
    known = {*_TEXTS, *_NUMBERS, "joints"}
    if unknown := sorted(map(str, set(raw) - known)):
        raise ValueError(f"unknown {unknown}; it may have {sorted(known)}")
    if missing := sorted(known - set(raw)):
        raise ValueError(f"missing {missing}")
    texts: dict[str, Any] = {key: raw[key] for key in _TEXTS}
    if wrong := [key for key, value in texts.items() if not isinstance(value, str) or not value.strip()]:
        raise ValueError(f"{wrong} must be texts")
    numbers: dict[str, Any] = {key: _number(key, raw[key]) for key in _NUMBERS}
    if negative := [key for key, value in numbers.items() if value < 0]:
        raise ValueError(f"{negative} must not be negative")
    if numbers["pause_after"] * numbers["state_rate"] < 2:
        raise ValueError("pause_after is less than two periods of state_rate: one late message would pause the arm")
    if numbers["lost_after"] < numbers["pause_after"]:
        raise ValueError("lost_after is less than pause_after")
    if not numbers["braking"]:
        raise ValueError("braking must be above zero")
    joints, acceleration = _joints(raw["joints"])
    return ArmConfig(name=name, joints=joints, acceleration=acceleration, **texts, **numbers)


def _joints(raw: Any) -> tuple[JointSpec, F64]:
    if not isinstance(raw, dict) or not raw:
        raise ValueError("joints: expected a table, the joint's name before its limits, in the order of the chain")
    rows = []
    for name, limits in raw.items():
        if not isinstance(limits, dict) or set(limits) != set(_LIMITS):
            raise ValueError(f"joint '{name}' needs {', '.join(_LIMITS)} and nothing else")
        row = [_number(f"{name}.{key}", limits[key]) for key in _LIMITS]
        if not row[0] < row[1]:
            raise ValueError(f"joint '{name}': lower is not below upper")
        if min(row[2:]) <= 0:
            raise ValueError(f"joint '{name}': velocity, acceleration and effort must be above zero")
        rows.append(row)
    lower, upper, velocity, acceleration, effort = np.array(rows).T
    return JointSpec(tuple(map(str, raw)), lower, upper, velocity, effort), acceleration


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a number, got {value!r}")
    return float(value)


def _folder() -> Path:
    return Path(str(files("toolwright.hardware"))) / "ros" / "params"
