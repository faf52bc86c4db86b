"""The batched environment: endings told apart, honest last observations, and a fault in one world stays there."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common import env_checker as sb3_checker
from stable_baselines3.common.vec_env import VecMonitor

from toolwright.sim.batch_env import BatchEnv, SingleEnv
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

N = 4


@cache
def _bank() -> GraspBank:
    return load("tweezers").rows(np.arange(4))


def _task(n: int = N, seed: int = 0, level: str = "hard", **config: object) -> HeldToolTask:
    return HeldToolTask(
        HeldToolConfig(level=level, **config),  # type: ignore[arg-type]
        n,
        np.random.default_rng(seed),
        bank=_bank(),
    )


def _env(tmp_path: Path, n: int = N, seed: int = 0, level: str = "hard", **config: object) -> BatchEnv:
    return BatchEnv(_task(n, seed, level, **config), tmp_path / "nan")


def _actions(steps: int, n: int = N, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, HeldToolTask.actions)).astype(np.float32)


# -- steps and rewards ------------------------------------------------------------------------------------------------


def test_the_named_terms_sum_to_the_reward_of_every_step(tmp_path: Path) -> None:
    env = _env(tmp_path)
    env.reset()
    for action in _actions(5):
        _, reward, _, _ = env.step(action)
        assert len(env.terms) >= 4
        assert reward == pytest.approx(np.sum(list(env.terms.values()), axis=0), abs=1e-6)


def test_the_reward_recomputed_from_an_episodes_last_measurements_agrees_with_step(tmp_path: Path) -> None:
    env = _env(tmp_path, horizon=3)
    env.reset()
    for action in _actions(3):
        goal = env.task.goal.copy()
        _, reward, done, infos = env.step(action)
    assert done.all()
    for i, info in enumerate(infos):
        measured = {name: np.array([value]) for name, value in info["measured"].items()}
        terms = env.task.reward(measured["opening"], goal[[i]], measured)
        assert float(sum(term[0] for term in terms.values())) == pytest.approx(float(reward[i]), abs=1e-6)


def test_the_return_of_an_episode_is_the_sum_of_its_rewards(tmp_path: Path) -> None:
    env = _env(tmp_path, horizon=6)
    env.reset()
    for _ in range(2):  # the second episode must not inherit from the first
        rewards = [env.step(action) for action in _actions(6)]
        total = np.sum([reward for _, reward, _, _ in rewards], axis=0)
        infos = rewards[-1][3]
        assert [info["episode"]["r"] for info in infos] == pytest.approx(total.tolist(), abs=1e-4)
        assert [info["episode"]["l"] for info in infos] == [6] * N


def test_observations_rewards_and_endings_have_the_declared_types(tmp_path: Path) -> None:
    env = _env(tmp_path)
    assert isinstance(env.observation_space, gym.spaces.Dict)
    observation = env.reset()
    for action in _actions(3):
        for name, space in env.observation_space.items():
            assert observation[name].shape == (N, *space.shape) and observation[name].dtype == space.dtype, name
            assert all(space.contains(row) for row in observation[name]), name
        observation, reward, done, infos = env.step(action)
        assert reward.shape == (N,) and reward.dtype == np.float32
        assert done.shape == (N,) and done.dtype == bool
        assert len(infos) == N


# -- endings ----------------------------------------------------------------------------------------------------------


def test_an_episode_ends_at_its_horizon_truncated_and_with_its_own_last_observation(tmp_path: Path) -> None:
    env, task = _env(tmp_path, horizon=5), _task(horizon=5)
    env.reset()
    task.reset(np.arange(N))
    for step, action in enumerate(_actions(5), start=1):
        observation, _, done, infos = env.step(action)
        task.act(action)
        task.batch.step(nstep=SUBSTEPS)
        task.sense()
        assert done.tolist() == [step == 5] * N
        if step < 5:
            assert infos == [{}] * N
    last = task.observe()
    success = task.success(task.measure())
    for i, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        assert info["is_success"] == success[i]
        for name, value in info["terminal_observation"].items():
            assert (value == last[name][i].astype(np.float32)).all(), name
            assert not (value == observation[name][i]).all(), name
    assert (env.task.age == 0).all()


def test_a_dropped_tool_terminates_its_episode_as_a_failure_and_no_other(tmp_path: Path) -> None:
    env = _env(tmp_path, level="nominal", horizon=40)
    env.reset()
    task, send = env.task, env.task._send  # type: ignore[attr-defined]

    def open_the_hand_of_world_2(command: np.ndarray) -> None:
        send(command)
        task.batch.bind("ctrl")[2] = 0.0  # flat

    task._send = open_the_hand_of_world_2  # type: ignore[attr-defined]
    done, steps = np.zeros(N, bool), 0
    while not done.any():
        _, reward, done, infos = env.step(np.zeros((N, task.actions)))
        steps += 1
    assert done.tolist() == [False, False, True, False]
    assert infos[2]["TimeLimit.truncated"] is False and infos[2]["is_success"] is False
    assert infos[2]["measured"]["dropped"] == 1 and not infos[2]["broken"]
    assert reward[2] < -8 < reward[[0, 1, 3]].min()
    assert task.age.tolist() == [steps, steps, 0, steps]


def test_a_drop_in_the_last_step_is_a_failure_and_not_a_time_limit(tmp_path: Path) -> None:
    env = _env(tmp_path, level="nominal", horizon=2)
    env.reset()
    env.step(np.zeros((N, env.task.actions)))
    env.task.qpos[1, 16] += 0.2  # far outside of the hand
    _, _, done, infos = env.step(np.zeros((N, env.task.actions)))
    assert done.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [True, False, True, True]


def test_success_is_reported_at_the_end_of_a_good_episode(tmp_path: Path) -> None:
    env = _env(tmp_path, level="nominal")
    env.reset()
    for _ in range(env.task.horizon):
        _, _, done, infos = env.step(np.zeros((N, env.task.actions)))
    assert done.all() and all(info["is_success"] for info in infos)


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_fault_in_one_world_is_dumped_and_reset_and_the_others_go_on_bit_for_bit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calm, faulty = (_env(tmp_path / name, level="nominal") for name in ("calm", "faulty"))
    others = [0, 1, 3]
    observations = [env.reset() for env in (calm, faulty)]
    actions = _actions(12)
    for step, action in enumerate(actions):
        if step == 4:
            finite = faulty.task.qpos[2].copy()
            faulty.task.qvel[2, 3] = np.nan
        with caplog.at_level(logging.WARNING):
            results = [env.step(action) for env in (calm, faulty)]
        for name in observations[0]:
            assert np.array_equal(results[0][0][name][others], results[1][0][name][others]), (step, name)
        assert np.array_equal(results[0][1][others], results[1][1][others])
        assert np.array_equal(calm.task.qpos[others], faulty.task.qpos[others])
        assert results[1][2].tolist() == [False, False, step == 4, False]
        assert all(np.isfinite(value).all() for value in results[1][0].values())
        assert np.isfinite(results[1][1]).all()
        if step == 4:
            info = results[1][3][2]
    assert info["broken"] and not info["is_success"] and not info["TimeLimit.truncated"]
    assert all(np.isfinite(value).all() for value in info["terminal_observation"].values())
    assert faulty.broken == 1 and calm.broken == 0
    assert faulty.task.age.tolist() == [12, 12, 7, 12]
    (file,) = (tmp_path / "faulty/nan").iterdir()
    assert str(file) in caplog.text
    with np.load(file) as dumped:
        assert np.isfinite(dumped["qpos"]).all() and np.isfinite(dumped["qvel"]).all()
        assert dumped["qpos"].shape == (24,) and dumped["qvel"].shape == (23,)
        assert np.abs(dumped["qpos"] - finite).max() < 0.1  # the state of that world, a step earlier at most
        assert (dumped["action"] == actions[4, 2]).all()
    assert not (tmp_path / "calm/nan").exists()


def test_a_fault_inside_the_physics_is_dumped_with_the_state_before_it(tmp_path: Path) -> None:
    env = _env(tmp_path)
    env.reset()
    env.step(_actions(1)[0])
    before = env.task.qpos[1].copy(), env.task.qvel[1].copy()
    env.task.batch = _Exploding(env.task, 1)  # type: ignore[assignment]
    _, reward, done, _ = env.step(_actions(1)[0])
    assert done.tolist() == [False, True, False, False] and reward[1] == 0
    (file,) = (tmp_path / "nan").iterdir()
    with np.load(file) as dumped:
        assert np.array_equal(dumped["qpos"], before[0]) and np.array_equal(dumped["qvel"], before[1])


class _Exploding:
    """A batch in which one world is infinite after a step."""

    def __init__(self, task: HeldToolTask, world: int) -> None:
        self.batch, self.task, self.world = task.batch, task, world

    def step(self, nstep: int) -> None:
        self.batch.step(nstep=nstep)
        self.task.qpos[self.world] = np.inf

    def __getattr__(self, name: str) -> object:
        return getattr(self.batch, name)


# -- interfaces -------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_episodes(tmp_path: Path) -> None:
    def run(env: BatchEnv, seed: int) -> np.ndarray:
        assert env.seed(seed) == [seed] * N
        seen = [env.reset(), *(env.step(action)[0] for action in _actions(4))]
        return np.stack([np.concatenate(list(observation.values()), axis=1) for observation in seen])

    env = _env(tmp_path)
    first = run(env, 3)
    assert np.array_equal(first, run(env, 3))
    assert np.array_equal(first, run(_env(tmp_path, seed=8), 3))
    assert not np.array_equal(first, run(env, 4))


def test_a_restored_environment_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def rest(env: BatchEnv) -> list[object]:
        steps = [env.step(action) for action in _actions(6, seed=6)]
        ends = [[info.get("episode") for info in infos] for *_, infos in steps]
        return [[[o[name].tolist() for name in o], r.tolist(), d.tolist()] for o, r, d, _ in steps] + ends

    env = _env(tmp_path, horizon=8)
    env.reset()
    for action in _actions(5):
        env.step(action)
    state = env.state()
    expected = rest(env)
    assert any(end is not None for end in expected[8])  # type: ignore[union-attr]
    other = _env(tmp_path, seed=9, horizon=8)
    for again in (env, other):
        again.restore(state)
        assert rest(again) == expected


def test_attributes_are_found_where_there_are_any(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    env = _env(tmp_path)
    assert not [w for w in recwarn if "render_mode" in str(w.message)]
    assert env.get_attr("horizon") == [80] * N and env.get_attr("broken", [0, 2]) == [0, 0]
    assert env.has_attr("goal") and not env.has_attr("no_such_thing")
    assert env.env_is_wrapped(VecMonitor) == [False] * N
    with pytest.raises(NotImplementedError, match="share their attributes"):
        env.set_attr("horizon", 3)


@pytest.mark.filterwarnings("ignore:.*Box observation space m.*imum value is")
def test_a_single_world_passes_the_checks_of_gymnasium_and_stable_baselines() -> None:
    check_env(SingleEnv(_task(1)), skip_render_check=True)
    sb3_checker.check_env(SingleEnv(_task(1)))


def test_a_single_world_needs_a_task_of_one_world() -> None:
    with pytest.raises(ValueError, match="one world, got 4"):
        SingleEnv(_task())


def test_a_single_world_and_a_batch_of_one_agree_step_by_step(tmp_path: Path) -> None:
    single, batch = SingleEnv(_task(1, horizon=5)), _env(tmp_path, 1, horizon=5)
    observation, _ = single.reset()
    batched = batch.reset()
    for step, action in enumerate(_actions(5, 1), start=1):
        for name in observation:
            assert np.array_equal(observation[name], batched[name][0]), (step, name)
        observation, reward, terminated, truncated, info = single.step(action[0])
        batched, rewards, done, infos = batch.step(action)
        assert reward == pytest.approx(float(rewards[0]), abs=1e-6)
        assert (terminated or truncated) == done[0] == (step == 5)
    assert truncated and not terminated
    assert info["measured"] == infos[0]["measured"] and info["is_success"] == infos[0]["is_success"]
    for name in observation:
        assert np.array_equal(observation[name], infos[0]["terminal_observation"][name]), name
