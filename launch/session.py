"""A simulated robot with everything that a sentence needs: built once, closed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from toolwright.llm_planner.actions import Actions
    from toolwright.perception.scene import Perception
    from toolwright.sim.render import VideoWriter
    from toolwright.sim.robot import SimRobot

VIDEO_SPEED = 2  # times real time
VIDEO_SIZE = (640, 480)


@dataclass(frozen=True)
class Session:
    """Robot, eyes and motions, used as a context manager."""

    robot: SimRobot
    perception: Perception
    actions: Actions
    video: VideoWriter | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the robot and finishes the video."""
        self.robot.close()
        if self.video is not None:
            self.video.close()


def open_session(scene: str, seed: int, video: str | None = None, controller: str = "learned") -> Session:
    """Builds a scene and puts the robot into it.

    Args:
        scene: name of a shipped scene, or path of a scene file.
        seed: of the scene's randomization and of the noise of perception.
        video: where to write a video of the run; None for none.
        controller: of the hand, "learned" or "closed_form".

    Raises:
        SceneError: the scene does not exist or is not valid.
        RobotError: the scene has no arm, hand or held tool.
        RenderError: a video is asked for and nothing can draw on this machine.
    """
    from toolwright.sim.scene import load_scene, sample

    rng = np.random.default_rng(seed)
    drawn = sample(load_scene(scene), rng)

    from toolwright.policies.world import simulate

    world = simulate(drawn, rng, controller)  # type: ignore[arg-type]
    writer = _film(world.robot, video) if video else None
    return Session(world.robot, world.perception, world.actions, writer)


def _film(robot: SimRobot, path: str) -> VideoWriter:
    import mujoco

    from toolwright.sim.render import VideoWriter
    from toolwright.sim.robot import FRAME_RATE

    writer = VideoWriter(path, fps=FRAME_RATE, size=VIDEO_SIZE)
    model, seen = robot.model, 0

    def capture(data: mujoco.MjData) -> None:
        nonlocal seen
        if seen % VIDEO_SPEED == 0:
            writer.capture(model, data, "closeup")
        seen += 1

    robot.on_step = capture
    return writer
