"""record_node: writes a running graph to an MCAP file that `toolwright replay` shows."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolwright.hardware.mcap_log import Recorder, RecordingError
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, parameter


@dataclass(frozen=True)
class RecordParameters:
    """Of record_node."""

    file: str = parameter("runs/ros.mcap", "where the recording goes, .mcap")


class RecordNode:
    """The node: states, targets asked for and sent, what the gate did, scenes, what the task said.

    Raises:
        ParameterError: the file cannot be written, or the library is missing.
    """

    def __init__(self, node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("record_node")
        self.parameters = p = declare(self.node, RecordParameters)
        if not p.file.endswith(".mcap"):
            raise ParameterError(f"record_node: parameter 'file': a recording is .mcap, got '{p.file}'")
        try:
            self.recorder = Recorder(p.file, {"robot": "ros", "version": _version()})
        except (OSError, RecordingError) as error:
            raise ParameterError(f"record_node: parameter 'file': {error}") from None
        self._asked: dict[str, float] = {}  # rad, by joint
        self._count = 0
        self._diagnostics = Diagnostics(self.node, self._diagnose)
        for topic, take in (
            (topics.JOINT_STATES, self._state),
            (topics.TRAJECTORY, self._target),
            (topics.SENT, self._sent),
            (topics.GATE_EVENTS, lambda m: self._text("/gate", m)),
            (topics.SCENE, lambda m: self._text("/scene", m)),
            (topics.TASK_EVENTS, lambda m: self._add("/task/events", {"text": m.data})),
            (topics.TASK_STATUS, lambda m: self._text("/task/status", m)),
            (topics.TASK_RECORD, lambda m: self._text("/task/record", m)),
            (topics.STOPPED, lambda m: self._add("/stopped", {"reason": m.data})),
        ):
            # All of them, and in order: a recording must not skip what a controller may.
            topics.subscribe(self.node, dataclasses.replace(topic, quality=_whole(topic.quality)), take)

    def close(self) -> None:
        """Finishes the file."""
        self.recorder.close()

    def _state(self, message: Any) -> None:
        values = {"q": list(message.position), "dq": list(message.velocity), "effort": list(message.effort)}
        self._add("/state", {**values, "names": list(message.name)}, messages.seconds(message.header.stamp))

    def _target(self, message: Any) -> None:
        if message.points:
            self._asked.update(zip(message.joint_names, message.points[-1].positions, strict=False))

    def _sent(self, message: Any) -> None:
        names, q = messages.from_trajectory(message)
        asked = np.array([self._asked.get(name, value) for name, value in zip(names, q, strict=True)])
        value = {"asked": asked, "sent": q, "names": names}
        self._add("/command", value, messages.seconds(message.header.stamp))

    def _text(self, topic: str, message: Any) -> None:
        value = json.loads(message.data)
        self._add(topic, value, value.get("stamp"))

    def _add(self, topic: str, value: dict[str, Any], stamp: float | None = None) -> None:
        self._count += 1
        self.recorder.add(topic, value, stamp)

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {"file": self.parameters.file, "messages": str(self._count)}
        return (2, self.recorder.failed, values) if self.recorder.failed else (0, "records", values)


def _whole(quality: topics.Quality) -> topics.Quality:
    return "latched" if quality == "latched" else "event"


def _version() -> str:
    from importlib.metadata import version

    return version("toolwright")
