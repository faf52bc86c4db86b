"""The task of turning an object in the hand: goals, what counts as success, curriculum, physics."""

from __future__ import annotations

from dataclasses import fields

import mujoco
import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.hardware.joints import LEAP
from toolwright.hardware.reorient import LEASH, STEP, UP, ReorientInterface
from toolwright.sim import orientations
from toolwright.sim.batch_env import BatchEnv
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask, ReorientWeights

N = 6


def _task(n: int = N, seed: int = 0, **config: object) -> ReorientTask:
    task = ReorientTask(ReorientConfig(**({"shapes": "cube"} | config)), n, np.random.default_rng(seed), 1)  # type: ignore[arg-type]
    task.reset(np.arange(n))
    return task


def _step(task: ReorientTask, action: np.ndarray | float = 0.0) -> dict[str, np.ndarray]:
    task.act(np.zeros((task.n, task.actions)) + action)
    task.batch.step(nstep=SUBSTEPS)
    task.sense()
    return task.measure()


# -- action law -------------------------------------------------------------------------------------------------------


def test_an_action_moves_the_target_by_its_share_of_a_step_and_none_leaves_it() -> None:
    interface, q = ReorientInterface(1), np.full((1, 16), 0.3)
    interface.reset(np.zeros(1, dtype=int), q)
    assert interface.target(np.full((1, 16), 0.5), q) == pytest.approx(q + 0.5 * STEP)
    assert interface.target(np.zeros((1, 16)), q) == pytest.approx(q + 0.5 * STEP)
    assert interface.target(np.full((1, 16), -9.0), q) == pytest.approx(q - 0.5 * STEP)


def test_a_hand_told_to_stop_keeps_its_targets_whatever_the_action() -> None:
    interface, q = ReorientInterface(2), np.full((2, 16), 0.3)
    interface.reset(np.arange(2), q)
    target = interface.target(np.ones((2, 16)), q, np.array([True, False]))
    assert target[0] == pytest.approx(q[0]) and target[1] == pytest.approx(q[1] + STEP)
    assert not interface.action[0].any() and interface.action[1].all()


def test_targets_stay_near_the_joints_and_within_their_limits() -> None:
    interface, q = ReorientInterface(1), np.full((1, 16), 0.3)
    interface.reset(np.zeros(1, dtype=int), q)
    for _ in range(10):
        target = interface.target(np.ones((1, 16)), q)
    assert target == pytest.approx(q + LEASH)
    for _ in range(60):
        target = interface.target(np.ones((1, 16)), target)
    assert target[0] == pytest.approx(LEAP.upper)


# -- goals ------------------------------------------------------------------------------------------------------------


def test_goals_lie_as_far_away_as_the_curriculum_says_and_never_within_tolerance() -> None:
    task = _task(64, near=0.8)
    assert (task.error() > task.config.tolerance).all() and (task.error() < 0.8 + 1e-9).all()
    task.reach[:] = np.pi
    task.reset(np.arange(64))
    assert np.median(task.error()) > 1.8  # uniform over SO(3): 2.2 rad in the middle


def test_far_goals_are_distributed_as_uniform_rotations() -> None:
    rng = np.random.default_rng(0)
    mine = orientations.turns(rng, np.zeros(20000))
    quats = rng.normal(size=(20000, 4))
    theirs = np.linalg.norm(rotations.to_rotvec(quats / np.linalg.norm(quats, axis=1, keepdims=True)), axis=1)
    shares = (0.1, 0.3, 0.5, 0.7, 0.9)
    assert np.quantile(mine, shares) == pytest.approx(np.quantile(theirs, shares), abs=0.03)


def test_a_goal_is_settled_only_at_rest_within_tolerance_for_a_while_and_a_new_one_follows() -> None:
    task = _task(level="nominal")
    for _ in range(10):
        _step(task)
    task.goal[:] = task.qpos[:, 19:]  # every object is where it should be now
    touched, settled = [], []
    for _ in range(task.config.hold + 2):
        before = task.goal.copy()
        info = _step(task)
        touched.append(info["touched"] > 0)
        settled.append(info["settled"] > 0)
        changed = (task.goal != before).any(axis=1)
        assert (changed == settled[-1]).all()
    calm = np.array(settled).any(axis=0)
    assert calm.sum() >= N // 2, "objects at rest should count as settled"
    assert (np.array(touched).sum(axis=0)[calm] == 1).all() and not np.array(settled)[: task.config.hold - 1].any()
    assert (task.count[calm] == 1).all() and (task.error()[calm] > task.config.tolerance).all()


def test_with_moving_fingers_a_goal_is_touched_but_not_settled() -> None:
    task = _task(level="nominal", stop=0.0)
    touched = np.zeros(N, dtype=bool)
    for i in range(8):
        task.goal[:] = task.qpos[:, 19:]
        info = _step(task, (-1.0) ** i)  # the object may lie still: the fingers do not
        assert (info["joint_speed"] > task.config.rest[0]).all()
        touched |= info["touched"] > 0
    assert touched.any() and not task.count.any()


def test_an_object_outside_the_hand_is_dropped_at_once() -> None:
    task = _task()
    task.qpos[2, 16:19] += [0.0, 0.2, 0.0]
    info = _step(task)
    assert task.failed(info)[2] and task.failed(info).sum() == 1


# -- reward -----------------------------------------------------------------------------------------------------------


def _info(**changes: float) -> dict[str, np.ndarray]:
    calm = {"error": 0.1, "turned": 0.0, "touched": 0.0, "settled": 0.0, "joint_speed": 0.0, "spin": 0.0}
    calm |= {"returned": 0.0, "distance": 0.01, "dropped": 0.0, "effort": 0.0}
    return {name: np.array([value]) for name, value in (calm | changes).items()}


def test_every_reward_term_has_its_weight_and_vanishes_with_it() -> None:
    info = _info(turned=0.1, returned=-0.01, touched=1.0, settled=1.0, spin=9.0, dropped=1.0, effort=0.5)
    nothing = np.zeros((1, 4))
    task = _task(1)
    terms = task.reward(nothing, nothing, info)
    assert set(terms) == {field.name for field in fields(ReorientWeights)}
    for name, value in terms.items():
        assert value[0] != 0, name
        setattr(task.config.weights, name, 0.0)
        assert task.reward(nothing, nothing, info)[name][0] == 0, name


def test_turning_towards_the_goal_and_settling_pay_dropping_and_spinning_cost() -> None:
    task, nothing = _task(1), np.zeros((1, 4))

    def total(**changes: float) -> float:
        return float(sum(term[0] for term in task.reward(nothing, nothing, _info(**changes)).values()))

    assert total(turned=0.1) > total() > total(turned=-0.1)
    assert total(returned=0.01) > total() > total(returned=-0.01)
    assert total(settled=1.0) > total() > total(dropped=1.0)
    assert total(spin=12.0) < total(spin=1.0) < total()
    assert total(dropped=1.0, touched=1.0) <= total()


# -- curriculum, palm -------------------------------------------------------------------------------------------------


def test_the_curriculum_widens_after_successes_first_in_distance_then_in_palm_directions() -> None:
    task = _task(near=0.8, palm=(0.0, 1.0))
    task._learn(settled=2 * N, ended=2 * N)
    assert task.reach[0] == pytest.approx(0.88) and task.cone[0] == 0
    task.reach[:] = task.config.far
    task._learn(settled=2 * N, ended=2 * N)
    assert task.cone[0] > 0
    task._learn(settled=0, ended=2 * N)
    task._learn(settled=0, ended=2 * N)
    assert task.cone[0] == 0 and task.reach[0] < task.config.far


def test_gravity_swings_from_palm_up_to_its_direction() -> None:
    task = _task(palm=(np.pi, np.pi), swing=0.2)
    assert task.gravity == pytest.approx(np.tile(UP, (N, 1)))
    for _ in range(6):
        _step(task)
    assert task.gravity == pytest.approx(task._gravity_end, abs=1e-6)
    assert np.linalg.norm(task.gravity, axis=1) == pytest.approx(1.0)
    assert (task.gravity @ UP).min() < 0.5


def test_the_way_of_gravity_is_known_ahead() -> None:
    task = _task(palm=(np.pi, np.pi), swing=0.4)
    _step(task)
    ahead = task.gravity_in(np.arange(N), np.full(N, 3.0))
    for _ in range(3):
        assert np.abs(task.gravity - ahead).max() > 0.1
        _step(task)
    _step(task)  # what holds in the third step from then
    assert task.gravity == pytest.approx(ahead)


def test_a_palm_that_shall_face_down_gets_there_although_no_way_is_the_shortest() -> None:
    task = _task(down=True, swing=0.2)
    for step in range(6):
        _step(task)
        if step == 2:  # halfway, as in a swing and not in a jump
            assert np.abs(task.gravity @ UP).max() < 0.8
    assert task.gravity == pytest.approx(np.tile(-UP, (N, 1)), abs=1e-6)


# -- worlds -----------------------------------------------------------------------------------------------------------


def test_worlds_differ_in_shape_mass_friction_and_motors() -> None:
    task = _task(12, shapes="all", level="hard")
    assert len(set(task.variant.tolist())) > 6
    for name in ("body_mass", "geom_friction", "actuator_gainprm", "actuator_delay", "geom_size"):
        assert len(np.unique(task._field[name].reshape(12, -1), axis=0)) > 6, name
    assert task._field["body_mass"][:, task.scene.body] == pytest.approx(task.mass)


def test_the_object_lies_in_the_hand_at_the_start() -> None:
    task = _task(24, shapes="all", level="nominal")
    for _ in range(6):
        info = _step(task)
    assert (info["dropped"] == 0).mean() > 0.9
    assert np.median(info["spin"]) < 1.0


@pytest.mark.parametrize("part", ["train", "held_out"])
def test_contacts_sink_in_less_than_two_millimeters_while_fingers_work(part: str) -> None:
    """99th percentile over all contacts of hand and object, all shapes, under random motion with the most force."""
    n = 40
    task = _task(n, shapes="all", part=part)
    rng, depths, fastest = np.random.default_rng(1), [], []
    model, data = task.batch.get_model(0), task.batch.get_data(0)
    for step in range(18):
        if step % 6 == 0:
            direction = rng.normal(size=(n, 16))
        info = _step(task, direction)
        fastest.append(info["joint_speed"])
        for i in np.flatnonzero((info["dropped"] == 0) & (step % 3 == 2)):
            task.batch.get_model(i, model)
            task.batch.get_data(i, data)
            mujoco.mj_forward(model, data)
            depths += (-data.contact.dist).tolist()
    assert len(depths) > 400
    assert np.percentile(depths, 99) < 0.002
    assert np.percentile(np.concatenate(fastest), 99) < LEAP.velocity.max()


def test_a_world_sees_contacts_anywhere_on_its_hull() -> None:
    """`Batch.set_const` would shrink the spheres around hulls, and what lies outside them would meet nothing."""
    task = _task(8, shapes="lathe")
    for restored in (False, True):
        if restored:
            task.restore(task.state())
        rbound = task._field["geom_rbound"][:, task.scene.geoms]
        assert rbound == pytest.approx(task.scene.variants["geom_rbound"][task.variant])


def test_a_restored_task_goes_on_as_if_it_had_not_stopped() -> None:
    def play(task: ReorientTask, steps: int, rng: np.random.Generator) -> np.ndarray:
        env = BatchEnv(task)
        rewards = []
        for _ in range(steps):
            rewards.append(env.step(rng.normal(size=(N, 16)))[1])
        return np.array(rewards)

    task = _task(shapes="convex", horizon=8)
    play(task, 5, np.random.default_rng(1))
    state = task.state()
    expected = play(task, 12, np.random.default_rng(2))
    other = _task(shapes="convex", horizon=8, seed=5)
    other.restore(state)
    assert (play(other, 12, np.random.default_rng(2)) == expected).all()


def test_an_unknown_shape_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no shape 'teapot'.*families: composed, convex"):
        _task(shapes="teapot")
