"""Recordings of runs as MCAP files, without ROS: a `Recorder` that survives `kill -9`, and the reader.

Every message is JSON with its schema in the file, so that common viewers (Foxglove, PlotJuggler) open it; numbers are
written so that reading gives back the same bits. Log time is the robot's clock, publish time the wall clock.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.robot import Frame

HINT = "mcap is not installed; get it with: .venv/bin/pip install -e '.[record]'"
_CHUNK = 32 * 1024  # bytes, before compression: what a sudden end can cost at most
_JPEG_QUALITY = 90
_DEPTH_UNIT = 0.001  # m, of the depth images
_IMAGE_SCHEMA = {  # as Foxglove's viewers know it
    "title": "foxglove.CompressedImage",
    "type": "object",
    "properties": {
        "timestamp": {
            "type": "object",
            "title": "time",
            "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}},
        },
        "frame_id": {"type": "string"},
        "data": {"type": "string", "contentEncoding": "base64"},
        "format": {"type": "string"},
    },
}

log = logging.getLogger(__name__)


class RecordingError(ValueError):
    """A file that is no recording, or lacks what is asked of it."""


@dataclass(frozen=True)
class Entry:
    """One message."""

    topic: str
    stamp: float  # s, the robot's clock
    wall: float  # s since 1970
    value: dict[str, Any]


class Recorder:
    """Writes as things happen; may be called from several threads.

    A disk that is full ends the recording with an error in the log, never the motion: see `failed`.

    Args:
        path: .mcap; its folder is made.
        about: what the file says of itself, for instance the scene, the seed and the robot's joints.

    Raises:
        RecordingError: the `mcap` package is missing.
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any]) -> None:
        try:
            from mcap.writer import Writer
        except ModuleNotFoundError as error:
            raise RecordingError(HINT) from error
        self.path, self.failed = Path(path), ""
        self._lock = threading.Lock()
        self._channels: dict[str, int] = {}
        self._stamp, self._closed = 0.0, False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "wb")
        self._writer = Writer(self._file, chunk_size=_CHUNK)
        self._writer.start(profile="", library="toolwright")
        self._writer.add_metadata("toolwright", {key: json.dumps(plain(value)) for key, value in about.items()})
        self._file.flush()

    def describe(self, about: Mapping[str, Any]) -> None:
        """Adds to what the file says of itself, where not all was known at the start."""
        with self._lock:
            if self._closed or self.failed:
                return
            try:
                self._writer.add_metadata("toolwright", {key: json.dumps(plain(value)) for key, value in about.items()})
                self._file.flush()
            except OSError as error:
                self._fail(error)

    def add(self, topic: str, value: Any, stamp: float | None = None) -> None:
        """Adds a message.

        Args:
            topic: for instance "/state".
            value: a dataclass or a mapping; arrays become lists.
            stamp: s of the robot's clock; by default the latest that was given.
        """
        self._write(topic, plain(value), stamp, {"title": f"toolwright{topic.replace('/', '.')}", "type": "object"})

    def add_frame(self, frame: Frame, name: str = "camera") -> None:
        """Adds color (JPEG), depth (PNG, whole millimeters) and the camera's matrices."""
        encoded = {"color": ("jpeg", _jpeg(frame.rgb)), "depth": ("png", _png(frame.depth))}
        for kind, (format_, data) in encoded.items():
            image = {
                "timestamp": {"sec": int(frame.stamp), "nsec": int(frame.stamp % 1 * 1e9)},
                "frame_id": name,
                "data": base64.b64encode(data).decode(),
                "format": format_,
            }
            self._write(f"/{name}/{kind}", image, frame.stamp, _IMAGE_SCHEMA)
        self.add(f"/{name}/info", {"K": frame.K, "T_world_cam": frame.T_world_cam}, frame.stamp)

    def close(self) -> None:
        """Writes the index; may be called twice. A file without it is still readable."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._writer.finish()
                self._file.close()
            except OSError as error:
                self._fail(error)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, topic: str, value: dict[str, Any], stamp: float | None, schema: dict[str, Any]) -> None:
        data = json.dumps(value, allow_nan=False).encode()
        with self._lock:
            if self._closed or self.failed:
                return
            self._stamp = self._stamp if stamp is None else stamp
            try:
                self._writer.add_message(
                    self._channel(topic, schema), round(self._stamp * 1e9), data, publish_time=time.time_ns()
                )
                self._file.flush()
            except OSError as error:
                self._fail(error)

    def _channel(self, topic: str, schema: dict[str, Any]) -> int:
        if topic not in self._channels:
            number = self._writer.register_schema(schema["title"], "jsonschema", json.dumps(schema).encode())
            self._channels[topic] = self._writer.register_channel(topic, "json", number)
        return self._channels[topic]

    def _fail(self, error: OSError) -> None:
        if not self.failed:
            self.failed = f"{self.path}: {error.strerror or error}"
            log.error("the recording ends here: %s", self.failed)


class Recording:
    """A recorded file. One that was cut short is read up to the cut.

    Args:
        path: of the file.

    Raises:
        RecordingError: it is no MCAP file, or not one of Toolwright's; or `mcap` is missing.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.complete = False
        self.about: dict[str, Any] = {}
        self.entries: list[Entry] = []
        for record in self._records():
            if isinstance(record, Entry):
                self.entries.append(record)
            else:
                self.about |= record
        if not self.about:
            raise RecordingError(f"{self.path} is an MCAP file, but not one that Toolwright recorded")

    def of(self, topic: str) -> list[Entry]:
        """Messages of one topic, as they were written."""
        return [entry for entry in self.entries if entry.topic == topic]

    def array(self, topic: str, key: str) -> np.ndarray:
        """One field of a topic over time: (T, ...); null is NaN. Empty where the topic is."""
        return np.array([entry.value[key] for entry in self.of(topic)], dtype=np.float64)

    def stamps(self, topic: str) -> np.ndarray:
        """(T,) s of a topic's messages."""
        return np.array([entry.stamp for entry in self.of(topic)])

    @property
    def topics(self) -> dict[str, int]:
        """How many messages each topic has."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            counts[entry.topic] = counts.get(entry.topic, 0) + 1
        return counts

    @property
    def seconds(self) -> float:
        """s on the robot's clock."""
        stamps = [entry.stamp for entry in self.entries]
        return max(stamps) - min(stamps) if stamps else 0.0

    def _records(self) -> Iterator[Entry | dict[str, Any]]:
        try:
            from mcap.records import Channel, Footer, Message, Metadata
            from mcap.stream_reader import StreamReader
        except ModuleNotFoundError as error:
            raise RecordingError(HINT) from error
        topics: dict[int, str] = {}
        with open(self.path, "rb") as file:
            if file.read(5) != b"\x89MCAP":
                raise RecordingError(f"{self.path} is no MCAP file")
            file.seek(0)
            try:
                for record in StreamReader(file, validate_crcs=True, record_size_limit=2**28).records:
                    if isinstance(record, Channel):
                        topics[record.id] = record.topic
                    elif isinstance(record, Message):
                        value = json.loads(record.data)
                        yield Entry(topics[record.channel_id], record.log_time / 1e9, record.publish_time / 1e9, value)
                    elif isinstance(record, Metadata) and record.name == "toolwright":
                        yield {key: json.loads(value) for key, value in record.metadata.items()}
                    self.complete = self.complete or isinstance(record, Footer)
            except OSError:
                raise
            except Exception as error:  # whatever the decoders make of damaged bytes
                log.warning("%s was cut short or damaged (%s): read up to there", self.path, type(error).__name__)


def decode_color(image: Mapping[str, Any]) -> np.ndarray:
    """(H, W, 3) uint8 of a recorded color image."""
    return np.asarray(_open(image).convert("RGB"))


def decode_depth(image: Mapping[str, Any]) -> np.ndarray:
    """(H, W) m of a recorded depth image."""
    return np.asarray(_open(image)).astype(np.float64) * _DEPTH_UNIT


def _open(image: Mapping[str, Any]) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(image["data"])))


def plain(value: Any) -> Any:
    """The value as JSON knows it: arrays as lists, numbers that are not finite as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | bool | None) else str(value)


def _jpeg(rgb: np.ndarray) -> bytes:
    return _encoded(rgb, format="JPEG", quality=_JPEG_QUALITY)


def _png(depth: np.ndarray) -> bytes:
    millimeters = np.clip(np.round(depth / _DEPTH_UNIT), 0, 2**16 - 1).astype(np.uint16)
    return _encoded(millimeters, format="PNG", compress_level=1)


def _encoded(pixels: np.ndarray, **options: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, **options)
    return out.getvalue()


def default_path(folder: str | Path = "runs/recordings") -> Path:
    """A new file in the default place, named by the time."""
    stem = time.strftime("%Y%m%d-%H%M%S")
    path = Path(folder) / f"{stem}.mcap"
    return path if not path.exists() else path.with_name(f"{stem}-{os.getpid()}.mcap")
