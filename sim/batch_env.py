"""A batched task as a Stable-Baselines3 `VecEnv`, and one world of it as a `gymnasium` environment."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import mujoco
import numpy as np
from mujoco.batch import Batch
from stable_baselines3.common.vec_env import VecEnv

from toolwright.hardware.robot import F64
from toolwright.sim.models.physics import CONTROL_PERIOD

log = logging.getLogger(__name__)


class Task(Protocol):
    """N worlds of one task, arrays (N, ...). See `sim/tasks/`."""

    n: int
    horizon: int
    actions: int
    observations: int
    goal_size: int
    model: mujoco.MjModel
    batch: Batch
    age: np.ndarray
    goal: F64
    qpos: F64
    qvel: F64
    rng: np.random.Generator

    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...
    def reset(self, ids: np.ndarray) -> None: ...
    def act(self, action: F64) -> None: ...
    def sense(self) -> None: ...
    def observe(self) -> dict[str, F64]: ...
    def achieved(self) -> F64: ...
    def measure(self) -> dict[str, F64]: ...
    def reward(self, achieved: F64, desired: F64, info: dict[str, F64]) -> dict[str, F64]: ...
    def failed(self, info: dict[str, F64]) -> np.ndarray: ...
    def success(self, info: dict[str, F64]) -> np.ndarray: ...


def _spaces(task: Task) -> tuple[gym.Space[Any], gym.spaces.Box]:
    def box(size: int) -> gym.spaces.Box:
        return gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)

    goal = box(task.goal_size)
    observation = gym.spaces.Dict(observation=box(task.observations), achieved_goal=goal, desired_goal=goal)
    return observation, gym.spaces.Box(-1, 1, (task.actions,), np.float32)


def _substeps(task: Task) -> int:
    return round(CONTROL_PERIOD / task.model.opt.timestep)


class BatchEnv(VecEnv):
    """Steps all worlds of a task at once.

    An episode ends when the task failed (terminated) or at its horizon (truncated, so that learners bootstrap). Its
    last observation is `infos[i]["terminal_observation"]`; `infos[i]["episode"]` has return and length; success and the
    measurements behind it stand beside them. A world whose state is no longer finite is written to `dump` and reset;
    the others go on.
    """

    def __init__(self, task: Task, dump: Path = Path("runs/nan")) -> None:
        self.render_mode = None
        self.task, self.dump = task, dump
        super().__init__(task.n, *_spaces(task))
        self.broken = 0  # worlds reset by the guard so far
        self._returns = np.zeros(task.n)
        self._action = np.zeros((task.n, task.actions))
        self._last_finite = np.zeros((task.n, task.model.nq + task.model.nv))
        self.terms: dict[str, F64] = {}

    def reset(self) -> dict[str, np.ndarray]:
        self.task.reset(np.arange(self.task.n))
        self._returns[:] = 0
        return self._observation()

    def step_async(self, actions: np.ndarray) -> None:
        self._action = actions

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict[str, Any]]]:
        task = self.task
        task.act(self._action)
        state = np.concatenate([task.qpos, task.qvel], axis=1)
        self._last_finite = np.where(np.isfinite(state).all(axis=1, keepdims=True), state, self._last_finite)
        self._physics()
        broken = self._guard()
        task.sense()
        info = task.measure()
        self.terms = task.reward(task.achieved(), task.goal, info)
        reward = np.where(broken, 0.0, sum(self.terms.values()))
        terminated = task.failed(info) | broken
        truncated = ~terminated & (task.age >= task.horizon)
        self._returns += reward
        ids = np.flatnonzero(terminated | truncated)
        infos: list[dict[str, Any]] = [{} for _ in range(task.n)]
        if len(ids):
            last = self._observation()
            success = task.success(info) & ~broken
            for i in ids:
                infos[i] = {
                    "terminal_observation": {key: value[i] for key, value in last.items()},
                    "TimeLimit.truncated": bool(truncated[i]),
                    "episode": {"r": float(self._returns[i]), "l": int(task.age[i])},
                    "is_success": bool(success[i]),
                    "broken": bool(broken[i]),
                    "measured": {key: float(value[i]) for key, value in info.items()},
                }
            task.reset(ids)
            self._returns[ids] = 0
        return self._observation(), reward.astype(np.float32), terminated | truncated, infos

    def _physics(self) -> None:
        """What goes on between two actions."""
        self.task.batch.step(nstep=_substeps(self.task))

    def _guard(self) -> np.ndarray:
        """Finds worlds that blew up, writes their last finite state to a file, and gives them a finite one again."""
        task = self.task
        broken = ~np.isfinite(np.concatenate([task.qpos, task.qvel], axis=1)).all(axis=1)
        for i in np.flatnonzero(broken):
            self.dump.mkdir(parents=True, exist_ok=True)
            path = self.dump / f"world_{i}_{self.broken}.npz"
            nq = task.model.nq
            np.savez(path, qpos=self._last_finite[i, :nq], qvel=self._last_finite[i, nq:], action=self._action[i])
            log.warning("world %d is no longer finite; state before the step: %s", i, path)
            self.broken += 1
            task.qpos[i], task.qvel[i] = self._last_finite[i, :nq], 0.0
        return broken

    def _observation(self) -> dict[str, np.ndarray]:
        return {key: value.astype(np.float32) for key, value in self.task.observe().items()}

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs to go on as if it had not stopped."""
        return {"task": self.task.state(), "returns": self._returns.copy(), "broken": self.broken}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to what `state` returned."""
        self.task.restore(state["task"])
        self._returns[:], self.broken = state["returns"], state["broken"]

    def close(self) -> None:
        """Nothing to release: the batch goes with the task."""

    def seed(self, seed: int | None = None) -> list[int | None]:
        self.task.rng = np.random.default_rng(seed)
        return [seed] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        owner = self if hasattr(self, attr_name) else self.task
        return [getattr(owner, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("worlds of a batch share their attributes; set them on the task")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self.task, method_name)(*args, **kwargs) for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


class SingleEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """One world of a task as a goal-conditioned `gymnasium` environment, for tools that expect one."""

    def __init__(self, task: Task) -> None:
        if task.n != 1:
            raise ValueError(f"a single environment needs a task of one world, got {task.n}")
        self.task = task
        self.observation_space, self.action_space = _spaces(task)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.task.rng = np.random.default_rng(seed)
        self.task.reset(np.zeros(1, dtype=np.intp))
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        task = self.task
        task.act(np.asarray(action)[None])
        task.batch.step(nstep=_substeps(task))
        task.sense()
        info = task.measure()
        terms = task.reward(task.achieved(), task.goal, info)
        terminated = bool(task.failed(info)[0])
        truncated = not terminated and bool(task.age[0] >= task.horizon)
        measured = {key: float(value[0]) for key, value in info.items()}
        extra = {"is_success": bool(task.success(info)[0]), "measured": measured}
        return self._observation(), float(sum(t[0] for t in terms.values())), terminated, truncated, extra

    def _observation(self) -> dict[str, np.ndarray]:
        return {key: value[0].astype(np.float32) for key, value in self.task.observe().items()}
