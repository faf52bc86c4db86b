"""Training and robot are the same thing: picking over one SimRobot does what it did in the batch."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3_LEAP
from toolwright.hardware.pick import Affordance
from toolwright.hardware.robot import F64
from toolwright.hardware.tip_motion import Poses
from toolwright.policies.high_level.actor import HighLevelActor
from toolwright.policies.high_level.env import make_task
from toolwright.policies.high_level.heuristic import Heuristic
from toolwright.policies.high_level.play import heuristic, learned
from toolwright.policies.high_level.run import PickRun
from toolwright.policies.weights import load
from toolwright.sim import grasp
from toolwright.sim.models.small_objects import sides
from toolwright.sim.robot import SimRobot
from toolwright.sim.tasks.pick import PickConfig, PickTask

STEPS = 10  # actions: over the object, and half way down
# m, rad: the contact solver stops at a tolerance of its own; an arm's joint differs by up to 1.4e-4 for one action
TOLERANCE = 2e-4
THING = 7


class Truth:
    """Eyes that measure exactly."""

    def __init__(self, task: PickTask, data: mujoco.MjData) -> None:
        self.task, self.data = task, data

    def tool(self, q: F64) -> tuple[Poses, float, F64]:
        task, world = self.task, self.task.world
        pos, quat = grasp.mid_pose(self.data.qpos[None, task._free : task._free + 8])
        tool = Poses(*world.chain.palm(q[None])).inverse() @ Poses(pos, quat)
        tips = Poses(tool.pos + rotations.rotate(tool.quat, world.tip), tool.quat)
        opening = float(world.bank.family.opening(task.tool, self.data.qpos[task._hinge]))
        return tips, opening, np.concatenate([tool.pos[0], tool.quat[0]])

    def object(self, aim: float) -> Affordance:
        task = self.task
        pos, quat = self.data.qpos[None, task._thing : task._thing + 3], self.data.qpos[None, task._thing + 3 :]
        yaw, width, middle, top = sides(np.array([THING]), quat[:, :4], np.array([aim]), task.tool.pad_width)
        center = pos.copy()
        center[:, :2] += middle[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        return Affordance(center, yaw, width, pos[:, 2] + top - task.world.room.table, np.ones(len(pos), bool))


def _actor(inputs: int) -> HighLevelActor:
    rng = np.random.default_rng(0)
    sizes = (inputs, 16, 5)
    layers = tuple(
        (rng.normal(0, 0.2, (n, m)).astype(np.float32), np.zeros(n, np.float32))
        for m, n in zip(sizes[:-1], sizes[1:], strict=True)
    )
    return HighLevelActor(layers, {"residual": 0.2})


@pytest.mark.parametrize("controller", ["heuristic", "residual"])
def test_batch_and_robot_do_the_same(controller: str) -> None:
    task = make_task(PickConfig(part="all", state="exact"), 1, np.random.default_rng(4), 1)
    task.assigned = np.array([THING])
    task.reset(np.zeros(1, dtype=np.intp))
    actor = _actor(task.observations + 10 + 9) if controller == "residual" else None

    model = task.batch.get_model(0)
    data = mujoco.MjData(model)
    data.qpos[:], data.ctrl[:] = task.qpos[0], task.ctrl[0]
    data.history[:] = task.batch.bind("history")[0]
    mujoco.mj_forward(model, data)
    robot = SimRobot(model, data, FR3_LEAP, payload=task.world.payload)
    robot.connect()
    run = PickRun(
        robot,
        Truth(task, data),
        task.world.bank,
        0,
        task.world.chain,
        task.world.room,
        actor,
        load("held_tool/tweezers").act,
    )
    run.begin(task.world.bank.ctrl[0, 1])

    plan = Heuristic(task.interface, task.tool.pad_length)
    policy = learned(actor) if actor else heuristic
    start = task.qpos[0].copy()
    for step in range(STEPS):
        action = policy(task, plan)
        task.act(action)
        goal = task.goal[0].copy()
        task.advance()
        task.sense()
        did = run.act(goal)
        assert np.abs(did - action[0]).max() < 5 * TOLERANCE, step
        assert np.abs(data.qpos - task.qpos[0]).max() < TOLERANCE, step
    assert np.abs(task.qpos[0] - start).max() > 0.05
