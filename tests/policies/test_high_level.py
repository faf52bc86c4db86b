"""The upper level that picks: the heuristic, learning from its replay, resuming, judging."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolwright.policies.evaluation import pick as evaluation
from toolwright.policies.high_level import actor as actors
from toolwright.policies.high_level import demonstrations
from toolwright.policies.high_level.actor import HighLevelActor
from toolwright.policies.high_level.config import PickTrainConfig, SACConfig
from toolwright.policies.high_level.env import make_task
from toolwright.policies.high_level.heuristic import ASIDE, CARRY, OVER, Heuristic
from toolwright.policies.high_level.play import Played, heuristic, play
from toolwright.policies.weights import WeightsError
from toolwright.sim.models.small_objects import small_objects
from toolwright.sim.tasks.pick import PickConfig

SIX = ("wooden bead", "nut M8", "washer M6", "cone", "screw M5", "shard")
NAMES = [thing.name for thing in small_objects()]


def test_the_heuristic_picks_things_of_six_kinds() -> None:
    task = make_task(PickConfig(part="all"), len(SIX), np.random.default_rng(5), 1)
    task.assigned = np.array([NAMES.index(name) for name in SIX])
    played = play(task, heuristic)
    assert played.success.sum() >= 5
    assert (played.measured["highest"][played.success] > 0.1).all()
    assert (played.seconds[played.success] < task.horizon * 0.2).all()
    assert task.active is None


def test_a_robot_that_does_nothing_misses() -> None:
    task = make_task(PickConfig(part="all", horizon=6), 2, np.random.default_rng(0), 1)
    played = play(task, lambda task, plan: np.zeros((task.n, 5)))
    assert not played.success.any()
    assert {played.cause(i, 0.1) for i in range(2)} == {"missed"}


def test_after_a_miss_the_tips_go_to_either_side_where_a_camera_may_have_been_wrong() -> None:
    task = make_task(PickConfig(part="all"), 3, np.random.default_rng(0), 1)
    task.reset(np.arange(3))
    aims = []
    for sees_held in (False, True):
        plan = Heuristic(task.interface, task.tool.pad_length, sees_held)
        plan.missed[:] = [0, 1, 2]
        plan.act(task.goal)
        off = plan.down[:, :2] - task.interface.object.center[:, :2]
        along = np.stack([-np.sin(task.interface.aim), np.cos(task.interface.aim)], axis=1)
        aims.append((off * along).sum(axis=1))
    assert aims[0] == pytest.approx([0, ASIDE, -ASIDE]) and aims[1] == pytest.approx([0, 0, 0])


def test_what_the_camera_sees_lying_elsewhere_was_lost() -> None:
    task = make_task(PickConfig(part="all"), 2, np.random.default_rng(0), 1)
    task.reset(np.arange(2))
    plan = Heuristic(task.interface, task.tool.pad_length, sees_held=False)
    plan.phase[:] = CARRY
    plan.down[:] = task.interface.tips.pos - [0.0, 0.0, 0.08]
    task.interface.object.seen[:] = [True, False]
    plan.act(task.goal)
    assert plan.phase.tolist() == [OVER, CARRY] and plan.missed.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("measured", "cause"),
    [
        ({"lost": 1.0}, "tool lost"),
        ({"highest": np.nan}, "simulation diverged"),
        ({"away": 0.05}, "knocked away"),
        ({"highest": 0.01}, "missed"),
        ({"highest": 0.06}, "slipped while lifting"),
        ({"highest": 0.15, "risen": 0.0}, "dropped while moving"),
        ({"highest": 0.15, "risen": 0.14}, "timed out"),
    ],
)
def test_every_failure_has_its_cause(measured: dict[str, float], cause: str) -> None:
    whole = {"lost": 0.0, "highest": 0.0, "risen": 0.0, "away": 0.0} | measured
    no = np.zeros(1, dtype=bool)
    played = Played(no, no, np.zeros(1, int), np.zeros(1), {key: np.array([value]) for key, value in whole.items()})
    assert played.cause(0, 0.1) == cause


# -- learning ---------------------------------------------------------------------------------------------------------


def _tiny(**changes: object) -> PickTrainConfig:
    sac = SACConfig(layers=(16, 16), batch=32, updates=2, offline=100, buffer=4_000, cloned=4)
    config = PickTrainConfig(
        PickConfig(horizon=5),
        sac,
        demonstrations=8,
        steps=48,
        envs=4,
        threads=1,
        evaluate_every=24,
        evaluation_worlds=2,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolwright.policies.high_level import train

    monkeypatch.setattr(train, "ROOT", tmp_path)
    monkeypatch.setattr(demonstrations, "_AT_ONCE", 8)


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    from toolwright.policies.high_level.train import PickTraining
    from toolwright.policies.training import checkpoint

    said: list[str] = []
    whole = PickTraining("pick", _tiny(), tmp_path / "whole", show=said.append)
    whole.run()
    assert any("of the heuristic's transitions" in line for line in said)

    half = PickTraining("pick", _tiny(), tmp_path / "half", show=said.append)
    act, count = half.env.step_async, 0

    def stops(actions: np.ndarray) -> None:
        nonlocal count
        count += 1
        half.stopping = count == 7
        act(actions)

    half.env.step_async = stops  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        half.run()
    rest = PickTraining("pick", _tiny(), tmp_path / "half", checkpoint.load(tmp_path / "half"), said.append)
    assert 0 < rest.model.num_timesteps < 48
    rest.run()
    for one, other in zip(whole.model.policy.parameters(), rest.model.policy.parameters(), strict=True):
        assert (one == other).all()
    assert [point.steps for point in rest.curve] == [point.steps for point in whole.curve]


@pytest.mark.parametrize("residual", [0.0, 0.2])
def test_the_numpy_actor_is_the_learned_one_and_never_reads_the_true_place(tmp_path: Path, residual: float) -> None:
    from toolwright.policies.high_level.train import PickTraining

    training = PickTraining("pick", _tiny(residual=residual), tmp_path / "x", show=lambda line: None)
    training.started = 0.0
    seen = training.env.reset()
    expected, _ = training.model.predict(seen, deterministic=True)  # type: ignore[arg-type]
    actor = actors.from_model(training.model, training.card())
    actors.save(actor, tmp_path / "kept")
    kept = actors.load(tmp_path / "kept")
    assert kept.residual == residual
    assert kept.act(seen["observation"], seen["desired_goal"]) == pytest.approx(expected, abs=1e-5)
    other = seen | {"achieved_goal": seen["achieved_goal"] + 1}
    assert (training.model.predict(other, deterministic=True)[0] == expected).all()  # type: ignore[arg-type]


def test_hindsight_rewards_are_those_of_the_task(tmp_path: Path) -> None:
    from toolwright.policies.high_level.train import PickTraining

    training = PickTraining("pick", _tiny(), tmp_path / "x", show=lambda line: None)
    made = demonstrations.record(_tiny().task, 8)
    count = demonstrations.fill(training.model.replay_buffer, made.rows(8), 4, flat=False)
    assert count == 8 * 5
    sample = training.model.replay_buffer.sample(200)  # type: ignore[union-attr]
    after, goal = sample.next_observations["achieved_goal"], sample.next_observations["desired_goal"]
    near = (after - goal).norm(dim=1) < PickConfig.tolerance
    assert (sample.rewards[:, 0].bool() == near).all()
    assert sample.rewards.mean() > 0.3  # most goals are places that the object really got to


def test_missing_and_damaged_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="toolwright train pick"):
        actors.load(tmp_path)
    (tmp_path / "card.json").write_text("{}")
    (tmp_path / "policy.safetensors").write_text("nonsense")
    with pytest.raises(WeightsError, match="damaged"):
        actors.load(tmp_path)


def test_curves_of_ablations_are_written_with_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolwright.policies.high_level import ablations
    from toolwright.policies.training.curve import Point

    def state(place: Path, config: PickTrainConfig) -> dict[str, object] | None:
        if "flat" in place.name or config.seed == 3:
            return None
        return {"curve": [Point(0, 0.1, 0.0, 0.0), Point(960, 0.1 * config.seed, 0.25, 0.5)]}

    monkeypatch.setattr(ablations, "_state", state)
    rows = ablations.draw(tmp_path)
    assert len(rows) == 3 * 2 * 2 and {row["variant"] for row in rows} == set(ablations.variants()) - {"flat"}
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert lines[0] == ",".join(ablations.HEAD) and lines[4] == "whole,2,960,0.2,0.25,0.5"
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_ablations_differ_from_the_whole_in_one_thing() -> None:
    from dataclasses import asdict

    from toolwright.policies.high_level import ablations

    whole, *others = (asdict(config) for config in ablations.variants().values())
    for other in others:
        changed = [key for key in whole if other[key] != whole[key]]
        assert len(changed) == 1, changed


# -- evaluation -------------------------------------------------------------------------------------------------------


def test_what_was_played_is_not_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def played(policy: object, each: int, seeds: np.random.SeedSequence, state: str) -> evaluation.Episodes:
        asked.append((each, seeds.spawn_key))
        things = np.arange(24 * each) % 24
        good = (things != 3) | (np.arange(24 * each) > 24)
        return evaluation.Episodes(things, good, np.full(len(things), 6.0), np.where(good, "", "missed"))

    monkeypatch.setattr(evaluation, "_round", played)
    monkeypatch.setattr(evaluation, "_version", lambda name, state: "same")
    monkeypatch.setattr(evaluation.actors, "load", lambda: HighLevelActor((), {}))
    report = evaluation.evaluate(12, folder=tmp_path, state="assumed")
    assert [each for each, _ in asked] == [10, 2, 10, 2]
    assert asked[0] == asked[2]  # both policies play the same episodes
    assert report.n == 24 * 12 and report.successes == report.n - 2 and report.passed
    assert {failure.cause for failure in report.failures} == {"tablet: missed"}
    group = next(g for g in report.groups if g.name == "learned, seen, tablet")
    assert (group.n, group.successes) == (12, 10)
    text = (tmp_path / "index.html").read_text()
    assert "tablet" in text and "--state assumed --episodes-per-object 12" in text
    evaluation.evaluate(12, folder=tmp_path, state="assumed")
    assert len(asked) == 4
    evaluation.evaluate(12, seed=1, folder=tmp_path, state="assumed")
    assert len(asked) == 8


def test_a_guided_actor_stays_with_the_heuristic_where_critics_know_nothing(tmp_path: Path) -> None:
    """The same short training with and without the guide, from the same clone: how far the actor went from it."""
    from toolwright.policies.high_level.train import PickTraining

    away = {}
    for weight in (0.0, 20.0):
        sac = replace(_tiny().sac, cloned=200, guide=weight, updates=8, learning_rate=3e-3)
        training = PickTraining("pick", _tiny(sac=sac), tmp_path / str(weight), show=lambda line: None)
        training.run()
        assert training.clone is not None
        away[weight] = float(np.mean([training.clone.loss().item() for _ in range(20)]))
    assert away[20.0] < away[0.0] - 1
