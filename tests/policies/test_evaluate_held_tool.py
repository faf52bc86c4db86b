"""The evaluation of the held tool: every failure has its cause, and no episode was ever trained on."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from toolwright.hardware import held_tool as interfaces
from toolwright.hardware.held_tool import ACTIONS, LearnedInterface
from toolwright.policies.evaluation.held_tool import (
    EVALUATION,
    SELECTION,
    TARGETS,
    Judged,
    _reached,
    closed_form,
    evaluate,
    judge,
    learned,
    rng_for,
)
from toolwright.policies.evaluation.report import EvalReport, Group
from toolwright.policies.weights import Actor
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.tasks import held_tool
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

N = 6


@cache
def _bank() -> GraspBank:
    bank = load("tweezers")
    return bank.rows(np.array([*bank.part("train")[:3], *bank.part("held_out")[:2]]))


@pytest.fixture(autouse=True)
def few_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five tools instead of hundreds, whose models take a second to compile."""
    monkeypatch.setattr(held_tool, "load", lambda name: _bank())


def _task(level: str = "nominal", seed: int = 0, n: int = N, **config: object) -> HeldToolTask:
    return HeldToolTask(HeldToolConfig(level=level, **config), n, rng_for(seed))  # type: ignore[arg-type]


def _still() -> Actor:
    """A policy that does nothing: the closed-form controller behind a steady reference."""
    size = LearnedInterface.SIZE + 3
    return Actor(((np.zeros((ACTIONS, size), np.float32), np.zeros(ACTIONS, np.float32)),), 50.0, 200.0, {})


def _open_hand(task: HeldToolTask) -> None:
    task.ctrl[:] = 0.0  # flat


# -- judging ----------------------------------------------------------------------------------------------------------


def test_the_closed_form_controller_succeeds_in_a_nominal_world() -> None:
    judged = judge(_task(), closed_form)
    assert judged.success.all() and not judged.dropped.any()
    assert np.abs(judged.measured["opening"] - judged.goal).max() < HeldToolConfig().tolerance


def test_an_opened_hand_drops_every_tool_and_the_drop_is_not_forgotten() -> None:
    judged = judge(_task(horizon=30), _open_hand)
    assert judged.dropped.all() and not judged.success.any()
    assert [judged.cause(i, HeldToolConfig()) for i in range(N)] == ["dropped"] * N
    assert judged.measured["moved"].max() < 0.5  # put aside, not falling for the rest of the episode


def test_a_hand_that_holds_on_without_reaching_the_goal_fails_with_the_opening_off() -> None:
    def hold(task: HeldToolTask) -> None:
        task.goal[:] = 0.025  # the anchors are elsewhere
        task.ctrl[:] = task.interface.command

    judged = judge(_task(), hold)
    assert not judged.success.any() and not judged.dropped.any()
    assert {judged.cause(i, HeldToolConfig()) for i in range(N)} == {"opening off"}


@pytest.mark.parametrize(
    ("dropped", "moved", "turned", "cause"),
    [
        (True, 0.9, 0.9, "dropped"),
        (False, 0.02, 0.9, "moved in the hand"),
        (False, 0.0199, 0.4, "turned in the hand"),
        (False, 0.0199, 0.399, "opening off"),
    ],
)
def test_the_first_cause_that_fits_is_named(dropped: bool, moved: float, turned: float, cause: str) -> None:
    measured = {"moved": np.array([moved]), "turned": np.array([turned])}
    judged = Judged(np.array([False]), np.array([dropped]), measured, np.zeros(1), np.zeros(1))
    assert judged.cause(0, HeldToolConfig()) == cause


def test_one_dropped_tool_leaves_the_other_episodes_as_they_are() -> None:
    def drop_the_first(task: HeldToolTask) -> None:
        task.act_closed_form()
        task.ctrl[0] = 0.0

    alone, beside = judge(_task(), closed_form), judge(_task(), drop_the_first)
    assert beside.dropped.tolist() == [True] + [False] * (N - 1)
    for name in alone.measured:
        assert np.array_equal(alone.measured[name][1:], beside.measured[name][1:]), name


# -- streams ----------------------------------------------------------------------------------------------------------


def test_evaluations_selections_and_trainings_never_share_a_stream() -> None:
    seeds = [*range(20), 7001, 7001 + (1 << 32)]
    streams = {f"training {seed}": np.random.default_rng(seed) for seed in seeds}
    for purpose in (EVALUATION, SELECTION):
        streams |= {f"{purpose} {seed}": rng_for(seed, purpose) for seed in seeds}
    firsts = {name: rng.integers(1 << 62) for name, rng in streams.items()}
    assert len(set(firsts.values())) == 3 * len(seeds)
    # Not by luck: a training's seed has no spawn key.
    assert np.random.default_rng(0).bit_generator.seed_seq.spawn_key == ()  # type: ignore[attr-defined]
    keys = [rng_for(0, purpose).bit_generator.seed_seq.spawn_key for purpose in (EVALUATION, SELECTION)]  # type: ignore[attr-defined]
    assert () not in keys and keys[0] != keys[1]


def test_a_seed_stands_for_the_same_episodes_every_time() -> None:
    first, again, other = (judge(_task("hard", seed), closed_form) for seed in (1, 1, 2))
    assert np.array_equal(first.goal, again.goal) and not np.array_equal(first.goal, other.goal)
    for name in first.measured:
        assert np.array_equal(first.measured[name], again.measured[name]), name


# -- the whole evaluation ---------------------------------------------------------------------------------------------


@cache
def _report() -> tuple[EvalReport, tuple[str, ...]]:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_tool, "load", lambda name: _bank())
        patch.setattr(interfaces, "SPEED", 1e9)  # a policy that does nothing is the closed-form controller
        return evaluate(episodes=4, seed=3, actor=_still(), report=lines.append), tuple(lines)


def test_both_controllers_are_judged_under_both_levels_and_on_both_parts() -> None:
    report, lines = _report()
    names = [group.name for group in report.groups]
    assert len(names) == len(set(names)) == len(lines) == 8
    for controller in ("learned", "closed form"):
        for level in ("moderate", "hard"):
            for part in ("held-out", "train"):
                assert f"{controller}, {level}, {part}" in names
    assert all(group.n == 4 and 0 <= group.successes <= 4 for group in report.groups)


def test_both_controllers_get_the_same_episodes() -> None:
    groups = {group.name: group for group in _report()[0].groups}
    for name, group in groups.items():
        if name.startswith("learned"):  # a policy that does nothing: the same episodes end the same way
            twin = groups[name.replace("learned", "closed form")]
            assert (twin.successes, twin.measured) == (group.successes, group.measured), name


def test_the_result_counts_the_learned_policy_on_held_out_tools_and_lists_each_of_its_failures() -> None:
    report, _ = _report()
    counted = [group for group in report.groups if group.name.startswith("learned") and "held-out" in group.name]
    assert report.n == sum(group.n for group in counted) == 8
    assert report.successes == sum(group.successes for group in counted)
    assert len(report.failures) == report.n - report.successes
    for failure in report.failures:
        assert failure.cause.split(": ")[0] in TARGETS
        assert {"goal", "error", "moved", "turned"} == failure.measured.keys()
    assert report.target == min(rate for rate, _ in TARGETS.values())


@pytest.mark.parametrize("level", TARGETS)
def test_a_target_is_reached_when_neither_successes_nor_drops_miss_it(level: str) -> None:
    rate, drops = TARGETS[level]

    def reached(success: float, dropped: float, target: float | None = None) -> bool:
        return _reached(
            Group(f"learned, {level}, held-out", 1000, round(1000 * success), {"drop_rate": dropped}), target
        )

    assert reached(rate, drops)
    assert not reached(rate - 0.001, drops)
    assert not reached(rate, drops + 0.001)
    assert reached(0.5, drops, target=0.5) and not reached(0.499, drops, target=0.5)


def test_a_learned_control_acts_on_what_the_task_observes() -> None:
    task = _task("hard")
    task.reset(np.arange(N))
    seen = task.observe()
    actor = Actor(((np.full((ACTIONS, LearnedInterface.SIZE + 3), 0.01, np.float32), np.zeros(ACTIONS, np.float32)),),
                  50.0, 200.0, {})  # fmt: skip
    expected = actor.act(seen["observation"], seen["achieved_goal"], seen["desired_goal"])
    learned(actor)(task)
    assert task._effort == pytest.approx((expected**2).mean(axis=1))
