"""Learning a tool after the others, beside learning it from nothing."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from toolwright.policies.training import transfer
from toolwright.policies.training.config import PPOConfig
from toolwright.policies.training.curve import Point
from toolwright.sim import grasp_bank
from toolwright.sim.grasp_bank import GraspBank
from toolwright.sim.tasks import held_tool

_load = grasp_bank.load
TINY = {"envs": 16, "threads": 1, "evaluation_worlds": 8, "ppo": PPOConfig(rollout=4, batch=32, epochs=1, layers=(8,))}


@cache
def _bank(name: str) -> GraspBank:
    return _load(name).rows(np.arange(3))


def _run(tenths: list[float]) -> list[Point]:
    """A curve of success, in tenths, with an evaluation every 100 steps."""
    return [Point(100 * i, value / 10, 0.0, 0.8, 1.0) for i, value in enumerate(tenths)]


def test_steps_are_counted_to_nine_tenths_of_what_learning_from_nothing_gains() -> None:
    curves = {
        "after the other tools": [_run([8.0, 10.0, 10.0, 10.0, 10.0]), _run([8.0, 10.0, 10.0, 10.0, 10.0])],
        "from nothing": [_run([0.0, 5.0, 10.0, 10.0, 10.0]), _run([0.0, 5.0, 10.0, 10.0, 10.0])],
    }
    assert transfer.steps_to_gain(curves) == pytest.approx({"after the other tools": 50.0, "from nothing": 180.0})


def test_a_start_above_the_aim_needs_no_step_and_one_below_never_gets_there() -> None:
    nothing = [_run([0.0, 5.0, 10.0, 10.0, 10.0])]
    assert transfer.steps_to_gain({"a": [_run([9.5, 9.0])], "from nothing": nothing})["a"] == 0
    assert transfer.steps_to_gain({"a": [_run([1.0, 8.0])], "from nothing": nothing})["a"] == float("inf")


def test_a_second_call_takes_the_curves_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grasp_bank, "load", _bank)
    monkeypatch.setattr(held_tool, "load", _bank)
    monkeypatch.setattr(transfer, "EVALUATIONS", 3)
    shown: list[str] = []
    first = transfer.main("tongs", 1, 6 * 64, 2 * 64, shown.append, **TINY)
    rows = list(csv.DictReader((Path(first.folder) / "curves.csv").open()))
    assert {row["start"] for row in rows} == set(transfer.STARTS)
    for start in transfer.STARTS:
        at = [int(row["steps"]) for row in rows if row["start"] == start]
        assert at[0] == 0 and at[-1] == 6 * 64 and at == sorted(set(at))
    assert (Path(first.folder) / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert shown
    shown.clear()
    again = transfer.main("tongs", 1, 6 * 64, 2 * 64, shown.append, **TINY)
    assert again == first and not shown
