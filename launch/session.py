"""A simulated robot with everything that a sentence needs: built once, closed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from toolwright.hardware.robot import Robot
    from toolwright.llm_planner.actions import Actions
    from toolwright.perception.scene import Perception


@dataclass(frozen=True)
class Session:
    """Robot, eyes and motions, used as a context manager."""

    robot: Robot
    perception: Perception
    actions: Actions

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the robot and finishes the video."""
        self.robot.close()


def open_session(scene: str, seed: int, video: str | None = None) -> Session:
    """Builds a scene and puts the robot into it.

    Args:
        scene: name of a shipped scene, or path of a scene file.
        seed: of the scene's randomization.
        video: where to write a video of the run; None for none.

    Raises:
        SceneError: the scene does not exist or is not valid.
    """
    from toolwright.sim.scene import load_scene, sample

    drawn = sample(load_scene(scene), np.random.default_rng(seed))

    from toolwright.policies.tool_use import ToolUse
    from toolwright.sim.robot import SimRobot

    robot = SimRobot(drawn, video=video)
    robot.connect()
    return Session(robot, robot.perception, ToolUse(robot, robot.perception))
