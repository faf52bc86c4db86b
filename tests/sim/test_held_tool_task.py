"""The held-tool task: what is rewarded, what counts as success, and what the policy may know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache

import mujoco
import numpy as np
import pytest
from mujoco.batch import MODEL_FIELDS

from toolwright.hardware import held_tool as interfaces
from toolwright.hardware import rotations
from toolwright.hardware.held_tool import WORKING
from toolwright.hardware.joints import LEAP
from toolwright.sim import randomize
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.randomize import HARD, LEVELS, NOMINAL, HeldToolRandomization
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask, RewardWeights

N = 6
Declare = Callable[..., str]


@cache
def _bank() -> GraspBank:
    bank = load("tweezers")
    return bank.rows(np.array([*bank.part("train")[:4], *bank.part("held_out")[:2]]))


def _task(level: str = "hard", seed: int = 0, n: int = N, **config: object) -> HeldToolTask:
    task = HeldToolTask(
        HeldToolConfig(level=level, **({"changes": 0.0} | config)),  # type: ignore[arg-type]
        n,
        np.random.default_rng(seed),
        bank=_bank(),
    )
    task.reset(np.arange(n))
    return task


@pytest.fixture
def level(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Declares a level that is nominal but for some ranges, and returns its name."""

    def declare(**ranges: object) -> str:
        monkeypatch.setitem(LEVELS, "declared", replace(NOMINAL, **ranges))  # type: ignore[arg-type]
        return "declared"

    return declare


def _step(task: HeldToolTask, action: np.ndarray | float = 0.0) -> None:
    task.act(np.zeros((task.n, task.actions)) + action)
    task.batch.step(nstep=SUBSTEPS)
    task.sense()


def _measured(**changes: float) -> dict[str, np.ndarray]:
    """Measurements of one world in which all is well."""
    calm = {"opening": 0.01, "moved": 0.001, "turned": 0.01, "dropped": 0.0, "effort": 0.0, "within": 10.0}
    return {name: np.array([value]) for name, value in (calm | changes).items()}


def _terms(task: HeldToolTask, error: float = 0.0, **changes: float) -> dict[str, float]:
    terms = task.reward(np.array([0.01 + error]), np.array([0.01]), _measured(**changes))
    return {name: float(value[0]) for name, value in terms.items()}


# -- reward -----------------------------------------------------------------------------------------------------------


def test_every_reward_term_has_its_weight_and_vanishes_with_it() -> None:
    task = _task(n=1)
    bad = {"error": 0.001, "moved": 0.015, "turned": 0.3, "effort": 0.5, "dropped": 1.0}
    assert set(_terms(task, **bad)) == {field.name for field in fields(RewardWeights)}
    for name, value in _terms(task, **bad).items():
        assert value != 0, name
        muted = _task(n=1, weights=RewardWeights(**{name: 0.0}))
        assert _terms(muted, **bad) == {**_terms(task, **bad), name: 0.0}, name


def test_reach_and_near_reward_openings_close_to_the_goal_from_either_side() -> None:
    task = _task(n=1)
    for name in ("reach", "near"):
        values = [_terms(task, error)[name] for error in (0.0, 0.0005, 0.001, 0.003, 0.008)]
        assert values == sorted(values, reverse=True) and len(set(values)) == 5, name
        assert _terms(task, -0.001)[name] == pytest.approx(_terms(task, 0.001)[name]), name
    assert _terms(task)["reach"] == RewardWeights().reach and _terms(task)["near"] == 0


@pytest.mark.parametrize(
    ("term", "quantity", "worse"), [("moved", "moved", 0.01), ("turned", "turned", 0.2), ("gentle", "effort", 0.5)]
)
def test_the_costs_grow_with_what_they_are_named_for_and_depend_on_nothing_else(
    term: str, quantity: str, worse: float
) -> None:
    task = _task(n=1)
    calm, rough = _terms(task), _terms(task, **{quantity: worse})
    assert rough[term] < calm[term] <= 0
    assert {name for name in calm if calm[name] != rough[name]} == {term}


def test_a_drop_costs_more_than_a_whole_episode_of_displacement_can_save() -> None:
    task = _task(n=1)
    weights = RewardWeights()
    worst_step = sum(_terms(task, 1.0, moved=9.0, turned=9.0, effort=1.0).values())
    assert _terms(task, dropped=1.0)["dropped"] == -weights.dropped
    assert -weights.dropped < 4 * worst_step


def test_the_reward_depends_on_its_arguments_only() -> None:
    task = _task()
    _step(task, 0.3)
    info, goal = task.measure(), task.goal.copy()
    before = task.reward(info["opening"], goal, info)
    for _ in range(3):
        _step(task, -0.3)
    after = task.reward(info["opening"], goal, info)
    assert all((before[name] == after[name]).all() for name in before)


# -- judging ----------------------------------------------------------------------------------------------------------


def _succeeds(task: HeldToolTask, **changes: float) -> bool:
    return bool(task.success(_measured(**changes))[0])


def test_success_is_judged_as_documented_up_to_the_boundaries() -> None:
    task = _task(n=1)
    c = task.config
    assert _succeeds(task, within=c.judged, moved=np.nextafter(c.moved, 0), turned=np.nextafter(c.turned, 0))
    assert not _succeeds(task, within=c.judged - 1)
    assert not _succeeds(task, moved=c.moved)
    assert not _succeeds(task, turned=c.turned)
    assert not _succeeds(task, dropped=1.0)


def _put(task: HeldToolTask, opening: np.ndarray) -> None:
    """Sets the true openings, as a step of physics might, and measures."""
    task.qpos[:, -1] = task.bank.family.angle(task._params, opening)
    task.sense()


def test_only_unbroken_steps_within_the_tolerance_count() -> None:
    task = _task(level="nominal")
    inside, outside = 0.99 * task.config.tolerance, 1.01 * task.config.tolerance
    counts = []
    for error in (inside, -inside, outside, inside, -outside, inside, inside, inside):
        _put(task, task.goal + error)
        counts.append(task.measure()["within"])
    assert np.stack(counts).tolist() == [[count] * N for count in (1, 2, 0, 1, 0, 1, 2, 3)]


def test_the_true_opening_is_judged_and_not_the_seen_one(level: Declare) -> None:
    task = _task(level=level(opening_bias=0.005))
    assert np.abs(task._bias[:, 0]).max() > task.config.tolerance
    _put(task, task.goal)
    assert (task.measure()["within"] == 1).all()
    assert task.measure()["opening"] == pytest.approx(task.goal)
    assert task.estimate()[0] == pytest.approx(task.goal + task._bias[:, 0])


def test_the_goal_of_a_share_of_the_episodes_changes_once_and_early_enough() -> None:
    task = _task(n=200, level="nominal", changes=0.5, latest=6)
    seen = [task.goal.copy()]
    for _ in range(8):
        task.sense()
        seen.append(task.goal.copy())
    times = (np.diff(seen, axis=0) != 0).sum(axis=0)
    assert set(times.tolist()) == {0, 1} and 0.35 < times.mean() < 0.65
    assert (seen[6] == seen[8]).all() and not (seen[0] == seen[1]).all()
    low, high = _bank().openings[task.tool, 0], _bank().openings[task.tool, -1]
    assert ((low <= task.goal) & (task.goal <= high)).all()


def test_moved_and_turned_are_measured_against_the_grasp() -> None:
    task = _task(level="nominal")
    assert task.measure()["moved"] == pytest.approx(0, abs=1e-12)
    task.qpos[:, 16] += 0.003
    task.qpos[:, 17] -= 0.004
    assert task.measure()["moved"] == pytest.approx(0.005)
    assert task.measure()["turned"] == pytest.approx(0, abs=1e-7)


def test_a_hand_that_opens_drops_the_tool_and_that_is_a_failure() -> None:
    task = _task(level="nominal")
    steps = 0
    while not task.failed(task.measure()).all():
        task.ctrl[:] = 0.0  # a flat hand
        task.batch.step(nstep=SUBSTEPS)
        task.sense()
        steps += 1
        assert steps < 20, "a tool hangs in an open hand"
    info = task.measure()
    assert ((info["moved"] > task.config.lost[0]) | (info["turned"] > task.config.lost[1])).all()
    assert (task.reward(info["opening"], task.goal, info)["dropped"] == -task.config.weights.dropped).all()
    assert not task.success(info).any()


@pytest.mark.parametrize("lost", ["moved", "turned"])
def test_a_world_that_is_not_finite_counts_as_dropped(lost: str) -> None:
    task = _task(level="nominal")
    task.qpos[2, 16 if lost == "moved" else 20] = np.nan
    assert task.failed(task.measure()).tolist() == [i == 2 for i in range(N)]


# -- what the policy may know -----------------------------------------------------------------------------------------


def test_the_observed_opening_and_pose_are_noisy_and_biased_as_declared() -> None:
    task = _task(n=200)
    assert not (task.observe()["achieved_goal"][:, 0] == task.opening()).any()
    errors = [task._seen[0] - task._true_estimate()]  # from the first moment of an episode
    for _ in range(30):
        task.sense()
        errors.append(task._seen[0] - task._true_estimate())
    errors = np.stack(errors)
    assert (errors != 0).all()
    spread = [HARD.opening_noise] + [HARD.pose_noise[0]] * 3 + [HARD.pose_noise[1]] * 3
    assert errors.std(axis=0).mean(axis=0) == pytest.approx(spread, rel=0.05)
    bias = np.array([HARD.opening_bias] + [HARD.pose_bias[0]] * 3 + [HARD.pose_bias[1]] * 3)
    assert (np.abs(task._bias) <= bias).all() and (np.abs(task._bias).max(axis=0) > 0.9 * bias).all()
    assert (np.abs(errors.mean(axis=0) - task._bias) < np.array(spread)).all()


@pytest.mark.parametrize("delay", [1, 2])
def test_perception_delivers_what_was_true_the_declared_steps_ago(delay: int, level: Declare) -> None:
    task = _task(level=level(delay=(delay, delay)))
    truths = [task._true_estimate()] * (delay + 1)
    for _ in range(8):
        _step(task, np.random.default_rng(1).uniform(-1, 1, (N, task.actions)))
        truths.append(task._true_estimate())
        seen = task.observe()
        assert (seen["achieved_goal"][:, 0] == truths[-1 - delay][:, 0]).all()
        assert (task.estimate()[1] == truths[-1 - delay][:, 1:]).all()
        assert not (truths[-1] == truths[-1 - delay]).all()


def test_every_world_has_a_delay_of_its_own() -> None:
    assert set(_task(n=60)._delay) == set(range(HARD.delay[0], HARD.delay[1] + 1))


def test_joint_offsets_shift_what_is_measured_and_what_is_commanded(level: Declare) -> None:
    offset = 0.08
    task = _task(level=level(joint_offset=offset))
    assert (np.abs(task._offset) <= offset).all() and np.abs(task._offset).max() > 0.9 * offset
    for _ in range(3):
        _step(task, 0.5)
    assert task.ctrl == pytest.approx(task.interface.command - task._offset)
    assert (np.abs(task.interface.command) <= np.maximum(np.abs(LEAP.lower), LEAP.upper)).all()
    measured = task.observe()["observation"][:, :12]
    assert measured == pytest.approx(task.qpos[:, WORKING] + task._offset[:, WORKING])
    assert not (np.abs(measured - task.qpos[:, WORKING]) < 1e-6).all()


def test_nothing_that_only_a_simulator_knows_reaches_the_observation() -> None:
    task = _task()
    _step(task, 0.2)
    before = task.observe()
    for secret in (task.qpos, task.qvel, task._offset, task._bias, task._torque, task._push_force, task._reference):
        secret += 0.37
    for name in ("actuator_gainprm", "geom_friction", "body_mass", "dof_damping"):
        task._field[name][:] *= 1.7
    after = task.observe()
    assert all((before[name] == after[name]).all() for name in before)


# -- episodes ---------------------------------------------------------------------------------------------------------


def test_worlds_have_tools_goals_and_motors_of_their_own() -> None:
    task = _task(n=40)
    assert set(task.tool) == set(_bank().part("train"))
    for values in (task.goal, task._field["actuator_gainprm"][:, 0, 0], task._field["actuator_delay"][:, 0]):
        assert len(set(values.tolist())) == 40
    for low, high, values in (
        (*HARD.latency, task._field["actuator_delay"]),
        (*HARD.effort, task._field["actuator_forcerange"][..., 1]),
        (1 - HARD.kp_share, 1 + HARD.kp_share, task._field["actuator_gainprm"][..., 0] / 3.0),
    ):
        assert low <= values.min() < low + 0.2 * (high - low) and high - 0.2 * (high - low) < values.max() <= high


def test_the_position_servos_stay_position_servos_under_randomisation() -> None:
    task = _task(n=20)
    assert (task._field["actuator_gainprm"][..., 0] == -task._field["actuator_biasprm"][..., 1]).all()


def test_each_world_is_the_hand_with_its_own_tool_in_every_field_of_the_model() -> None:
    task = _task(level="nominal", n=8)
    for world in range(task.n):
        model, expected = task.batch.get_model(world), _bank().models[task.tool[world]]
        for name in MODEL_FIELDS:
            if "." not in name:
                got, want = getattr(model, name), getattr(expected, name)
                assert np.array_equal(got, want), (world, name)
        assert model.opt.gravity == pytest.approx(9.81 * _bank().down)


@pytest.mark.parametrize("part", ["train", "held_out"])
def test_tools_come_from_the_asked_part_of_the_family_only(part: str) -> None:
    task = _task(part=part, n=30)
    assert set(task.tool) == set(_bank().part(part))
    assert (_bank().held_out[task.tool] == (part == "held_out")).all()


def test_goals_span_what_the_grasp_of_each_tool_reaches() -> None:
    task = _task(n=300)
    low, high = _bank().openings[task.tool, 0], _bank().openings[task.tool, -1]
    share = (task.goal - low) / (high - low)
    assert 0 <= share.min() < 0.05 and 0.95 < share.max() <= 1


def test_a_slipped_tool_starts_displaced_in_the_plane_that_the_fingers_touch(level: Declare) -> None:
    task = _task(level=level(slip=(0.0015, 0.03)), n=200)
    displacement = task.estimate()[1]
    to_tool = rotations.conjugate(task._reference[:, 3:])
    slid, turned = (rotations.rotate(to_tool, part) for part in (displacement[:, :3], displacement[:, 3:]))
    assert slid[:, 1:].std(axis=0) == pytest.approx(0.0015, rel=0.2)
    assert turned[:, 0].std() == pytest.approx(0.03, rel=0.2)
    assert slid[:, 0] == pytest.approx(0, abs=1e-12) and turned[:, 1:] == pytest.approx(0, abs=1e-9)


def test_pushes_and_loads_come_and_stay_within_their_declared_size(level: Declare) -> None:
    task = _task(level=level(push=1.6, push_rate=0.2, load=0.05), n=20)
    pushed, loaded = [], []
    for _ in range(task.horizon):
        task.act_closed_form()
        task.age += 1
        pushed.append(np.linalg.norm(task._push[:, task._limbs, :3].sum(axis=1), axis=-1))
        loaded.append(task._load[:, -1].copy())
    assert 1.0 < np.max(pushed) <= 1.6 and 0 < (np.array(pushed) > 0).mean() < 0.9
    assert 0.02 < np.abs(loaded).max() <= 0.05
    assert (np.abs(loaded[-1]) == np.abs(task._torque)).all() and (task._torque == 0).any()


def test_a_reset_of_some_worlds_leaves_the_others_as_they_are() -> None:
    task = _task()
    for _ in range(3):
        _step(task, 0.4)
    before, rows = task.state()["arrays"], task.memory()
    task.reset(np.array([1, 4]))
    others = np.array([0, 2, 3, 5])
    for name, values in before.items():
        if values.shape[:1] == (N,):
            assert np.array_equal(rows[name][others], values[others]), name
    assert task.age.tolist() == [3, 0, 3, 3, 0, 3]
    assert not np.array_equal(task.qpos[[1, 4]], before["physics.qpos"][[1, 4]])


def test_a_restored_task_goes_on_bit_for_bit() -> None:
    def rest(task: HeldToolTask) -> list[np.ndarray]:
        seen = []
        for i in range(6):
            _step(task, 0.1 * i)
            if i == 2:
                task.reset(np.array([3]))
            seen.append(np.concatenate([*task.observe().values(), task.qpos, task.qvel], axis=1))
        return seen

    task = _task()
    for _ in range(3):
        _step(task, 0.5)
    state = task.state()
    expected = rest(task)
    other = _task(seed=99)
    for again in (task, other):
        again.restore(state)
        assert np.array_equal(np.stack(rest(again)), np.stack(expected))


def test_a_policy_that_does_nothing_plays_the_closed_form_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "SPEED", 1e9)  # the reference is at the goal at once
    first, second = _task(), _task()
    for _ in range(10):
        first.act(np.zeros((N, first.actions)))
        second.act_closed_form()
        for task in (first, second):
            task.batch.step(nstep=SUBSTEPS)
            task.sense()
        assert np.array_equal(first.qpos, second.qpos)


# -- levels -----------------------------------------------------------------------------------------------------------


def _width(value: float | tuple[float, float]) -> float:
    return value[1] - value[0] if isinstance(value, tuple) else value


def test_every_range_of_hard_is_at_least_as_wide_as_that_of_moderate() -> None:
    for field in fields(HeldToolRandomization):
        moderate, hard = (getattr(LEVELS[name], field.name) for name in ("moderate", "hard"))
        if field.name in ("slip", "pose_noise", "pose_bias"):  # pairs of meters and radians, not ranges
            assert hard[0] >= moderate[0] > 0 and hard[1] >= moderate[1] > 0, field.name
        else:
            assert _width(hard) >= _width(moderate) > 0, field.name


def test_directions_in_a_cone_are_unit_vectors_inside_it_and_fill_it() -> None:
    axis, angle = np.array([0.6, 0.0, -0.8]), 0.5
    drawn = randomize.in_cone(np.random.default_rng(0), axis, angle, 2000)
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(1.0)
    height = drawn @ axis
    assert np.cos(angle) <= height.min() < np.cos(0.95 * angle)
    assert height.mean() == pytest.approx((1 + np.cos(angle)) / 2, abs=0.005)  # uniform on the cap
    exact = randomize.in_cone(np.random.default_rng(0), axis, 0.0, 3)
    assert exact == pytest.approx(np.tile(axis, (3, 1)))


def test_a_blown_up_world_is_left_visible_to_the_guard() -> None:
    assert _task(n=1).batch.get_model(0).opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
