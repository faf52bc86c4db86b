"""How a world with a thing in the palm-up hand begins: the thing falls into the hand and comes to rest there."""

from __future__ import annotations

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, FR3_LEAP, LEAP
from toolwright.hardware.reorient import CENTER, HOME, PALM_UP, UP, lies_in_palm
from toolwright.hardware.robot import JointTarget
from toolwright.sim.object_shapes import Shape
from toolwright.sim.robot import RobotError, SimRobot

TRIES = 12
SETTLE = 40  # control periods
_CLEAR = 0.015  # m that the thing falls, beside half its own size
_SPREAD, _BENT = 0.008, 0.05  # m, rad: standard deviations of place and of the fingers' pose
_REST = (0.02, 0.3)  # m/s, rad/s
_NEAR = 0.07  # m from the middle of the hand: further away it hangs on the rim


def lay_in_palm(
    model: mujoco.MjModel, data: mujoco.MjData, name: str, shape: Shape, rng: np.random.Generator
) -> SimRobot:
    """Drops a thing into the hand, in an orientation drawn at random, until it lies there.

    Args:
        model: of the scene, with the arm.
        data: its state, at time zero.
        name: of the thing's body.
        shape: of the thing.
        rng: of place and orientation.

    Returns:
        The robot, holding its palm up with the thing in it.

    Raises:
        RobotError: the thing does not come to rest in the hand.
    """
    height = max(float(np.linalg.norm(shape.extent)) / 2 - 0.03, 0.0) + _CLEAR
    robot: SimRobot | None = None
    for _ in range(TRIES):
        mujoco.mj_resetData(model, data)
        hand = HOME + _BENT * rng.normal(size=16)
        for joint, q in zip(FR3.names + LEAP.names, [*PALM_UP, *hand], strict=True):
            data.joint(joint).qpos[0] = data.actuator(joint).ctrl[0] = q
        mujoco.mj_kinematics(model, data)
        palm, quat = data.body("palm"), rng.normal(size=4)
        at = CENTER - height * UP + _SPREAD * rng.normal(size=3)
        data.joint(name).qpos[:3] = palm.xpos + rotations.rotate(palm.xquat, at)
        data.joint(name).qpos[3:] = quat / np.linalg.norm(quat)
        fill_history(model, data)
        mujoco.mj_forward(model, data)
        robot = robot or SimRobot(model, data, FR3_LEAP)
        robot.connect()
        hold = JointTarget(np.concatenate([PALM_UP, hand]))
        for _ in range(SETTLE):
            robot.send(hold)
        moving = data.joint(name).qvel
        still = np.linalg.norm(moving[:3]) < _REST[0] and np.linalg.norm(moving[3:]) < _REST[1]
        if still and lies_in_palm(palm.xpos, palm.xquat, data.joint(name).qpos[:3], _NEAR):
            return robot
    raise RobotError(f"'{name}' does not come to rest in the hand; try another seed, or another size")


def fill_history(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Makes the servos' latency buffers hold the targets in force, as if they had been sent for a while."""
    for i in range(model.nu):
        if (samples := int(model.actuator_history[i, 0])) > 0:
            # A servo's buffer holds two counters, then times, then values.
            values = int(model.actuator_historyadr[i]) + 2 + samples
            data.history[values : values + samples] = data.ctrl[i]
