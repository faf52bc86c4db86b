"""Checkpoints survive whatever happens while they are written."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toolwright.policies.training import checkpoint
from toolwright.policies.training.checkpoint import BEFORE, NEWEST, CheckpointError


def _saved(folder: Path, count: int) -> None:
    for i in range(count):
        checkpoint.save(folder, {"i": i, "weights": np.full(1000, i)})


def test_what_was_saved_last_is_loaded(tmp_path: Path) -> None:
    _saved(tmp_path / "new", 3)
    state = checkpoint.load(tmp_path / "new")
    assert state["i"] == 2 and (state["weights"] == 2).all()


def test_no_other_file_than_the_newest_and_the_one_before_is_left(tmp_path: Path) -> None:
    _saved(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([NEWEST, BEFORE])


def test_a_failed_save_leaves_the_last_checkpoint_whole(tmp_path: Path) -> None:
    _saved(tmp_path, 2)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoint.save(tmp_path, {"i": lambda: None})
    assert checkpoint.load(tmp_path)["i"] == 1


def test_the_newest_checkpoint_never_vanishes_while_another_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _saved(tmp_path, 2)
    seen = []
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        replace(source, target)
        seen.append(checkpoint.load(tmp_path)["i"] if (tmp_path / NEWEST).exists() else None)

    monkeypatch.setattr(os, "replace", watched)
    checkpoint.save(tmp_path, {"i": 2})
    assert seen == [1, 2]


@pytest.mark.parametrize("kept", [0.0, 0.0005, 0.5, 0.999])
def test_a_truncated_newest_falls_back_to_the_one_before_with_a_warning(
    tmp_path: Path, kept: float, caplog: pytest.LogCaptureFixture
) -> None:
    _saved(tmp_path, 3)
    whole = (tmp_path / NEWEST).read_bytes()
    (tmp_path / NEWEST).write_bytes(whole[: int(kept * len(whole))])
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load(tmp_path)["i"] == 1
    assert str(tmp_path / NEWEST) in caplog.text and "damaged" in caplog.text


def test_a_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    _saved(tmp_path, 2)
    raw = bytearray((tmp_path / NEWEST).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / NEWEST).write_bytes(raw)
    assert checkpoint.load(tmp_path)["i"] == 0


def test_a_missing_newest_falls_back_to_the_one_before(tmp_path: Path) -> None:
    _saved(tmp_path, 2)
    (tmp_path / NEWEST).unlink()
    assert checkpoint.load(tmp_path)["i"] == 0


def test_two_damaged_checkpoints_are_an_error_that_names_both(tmp_path: Path) -> None:
    _saved(tmp_path, 2)
    for name in (NEWEST, BEFORE):
        (tmp_path / name).write_bytes(b"noise")
    with pytest.raises(CheckpointError, match=f"{NEWEST} and .*{BEFORE} damaged.*without --resume"):
        checkpoint.load(tmp_path)


def test_a_folder_without_a_checkpoint_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"no checkpoint in {tmp_path}"):
        checkpoint.load(tmp_path)


SAVER = """
import os, sys
from pathlib import Path
from toolwright.policies.training import checkpoint

blob = os.urandom(4_000_000)
for i in range(int(sys.argv[2]), 10**6):
    checkpoint.save(Path(sys.argv[1]), {"i": i, "blob": blob})
    print(i, flush=True)
"""


def test_a_kill_at_any_moment_of_saving_leaves_a_checkpoint_at_least_as_new_as_the_last_whole_one(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    newest = -1
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path), str(newest + 1)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        first = int(child.stdout.readline())
        try:
            child.wait(rng.uniform(0, 0.1))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        printed = [first, *map(int, child.stdout.read().split())]
        assert child.wait() == -signal.SIGKILL
        assert first == newest + 1
        newest = checkpoint.load(tmp_path)["i"]
        assert newest in (printed[-1], printed[-1] + 1)  # killed before or after the rename
