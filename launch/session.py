"""A simulated robot with everything that a sentence needs: built once, closed once."""

from __future__ import annotations

import _thread
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toolwright.hardware.safety import SafetyGate

if TYPE_CHECKING:
    from toolwright.hardware.mcap_log import Recorder
    from toolwright.hardware.robot import Robot
    from toolwright.llm_planner.run.events import Event, Report
    from toolwright.llm_planner.skills.choice import AnyActions
    from toolwright.perception.scene import Perception
    from toolwright.sim.camera import DepthCamera
    from toolwright.sim.render import VideoWriter
    from toolwright.sim.robot import SimRobot
    from toolwright.sim.scene import SceneSpec

VIDEO_SPEED = 2  # times real time
VIDEO_SIZE = (640, 480)


@dataclass(frozen=True)
class Session:
    """Robot, eyes and motions, used as a context manager."""

    robot: SimRobot
    perception: Perception
    actions: AnyActions
    video: VideoWriter | None = None
    recorder: Recorder | None = None
    gate: Robot | None = None  # what the actions send through
    spec: SceneSpec | None = None  # the scene as it was drawn
    camera: DepthCamera | None = None  # that perception looks through

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def watched(self, report: Report, sentence: str) -> Report:
        """The report of a run that also writes it down, and listens for the emergency key while a skill moves."""
        from toolwright.launch.keyboard import EmergencyKey
        from toolwright.launch.recording import reporting
        from toolwright.llm_planner.run.events import SkillEnded, SkillStarted

        recorded = reporting(report, self.recorder, sentence)
        listening: list[EmergencyKey] = []

        def watch(event: Event) -> None:
            if isinstance(event, SkillEnded) and listening:
                listening.pop().__exit__(None, None, None)
            recorded(event)
            if isinstance(event, SkillStarted):
                listening.append(EmergencyKey(self.emergency_stop).__enter__())

        return watch

    def emergency_stop(self, reason: str) -> None:
        """Stops the robot until the gate is cleared, and interrupts the run. Callable from any thread."""
        _thread.interrupt_main()  # first: otherwise the run could end as one that failed at the latched gate
        if self.recorder is not None:
            self.recorder.add("/gate", {"limits": {"stopped": []}, "reason": reason})
        if isinstance(self.gate, SafetyGate):
            self.gate.emergency_stop(reason)

    def close(self) -> None:
        """Releases the robot and finishes video and recording."""
        self.robot.close()
        if self.camera is not None:
            self.camera.close()
        if self.video is not None:
            self.video.close()
        if self.recorder is not None:
            self.recorder.close()


def open_session(
    scene: str,
    seed: int,
    video: str | None = None,
    controller: str = "learned",
    record: str | None = None,
    perception: str = "state",
) -> Session:
    """Builds a scene and puts the robot into it.

    Args:
        scene: name of a shipped scene, or path of a scene file.
        seed: of the scene's randomization and of the noise of perception.
        video: where to write a video of the run; None for none.
        controller: of the hand, "learned" or "closed_form".
        record: where to write a recording of the run, .mcap; None for none.
        perception: "state", the simulation's own with declared noise, or "camera", a simulated depth camera.

    Raises:
        SceneError: the scene does not exist or is not valid.
        RobotError: the scene has no arm, hand or held tool.
        RenderError: a video is asked for and nothing can draw on this machine.
    """
    from toolwright.sim.scene import load_scene, sample

    # The same worlds as in an evaluation, so that each of its failures can be seen again by its seed.
    drawn = sample(load_scene(scene), np.random.default_rng(seed))

    from toolwright.policies.world import simulate

    world = simulate(drawn, np.random.default_rng((seed, 1)), controller)  # type: ignore[arg-type]
    writer = _film(world.robot, video) if video else None
    gates: list[Robot] = []
    camera = None
    if perception == "camera":
        from toolwright.launch.watching import simulated_camera

        eyes, camera = simulated_camera(world, seed)
        world = dataclasses.replace(world, perception=eyes)  # type: ignore[arg-type]

    def keep(robot: Robot) -> Robot:
        gates.append(robot)
        return robot

    world.actions.tap(robot=keep, eyes=lambda _: world.perception, hand=lambda hand: hand)
    recorder = None
    if record:
        from toolwright.launch.recording import record_world

        recorder = record_world(world, record, {"robot": "sim", "scene": scene, "seed": seed, "controller": controller})
    return Session(world.robot, world.perception, world.actions, writer, recorder, gates[0], drawn, camera)


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
