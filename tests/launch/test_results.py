from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from toolwright.launch import results
from toolwright.launch.results import AnyResult, DoResult, EvalResult, ListResult
from toolwright.llm_planner.run.record import RunRecord

RATES = {"task": "pick", "n": 200, "successes": 180, "success_rate": 0.9, "interval_95": (0.85, 0.93), "failures": []}


def listing() -> ListResult:
    return ListResult(kind="tools", count=1, items=[{"name": "tweezers"}])


@pytest.mark.parametrize(
    ("status", "code"), [("done", 0), ("refused", 2), ("rejected", 1), ("failed", 1), ("stopped", 130)]
)
def test_do_exits_by_how_the_run_ended(status, code):
    record = RunRecord(sentence="", model="offline", status=status)
    assert DoResult(scene="bead", **dict(record)).exit_code == code


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_eval_fails_where_a_target_was_missed(passed, code):
    assert EvalResult(**RATES, target=0.9, passed=passed).exit_code == code


def test_a_field_that_the_schema_does_not_know_is_an_error():
    with pytest.raises(ValidationError, match="surprise"):
        EvalResult(**RATES, target=0.9, passed=True, surprise=1)


def test_every_result_reads_back_through_the_schema(tmp_path):
    file = tmp_path / "result.json"
    results.write(results.complete(EvalResult(**RATES, target=0.9, passed=True), seed=7, seconds=1.5), str(file))
    read = TypeAdapter(AnyResult).validate_json(file.read_text())
    assert isinstance(read, EvalResult)
    assert (read.seed, read.seconds, read.interval_95) == (7, 1.5, (0.85, 0.93))


def test_plain_turns_arrays_and_paths_into_json():
    value = {"q": np.arange(2), "rate": np.float64(0.5), "ok": np.bool_(True), "paths": (Path("a"),)}
    assert json.dumps(results.plain(value)) == '{"q": [0, 1], "rate": 0.5, "ok": true, "paths": ["a"]}'


def test_a_write_that_dies_leaves_the_old_result_whole(tmp_path, monkeypatch):
    file = tmp_path / "result.json"
    file.write_text("old")

    def die(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(OSError, match="no space left"):
        results.write(listing(), str(file))
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_to_the_result_stays_a_link(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    results.write(listing(), str(tmp_path / "link.json"))
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["count"] == 1


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        results.check_writable(str(pipe))
        results.write(listing(), str(pipe))
        assert json.loads(os.read(reader, 10_000))["count"] == 1
    finally:
        os.close(reader)
    assert pipe.is_fifo()
