"""Whole runs through the command line: a sentence moves the robot, an evaluation counts, a training resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import pytest

COMMAND = [sys.executable, str(Path(sys.executable).with_name("toolwright"))]
SENTENCE = "pick up the bead with the tweezers and drop it in the cup"


def toolwright(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], cwd=cwd, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, toolwright("do", SENTENCE, "--video", "demo.mp4", "--json", "demo.json", cwd=folder)


def test_a_sentence_picks_the_bead_and_drops_it_into_the_cup(demo):
    folder, done = demo
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((folder / "demo.json").read_text())
    assert record["success"] and "in cup" in record["reason"]
    assert [skill["name"] for skill in record["skills"]] == ["pick", "drop_in"]
    before, after = record["scene_before"]["objects"], record["scene_after"]["objects"]
    assert abs(after["bead"]["pos"][1] - before["bead"]["pos"][1]) > 0.05
    assert max(abs(after["bead"]["pos"][i] - after["cup"]["pos"][i]) for i in (0, 1)) < 0.03


def test_the_run_prints_four_roles_code_skills_and_verdict(demo):
    _, done = demo
    for word in ("analyzer", "planner", "calculator", "coder", 'pick("bead"', "drop_in", "raised", "DONE"):
        assert word in done.stdout


def test_the_video_shows_something_that_moves(demo):
    folder, _ = demo
    frames = iio.imread(folder / "demo.mp4")
    assert len(frames) > 50
    assert abs(frames[0].astype(int) - frames[len(frames) // 2]).mean() > 1


def test_the_same_seed_gives_the_same_run(demo, tmp_path):
    folder, _ = demo
    assert toolwright("do", SENTENCE, "--json", "again.json", cwd=tmp_path).returncode == 0
    first, second = (json.loads(p.read_text()) for p in (folder / "demo.json", tmp_path / "again.json"))
    assert first["scene_after"]["objects"] == second["scene_after"]["objects"]


def test_ctrl_c_in_motion_stops_the_robot_and_leaves_a_record(tmp_path):
    words = [*COMMAND, "do", SENTENCE, "--json", "stopped.json"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        while line := process.stdout.readline():
            if "> pick" in line:
                break
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130, rest
    assert json.loads((tmp_path / "stopped.json").read_text())["status"] == "stopped"


def test_a_skill_that_fails_ends_the_run_with_1_and_its_reason(tmp_path):
    scene = tmp_path / "far.yaml"
    scene.write_text(
        "name: far\n"
        "tool: {family: tweezers}\n"
        "workspace: {lower: [0.3, -0.9, 0.0], upper: [1.4, 0.9, 0.4]}\n"
        "table: {size: [1.8, 2.0], center: [1.0, 0.0]}\n"
        "objects:\n  bead: {shape: sphere, pos: [1.2, 0.5], radius: 0.005}\n"
    )
    words = ("do", "pick up the bead", "--scene", str(scene), "--json", "out.json")
    # The dry run sees it before anything moves; without one the arm finds out.
    for more, status in ((), "rejected"), (("--rehearsal", "off"), "failed"):
        done = toolwright(*words, *more, cwd=tmp_path)
        record = json.loads((tmp_path / "out.json").read_text())
        assert done.returncode == 1, done.stdout + done.stderr
        assert record["status"] == status and "reach" in record["reason"]


def test_eval_cup_counts_and_lists_failures_with_their_causes(tmp_path):
    done = toolwright("eval", "cup", "--episodes", "2", "--target", "0", "--json", "out.json", cwd=tmp_path)
    record = json.loads((tmp_path / "out.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert record["n"] == 2 and len(record["failures"]) == 2 - record["successes"]
    assert 0 <= record["interval_95"][0] <= record["success_rate"] <= record["interval_95"][1] <= 1


def test_eval_held_tool_shows_the_baseline_beside_the_policy(tmp_path):
    done = toolwright("eval", "held_tool", "--episodes", "16", "--target", "0", "--json", "out.json", cwd=tmp_path)
    record = json.loads((tmp_path / "out.json").read_text())
    names = [group["name"] for group in record["groups"]]
    assert any(name.startswith("closed form") for name in names) and any(name.startswith("learned") for name in names)
    assert all("drop_rate" in group["measured"] for group in record["groups"]), done.stderr


def test_bench_prints_the_ratio_to_physics_and_the_peers(tmp_path):
    done = toolwright("bench", "throughput", "--envs", "4", "--json", "out.json", cwd=tmp_path)
    record = json.loads((tmp_path / "out.json").read_text())
    assert done.returncode == 0, done.stderr
    assert 0 < record["ratio_to_physics"] <= 1.2
    assert {"SubprocVecEnv", "DummyVecEnv"} <= set(done.stdout.split())


def test_train_writes_checkpoint_curve_policy_and_resumes(tmp_path):
    tiny = ["envs=8", "steps=512", "evaluate_every=256", "evaluation_worlds=4", "video=false", "ppo.batch=64"]
    done = toolwright("train", "held_tool", *tiny, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs" / "train" / "held_tool").iterdir()
    assert {"checkpoint.pkl", "curve.png", "best"} <= {path.name for path in folder.iterdir()}
    assert toolwright("train", "held_tool", "--resume", cwd=tmp_path).returncode == 0


def test_train_names_a_misspelled_override(tmp_path):
    done = toolwright("train", "held_tool", "stepz=3", cwd=tmp_path)
    assert done.returncode == 2 and "stepz" in done.stderr and "Traceback" not in done.stderr
