"""Training the teacher: the same Training as for every task, resumable, with its curriculum."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolwright.policies import weights
from toolwright.policies.training import checkpoint
from toolwright.policies.training.config import PPOConfig, TrainConfig, compose
from toolwright.policies.training.subjects import subject
from toolwright.policies.training.train import Training
from toolwright.sim.models.physics import TIMESTEP
from toolwright.sim.tasks.reorient import ReorientConfig

ROLLOUT = 4 * 8
TINY = TrainConfig(
    task=ReorientConfig(shapes="cube", near=0.7, horizon=6),
    ppo=PPOConfig(rollout=8, batch=16, epochs=2, layers=(16, 8)),
    steps=4 * ROLLOUT,
    envs=4,
    threads=1,
    evaluate_every=2 * ROLLOUT,
    evaluation_worlds=2,
    checkpoint_every=0.0,
    video=False,
)


def test_the_configuration_composes_with_overrides_and_names_its_task() -> None:
    config = compose("reorient", ["task.shapes=letter", "task.near=0.7", "envs=64", "task.weights.turn=3"])
    assert isinstance(config.task, ReorientConfig) and config.envs == 64
    assert (config.task.shapes, config.task.near, config.task.weights.turn) == ("letter", 0.7, 3.0)
    assert type(subject(config.task)).__name__ == "ReorientSubject"


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[bytes] = []
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda to, state: (states.append(pickle.dumps(state)), save(to, state)))
    whole = Training("reorient", TINY, tmp_path / "whole", show=lambda line: None)
    report = whole.run()
    state = pickle.loads(states[2])
    assert report.steps == TINY.steps and 0 < state["steps"] < TINY.steps
    resumed = Training("reorient", TINY, tmp_path / "resumed", state, show=lambda line: None)
    resumed.run()
    for a, b in zip(whole.model.policy.parameters(), resumed.model.policy.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())
    actor = weights.load("teacher", tmp_path / "whole" / "best")
    assert actor.card["policy"] == "reorient" and actor.layers[0][0].shape[1] == whole.task.observations + 12


def test_the_judged_worlds_ask_for_the_whole_range_wherever_the_curriculum_stands(tmp_path: Path) -> None:
    training = Training("reorient", TINY, tmp_path, show=lambda line: None)
    judged = training.subject.make(TINY.task, 2, np.random.default_rng(0), 1, training.task)
    assert training.task.reach[0] == TINY.task.near and judged.reach[0] == TINY.task.far  # type: ignore[attr-defined]


def test_judged_worlds_have_the_fine_physics_whatever_the_training_saves(tmp_path: Path) -> None:
    coarse = replace(TINY.task, coarse=True)
    training = Training("reorient", replace(TINY, task=coarse), tmp_path, show=lambda line: None)
    judged = training.subject.make(coarse, 2, np.random.default_rng(0), 1, training.task)
    assert training.task.model.opt.timestep == 0.01 and judged.model.opt.timestep == TIMESTEP
