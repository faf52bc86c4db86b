"""Teleoperation over ROS: a key that is held in a terminal moves the arm behind robot_node."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")
pytest.importorskip("mcap", reason="mcap is not installed: pip install 'toolwright[record]'")

from toolwright.hardware.mcap_log import Recording
from toolwright.hardware.ros import topics
from toolwright.hardware.ros.node import spinning
from toolwright.launch.graph import NAMESPACE, graph
from toolwright.launch.runner import Runner

COMMAND = [sys.executable, str(Path(sys.executable).with_name("toolwright")), "teleop", "--robot", "ros"]
START = 60.0  # s, on a busy machine


@pytest.fixture
def robot(ros, tmp_path, until):
    """Simulation and robot_node, and what the arm does."""
    node = ros.create_node("tester", namespace=NAMESPACE)
    it = SimpleNamespace(q=[], stopped=[])
    topics.subscribe(node, topics.JOINT_STATES, lambda m: it.q.append(np.array(m.position)[:7]))
    topics.subscribe(node, topics.STOPPED, lambda m: it.stopped.append(m.data))
    entries = [entry for entry in graph("sim") if entry.node in ("sim_node", "robot_node")]
    with Runner(entries, log=str(tmp_path / "graph.log")), spinning(node):
        until(lambda: it.q and it.stopped, START, "simulation and robot_node")
        yield it
    node.destroy_node()


def test_a_held_key_moves_the_arm_and_a_release_rests(robot, tmp_path, until):
    record = tmp_path / "jog.mcap"
    pid, master = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*COMMAND, "--speed", "50", "--record", str(record)])
    said = ""

    def listen(seconds: float) -> None:
        nonlocal said
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([master], [], [], left)[0]:
                said += os.read(master, 65536).decode(errors="ignore")

    end = time.monotonic() + START
    while "quit" not in said:
        assert time.monotonic() < end, said
        listen(0.1)
    before = robot.q[-1]
    end = time.monotonic() + START
    while np.abs(robot.q[-1] - before).max() < 0.02:
        assert time.monotonic() < end, f"the arm does not move: {said}"
        os.write(master, b"r")
        listen(0.03)
    until(lambda: len(robot.q) > 12 and np.abs(robot.q[-1] - robot.q[-10]).max() < 1e-3, START, "it rests")
    os.write(master, b"q")
    status = _ended(pid, master)
    assert os.waitstatus_to_exitcode(status) == 0
    assert robot.stopped[-1] == ""
    assert len(Recording(record).of("/command")) > 5


def _ended(pid: int, master: int) -> Any:
    end = time.monotonic() + START
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if select.select([master], [], [], 0.1)[0]:
            try:
                os.read(master, 65536)
            except OSError:
                pass
    os.kill(pid, 9)
    raise AssertionError("teleop does not end")


def test_calibration_reads_the_arm_and_says_that_there_is_no_camera(robot, tmp_path):
    """`calibrate camera --robot ros` as far as it goes without a camera."""
    code = "from toolwright.launch.calibration import real_arm\nwith real_arm() as read: print(*read().q[:7])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=2 * START)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose([float(word) for word in done.stdout.split()], robot.q[-1], atol=1e-3)
    words = [COMMAND[0], COMMAND[1], "calibrate", "camera", "--robot", "ros", "--views", str(tmp_path / "views")]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=2 * START)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "camera" in done.stderr
