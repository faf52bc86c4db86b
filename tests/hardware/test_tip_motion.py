"""The arm's batched kinematics against MuJoCo's, and the way of the tips to a goal."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.hardware import rotations, tip_motion
from toolwright.hardware.joints import FR3, FR3_HOME
from toolwright.hardware.tip_motion import Poses, TipStream
from toolwright.sim.models.fr3 import add_fr3
from toolwright.sim.models.kinematics import arm_chain
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.robot import MOUNT_POS, MOUNT_QUAT

PERIOD = 0.05


@pytest.fixture(scope="module")
def arm() -> mujoco.MjModel:
    spec = new_spec()
    last = add_fr3(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]))
    last.add_body(name="palm", pos=MOUNT_POS, quat=MOUNT_QUAT)
    return spec.compile()


def test_palm_and_jacobian_are_those_of_the_model(arm: mujoco.MjModel) -> None:
    rng, chain, data = np.random.default_rng(0), arm_chain(), mujoco.MjData(arm)
    for q in rng.uniform(FR3.lower, FR3.upper, (8, 7)):
        data.qpos[:] = q
        mujoco.mj_forward(arm, data)
        pos, quat = chain.palm(q[None])
        palm = data.body("palm")
        assert pos[0] == pytest.approx(palm.xpos, abs=1e-9)
        assert abs(quat[0] @ palm.xquat) == pytest.approx(1, abs=1e-9)
        point = palm.xpos + [0.01, 0.02, 0.03]
        jac = np.zeros((2, 3, 7))
        mujoco.mj_jac(arm, data, jac[0], jac[1], point, palm.id)
        assert chain.jacobian(q[None], point[None])[0] == pytest.approx(jac.reshape(6, 7), abs=1e-9)


def _tip() -> Poses:
    return Poses(np.array([[0.10, 0.03, -0.05]]), np.array([[1.0, 0, 0, 0]]))


def _stream() -> TipStream:
    stream = TipStream(arm_chain(), 1, PERIOD)
    stream.reset(np.zeros(1, dtype=np.intp), FR3_HOME[None], _tip())
    return stream


def test_the_tips_arrive_without_overshoot_and_within_the_limits() -> None:
    stream = _stream()
    start = stream.tips
    goal = Poses(start.pos + [[0.08, -0.05, -0.06]], rotations.multiply(np.array([[0.98, 0, 0, 0.199]]), start.quat))
    goal.quat /= np.linalg.norm(goal.quat)
    stream.steer(_tip(), goal)
    path = [start.pos[0]]
    for _ in range(60):
        q = stream.next()
        now = Poses(*stream.chain.palm(q)) @ _tip()
        path.append(now.pos[0])
    path = np.array(path)
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / PERIOD
    along = (path - path[0]) @ (goal.pos[0] - path[0]) / np.sum((goal.pos[0] - path[0]) ** 2)
    assert np.linalg.norm(path[-1] - goal.pos[0]) < 5e-4
    assert speed.max() < tip_motion.SPEED * 1.02
    assert np.linalg.norm(np.diff(path, 2, axis=0), axis=1).max() / PERIOD**2 < 1.3 * tip_motion.ACCELERATION
    assert along.max() < 1.01
    assert abs(abs(now.quat[0] @ goal.quat[0]) - 1) < 1e-4


def test_a_tool_that_slipped_is_brought_back_smoothly() -> None:
    stream = _stream()
    goal = stream.tips
    slipped = Poses(_tip().pos + [[0.0, 0.0, 0.004]], _tip().quat)
    stream.steer(slipped, goal)
    first = np.abs(stream.next() - FR3_HOME).max()
    for _ in range(40):
        q = stream.next()
    now = Poses(*stream.chain.palm(q)) @ slipped
    assert np.linalg.norm(now.pos - goal.pos) < 2e-4
    assert first < 0.002  # rad: no jump
