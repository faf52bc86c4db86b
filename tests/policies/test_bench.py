"""The throughput bench compares like with like: the same physics, with and without the environment around it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from toolwright.policies.evaluation import bench
from toolwright.sim.batch import BackendError
from toolwright.sim.batch_env import BatchEnv
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.tasks import held_tool
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask


@cache
def _bank() -> GraspBank:
    return load("tweezers").rows(np.arange(4))


def test_the_physics_alone_repeats_the_environments_states_bit_for_bit_across_resets(tmp_path: Path) -> None:
    task = HeldToolTask(HeldToolConfig(horizon=12), 8, np.random.default_rng(0), bank=_bank())
    env = BatchEnv(task, tmp_path)
    actions = np.random.default_rng(1).uniform(-1, 1, (30, 8, task.actions))
    env.reset()
    task.qpos[5, 16] += 0.2  # one tool is lost at once, so that worlds begin anew at different times
    before = task.state()
    record: list[bench._Step] = []
    assert bench._environment(env, task, actions, record) > 0
    assert [len(step.began) for step in record].count(7) == 2 and len(record) == 30
    after = task.state()["arrays"]
    task.restore(before)
    assert not np.array_equal(task.qpos, after["physics.qpos"])
    assert bench._physics(task, record) > 0
    for name in ("qpos", "qvel", "qacc_warmstart", "history", "time"):
        assert np.array_equal(task.memory()[f"physics.{name}"], after[f"physics.{name}"]), name


def test_a_tiny_bench_gives_four_positive_rates_and_their_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(held_tool, "load", lambda name: _bank())
    monkeypatch.setattr(bench, "_PEERS", 1)
    monkeypatch.setattr(bench, "_PEER_STEPS", 3)
    lines: list[str] = []
    measured = bench.throughput(envs=8, rounds=1, report=lines.append)
    assert measured.envs == 8
    rates = (measured.rate, measured.physics_rate, measured.subproc_rate, measured.dummy_rate)
    assert all(np.isfinite(rate) and rate > 0 for rate in rates)
    assert measured.ratio_to_physics == pytest.approx(measured.rate / measured.physics_rate)
    assert any("round 1/1" in line for line in lines) and any("SubprocVecEnv" in line for line in lines)


def test_the_other_backend_is_measured_with_its_device_and_the_cpu_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(held_tool, "load", lambda name: _bank())
    with pytest.raises(BackendError, match="'cpu' has no device"):
        bench.on_device(4, backend="cpu")
    pytest.importorskip("mujoco_warp", reason="mujoco_warp is not installed: pip install -e '.[gpu]'")
    lines: list[str] = []
    measured = bench.on_device(4, backend="warp-cpu", report=lines.append, config=HeldToolConfig(horizon=5))
    assert measured.device and measured.envs == 4
    assert np.isfinite([measured.rate, measured.physics_rate]).all() and min(measured.rate, measured.physics_rate) > 0
    assert any("compiles" in line for line in lines) and any("round 1/1" in line for line in lines)
