"""A depth camera instead of the simulation's own knowledge, in a simulated world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toolwright.perception.camera_scene import CameraPerception, CameraSettings
from toolwright.perception.scene import Box, Perception

if TYPE_CHECKING:
    from toolwright.perception.palm_scene import PalmPerception
    from toolwright.policies.world import SimulatedWorld
    from toolwright.sim.camera import DepthCamera

FRAMES = 5.0  # 1/s
EDGE = 0.02  # m of the table's edge that does not count


def simulated_camera(world: SimulatedWorld, seed: int) -> tuple[Perception, DepthCamera]:
    """Perception through the simulated depth camera and the measured joints: nothing else of the world is read.

    Args:
        world: simulated.
        seed: of the camera's noise.

    Returns:
        The perception; the camera, to be closed by the caller, in the thread that looked.

    Raises:
        RenderError: this machine cannot render.
    """
    if world.spec.in_palm is not None:
        return palm_camera(world, world.spec.in_palm, seed)
    from toolwright.launch.own_body import OwnBody
    from toolwright.policies.world import ANCHOR, nearest
    from toolwright.sim import grasp_bank
    from toolwright.sim.camera import DepthCamera

    spec, robot = world.spec, world.robot
    rng = np.random.default_rng((seed, 3))  # a stream of its own
    camera = DepthCamera(world.model, world.data, rng=rng)
    bank = grasp_bank.load(spec.tool.family) if spec.tool is not None else None
    index = nearest(bank, bank.family.params(**spec.tool.params)) if bank is not None and spec.tool is not None else 0
    body = OwnBody(spec, lambda: robot.read().q, bank, index, ANCHOR)
    half = np.array(spec.table.size) / 2 - EDGE
    center, height = np.array(spec.table.center), spec.table.height
    workspace = Box(np.array(spec.workspace.lower), np.array(spec.workspace.upper))
    table = Box(np.array([*(center - half), height]), np.array([*(center + half), height + 1.0]))
    settings = CameraSettings(workspace, table, 1 / FRAMES)
    perception = CameraPerception(camera.read, body.hidden, body.tool, body.watch, lambda: robot.read().stamp, settings)
    return perception, camera


def palm_camera(world: SimulatedWorld, name: str, seed: int) -> tuple[PalmPerception, DepthCamera]:
    """The same for a thing in the palm-up hand, whose first pose is told.

    Args:
        world: simulated, the thing at rest in the hand.
        name: of the thing.
        seed: of the camera's noise.

    Raises:
        RenderError: this machine cannot render.
    """
    from toolwright.hardware.joints import FR3, LEAP
    from toolwright.perception.palm_scene import Body, PalmPerception
    from toolwright.policies.motion import ArmMotion
    from toolwright.policies.palm.eye import field_of
    from toolwright.policies.world import base_of
    from toolwright.sim.camera import DepthCamera
    from toolwright.sim.scene_turnables import shape_of

    spec, robot, motion = world.spec, world.robot, ArmMotion(base_of(world.spec))
    camera = DepthCamera(world.model, world.data, rng=np.random.default_rng((seed, 3)))
    arm, fingers = robot.joints.indices(FR3.names), robot.joints.indices(LEAP.names)

    def body() -> Body:
        state = robot.read()
        return Body(state.stamp, motion.palm(state.q[arm]), state.q[fingers])

    workspace = Box(np.array(spec.workspace.lower), np.array(spec.workspace.upper))
    field = field_of(shape_of(spec.objects[name]))  # type: ignore[arg-type]
    first = world.perception.look().objects[name]
    return PalmPerception(camera.read, body, first, field, workspace, spec.table.height), camera
