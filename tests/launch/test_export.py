"""Recordings as a LeRobot dataset: by its documented files, and by LeRobot's own loader where that is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mcap", reason="mcap is not installed: pip install 'toolwright[record]'")
pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'toolwright[lerobot]'")

import pyarrow.parquet as pq

from toolwright.hardware.mcap_log import Recorder
from toolwright.hardware.robot import Frame
from toolwright.launch import cli

JOINTS = ["a", "b", "c"]


def record(path: Path, steps: int, sentence: str, seed: int = 0, joints=JOINTS, gap: bool = False) -> np.ndarray:
    """Writes a recording, and returns what was sent (steps, n)."""
    rng = np.random.default_rng(seed)
    sent = rng.standard_normal((steps, len(joints)))
    with Recorder(path, {"joints": joints, "period": 0.05, "robot": "sim", "version": "0"}) as recorder:
        recorder.add("/event", {"kind": "Asked", "sentence": sentence}, 0.0)
        for i in range(steps):
            stamp = 0.05 * i + (2.0 if gap and i >= steps // 2 else 0.0)
            recorder.add("/state", {"stamp": stamp, "q": sent[i] - 1, "dq": sent[i], "effort": sent[i]}, stamp)
            if i % 4 == 0:
                rgb = np.full((8, 12, 3), (i * 5, 100, 50), np.uint8)
                recorder.add_frame(Frame(stamp, np.ones((8, 12)), rgb, np.eye(3), np.eye(4)))
            recorder.add("/command", {"asked": sent[i] * 2, "sent": sent[i]}, stamp)
    return sent


@pytest.fixture
def dataset(tmp_path) -> tuple[Path, list[np.ndarray]]:
    sent = [record(tmp_path / "a.mcap", 20, "lift it"), record(tmp_path / "b.mcap", 12, "drop it", 1, gap=True)]
    files = [str(tmp_path / name) for name in ("a.mcap", "b.mcap")]
    assert cli.main(["export", *files, "--out", str(tmp_path / "set"), "--images", "--json", str(tmp_path / "r")]) == 0
    return tmp_path / "set", sent


def test_the_frames_are_the_recorded_states_and_the_targets_that_passed_the_gate(dataset):
    folder, sent = dataset
    table = pq.read_table(folder / "data/chunk-000/file-000.parquet").to_pydict()
    both = np.concatenate(sent)
    assert np.array(table["action"]) == pytest.approx(both, rel=1e-6)
    assert np.array(table["observation.state"]) == pytest.approx(both - 1, rel=1e-6)
    assert table["index"] == list(range(32)) and table["frame_index"] == [*range(20), *range(12)]
    assert table["episode_index"] == [0] * 20 + [1] * 12 == table["task_index"]
    assert table["timestamp"][:20] == pytest.approx(np.arange(20) / 20)
    assert table["observation.images.camera"][0]["bytes"][:2] == b"\xff\xd8"  # JPEG


def test_the_files_that_the_format_asks_for_are_there(dataset):
    folder, sent = dataset
    info = json.loads((folder / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == ("v3.0", 20, 2, 32)
    assert info["features"]["action"]["names"] == JOINTS
    episodes = pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pydict()
    assert episodes["dataset_from_index"] == [0, 20] and episodes["dataset_to_index"] == [20, 32]
    assert episodes["tasks"] == [["lift it"], ["drop it"]]
    stats = json.loads((folder / "meta/stats.json").read_text())
    assert stats["action"]["mean"] == pytest.approx(np.concatenate(sent).mean(axis=0), abs=1e-6)
    assert np.shape(stats["observation.images.camera"]["mean"]) == (3, 1, 1)
    tasks = pq.read_table(folder / "meta/tasks.parquet")
    assert tasks.to_pydict()["__index_level_0__"] == ["lift it", "drop it"]


def test_missing_moments_are_counted(dataset, tmp_path):
    assert json.loads((tmp_path / "r").read_text())["gaps"] == 1


def test_lerobot_s_own_loader_reads_it(dataset, monkeypatch):
    pytest.importorskip("lerobot", reason="lerobot is not installed: pip install lerobot, in an environment of its own")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    folder, sent = dataset
    loaded = LeRobotDataset("local/toolwright", root=folder)
    assert (loaded.num_episodes, loaded.num_frames, loaded.fps) == (2, 32, 20)
    frame = loaded[25]
    assert frame["action"].numpy() == pytest.approx(sent[1][5], rel=1e-6) and frame["task"] == "drop it"
    assert tuple(frame["observation.images.camera"].shape) == (3, 8, 12)
    assert float(frame["observation.images.camera"][0, 0, 0]) == pytest.approx(4 * 5 / 255, abs=0.02)


def test_mistakes_get_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "a.mcap", 4, "x")
    record(tmp_path / "other.mcap", 4, "x", joints=["z"])
    with Recorder(tmp_path / "still.mcap", {"joints": JOINTS, "period": 0.05}) as recorder:
        recorder.add("/event", {"kind": "Asked", "sentence": "x"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    for words, expected in (
        ("a.mcap other.mcap --out new", "of another robot"),
        ("still.mcap --out new", "has no commands"),
        ("a.mcap --out full", "not an empty folder"),
        ("nothing.mcap --out new", "no such file"),
        ("a.mcap", "--out"),
    ):
        assert cli.main(["export", *words.split()]) == 2
        err = capsys.readouterr().err
        assert expected in err and err.count("\n") == 1, err
