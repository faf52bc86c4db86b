"""Which errors are the user's to mend, and so get one message instead of a traceback."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

FAILED, WRONG_USE, BUG, INTERRUPTED = 1, 2, 3, 130  # exit codes, beside 0

# Errors of Toolwright by their names, so that their modules need not be imported to start the command.
EXPECTED = {
    "UserError",
    "SceneError",
    "ToolError",
    "MeshError",
    "RenderError",
    "CheckpointError",
    "WeightsError",
    "ConfigError",
    "BackendError",
    "TrainError",
    "CloneError",
    "StudentError",
    "ConditionError",
    "RecordingError",
    "CalibrationError",
    "CalibrationFileError",
    "CameraError",
    "HandError",
    "Fr3Error",
    "BusError",
    "PadError",
    "NoAnswer",
    "ModelError",
    "AffordanceError",
    "EncoderDataError",
}

# Optional modules and the extra of pyproject.toml that brings them.
EXTRAS = {
    "open3d": "vision",
    "onnxruntime": "vision",
    "onnx": "vision",
    "pydantic_ai": "llm",
    "openai": "llm",
    "warp": "gpu",
    "mujoco_warp": "gpu",
    "viser": "web",
    "mjviser": "web",
    "rclpy": "ros",
    "pyrealsense2": "hardware",
    "dynamixel_sdk": "hardware",
    "serial": "hardware",
    "cv2": "hardware",
    "franky": "fr3",
    "pyarrow": "lerobot",
    "textual": "console",
    "mcp": "mcp",
}


class UserError(Exception):
    """Something the user asked for cannot be done; the message says what and how to mend it."""


def is_expected(error: BaseException, words: Iterable[str]) -> bool:
    """True where the error is the user's to mend.

    These are the errors named in `EXPECTED`, a missing optional package, and trouble with a file that is named in
    `words`, the command line.
    """
    if isinstance(error, ModuleNotFoundError):
        return (error.name or "").split(".")[0] in EXTRAS
    if isinstance(error, OSError) and isinstance(error.filename, str):
        values = {value for word in words for value in (word, word.partition("=")[2]) if value}
        return os.path.abspath(error.filename) in map(os.path.abspath, values)
    return any(kind.__module__.startswith("toolwright.") and kind.__name__ in EXPECTED for kind in type(error).__mro__)


def message(error: BaseException) -> str:
    """The error as the user reads it."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name} is not installed; get it with: {install_hint(EXTRAS[error.name.split('.')[0]])}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or type(error).__name__).lower()}"
    return str(error).strip() or type(error).__name__


def install_hint(extra: str) -> str:
    """The command that installs an extra of pyproject.toml."""
    return f".venv/bin/pip install -e '.[{extra}]'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean X?)', or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""
