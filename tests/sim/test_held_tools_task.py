"""One policy for many tools: the worlds of several families side by side behave as each family alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from toolwright.hardware.held_tool import LearnedInterface
from toolwright.sim import grasp_bank
from toolwright.sim.batch_env import BatchEnv
from toolwright.sim.grasp_bank import SHAPE, GraspBank
from toolwright.sim.models.tools import TOOLS
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask
from toolwright.sim.tasks.held_tools import HeldToolsConfig, HeldToolsTask

FAMILIES = ("tweezers", "syringe")
N = 7
_load = grasp_bank.load


@cache
def _bank(name: str) -> GraspBank:
    bank = _load(name)
    return bank.rows(np.array([*bank.part("train")[:3], *bank.part("held_out")[:1]]))


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> HeldToolsTask:
    monkeypatch.setattr(grasp_bank, "load", _bank)
    return HeldToolsTask(HeldToolsConfig(tools=FAMILIES), N, np.random.default_rng(1), 1)


def _actions(steps: int = 4) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, (steps, N, 13))


def test_each_family_goes_on_as_if_it_were_alone(task: HeldToolsTask) -> None:
    env = BatchEnv(task)
    env.reset()
    for action in _actions():
        seen, _, _, _ = env.step(action)
    stream = np.random.default_rng(1).spawn(2)[1]
    config = HeldToolConfig(tool="syringe", shape=True)
    alone = BatchEnv(HeldToolTask(config, N - 4, stream, 1, _bank("syringe")))
    alone.reset()
    for action in _actions():
        expected, _, _, _ = alone.step(action[4:])
    assert all(np.array_equal(seen[name][4:], expected[name]) for name in seen)


def test_the_observation_tells_the_tool_in_the_hand_and_nothing_else_of_it(task: HeldToolsTask) -> None:
    task.reset(np.arange(N))
    told = task.observe()["observation"][:, LearnedInterface.SIZE :]
    assert told.shape == (N, SHAPE) and np.abs(told).max() < 6
    for part, rows in zip(task.parts, (told[:4], told[4:]), strict=True):
        assert np.array_equal(rows, part.bank.shape[part.tool])
    assert np.linalg.norm(told[0] - told[4]) > 1  # tweezers and a syringe
    plain = HeldToolTask(HeldToolConfig(tool="syringe"), 2, np.random.default_rng(0), 1, _bank("syringe"))
    plain.reset(np.arange(2))
    assert plain.observe()["observation"].shape == (2, LearnedInterface.SIZE)


def test_shape_changes_with_the_tool_and_is_the_same_for_the_same_one() -> None:
    bank = _bank("tweezers")
    assert np.array_equal(bank.rows(np.array([1])).shape[0], bank.shape[1])
    longer = replace(bank, params=tuple(replace(p, length=p.length + 0.02) for p in bank.params))
    assert (np.abs(longer.shape - bank.shape).max(axis=1) > 0.05).all()


def test_the_same_state_gives_the_same_future(task: HeldToolsTask) -> None:
    env = BatchEnv(task)
    env.reset()
    saved = env.state()
    first = [env.step(action)[0]["observation"] for action in _actions()]
    env.restore(saved)
    again = [env.step(action)[0]["observation"] for action in _actions()]
    assert np.array_equal(first, again)


def test_a_world_that_blows_up_is_started_anew_and_the_others_go_on(task: HeldToolsTask, tmp_path: Path) -> None:
    env = BatchEnv(task, tmp_path)
    env.reset()
    task.parts[1].qpos[0, 3] = np.nan  # world 4
    seen, reward, done, info = env.step(_actions(1)[0])
    assert done[4] and info[4]["broken"] and not done[:4].any() and not done[5:].any()
    assert np.isfinite(reward).all() and all(np.isfinite(value).all() for value in seen.values())


def test_a_family_can_be_left_out_and_those_without_grasps_are() -> None:
    everyone = HeldToolsConfig().families()
    assert set(everyone) == {name for name in TOOLS if any(grasp_bank.count(name))}
    assert set(HeldToolsConfig(without="tongs").families()) == {*everyone} - {"tongs"}
