"""Training and robot are the same thing: the hand's policy over one robot does what it did in the batch, to 1e-6."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import mujoco
import numpy as np
import pytest

from toolwright.hardware.held_tool import ACTIONS, LearnedInterface
from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import F64, JointTarget
from toolwright.policies.evaluation.held_tool import Control, closed_form, learned
from toolwright.policies.low_level import HandPolicy
from toolwright.policies.weights import Actor
from toolwright.sim.grasp import hand_and_tool
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.models.tools import held_tool_state
from toolwright.sim.robot import SimRobot, place_in_hand
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

STEPS = 40
TOLERANCE = 1e-6
Record = tuple[F64, F64, F64, F64]  # observation, seen opening, servo targets, coordinates after the step


@cache
def _bank() -> GraspBank:
    return load("tweezers").rows(np.arange(5))


def _actor() -> Actor:
    """Small random weights, strong enough to move the fingers."""
    rng = np.random.default_rng(0)
    sizes = (LearnedInterface.SIZE + 3, 16, ACTIONS)
    layers = tuple(
        (rng.normal(0, 0.3, (n, m)).astype(np.float32), rng.normal(0, 0.1, n).astype(np.float32))
        for m, n in zip(sizes[:-1], sizes[1:], strict=True)
    )
    return Actor(layers, 50.0, 200.0, {})


def _batched(control: Control) -> tuple[HeldToolTask, Iterator[Record]]:
    """One nominal world, begun; then its steps."""
    task = HeldToolTask(HeldToolConfig(level="nominal", changes=0.0), 1, np.random.default_rng(3), 1, _bank())
    task.reset(np.zeros(1, dtype=np.intp))

    def steps() -> Iterator[Record]:
        for _ in range(STEPS):
            seen = task.observe()
            control(task)
            ctrl = task.ctrl[0].copy()
            task.batch.step(nstep=SUBSTEPS)
            task.sense()
            yield seen["observation"][0], seen["achieved_goal"][0], ctrl, task.qpos[0].copy()

    return task, steps()


def _plain(
    task: HeldToolTask, anchor: int, policy: HandPolicy, send: Callable[..., Callable[[F64], None]]
) -> Iterator[Record]:
    """The same tool in a model and data of its own, driven through `HandPolicy` as on a robot."""
    index, goal = int(task.tool[0]), float(task.goal[0])
    tool = (_bank().family, _bank().params[index], "tool")
    model = hand_and_tool(*tool[:2])
    model.opt.gravity[:] = 9.81 * _bank().down
    data = mujoco.MjData(model)
    place_in_hand(model, data, _bank(), index, anchor, name="tool")
    drive = send(model, data)
    policy.reset(data.qpos[:16].copy(), held_tool_state(model, data, *tool), _bank().ctrl[index, anchor])
    for _ in range(STEPS):
        state, q = held_tool_state(model, data, *tool), data.qpos[:16].copy()
        seen = policy.interface.observe(q[None], policy.displacement(state)[None], _bank().down[None])[0]
        target = policy.target(q, state, _bank().down, goal)
        drive(target)
        yield seen, np.array([state.opening]), target, data.qpos.copy()


def _over_mujoco(model: mujoco.MjModel, data: mujoco.MjData) -> Callable[[F64], None]:
    def drive(target: F64) -> None:
        data.ctrl[:] = target
        mujoco.mj_step(model, data, SUBSTEPS)
        mujoco.mj_kinematics(model, data)

    return drive


def _over_robot(model: mujoco.MjModel, data: mujoco.MjData) -> Callable[[F64], None]:
    robot = SimRobot(model, data, LEAP)
    robot.connect()
    return lambda target: robot.send(JointTarget(target)) and None


@pytest.mark.parametrize("send", [_over_mujoco, _over_robot])
@pytest.mark.parametrize("controller", ["closed_form", "learned"])
def test_batch_and_single_robot_see_and_do_the_same(
    controller: str, send: Callable[..., Callable[[F64], None]]
) -> None:
    actor = _actor()
    task, batched = _batched(closed_form if controller == "closed_form" else learned(actor))
    assert task.tool[0] != 0  # a tool of its own, not the one that the batch was made from
    policy = HandPolicy(_bank(), int(task.tool[0]), controller, actor)  # type: ignore[arg-type]
    start = task.qpos[0].copy()
    anchor = int(np.argmin(np.abs(_bank().start[task.tool[0]] - start).max(axis=1)))
    for step, (expected, got) in enumerate(zip(batched, _plain(task, anchor, policy, send), strict=True)):
        if controller == "closed_form":  # which leaves the learned policy's observation alone
            expected, got = expected[1:], got[1:]
        for one, other in zip(expected, got, strict=True):
            assert np.abs(one - other).max() < TOLERANCE, step
    assert np.abs(got[-1] - start).max() > 0.01  # something moved
