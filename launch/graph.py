"""The node graphs as plain tables, and how a table becomes processes: by `toolwright ros up`, or by `ros2 launch`.

Both start the same commands. The launch files in this folder are one line each.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from toolwright.launch.errors import UserError, did_you_mean

NAMESPACE = "/toolwright"
KINDS = ("sim", "robot", "record")
Kind = Literal["sim", "robot", "record"]
Value = bool | int | float | str


@dataclass(frozen=True)
class Option:
    """What a graph can be told, as `name:=value`."""

    default: str
    about: str
    choices: tuple[str, ...] = ()  # any value where empty


@dataclass(frozen=True)
class Entry:
    """One process of a graph."""

    node: str  # of toolwright.launch.nodes, and its name
    parameters: dict[str, Value] = field(default_factory=dict)
    remaps: dict[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        """The words that start it."""
        words = [sys.executable, "-m", "toolwright.launch.nodes", self.node, "--ros-args", "-r", f"__ns:={NAMESPACE}"]
        for name, value in self.parameters.items():
            words += ["-p", f"{name}:={json.dumps(value)}"]  # JSON is YAML, and keeps texts texts
        for name, other in self.remaps.items():
            words += ["-r", f"{name}:={other}"]
        return words


_TOOL = Option("tweezers", "the tool in the hand")
_CONTROLLER = Option("learned", "of the hand", ("learned", "closed_form"))
_RECORD = "file of the recording, .mcap; new: one in runs/recordings/, named by the time; none"
OPTIONS: dict[Kind, dict[str, Option]] = {
    "sim": {
        "scene": Option("bead", "name of a shipped scene, or path of a scene file"),
        "seed": Option("0", "of the scene's randomization"),
        "rate": Option("1.0", "times real time at most; 0: as fast as it goes"),
        "camera": Option("none", "a simulated camera, which needs OpenGL", ("none", "d435")),
        "perception": Option("state", "the simulation's own, or through its camera", ("state", "camera")),
        "record": Option("none", _RECORD),
        "tool": _TOOL,
        "controller": _CONTROLLER,
    },
    "robot": {
        "arm": Option("fr3", "fr3, ur5e, xarm7, none, or the path of a file like theirs"),
        "hand": Option("leap", "the hand", ("leap", "none")),
        "camera": Option("d435", "the camera", ("d435", "none")),
        "port": Option("/dev/ttyUSB0", "serial adapter of the hand; fake for faked motors"),
        "speed": Option("1.0", "share of the velocity and acceleration limits"),
        "interface": Option("topic", "of the arm's controller; action needs control_msgs", ("topic", "action")),
        "workspace": Option("", "m, box that the palm does not leave: x y z of its low, then of its high corner"),
        "record": Option("new", _RECORD),
        "tool": _TOOL,
        "controller": _CONTROLLER,
    },
    "record": {"file": Option("runs/ros.mcap", "where the recording goes")},
}


def options(kind: Kind, words: Mapping[str, str]) -> dict[str, str]:
    """The options of a graph, given ones over defaults.

    Raises:
        UserError: unknown option, or a value it cannot have.
    """
    known = OPTIONS[kind]
    for name, value in words.items():
        if name not in known:
            raise UserError(f"unknown option '{name}'{did_you_mean(name, known)}; {kind} has {', '.join(known)}")
        choices = known[name].choices
        if choices and value not in choices:
            raise UserError(f"{name}:={value}{did_you_mean(value, choices)}: choose {', '.join(choices)}")
    return {name: words.get(name, option.default) for name, option in known.items()}


def graph(kind: Kind, words: Mapping[str, str] | None = None) -> tuple[Entry, ...]:
    """The processes of a graph.

    Args:
        kind: which.
        words: options by name, as text.

    Raises:
        UserError: unknown option, or a value it cannot have.
    """
    chosen = options(kind, words or {})
    if kind == "record":
        return (Entry("record_node", {"file": chosen["file"]}),)
    return _sim(chosen) if kind == "sim" else _robot(chosen)


def _sim(chosen: dict[str, str]) -> tuple[Entry, ...]:
    time: dict[str, Value] = {"use_sim_time": True}
    # A simulation may be slow without being lost, and its arm is half a period late by design.
    waits = {f"{device}_{time}_after": 5.0 for device in ("arm", "hand") for time in ("pause", "lost")}
    sees = chosen["perception"] == "camera"
    patient: dict[str, Value] = {**waits, "follow": False}
    return (
        Entry(
            "sim_node",
            {
                "scene": chosen["scene"],
                "seed": _number("seed", chosen["seed"], int),
                "rate": _number("rate", chosen["rate"]),
                "camera_rate": 5.0 if chosen["camera"] != "none" or sees else 0.0,
                "scene_topic": not sees,
            },
        ),
        *([Entry("scene_node", time | {"tool": chosen["tool"]})] if sees else []),
        Entry("robot_node", time | patient | {"arm": "fr3", "hand": "leap"}),
        Entry("policy_node", time | {"tool": chosen["tool"], "controller": chosen["controller"]}),
        Entry("task_node", time | {"tool": chosen["tool"], "patience": 5.0}),
        *_recorder(chosen, time),
    )


def _robot(chosen: dict[str, str]) -> tuple[Entry, ...]:
    entries = [
        Entry(
            "robot_node",
            {name: chosen[name] for name in ("arm", "hand", "interface", "workspace")}
            | {"speed": _number("speed", chosen["speed"])},
        )
    ]
    if chosen["hand"] != "none":
        entries.append(Entry("hand_node", {"port": chosen["port"]}))
    if chosen["camera"] != "none":
        entries.append(Entry("camera_node", {"camera": chosen["camera"]}))
    if chosen["arm"] == "fr3" and chosen["hand"] == "leap":  # policy and actions know this robot only
        if chosen["camera"] != "none":
            entries.append(Entry("scene_node", {"tool": chosen["tool"]}))
        entries.append(Entry("policy_node", {"tool": chosen["tool"], "controller": chosen["controller"]}))
        entries.append(Entry("task_node", {"tool": chosen["tool"]}))
    return (*entries, *_recorder(chosen, {}))


def _recorder(chosen: dict[str, str], more: dict[str, Value]) -> tuple[Entry, ...]:
    return () if chosen["record"] == "none" else (Entry("record_node", {**more, "file": chosen["record"]}),)


def _number(name: str, text: str, kind: type = float) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{name}:={text} is no {'whole ' if kind is int else ''}number") from None


def launch_description(kind: Kind) -> Any:
    """The graph as ROS 2's `LaunchDescription`, with the options as launch arguments."""
    # By name: in this repository a bare `launch` would be a mistake everywhere else.
    launch, ros = importlib.import_module("launch"), importlib.import_module("launch_ros.actions")
    actions = importlib.import_module("launch.actions")
    arguments = [
        actions.DeclareLaunchArgument(
            name,
            default_value=option.default,
            description=option.about,
            **({"choices": list(option.choices)} if option.choices else {}),
        )
        for name, option in OPTIONS[kind].items()
    ]

    def nodes(context: Any) -> list[Any]:
        given = {name: context.launch_configurations[name] for name in OPTIONS[kind]}
        return [
            ros.Node(
                executable=sys.executable,
                arguments=["-m", "toolwright.launch.nodes", entry.node],
                name=entry.node,
                namespace=NAMESPACE,
                parameters=[entry.parameters],
                remappings=list(entry.remaps.items()),
                output="screen",
            )
            for entry in graph(kind, given)
        ]

    return launch.LaunchDescription([*arguments, actions.OpaqueFunction(function=nodes)])
