"""A run through the command line is recorded, shown, and its policy asked again; the space bar stops it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mcap", reason="mcap is not installed: pip install 'toolwright[record]'")

from toolwright.hardware.joints import LEAP
from toolwright.hardware.mcap_log import Recorder, Recording, RecordingError
from toolwright.launch import cli, replay
from toolwright.policies import weights

COMMAND = [sys.executable, str(Path(sys.executable).with_name("toolwright"))]
SENTENCE = "pick up the bead with the tweezers"


def toolwright(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], cwd=cwd, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("recorded")
    done = toolwright("do", SENTENCE, "--record", "run.mcap", "--json", "run.json", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run.mcap", json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def recording(run) -> Recording:
    return Recording(run[0])


def test_it_holds_states_commands_frames_plan_code_and_events(recording, run):
    _, record = run
    assert recording.complete and recording.about["robot"] == "sim" and recording.about["seed"] == 0
    kinds = [entry.value["kind"] for entry in recording.of("/event")]
    assert kinds[:2] == ["Asked", "SceneSeen"] and kinds[-1] == "Finished" and "SkillEnded" in kinds
    written = recording.of("/event")[-1].value["record"]
    assert written["code"] == record["code"] and written["plan"] == record["plan"] and "pick(" in record["code"]
    assert len(recording.about["joints"]) == recording.array("/state", "q").shape[1] == 23
    steps = np.diff(recording.stamps("/state"))
    assert steps == pytest.approx(recording.about["period"], abs=1e-9)
    assert recording.topics["/command"] == recording.topics["/state"] - 1
    if recording.of("/camera/color"):  # where this machine can draw
        assert recording.topics["/camera/color"] == recording.topics["/camera/depth"] > 3


def test_what_the_policy_answered_is_what_was_sent(recording):
    fingers = [i for i, name in enumerate(recording.about["joints"]) if name in LEAP.names]
    answers = recording.array("/policy/step", "target")
    assert (recording.array("/command", "asked")[:, fingers] == answers).all()


def test_recording_changes_nothing(run, tmp_path):
    done = toolwright("do", SENTENCE, "--json", "plain.json", cwd=tmp_path)
    assert done.returncode == 0
    plain = json.loads((tmp_path / "plain.json").read_text())
    assert plain["scene_after"]["objects"] == run[1]["scene_after"]["objects"]


def test_the_same_weights_answer_the_same_to_the_last_bit(recording):
    check = replay.rerun_policy(recording)
    assert check.same and check.largest == 0.0 and check.steps == recording.topics["/policy/step"] and not check.notes


def other_weights(folder: Path) -> Path:
    shutil.copytree(weights.FOLDER / "held_tool/tweezers", folder)
    actor = weights.load("held_tool/tweezers")
    (weight, bias), *rest = actor.layers
    card = {**actor.card, "seed": -1}
    weights.save(weights.Actor(((weight * 1.01, bias), *rest), actor.goal_scale, actor.error_scale, card), folder)
    return folder


def test_other_weights_answer_otherwise_and_it_says_by_how_much(run, tmp_path, capsys):
    folder = other_weights(tmp_path / "other")
    out = tmp_path / "replay.json"
    assert cli.main(["replay", str(run[0]), "--policy", str(folder), "--json", str(out)]) == 1
    policy = json.loads(out.read_text())["policy"]
    assert not policy["same"] and 1e-6 < policy["largest"] < 0.2 and 0 < policy["rms"] < policy["largest"]
    assert "cards differ" in " ".join(capsys.readouterr().out.split())


def test_a_damaged_answer_is_found(run, tmp_path):
    entries = Recording(run[0]).entries
    with Recorder(tmp_path / "changed.mcap", Recording(run[0]).about) as recorder:
        steps = 0
        for entry in entries:
            if entry.topic == "/policy/step" and (steps := steps + 1) == 40:
                entry.value["target"][5] += 1e-12
            recorder.add(entry.topic, entry.value, entry.stamp)
    check = replay.rerun_policy(Recording(tmp_path / "changed.mcap"))
    assert not check.same and 0 < check.largest < 1e-11 and check.worst_joint == LEAP.names[5]


def test_replay_shows_the_run_with_plot_and_video(run, recording, tmp_path, capsys):
    words = ["--plot", str(tmp_path / "a.png"), "--policy", "--json", str(tmp_path / "a.json")]
    if recording.of("/camera/color"):
        words += ["--video", str(tmp_path / "a.mp4")]
    assert cli.main(["replay", str(run[0]), *words]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert SENTENCE in shown and "pick: done" in shown and "the same to the last bit" in shown
    assert (tmp_path / "a.png").stat().st_size > 20_000
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["status"] == "done" and result["complete"] and 0 < result["fastest"] < 5.3


def test_a_recording_without_a_policy_says_so(tmp_path):
    with Recorder(tmp_path / "a.mcap", {"joints": ["a"], "version": "0"}) as recorder:
        recorder.add("/state", {"q": [0.0], "dq": [0.0], "effort": [0.0]}, 0.0)
    with pytest.raises(RecordingError, match="without a held tool"):
        replay.rerun_policy(Recording(tmp_path / "a.mcap"))
    assert cli.main(["replay", str(tmp_path / "a.mcap")]) == 0


def test_stops_that_differ_in_numbers_only_are_shown_once(tmp_path, capsys):
    with Recorder(tmp_path / "a.mcap", {"joints": ["a"], "version": "0"}) as recorder:
        for reason in ("pause: hand silent for 21 ms", "space bar", "pause: hand silent for 30 ms"):
            recorder.add("/gate", {"limits": {"stopped": ["a"]}, "reason": reason}, 0.0)
    assert cli.main(["replay", str(tmp_path / "a.mcap")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "pause: hand silent for 21 ms (and 1 more like it); space bar" in shown and "30 ms" not in shown


def test_mistakes_get_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mcap").write_text("hello")
    for words, expected in (
        (["replay", "nothing.mcap"], "no such file"),
        (["replay", "text.mcap"], "no MCAP file"),
        (["replay", "text.mcap", "--plot", "a.doc"], "a plot is"),
        (["do", "pick up the bead", "--record", "run.bag"], "a recording is .mcap"),
    ):
        assert cli.main(words) == 2
        err = capsys.readouterr().err
        assert expected in err and err.count("\n") == 1


def test_after_kill_9_in_motion_the_run_is_readable_up_to_the_cut(tmp_path):
    file = tmp_path / "killed.mcap"
    with subprocess.Popen([*COMMAND, "do", SENTENCE, "--record", file], stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not file.exists() or file.stat().st_size < 300_000:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.01)
        process.kill()
    recording = Recording(file)
    assert not recording.complete
    assert replay.summarize(recording).sentence == SENTENCE
    assert replay.rerun_policy(recording).same


def on_terminal(words: list[str], cwd: Path, key: bytes, after: str) -> tuple[int, str]:
    """Runs a command on a pseudo-terminal, presses a key once some text was shown; exit code, and what it said."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execv(sys.executable, [*COMMAND, *words])
    said, pressed = "", False
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        said = re.sub(r"\x1b\[[0-9;]*m", "", said + data.decode(errors="ignore"))
        if after in said and not pressed:
            pressed = True
            time.sleep(0.5)
            os.write(master, key)
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_the_space_bar_is_an_emergency_stop_in_any_skill(tmp_path):
    words = ["do", SENTENCE, "--record", "stopped.mcap", "--json", "stopped.json"]
    code, said = on_terminal(words, tmp_path, b" ", after="> pick")
    assert code == 130, said
    assert "Traceback" not in said
    assert json.loads((tmp_path / "stopped.json").read_text())["status"] == "stopped"
    stops = replay.summarize(Recording(tmp_path / "stopped.mcap")).stops
    assert "space bar" in stops
