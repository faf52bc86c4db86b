"""The pick task as a `VecEnv` for learning: alone, or as a residual on the heuristic's action."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.high_level.heuristic import Heuristic
from toolwright.policies.weights import load
from toolwright.sim.batch_env import BatchEnv
from toolwright.sim.tasks.pick import PickConfig, PickTask

PHASES = 5


def make_task(config: PickConfig, n: int, rng: np.random.Generator, threads: int = 0) -> PickTask:
    """The task with the shipped policy of the hand beneath it.

    Raises:
        WeightsError: there is none.
    """
    return PickTask(config, n, rng, threads, None if config.flat else load("held_tool/tweezers").act)


class PickEnv(BatchEnv):
    """All worlds at once. With a residual, the observation has the heuristic's action and phase at its end.

    Args:
        task: of the worlds.
        residual: share of the heuristic's action that the policy may change; 0: it acts alone.
        dump: for worlds that blow up.
    """

    task: PickTask

    def __init__(self, task: PickTask, residual: float = 0.0, dump: Path = Path("runs/nan")) -> None:
        self.residual = residual
        super().__init__(task, dump)
        self.heuristic = Heuristic(task.interface, task.tool.pad_length, not task.errors.blind)
        self.planned = np.zeros((task.n, 5))
        if residual:
            size = task.observations + 5 + PHASES
            spaces = dict(self.observation_space.spaces)  # type: ignore[attr-defined]
            spaces["observation"] = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
            self.observation_space = gym.spaces.Dict(spaces)
        self._planned_at = np.full(task.n, -1)  # age of each world when its action was planned

    def reset(self) -> dict[str, np.ndarray]:
        self._planned_at[:] = -1
        return super().reset()

    def step_async(self, actions: np.ndarray) -> None:
        super().step_async(combine(actions, self.planned, self.residual))

    def _physics(self) -> None:
        self.task.advance()

    def _observation(self) -> dict[str, np.ndarray]:
        seen = self.task.observe()
        if self.residual:
            self._plan()
            seen["observation"] = with_plan(seen["observation"], self.planned, self.heuristic.phase)
        return {key: value.astype(np.float32) for key, value in seen.items()}

    def _plan(self) -> None:
        """One action of the heuristic for every world that has gone on, however often one looks."""
        age = self.task.age
        self.heuristic.reset(np.flatnonzero((age == 0) & (self._planned_at != 0)))
        stays = self._planned_at == age
        before = {key: value.copy() for key, value in self._memory().items()}
        planned = self.heuristic.act(self.task.goal)
        for key, value in self._memory().items():
            value[stays] = before[key][stays]
        self.planned = np.where(stays[:, None], self.planned, planned)
        self._planned_at = age.copy()

    def _memory(self) -> dict[str, np.ndarray]:
        return {key: value for key, value in vars(self.heuristic).items() if isinstance(value, np.ndarray)}

    def state(self) -> dict[str, Any]:
        arrays = {key: value.copy() for key, value in self._memory().items()}
        return super().state() | {"heuristic": arrays, "planned": (self.planned.copy(), self._planned_at.copy())}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        for key, value in state["heuristic"].items():
            getattr(self.heuristic, key)[...] = value
        self.planned, self._planned_at = (array.copy() for array in state["planned"])


def combine(action: F64, planned: F64, residual: float) -> F64:
    """What is sent: the policy's own action, or the heuristic's with a share of it added."""
    return np.clip(planned + residual * action, -1, 1) if residual else action


def with_plan(observation: F64, planned: F64, phase: np.ndarray) -> F64:
    """The observation of a residual policy."""
    return np.concatenate([observation, planned, np.eye(PHASES)[phase]], axis=1)
