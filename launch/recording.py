"""Records a simulated run: what the robot did and saw, what its policy was asked, what the language stack said."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from toolwright.hardware.mcap_log import Recorder
from toolwright.hardware.recorded import RecordedCamera, RecordedRobot
from toolwright.hardware.robot import F64, Robot
from toolwright.perception.scene import HeldTool, Perception, Scene
from toolwright.policies.low_level import HandPolicy

if TYPE_CHECKING:
    from toolwright.llm_planner.run.events import Event, Report
    from toolwright.policies.world import SimulatedWorld

FRAME_PERIOD = 0.5  # s of robot time between two recorded images

log = logging.getLogger(__name__)


class RecordedPerception:
    """Implements `perception.scene.Perception` around one; topic /scene, at most one for each moment."""

    def __init__(self, eyes: Perception, recorder: Recorder) -> None:
        self._eyes, self._recorder = eyes, recorder
        self._stamp: float | None = None

    def look(self) -> Scene:
        scene = self._eyes.look()
        if scene.stamp != self._stamp:
            self._stamp = scene.stamp
            self._recorder.add("/scene", scene, scene.stamp)
        return scene


class Log(Protocol):
    """What takes a policy's answers down, as a `Recorder` does."""

    def add(self, topic: str, value: Any) -> None: ...


class RecordedPolicy(HandPolicy):
    """Takes the place of a hand's policy: its questions and answers go to the topic /policy.

    What it grasps with stands there first, so that a replay needs neither scene nor simulation.
    """

    def __init__(self, policy: HandPolicy, recorder: Log, family: str) -> None:
        self.__dict__.update(policy.__dict__)
        self._recorder = recorder
        controller = "closed_form" if policy.actor is None else "learned"
        card = {} if policy.actor is None else policy.actor.card
        start = {"family": family, "controller": controller, "synergy": policy.synergy, "card": card}
        recorder.add("/policy/start", start)

    def reset(self, state_q: F64, tool: HeldTool, command: F64 | None = None) -> None:
        super().reset(state_q, tool, command)
        self._recorder.add("/policy/reset", {"q": state_q, "tool": tool, "command": command})

    def target(self, state_q: F64, tool: HeldTool, gravity_palm: F64, goal: float) -> F64:
        out = super().target(state_q, tool, gravity_palm, goal)
        asked = {"q": state_q, "tool": tool, "gravity_palm": gravity_palm, "goal": goal, "target": out}
        self._recorder.add("/policy/step", asked)
        return out


def record_world(world: SimulatedWorld, path: str, about: dict[str, Any], frames: bool = True) -> Recorder:
    """Starts a recording and puts it around everything that `world.actions` uses.

    Args:
        world: connected, not yet moved.
        path: .mcap file.
        about: goes into the file beside the version and the joints.
        frames: also record the camera, where this machine can draw.
    """
    recorder = Recorder(path, describe(world.robot, about))
    family = world.spec.tool.family if world.spec.tool else ""
    camera = _camera(world, recorder, about.get("seed", 0)) if frames else None
    world.actions.tap(
        robot=lambda robot: RecordedRobot(robot, recorder, camera),
        eyes=lambda eyes: RecordedPerception(eyes, recorder),
        hand=lambda hand: RecordedPolicy(hand, recorder, family),
    )
    return recorder


def describe(robot: Robot, about: dict[str, Any]) -> dict[str, Any]:
    """What stands at the head of a recording."""
    return {"version": version("toolwright"), "joints": robot.joints.names, "period": robot.period, **about}


def reporting(report: Report, recorder: Recorder | None, sentence: str) -> Report:
    """The report of a run, written down as well: topic /event."""
    if recorder is None:
        return report
    recorder.add("/event", {"kind": "Asked", "sentence": sentence})

    def both(event: Event) -> None:
        recorder.add("/event", {"kind": type(event).__name__, **_event(event)})
        report(event)

    return both


def _event(event: Event) -> dict[str, Any]:
    return {name: _dumped(value) for name, value in vars(event).items()}


def _dumped(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _camera(world: SimulatedWorld, recorder: Recorder, seed: int) -> Callable[[float], None] | None:
    """Called after every target; its noise has a stream of its own, so that recording changes no run."""
    from toolwright.sim.camera import DepthCamera
    from toolwright.sim.render import RenderError

    try:
        eye = DepthCamera(world.model, world.data, rng=np.random.default_rng((seed, 1)))
    except RenderError as error:
        log.warning("recording without images: %s", error)
        return None
    camera = RecordedCamera(eye, recorder, every=0.0)
    due = 0.0

    def look(stamp: float) -> None:
        nonlocal due
        if stamp >= due:
            due = stamp + FRAME_PERIOD
            camera.read()

    return look
