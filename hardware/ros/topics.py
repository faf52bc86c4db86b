"""Every topic and service of ours with its type and quality of service: the one table. docs/ros.md shows it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Quality = Literal["state", "command", "event", "latched"]


@dataclass(frozen=True)
class Topic:
    """A stream of messages. Names are relative: a namespace or a remap moves them."""

    name: str
    type: str  # package/Message
    quality: Quality
    about: str


@dataclass(frozen=True)
class Service:
    """A request with an answer."""

    name: str
    type: str
    about: str


# What a quality means: reliability offered, reliability asked for, durability, depth, and why.
QUALITIES: dict[Quality, tuple[str, str, str, int, str]] = {
    "state": ("reliable", "best effort", "volatile", 1, "only the newest counts; fits every publisher and subscriber"),
    "command": ("reliable", "reliable", "volatile", 10, "must arrive; two nodes may send at once, each its joints"),
    "event": ("reliable", "reliable", "volatile", 50, "each one counts, in order"),
    "latched": ("reliable", "reliable", "transient local", 1, "whoever comes late gets the last one"),
}

JOINT_STATES = Topic(
    "joint_states",
    "sensor_msgs/JointState",
    "state",
    "all joints of the robot, as often as its slowest device, up to 200 Hz",
)
TRAJECTORY = Topic("joint_trajectory", "trajectory_msgs/JointTrajectory", "command", "one point for some or all joints")
SENT = Topic("sent_trajectory", "trajectory_msgs/JointTrajectory", "event", "what the gate let through")
STOPPED = Topic("stopped", "std_msgs/String", "latched", "why the emergency stop is latched; empty where it is not")
EMERGENCY = Topic("emergency_stop", "std_msgs/String", "event", "any message stops all; its text is the reason")
PAUSE = Topic("pause", "std_msgs/String", "event", "NAME: REASON pauses motion, NAME: lets it go on; for devices")
GATE_EVENTS = Topic("gate_events", "std_msgs/String", "event", "JSON: what the safety gate changed or refused")
HAND_STATES = Topic("hand/joint_states", "sensor_msgs/JointState", "state", "the hand's joints, 100 Hz")
HAND_TRAJECTORY = Topic("hand/joint_trajectory", "trajectory_msgs/JointTrajectory", "command", "one point for the hand")
IMAGE = Topic("camera/color/image_raw", "sensor_msgs/Image", "state", "rgb8")
DEPTH = Topic("camera/depth/image_raw", "sensor_msgs/Image", "state", "32FC1, m, 0 where there is no return")
CAMERA_INFO = Topic("camera/color/camera_info", "sensor_msgs/CameraInfo", "state", "of both images")
POINTS = Topic("camera/points", "sensor_msgs/PointCloud2", "state", "x, y, z, rgb in the camera's frame")
CAMERA_POSE = Topic("camera/pose", "geometry_msgs/PoseStamped", "state", "the camera in the world")
SCENE = Topic("scene", "std_msgs/String", "state", "JSON: what perception measured, see launch/nodes/scene_message.py")
GOAL = Topic("hand_policy/goal", "std_msgs/Float64", "command", "m between the tool's tips")
POLICY_STATE = Topic("hand_policy/state", "std_msgs/String", "latched", "idle, active, or why the policy gave up")
POLICY_START = Topic("hand_policy/start", "std_msgs/String", "latched", "JSON: which policy, and how it holds the tool")
POLICY_STEPS = Topic(
    "hand_policy/steps", "std_msgs/String", "event", "JSON: what it was asked and answered, for replays"
)
SENTENCE = Topic("task/sentence", "std_msgs/String", "event", "what to do, in plain English")
TASK_STATUS = Topic("task/status", "std_msgs/String", "latched", "JSON: state, sentence, reason, number")
TASK_EVENTS = Topic("task/events", "std_msgs/String", "event", "what happens during a task, one line each")
TASK_RECORD = Topic("task/record", "std_msgs/String", "latched", "JSON: the whole record of the last task")
DIAGNOSTICS = Topic("/diagnostics", "diagnostic_msgs/DiagnosticArray", "event", "every node, once a second")

EMERGENCY_CALL = Service("emergency_stop", "std_srvs/Trigger", "stops all, latched")
CLEAR_CALL = Service("clear_emergency_stop", "std_srvs/Trigger", "releases the emergency stop")
HOLD_CALL = Service("hold", "std_srvs/Trigger", "stops without latching")
FAULTS_CALL = Service("hand/clear_faults", "std_srvs/Trigger", "restarts the hand's motors that report an error")
POLICY_RESET = Service("hand_policy/reset", "std_srvs/Trigger", "takes the tool's present pose as the one to keep")
TASK_STOP = Service("task/stop", "std_srvs/Trigger", "ends the task; the robot holds")

TOPICS = tuple(value for value in list(globals().values()) if isinstance(value, Topic))
SERVICES = tuple(value for value in list(globals().values()) if isinstance(value, Service))


def load(type_name: str, kind: Literal["msg", "srv", "action"] = "msg") -> Any:
    """The class of a type such as `std_msgs/String`.

    Raises:
        ModuleNotFoundError: its package is not installed.
    """
    package, _, name = type_name.partition("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def profile(quality: Quality, publishes: bool) -> Any:
    """The rclpy QoSProfile of a quality."""
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    offered, asked, durability, depth, _ = QUALITIES[quality]
    reliable = (offered if publishes else asked) == "reliable"
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if durability == "transient local" else DurabilityPolicy.VOLATILE,
    )


def publisher(node: Any, topic: Topic, name: str = "") -> Any:
    """A publisher of a topic, under another name where one is given."""
    return node.create_publisher(load(topic.type), name or topic.name, profile(topic.quality, publishes=True))


def subscribe(node: Any, topic: Topic, callback: Callable[[Any], None], name: str = "") -> Any:
    """A subscription to a topic, under another name where one is given."""
    return node.create_subscription(load(topic.type), name or topic.name, callback, profile(topic.quality, False))


def serve(node: Any, service: Service, action: Callable[[], str]) -> Any:
    """A Trigger service: `action` returns a message; what it raises is the message of a failure."""

    def answer(_: Any, response: Any) -> Any:
        try:
            response.message, response.success = action(), True
        except Exception as error:
            response.message, response.success = str(error) or type(error).__name__, False
        return response

    return node.create_service(load(service.type, "srv"), service.name, answer)
