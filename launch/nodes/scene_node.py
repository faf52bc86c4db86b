"""scene_node: the `Scene` from the depth camera and the joints, on the topic that task_node and policy_node read.

The tool is felt at every period of the hand's policy. Frames are worked on in a thread of their own, as fast as it goes
and at most at `frames`; a scene holds what the newest finished one showed.
"""

from __future__ import annotations

import bisect
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from toolwright.hardware.joints import FR3_LEAP
from toolwright.hardware.robot import F64, Frame
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, parameter
from toolwright.perception.scene import Box, HeldTool

HISTORY = 400  # joint states, to know where the arm was when a frame was taken
APART = 0.04  # s between a frame and a joint state of its time


@dataclass(frozen=True)
class SceneParameters:
    """Of scene_node."""

    tool: str = parameter("tweezers", "family of the tool in the hand; none for a bare hand")
    workspace: str = parameter("0.35 -0.20 0.0 0.60 0.20 0.40", "m, where tips and things may be: x y z of two corners")
    table: str = parameter(
        "0.17 -0.58 0.0 0.93 0.58 1.0", "m, the part of the table that counts: x y of two corners; its top is the low z"
    )
    period: float = parameter(0.05, "s between two scenes", 0.02, 1.0)
    frames: float = parameter(5.0, "1/s at most, frames that are worked on", 0.2, 30.0)


class SceneNode:
    """The node.

    Raises:
        ParameterError: a parameter is wrong.
    """

    def __init__(self, node: Any = None) -> None:
        import rclpy

        from toolwright.perception.camera_scene import CameraSettings, SeenScene

        self.node = node or rclpy.create_node("scene_node")
        self.parameters = p = declare(self.node, SceneParameters)
        settings = CameraSettings(_box("workspace", p.workspace), _box("table", p.table), 1 / p.frames)
        self.seen = SeenScene(settings)
        self._body: Any = None  # with the first joint states: how far open the tool is shows in them
        self._body_lock = threading.Lock()
        self._q: deque[tuple[float, F64]] = deque(maxlen=HISTORY)
        self._now: F64 = np.zeros(len(FR3_LEAP))  # joints that the body is asked for
        self._parts: dict[str, Any] = {}  # newest images
        self._frame: Frame | None = None
        self._taken_at, self._said_at = -np.inf, -np.inf  # s, stamps
        self._count, self._trouble, self._ending = 0, "no frames yet", False
        self._news = threading.Condition()
        topics.subscribe(self.node, topics.JOINT_STATES, self._hear_joints)
        for topic in (topics.IMAGE, topics.DEPTH, topics.CAMERA_INFO, topics.CAMERA_POSE):
            topics.subscribe(self.node, topic, partial(self._hear_image, topic.name))
        self._scene = topics.publisher(self.node, topics.SCENE)
        self._diagnostics = Diagnostics(self.node, self._diagnose)
        _check_tool(p.tool)
        self._thread = threading.Thread(target=self._work, daemon=True, name="frames")
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        with self._news:
            self._ending = True
            self._news.notify_all()
        self._thread.join(timeout=5.0)

    # -- in the node's thread -----------------------------------------------------------------------------------------

    def _hear_joints(self, message: Any) -> None:
        state = messages.from_joint_state(message, FR3_LEAP)
        if self._q and state.stamp < self._q[-1][0]:
            self._q.clear()  # a simulation that was started anew
            self._taken_at = self._said_at = -np.inf
        self._q.append((state.stamp, state.q))
        if state.stamp - self._said_at < self.parameters.period - 1e-3:
            return
        from toolwright.launch.nodes.scene_message import to_json

        self._said_at = state.stamp
        with self._body_lock:
            tool = self._feel(state.q)
        if self._count:  # before the first frame nothing is known of the table
            scene = self.seen.scene(state.stamp, tool)
            self._scene.publish(topics.load(topics.SCENE.type)(data=to_json(scene)))

    def _hear_image(self, name: str, message: Any) -> None:
        self._parts[name] = message
        stamps = {messages.seconds(part.header.stamp) for part in self._parts.values()}
        if len(self._parts) < 4 or len(stamps) > 1:
            return
        stamp = stamps.pop()
        if 0 <= stamp - self._taken_at < 1 / self.parameters.frames - 1e-3:
            return
        try:
            frame = messages.from_images(*(self._parts[t.name] for t in _FRAME))
        except messages.MessageRefused as error:
            self._trouble = str(error)
            return
        with self._news:
            self._frame, self._taken_at = frame, stamp
            self._news.notify_all()

    # -- in the thread of frames --------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._ending or self._frame is not None)
                if self._ending:
                    return
                frame, self._frame = self._frame, None
            assert frame is not None
            try:
                self._take(frame)
            except Exception as error:  # a frame that cannot be used is no reason to stop looking
                if str(error) != self._trouble:
                    self.node.get_logger().error(f"{type(error).__name__}: {error}")
                self._trouble = str(error) or type(error).__name__

    def _take(self, frame: Frame) -> None:
        q = self._joints_at(frame.stamp)
        if q is None:
            self._trouble = "no joint states of a frame's time"
            return
        with self._body_lock:
            self._feel(q)
            hidden = self._body.hidden(frame)
        self.seen.take(frame, hidden, lambda view: self._watch(view, q))
        self._count, self._trouble = self._count + 1, ""

    def _watch(self, view: Any, q: F64) -> HeldTool | None:
        from toolwright.perception.seen_tool import find

        with self._body_lock:
            self._feel(q)
            bars, hand = self._body.expected()
        shift = find(view, bars, hand) if bars else None
        with self._body_lock:
            if shift is not None:
                self._feel(self._q[-1][1])  # the fingers have moved on; what crept is the same
                self._body.correct(shift, q)
            return self._feel(q)

    def _joints_at(self, stamp: float) -> F64 | None:
        known = list(self._q)
        if not known:
            return None
        i = bisect.bisect(known, stamp, key=lambda pair: pair[0])
        at, q = min(known[max(i - 1, 0) : i + 1], key=lambda pair: abs(pair[0] - stamp))
        return q if abs(at - stamp) <= APART else None

    # -- both ---------------------------------------------------------------------------------------------------------

    def _feel(self, q: F64) -> HeldTool | None:
        self._now = q
        if self._body is None:
            self._body = _body(self.parameters.tool, lambda: self._now)
        return self._body.tool()

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {"frames": str(self._count)}
        return (1, self._trouble, values) if self._trouble else (0, "sees", values)


_FRAME = (topics.IMAGE, topics.DEPTH, topics.CAMERA_INFO, topics.CAMERA_POSE)


def _body(tool: str, q: Any) -> Any:
    from toolwright.launch.own_body import OwnBody
    from toolwright.policies.world import nearest
    from toolwright.sim import grasp_bank
    from toolwright.sim.scene_spec import HeldToolSpec, SceneSpec

    if tool == "none":
        return OwnBody(SceneSpec(name="robot"), q)
    bank = grasp_bank.load(tool)
    spec = SceneSpec(name="robot", tool=HeldToolSpec(family=tool))
    return OwnBody(spec, q, bank, nearest(bank, bank.family.params()))


def _check_tool(tool: str) -> None:
    from toolwright.sim import grasp_bank

    if tool != "none" and not (grasp_bank.FOLDER / f"{tool}.npz").is_file():
        known = ", ".join(sorted(path.stem for path in grasp_bank.FOLDER.glob("*.npz")))
        raise ParameterError(f"scene_node: parameter 'tool': no grasps for '{tool}'; choose {known}, none")


def _box(name: str, text: str) -> Box:
    try:
        numbers = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        numbers = np.zeros(0)
    if numbers.shape != (6,) or not (numbers[:3] < numbers[3:]).all():
        raise ParameterError(f"scene_node: parameter '{name}' is x y z of two corners, low then high, got '{text}'")
    return Box(numbers[:3], numbers[3:])
