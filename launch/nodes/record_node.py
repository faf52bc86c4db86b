"""record_node: writes a running graph to an MCAP file that `toolwright replay` shows and `toolwright export` takes.

The topics in the file are those of `toolwright do --record`, so what reads one reads the other.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from toolwright.hardware.mcap_log import Recorder, RecordingError, default_path
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, now, parameter

_FRAME = (topics.IMAGE, topics.DEPTH, topics.CAMERA_INFO, topics.CAMERA_POSE)


@dataclass(frozen=True)
class RecordParameters:
    """Of record_node."""

    file: str = parameter("runs/ros.mcap", "where the recording goes, .mcap; new: runs/recordings/, named by the time")
    frame_period: float = parameter(0.5, "s between two recorded images", 0.05, 3600.0)


class RecordNode:
    """The node: states, targets asked for and sent, what the gate did, frames, scenes, task and policy.

    Raises:
        ParameterError: the file cannot be written, or the library is missing.
    """

    def __init__(self, node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("record_node")
        self.parameters = p = declare(self.node, RecordParameters)
        path = str(default_path()) if p.file == "new" else p.file
        if not path.endswith(".mcap"):
            raise ParameterError(f"record_node: parameter 'file': a recording is .mcap, got '{p.file}'")
        try:
            self.recorder = Recorder(path, {"robot": "ros", "version": _version()})
        except (OSError, RecordingError) as error:
            raise ParameterError(f"record_node: parameter 'file': {error}") from None
        self.node.get_logger().info(f"records to {path}")
        self._asked: dict[str, float] = {}  # rad, by joint
        self._joints: tuple[str, ...] = ()
        self._stamp: float | None = None  # s, of the newest state
        self._known_period = False
        self._sentence: str | None = None  # of the task that runs
        self._parts: dict[str, Any] = {}  # newest images
        self._next_frame = -np.inf  # s
        self._count = 0
        self._diagnostics = Diagnostics(self.node, self._diagnose)
        for topic, take in (
            (topics.JOINT_STATES, self._state),
            (topics.TRAJECTORY, self._target),
            (topics.SENT, self._sent),
            (topics.GATE_EVENTS, lambda m: self._text("/gate", m)),
            (topics.SCENE, lambda m: self._text("/scene", m)),
            (topics.TASK_EVENTS, lambda m: self._add("/task/events", {"text": m.data})),
            (topics.TASK_STATUS, self._status),
            (topics.TASK_RECORD, self._record),
            (topics.POLICY_START, self._policy),
            (topics.POLICY_STEPS, self._policy),
            (topics.STOPPED, lambda m: self._add("/stopped", {"reason": m.data})),
        ):
            # All of them, and in order: a recording must not skip what a controller may.
            topics.subscribe(self.node, dataclasses.replace(topic, quality=_whole(topic.quality)), take)
        for topic in _FRAME:
            topics.subscribe(self.node, topic, partial(self._image, topic.name))

    def close(self) -> None:
        """Finishes the file."""
        self.recorder.close()

    def _state(self, message: Any) -> None:
        if not self._joints:
            self._joints = tuple(message.name)
            self.recorder.describe({"joints": self._joints})
        self._stamp = messages.seconds(message.header.stamp)
        values = {"q": list(message.position), "dq": list(message.velocity), "effort": list(message.effort)}
        self._add("/state", {**values, "names": list(message.name)}, self._stamp)

    def _target(self, message: Any) -> None:
        if message.points:
            self._asked.update(zip(message.joint_names, message.points[-1].positions, strict=False))

    def _sent(self, message: Any) -> None:
        names, q = messages.from_trajectory(message)
        if not self._known_period:
            self._known_period = True
            self.recorder.describe({"period": messages.seconds(message.points[0].time_from_start)})
        asked = np.array([self._asked.get(name, value) for name, value in zip(names, q, strict=True)])
        # With the stamp of the state that it follows, as in every recording: pairs are found by it.
        self._add("/command", {"asked": asked, "sent": q, "names": names}, self._stamp)

    def _image(self, name: str, message: Any) -> None:
        self._parts[name] = message
        stamps = {messages.seconds(part.header.stamp) for part in self._parts.values()}
        if len(self._parts) < len(_FRAME) or len(stamps) > 1 or min(stamps) < self._next_frame:
            return
        self._next_frame = min(stamps) + self.parameters.frame_period
        try:
            self.recorder.add_frame(messages.from_images(*(self._parts[topic.name] for topic in _FRAME)))
        except messages.MessageRefused as error:
            self.node.get_logger().warning(f"a frame was not recorded: {error}", once=True)

    def _status(self, message: Any) -> None:
        value = json.loads(message.data)
        self._add("/task/status", value)
        if value["state"] == "running":
            self._sentence = value["sentence"]
            self._add("/event", {"kind": "Asked", "sentence": self._sentence})

    def _record(self, message: Any) -> None:
        """Of a task that ran while this node did; the one before is latched, too."""
        value = json.loads(message.data)
        if value["sentence"] == self._sentence:
            self._sentence = None
            self._add("/event", {"kind": "Finished", "record": value})

    def _policy(self, message: Any) -> None:
        text = json.loads(message.data)
        self._add(text["topic"], text["value"])

    def _text(self, topic: str, message: Any) -> None:
        value = json.loads(message.data)
        self._add(topic, value, value.get("stamp"))

    def _add(self, topic: str, value: dict[str, Any], stamp: float | None = None) -> None:
        self._count += 1
        if stamp is None and self._stamp is None:
            stamp = now(self.node)  # before the first state
        self.recorder.add(topic, value, stamp)

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {"file": str(self.recorder.path), "messages": str(self._count)}
        return (2, self.recorder.failed, values) if self.recorder.failed else (0, "records", values)


def _whole(quality: topics.Quality) -> topics.Quality:
    return "latched" if quality == "latched" else "event"


def _version() -> str:
    from importlib.metadata import version

    return version("toolwright")
