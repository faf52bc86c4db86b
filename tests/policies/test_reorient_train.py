"""Training the teacher: the same Training as for every task, resumable, with its curriculum."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from toolwright.policies import weights
from toolwright.policies.evaluation.reorient import evaluate
from toolwright.policies.reorient_planner import PlannerConfig
from toolwright.policies.training import checkpoint
from toolwright.policies.training.config import PPOConfig, TrainConfig, compose
from toolwright.policies.training.subjects import subject
from toolwright.policies.training.train import Training
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


def test_an_evaluation_counts_every_episode_and_says_why_it_failed() -> None:
    report = evaluate(
        episodes=2, controller="planner", shapes="letter", planner=PlannerConfig(plans=2), horizon=4, seed=1
    )
    assert report.n == 4 and not report.passed and len(report.failures) == 4 - report.successes
    assert {g.name for g in report.groups} == {
        f"planner, {level}, {part}" for level in ("nominal", "moderate") for part in ("held-out", "train")
    }
    assert all(
        f.cause.split(": ")[1] in ("not reached in time", "dropped") or "rest" in f.cause for f in report.failures
    )
