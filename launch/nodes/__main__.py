"""Starts one node: `python -m toolwright.launch.nodes NAME [--ros-args ...]`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from toolwright.launch.runner import end_with_runner

NODES = (
    "robot_node",
    "hand_node",
    "camera_node",
    "sim_node",
    "scene_node",
    "policy_node",
    "task_node",
    "record_node",
    "estop_node",
)


def main(argv: list[str] | None = None) -> int:
    """Runs the node that the first word names.

    Returns:
        Exit code: 0 after an interrupt, 2 for a wrong name, parameter or a missing package.
    """
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] not in NODES:
        print(f"toolwright: say which node: {', '.join(NODES)}", file=sys.stderr)
        return 2
    end_with_runner()
    logging.basicConfig(level=logging.WARNING, format=f"{words[0]}: %(message)s", stream=sys.stderr)
    try:
        from toolwright.hardware.ros.node import run

        return run(_maker(words[0]), [words[0], *words[1:]])
    except ModuleNotFoundError as error:
        from toolwright.launch.errors import EXTRAS, message

        if (error.name or "").split(".")[0] not in EXTRAS:
            raise
        print(f"toolwright: {message(error)}", file=sys.stderr)
        return 2


def _maker(name: str) -> Callable[[], Any]:
    if name == "robot_node":
        from toolwright.hardware.ros.robot_node import RobotNode
        from toolwright.launch.nodes.barriers import barriers

        return lambda: RobotNode(barriers)
    if name == "hand_node":
        from toolwright.hardware.ros.hand_node import HandNode

        return HandNode
    if name == "camera_node":
        from toolwright.hardware.ros.camera_node import CameraNode
        from toolwright.launch.nodes.cameras import open_camera

        return lambda: CameraNode(open_camera)
    if name == "sim_node":
        from toolwright.launch.nodes.sim_node import SimNode

        return SimNode
    if name == "scene_node":
        from toolwright.launch.nodes.scene_node import SceneNode

        return SceneNode
    if name == "policy_node":
        from toolwright.launch.nodes.policy_node import PolicyNode

        return PolicyNode
    if name == "task_node":
        from toolwright.launch.nodes.task_node import TaskNode

        return TaskNode
    if name == "record_node":
        from toolwright.launch.nodes.record_node import RecordNode

        return RecordNode
    from toolwright.launch.nodes.estop_node import EstopNode

    return EstopNode


if __name__ == "__main__":
    sys.exit(main())
