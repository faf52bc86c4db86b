"""Training: the same weights whether it was interrupted or not, and results that say what they are."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from toolwright.hardware.held_tool import WORKING, LearnedInterface
from toolwright.hardware.joints import LEAP
from toolwright.policies import weights
from toolwright.policies.training import callbacks, checkpoint, curve, train
from toolwright.policies.training.checkpoint import CheckpointError
from toolwright.policies.training.config import CONFIGS, ConfigError, PPOConfig, TrainConfig, compose
from toolwright.policies.training.train import TrainError, Training
from toolwright.policies.weights import Actor, WeightsError
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.tasks import held_tool
from toolwright.sim.tasks.held_tool import HeldToolConfig

ROLLOUT = 8 * 16  # control steps between two updates
STEPS = 6 * ROLLOUT
TINY = TrainConfig(
    task=HeldToolConfig(horizon=20, judged=2),
    ppo=PPOConfig(rollout=16, batch=64, epochs=2, layers=(16, 8)),
    steps=STEPS,
    envs=8,
    threads=1,
    evaluate_every=2 * ROLLOUT,
    evaluation_worlds=4,
    checkpoint_every=0.0,  # at every update: nothing may depend on the clock
    video=False,
)
OVERRIDES = [
    "task.horizon=20",
    "task.judged=2",
    "ppo.batch=64",
    "ppo.epochs=2",
    "ppo.layers=[16,8]",
    "envs=8",
    "threads=1",
    f"evaluate_every={2 * ROLLOUT}",
    "evaluation_worlds=4",
    "checkpoint_every=0",
    "video=false",
]


@cache
def _bank() -> GraspBank:
    return load("tweezers").rows(np.arange(4))


@pytest.fixture(autouse=True)
def few_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four tools instead of hundreds, whose models take a second to compile."""
    monkeypatch.setattr(held_tool, "load", lambda name: _bank())


def _training(folder: Path, config: TrainConfig = TINY, state: dict[str, Any] | None = None) -> Training:
    return Training("held_tool", config, folder, state, show=lambda line: None)


def _parameters(training: Training) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in training.model.policy.state_dict().items()}


def _layers(actor: Actor) -> dict[str, np.ndarray]:
    return {
        f"{i}.{name}": array for i, layer in enumerate(actor.layers) for name, array in zip("wb", layer, strict=True)
    }


def _same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# -- resuming ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A training that was never interrupted, and every state that it saved on the way."""
    folder = tmp_path_factory.mktemp("whole")
    states: list[bytes] = []
    save = checkpoint.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_tool, "load", lambda name: _bank())
        patch.setattr(checkpoint, "save", lambda to, state: (states.append(pickle.dumps(state)), save(to, state)))
        training = _training(folder)
        report = training.run()
    return SimpleNamespace(
        folder=folder,
        states=states,
        report=report,
        parameters=_parameters(training),
        average=_layers(training.average),
        curve=training.curve,
    )


def test_a_training_saves_before_its_first_update_and_at_every_one_after(whole: SimpleNamespace) -> None:
    assert [pickle.loads(state)["steps"] for state in whole.states] == [i * ROLLOUT for i in range(7)]


@pytest.mark.parametrize("at", [0, 1, 4, 6])
def test_a_resumed_training_ends_with_the_same_weights_bit_for_bit(
    at: int, whole: SimpleNamespace, tmp_path: Path
) -> None:
    torch.manual_seed(99)  # a fresh process would not share this one's generators
    np.random.seed(99)
    state = pickle.loads(whole.states[at])
    resumed = _training(tmp_path, state["config"], state)
    report = resumed.run()
    assert report.steps == whole.report.steps == STEPS
    assert resumed.curve == whole.curve
    assert _same(_parameters(resumed), whole.parameters)
    assert _same(_layers(resumed.average), whole.average)


def test_what_is_kept_is_the_mean_of_the_weights_of_every_update(whole: SimpleNamespace) -> None:
    """Every saved state holds the weights after one update; the mean is plain while the training is short."""
    states = [pickle.loads(state) for state in whole.states]
    mean = np.mean([state["policy"]["action_net.weight"].numpy() for state in states], axis=0)
    kept, averaged = pickle.loads(whole.states[-1])["average"]
    assert averaged == TINY.ppo.epochs * (len(states) - 1) == 12  # epochs: an update may end after fewer of them
    assert kept.layers[-1][0] == pytest.approx(mean, abs=1e-6)


def test_another_seed_ends_with_other_weights(whole: SimpleNamespace, tmp_path: Path) -> None:
    other = _training(tmp_path, replace(TINY, seed=2))
    other.run()
    assert not _same(_parameters(other), whole.parameters)


def test_training_moves_the_weights(whole: SimpleNamespace, tmp_path: Path) -> None:
    untrained = _parameters(_training(tmp_path))
    assert all((untrained[name] != whole.parameters[name]).any() for name in untrained)


def test_an_interrupt_leaves_a_checkpoint_from_which_the_training_goes_on_as_if_nothing_had_been(
    whole: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = _training(tmp_path)
    step, steps = training.env.step_wait, 0

    def step_and_interrupt() -> Any:
        nonlocal steps
        steps += 1
        if steps == 40:  # in the middle of the third rollout
            os.kill(os.getpid(), signal.SIGINT)
        return step()

    monkeypatch.setattr(training.env, "step_wait", step_and_interrupt)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        training.run()
    assert signal.getsignal(signal.SIGINT) is handler
    state = checkpoint.load(tmp_path)
    assert state["steps"] == 3 * ROLLOUT
    resumed = _training(tmp_path, state["config"], state)
    resumed.run()
    assert _same(_parameters(resumed), whole.parameters)


CHILD = f"""
import time

import numpy as np

from toolwright.policies.training import checkpoint, train
from toolwright.sim import grasp_bank
from toolwright.sim.tasks import held_tool

bank = grasp_bank.load("tweezers").rows(np.arange(4))
held_tool.load = lambda name: bank
save = checkpoint.save
checkpoint.save = lambda folder, state: (save(folder, state), time.sleep(0.3))  # time to be killed in
train.main("held_tool", {[*OVERRIDES, f"steps={STEPS}"]!r})
"""


def test_a_killed_training_is_resumed_and_ends_with_the_weights_of_one_that_was_not(
    whole: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        folder = _wait_for_steps(tmp_path, child, 2 * ROLLOUT)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    monkeypatch.chdir(tmp_path)
    assert 2 * ROLLOUT <= checkpoint.load(folder)["steps"] < STEPS
    report = train.main("held_tool", [], resume=True)
    assert report.steps == STEPS and Path(report.folder).resolve() == folder
    ended = checkpoint.load(folder)
    assert _same({name: value.numpy() for name, value in ended["policy"].items()}, whole.parameters)


def _wait_for_steps(root: Path, child: subprocess.Popen[str], steps: int) -> Path:
    """The training's folder, once it holds a checkpoint after `steps`."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if child.poll() is not None:
            pytest.fail(child.communicate()[1])
        for path in root.glob(f"runs/train/held_tool/*/{checkpoint.NEWEST}"):
            if checkpoint.load(path.parent)["steps"] >= steps:
                return path.parent
        time.sleep(0.02)
    pytest.fail("no checkpoint within two minutes")


# -- what a training leaves behind ------------------------------------------------------------------------------------


def test_a_training_leaves_weights_a_curve_a_log_and_a_checkpoint(whole: SimpleNamespace) -> None:
    assert {"best", "curve.png", "checkpoint.pkl", "checkpoint.before.pkl"} <= _files(whole.folder)
    assert _files(whole.folder / "best") == {"policy.safetensors", "card.json"}
    assert list(whole.folder.glob("*/events.out.tfevents.*"))
    assert not list(whole.folder.glob("*.mp4"))


def test_tensorboard_shows_every_evaluation(whole: SimpleNamespace) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (log,) = {path.parent for path in whole.folder.glob("*/events.out.tfevents.*")}
    events = EventAccumulator(str(log)).Reload().Scalars("evaluation/success")
    assert [event.value for event in events] == [point.success for point in whole.curve]
    assert events[-1].step == STEPS


def test_the_curve_has_a_point_for_every_evaluation_and_is_drawn(whole: SimpleNamespace) -> None:
    assert [point.steps for point in whole.curve] == [0, 2 * ROLLOUT, 4 * ROLLOUT, STEPS]
    for _, success, drops, _, _ in whole.curve:
        assert 0 <= success <= 1 and 0 <= drops <= 1 and success + drops <= 1
    assert all(np.isfinite(point.returned) for point in whole.curve)
    assert whole.report.success_rate == max(point.success for point in whole.curve)
    assert (whole.folder / "curve.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_card_says_what_the_weights_are(whole: SimpleNamespace) -> None:
    card = json.loads((whole.folder / "best/card.json").read_text())
    assert card["policy"] == "held_tool" and card["tool"] == "tweezers"
    assert card["joints"] == list(LEAP.names)
    assert len(card["working_joints"]) == len(WORKING) and set(card["working_joints"]) < set(LEAP.names)
    assert card["config"]["task"]["level"] == "hard" and card["config"]["envs"] == 8
    assert card["steps"] in [point.steps for point in whole.curve]
    assert card["seed"] == TINY.seed and card["seconds"] > 0
    assert card["training_success"] == whole.report.success_rate
    assert {"revision", "normalizer", "observation", "action"} <= card.keys()


def test_the_block_curve_rises_with_success() -> None:
    line = curve.spark([curve.Point(i, 0.0, 0.0, success) for i, success in enumerate((0.0, 0.25, 0.5, 1.0))], width=3)
    assert line[0] == line[-1] == "|" and len(line) == 5
    assert sorted(line[1:-1]) == list(line[1:-1]) and line[-2] == "█"


def test_progress_shows_rate_time_left_and_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)

    def monotonic() -> float:
        clock.now += 16.0
        return clock.now

    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=monotonic))
    lines: list[str] = []
    Training("held_tool", replace(TINY, steps=4 * ROLLOUT), tmp_path, show=lines.append).run()
    shown = [line for line in lines if "left" in line]
    assert len(shown) >= 3
    assert all("steps" in line and "/s" in line and "success while exploring" in line for line in shown)
    assert any("success while exploring 0." in line or "success while exploring 1." in line for line in shown)


# -- asking for a training --------------------------------------------------------------------------------------------


def test_overrides_replace_values_of_the_configuration() -> None:
    config = compose("held_tool", [*OVERRIDES, "steps=1000", "task.level=moderate", "ppo.gamma=0.9"])
    assert isinstance(config, TrainConfig) and isinstance(config.task, HeldToolConfig)
    assert (config.steps, config.task.level, config.ppo.gamma, list(config.ppo.layers)) == (
        1000,
        "moderate",
        0.9,
        [16, 8],
    )
    untouched = TrainConfig()
    assert config.seed == untouched.seed and config.ppo.clip == untouched.ppo.clip


def test_every_declared_configuration_composes() -> None:
    for name, factory in CONFIGS.items():
        composed, made = (json.dumps(asdict(config)) for config in (compose(name, []), factory()))  # tuples are lists
        assert composed == made, name


@pytest.mark.parametrize(
    ("override", "named"),
    [("stepz=1000", "stepz"), ("task.levle=hard", "levle"), ("steps=many", "many"), ("ppo.gamma=[1]", "gamma")],
)
def test_an_override_that_fits_nothing_is_refused_by_name(override: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        compose("held_tool", [override])


@pytest.mark.parametrize("task", ["juggling", "held_tool_demo", ""])
def test_an_unknown_task_is_refused_with_those_that_exist(task: str) -> None:
    with pytest.raises(TrainError, match=f"unknown task '{task}'; tasks: held_tool, held_tools, reorient"):
        train.main(task, [])


def test_with_nothing_to_resume_the_error_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainError, match="no training of held_tool under runs/train/held_tool.*without --resume"):
        train.main("held_tool", [], resume=True)


def test_a_resumed_training_takes_no_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainError, match="drop the overrides or drop --resume"):
        train.main("held_tool", ["steps=10"], resume=True)


def test_the_latest_training_is_resumed_and_a_damaged_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("20260101-000000", "20260102-000000"):
        (tmp_path / train.ROOT / "held_tool" / name).mkdir(parents=True)
        (tmp_path / train.ROOT / "held_tool" / name / checkpoint.NEWEST).write_bytes(b"noise")
    with pytest.raises(CheckpointError, match="20260102-000000"):
        train.main("held_tool", [], resume=True)


def test_the_demo_is_a_training_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = train.main("held_tool", [*OVERRIDES, f"steps={ROLLOUT}"], demo=True)
    assert report.task == "held_tool_demo" and report.steps == ROLLOUT
    assert Path(report.folder).parent == train.ROOT / "held_tool_demo"
    card = json.loads((tmp_path / report.folder / "best/card.json").read_text())
    assert card["config"]["task"]["level"] == "moderate"


# -- weights ----------------------------------------------------------------------------------------------------------


def _observations(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    goals = rng.uniform(0, 0.04, (2, n, 1))
    return {
        "observation": rng.normal(size=(n, LearnedInterface.SIZE)).astype(np.float32),
        "achieved_goal": goals[0].astype(np.float32),
        "desired_goal": goals[1].astype(np.float32),
    }


def test_the_exported_actor_acts_as_the_trained_policy(tmp_path: Path) -> None:
    training = _training(tmp_path)
    with torch.no_grad():  # an untrained head is so small that any would agree
        training.model.policy.action_net.weight.mul_(40)
    seen = _observations(200)
    expected, _ = training.model.predict(seen, deterministic=True)
    weights.save(weights.from_model(training.model, {"policy": "test"}), tmp_path / "export")
    actor = weights.load("test", tmp_path / "export")
    action = actor.act(seen["observation"], seen["achieved_goal"], seen["desired_goal"])
    assert np.abs(action - expected).max() < 1e-5
    assert 0.2 < np.abs(expected).mean() < 0.9 and np.abs(expected).max() == 1.0
    assert actor.card["policy"] == "test"


def test_saving_weights_leaves_no_temporary_files(tmp_path: Path) -> None:
    _save_small(tmp_path)
    assert _files(tmp_path) == {"policy.safetensors", "card.json"}


def _save_small(folder: Path) -> None:
    layers = ((np.ones((2, 3), np.float32), np.zeros(2, np.float32)),)
    weights.save(Actor(layers, 50.0, 200.0, {"policy": "small"}), folder)


@pytest.mark.parametrize("name", ["policy.safetensors", "card.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe noise", b"[]", b"{}"])
def test_damaged_weights_are_refused_by_folder(tmp_path: Path, name: str, content: bytes) -> None:
    _save_small(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{tmp_path} is damaged"):
        weights.load("small", tmp_path)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    _save_small(tmp_path)
    whole = (tmp_path / "policy.safetensors").read_bytes()
    (tmp_path / "policy.safetensors").write_bytes(whole[:-4])
    with pytest.raises(WeightsError, match="is damaged"):
        weights.load("small", tmp_path)


@pytest.mark.parametrize("name", ["policy.safetensors", "card.json"])
def test_missing_weights_say_how_to_train_them(tmp_path: Path, name: str) -> None:
    _save_small(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(WeightsError, match="toolwright train held_tool"):
        weights.load("held_tool/tweezers", tmp_path)
