"""The sampling planner: it turns the object, whatever world it is in, and knows no more than it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolwright.policies.evaluation.reorient_play import judge, planned
from toolwright.policies.palm.planner import PlanCosts, Planner, PlannerConfig
from toolwright.policies.training import reorient_data
from toolwright.policies.training.reorient_data import DataConfig
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

Control = Callable[[ReorientTask], Callable[[ReorientTask, np.ndarray], np.ndarray]]
SMALL = PlannerConfig(plans=16, level="nominal")
EAGER = replace(SMALL, costs=PlanCosts(spin=0.0, away=0.0, effort=0.0))  # for whom staying is hardly ever the best plan


def _task(n: int = 3, seed: int = 0, **config: object) -> ReorientTask:
    task = ReorientTask(
        ReorientConfig(**({"shapes": "cube", "level": "nominal"} | config)),  # type: ignore[arg-type]
        n,
        np.random.default_rng(seed),
    )
    task.reset(np.arange(n))
    return task


def test_planning_brings_the_object_nearer_to_its_goal_than_holding_still() -> None:
    def error(control: Control) -> float:
        task = _task(4, near=1.0, far=1.0, horizon=16)
        return float(judge(task, control(task)).error.mean())

    still = error(lambda task: lambda t, active: np.zeros((4, 16)))
    assert error(lambda task: planned(task, SMALL, 1)) < still - 0.2


def test_the_copies_begin_in_the_state_of_their_world_and_the_world_is_left_alone() -> None:
    task = _task()
    planner = Planner(task, SMALL, np.random.default_rng(1))
    before = task.state()["arrays"]
    action = planner.act()
    after = task.state()["arrays"]
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)
    assert action.shape == (3, 16) and (np.abs(action) <= 1).all() and action.any()


def test_the_copies_have_the_shape_of_their_world_and_a_mass_of_their_own() -> None:
    task = _task(shapes="all", level="moderate")
    planner = Planner(task, PlannerConfig(plans=8, level="moderate"), np.random.default_rng(1))
    planner.act()
    rows = planner._field["geom_dataid"].reshape(3, 8, -1)
    assert (rows == task._field["geom_dataid"][:, None]).all()
    mass = planner._field["body_mass"][:, task.scene.body].reshape(3, 8)
    assert (np.ptp(mass, axis=1) > 0.01).all() and not np.isclose(mass, task.mass[:, None]).all()


def test_copies_see_gravity_swing_each_as_far_ahead_as_its_own_while_the_palm_turns_and_else_all_as_it_is() -> None:
    task = _task(down=True, near=0.5)
    planner = Planner(task, SMALL, np.random.default_rng(1))
    planner.act()
    swung = np.arccos(planner._field["opt.gravity"] / 9.81 @ task.gravity[0])
    # in the 0.4 s of a plan and up to a second more, of 2 s
    assert swung.min() > 0.35 / 2 * np.pi and 1.0 < np.ptp(swung) and swung.max() < 1.4 / 2 * np.pi + 1e-6
    still = _task()
    planner = Planner(still, SMALL, np.random.default_rng(1))
    planner.act()
    assert (planner._field["opt.gravity"].reshape(3, SMALL.plans, 3) == 9.81 * still.gravity[:, None]).all()


def test_a_plan_that_won_by_a_lucky_copy_loses_when_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Planner(_task(1), replace(SMALL, plans=8, again=0.25, models=4, elite=1), np.random.default_rng(1))
    tried: list[np.ndarray] = []

    def cost(ids: np.ndarray, plans: np.ndarray, copies: np.ndarray) -> np.ndarray:
        tried.append(plans[0])
        if len(tried) == 1:  # of which plan 5 is the best and 6 the next
            return np.array([[9.0, 9, 9, 9, 9, 1, 2, 9]])
        lucky = (plans[0] == tried[0][5]).all(axis=(1, 2))
        return np.where(lucky, [1.0, 9, 9, 9, 9, 9, 9, 9], 2.0)[None]

    monkeypatch.setattr(planner, "_roll", cost)
    planner.act()
    assert [len(plans) for plans in tried] == [8, 8]
    assert np.array_equal(planner.plan[0, :-1], tried[0][6][1:])


def test_more_than_the_copies_can_be_tried_again_is_refused() -> None:
    with pytest.raises(ValueError, match="50% of the plans on 4"):
        Planner(_task(1), replace(SMALL, again=0.5), np.random.default_rng(1))


def test_worlds_that_are_not_active_get_no_action() -> None:
    task = _task()
    action = Planner(task, EAGER, np.random.default_rng(1)).act(np.array([True, False, True]))
    assert action[0].any() and not action[1].any() and action[2].any()


def test_labels_are_made_once_and_the_same_in_one_run_or_in_two(tmp_path: Path) -> None:
    config = DataConfig(ReorientConfig(shapes="cube"), replace(EAGER, plans=4), worlds=2, steps=4)
    one, two = tmp_path / "one", tmp_path / "two"
    report = reorient_data.generate(one, 2, 3, config)
    assert (report.shards, report.labels) == (2, 2 * 2 * 2)
    reorient_data.generate(two, 1, 3, config)
    lines: list[str] = []
    reorient_data.generate(two, 2, 3, config, report=lines.append)
    assert len(lines) == 1 and lines[0].startswith("2/2 shards")
    for name in ("shard_00000.npz", "shard_00001.npz"):
        with np.load(one / name) as a, np.load(two / name) as b:
            assert all(np.array_equal(a[key], b[key]) for key in a.files)
            assert a["action"].any() and np.isfinite(a["observation"]).all()


def test_a_clone_predicts_labels_that_can_be_predicted_and_not_noise(tmp_path: Path) -> None:
    from toolwright.policies.training import clone
    from toolwright.policies.training.config import PPOConfig, TrainConfig
    from toolwright.policies.training.train import Training

    config = TrainConfig(
        task=ReorientConfig(shapes="cube"), ppo=PPOConfig(rollout=4, batch=8, layers=(32, 16)), envs=2, threads=1
    )
    training = Training("reorient", config, tmp_path / "run", show=lambda line: None)
    rng, size = np.random.default_rng(0), training.task.observations
    scores = {}
    for name, noise in (("law", 0.0), ("noise", 1.0)):
        (tmp_path / name).mkdir()
        for i in range(4):
            x = rng.normal(size=(256, size)).astype(np.float32)
            y = (1 - noise) * 0.5 * x[:, :16] + noise * rng.normal(size=(256, 16))
            np.savez(tmp_path / name / f"shard_{i:05d}.npz", observation=x, action=y.astype(np.float32))
        scores[name] = clone.fit(training.model.policy, tmp_path / name, rng, epochs=15, batch=64)
    assert scores["law"] > 0.5 > 0.1 > scores["noise"]
    with pytest.raises(clone.CloneError, match="toolwright plan-data"):
        clone.fit(training.model.policy, tmp_path / "nowhere", rng)


def test_a_world_that_is_stuck_is_turned_elsewhere_for_a_while_and_then_on_to_its_goal() -> None:
    task = _task(2)
    planner = Planner(task, PlannerConfig(plans=2, patience=3, detour=2), np.random.default_rng(1))
    asked = []
    for step in range(7):
        task.age[:] = step
        planner._detours(np.array([True, False]))
        asked.append((planner.goal == task.goal).all(axis=1))
    assert [bool(a[0]) for a in asked] == [True, True, True, False, False, True, True]
    assert all(a[1] for a in asked)


def test_what_the_planner_did_on_a_detour_is_no_label_for_the_goal_that_is_observed(tmp_path: Path) -> None:
    from toolwright.policies.training import clone

    goal = np.tile([1.0, 0, 0, 0], (4, 1))
    toward = goal.copy()
    toward[2] = [0, 1, 0, 0]
    rows = np.arange(4)[:, None] * np.ones(5)
    np.savez(tmp_path / "shard_00000.npz", observation=rows, action=rows, goal=goal, toward=toward)
    observation, action = clone._read([tmp_path / "shard_00000.npz"])
    assert observation[:, 0].tolist() == action[:, 0].tolist() == [0, 1, 3]


def test_a_label_comes_with_the_state_it_belongs_to(tmp_path: Path) -> None:
    config = DataConfig(ReorientConfig(shapes="letter"), replace(EAGER, plans=4), worlds=2, steps=4, threads=1)
    reorient_data.generate(tmp_path, 1, 3, config)
    with np.load(tmp_path / "shard_00000.npz") as shard:
        assert len(shard["action"]) == 4 and shard["world"].tolist() == [0, 1, 0, 1]
        assert shard["pose"].shape == (4, 7) and np.allclose(np.linalg.norm(shard["pose"][:, 3:], axis=1), 1, atol=1e-5)
        assert np.array_equal(shard["goal"], shard["toward"])  # nobody is stuck yet
        assert all("letter" in name for name in shard["shape"])
        assert np.isclose(shard["size"][:, None], [0.95, 1.0, 1.05]).any(axis=1).all()


def test_a_clone_is_judged_once_for_each_number_of_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolwright.policies.training import clone, label_curve

    config = DataConfig(ReorientConfig(shapes="cube"), replace(EAGER, plans=4), worlds=2, steps=4, threads=1)
    reorient_data.generate(tmp_path / "labels", 3, 3, config)
    monkeypatch.setattr(label_curve.ReorientConfig, "horizon", 3)
    lines: list[str] = []
    points = label_curve.curve([tmp_path / "labels"], [2, 3], 4, tmp_path, report=lines.append)
    assert [(p.shards, p.labels) for p in points] == [(2, 8), (3, 12)] and lines[1].startswith("12 labels")
    assert all(p.dropped + p.settled <= p.episodes == 4 for p in points)
    monkeypatch.setattr(label_curve, "_point", lambda *args: pytest.fail("judged again"))
    assert label_curve.curve([tmp_path / "labels"], [2, 3], 4, tmp_path, report=lines.append) == points
    label_curve.draw(points, tmp_path / "labels.png")
    assert (tmp_path / "labels.png").stat().st_size > 5000
    with pytest.raises(clone.CloneError, match="toolwright plan-data"):
        label_curve.curve([tmp_path / "labels"], [4], 4, tmp_path)
