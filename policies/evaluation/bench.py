"""How fast the batched environment is, beside the physics alone and beside what one would pick instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Env

from toolwright.hardware.robot import F64
from toolwright.sim.batch_env import BatchEnv, SingleEnv
from toolwright.sim.grasp_bank import load
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

_PEERS = 4  # environments of the vectorized peers
_PEER_STEPS = 60
_DRIVEN = ("ctrl", "xfrc_applied", "qfrc_applied")


@dataclass(frozen=True)
class _Step:
    """What it takes to repeat the physics of one control step of all worlds."""

    driven: dict[str, F64]  # a world's last step is driven by its next episode's start; its outcome counts nowhere
    began: np.ndarray  # worlds that began an episode after this step
    start: dict[str, np.ndarray]  # their rows of the task's memory


@dataclass(frozen=True)
class Throughput:
    """Control steps per second of all worlds together, measured in one run."""

    envs: int
    rate: float
    physics_rate: float
    subproc_rate: float
    dummy_rate: float

    @property
    def ratio_to_physics(self) -> float:
        return self.rate / self.physics_rate


@dataclass(frozen=True)
class DeviceThroughput:
    """Control steps per second of all worlds together, their physics on a GPU."""

    device: str
    envs: int
    rate: float
    physics_rate: float


def throughput(
    envs: int = 256, seed: int = 0, rounds: int = 4, report: Callable[[str], None] = lambda line: None
) -> Throughput:
    """Steps the held-tool task through whole episodes, then repeats exactly the same physics without the environment.

    Args:
        envs: worlds of the batch.
        seed: of the episodes.
        rounds: episodes of each world; environment and physics alternate, so that a busy machine slows down both.
        report: called with a line of progress.
    """
    task = HeldToolTask(HeldToolConfig(), envs, np.random.default_rng(seed))
    rate, physics_rate = _rates(task, seed, rounds, report)
    subproc, dummy = _peers(report)
    return Throughput(envs, rate, physics_rate, subproc, dummy)


def on_device(
    envs: int = 4096,
    seed: int = 0,
    rounds: int = 1,
    backend: str = "gpu",
    report: Callable[[str], None] = lambda line: None,
    config: HeldToolConfig | None = None,
) -> DeviceThroughput:
    """The same on another backend. Its physics alone has the transfers between host and device in it.

    Args:
        envs: worlds of the batch.
        seed: of the episodes.
        rounds: episodes of each world, after one that warms up.
        backend: of `sim/batch.py`.
        report: called with a line of progress.
        config: of the task; by default the training's.

    Raises:
        BackendError: no such device.
        ModuleNotFoundError: MuJoCo Warp is not installed.
    """
    from toolwright.sim.batch import BackendError
    from toolwright.sim.warp_batch import WarpBatch

    task = HeldToolTask(config or HeldToolConfig(), envs, np.random.default_rng(seed), backend=backend)
    if not isinstance(task.batch, WarpBatch):
        raise BackendError(f"backend '{backend}' has no device")
    report(f"{task.batch.device}: the first step compiles its kernels, once on a machine")
    return DeviceThroughput(task.batch.device, envs, *_rates(task, seed, rounds, report))


def _rates(task: HeldToolTask, seed: int, rounds: int, report: Callable[[str], None]) -> tuple[float, float]:
    """Control steps/s of environment and physics alone."""
    envs = task.n
    env = BatchEnv(task, Path("runs/nan"))
    actions = np.random.default_rng(seed + 1).uniform(-0.1, 0.1, (task.horizon, envs, task.actions))
    spent = {"env": 0.0, "physics": 0.0}
    for i in range(rounds + 1):  # the first round warms up
        env.reset()
        before = task.state()
        record: list[_Step] = []
        took = _environment(env, task, actions, record)
        after = task.state()
        task.restore(before)
        alone = _physics(task, record)
        task.restore(after)
        if i:
            spent["env"] += took
            spent["physics"] += alone
            done = envs * len(actions)
            report(f"round {i}/{rounds}: environment {done / took:,.0f}/s, physics {done / alone:,.0f}/s")
    steps = envs * len(actions) * rounds
    return steps / spent["env"], steps / spent["physics"]


def _environment(env: BatchEnv, task: HeldToolTask, actions: F64, record: list[_Step]) -> float:
    """Seconds that whole steps took; writes down what `_physics` needs to repeat them."""
    took = 0.0
    rows = _rows(task)
    for action in actions:
        start = time.perf_counter()
        _, _, ended, _ = env.step(action)
        took += time.perf_counter() - start
        began = np.flatnonzero(ended)
        driven = {name: task.batch.bind(name).copy() for name in _DRIVEN}
        record.append(_Step(driven, began, {name: array[began] for name, array in rows.items()} if len(began) else {}))
    return took


def _physics(task: HeldToolTask, record: list[_Step]) -> float:
    """Seconds that the physics of the same steps took; worlds begin anew where they did, off the clock."""
    took = 0.0
    rows = _rows(task)
    for step in record:
        for name, values in step.driven.items():
            task.batch.bind(name)[:] = values
        start = time.perf_counter()
        task.batch.step(nstep=SUBSTEPS)
        took += time.perf_counter() - start
        for name, values in step.start.items():
            rows[name][step.began] = values
    return took


def _rows(task: HeldToolTask) -> dict[str, np.ndarray]:
    return {name: array for name, array in task.memory().items() if name.startswith(("physics.", "model."))}


def _peers(report: Callable[[str], None]) -> tuple[float, float]:
    """Rates of `SubprocVecEnv` and `DummyVecEnv` over single environments of the same task."""
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

    def rate(vector: VecEnv) -> float:
        vector.reset()
        still = np.zeros((_PEERS, HeldToolTask.actions))
        for _ in range(5):
            vector.step(still)
        start = time.perf_counter()
        for _ in range(_PEER_STEPS):
            vector.step(still)
        took = time.perf_counter() - start
        vector.close()
        return _PEERS * _PEER_STEPS / took

    report(f"SubprocVecEnv and DummyVecEnv with {_PEERS} environments each")
    makers: list[Callable[[], Env[Any, Any]]] = [_Make(seed) for seed in range(_PEERS)]
    return rate(SubprocVecEnv(makers, start_method="spawn")), rate(DummyVecEnv(makers))


@dataclass(frozen=True)
class _Make:
    """Makes one environment, in whatever process it is called; few tools, so that it starts soon."""

    seed: int

    def __call__(self) -> SingleEnv:
        config = HeldToolConfig()
        bank = load(config.tool)
        task = HeldToolTask(config, 1, np.random.default_rng(self.seed), 1, bank.rows(bank.part("train")[:_PEERS]))
        return SingleEnv(task)
