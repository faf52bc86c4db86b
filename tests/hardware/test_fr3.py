"""The direct FR3 driver through the vendor's own library and network protocol, against a simulated control box.

The box is `franky-sim` in a process of its own. It moves a MuJoCo arm and answers as the maker's does; it has no
reflexes, so those come from a stand-in, and no real time: on a busy machine its arm is slow.
"""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from toolwright.hardware.drivers.fr3 import Fr3Arm, Fr3Error, Fr3Settings, Fr3Stopped
from toolwright.hardware.joints import FR3
from toolwright.hardware.robot import JointTarget, Robot
from toolwright.hardware.safety import SafetyGate

HINT = "franky-control and franky-sim are not installed: .venv/bin/pip install -e '.[fr3,fr3-sim]'"
FAST = Fr3Settings(speed=0.5, realtime=False)
PORT = 1337  # of libfranka's protocol
needs_box = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("franky", "franky_sim")), reason=HINT
)


@pytest.fixture(scope="module")
def box() -> Iterator[str]:
    """The address of a simulated control box."""
    host = f"127.0.{1 + time.monotonic_ns() % 200}.{2 + time.monotonic_ns() // 1000 % 250}"
    words = [sys.executable, "-m", "franky_sim.run_server", "--hostname", host, "--simulator", "mujoco"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not _listens(host):
            if process.poll() is not None or time.monotonic() > end:
                pytest.skip("the simulated control box does not start here")
            time.sleep(0.2)
        yield host
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _listens(host: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, PORT)) == 0


@pytest.fixture
def arm(box: str) -> Iterator[Fr3Arm]:
    driver = Fr3Arm(box, settings=FAST)
    driver.connect()
    yield driver
    driver.close()


def arrives(arm: Any, q: np.ndarray, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while np.abs(arm.read().q - q).max() > 0.01:
        assert time.monotonic() < end, f"still {np.abs(arm.read().q - q).max():.3f} rad away"
        time.sleep(0.05)


@needs_box
def test_it_reads_and_moves_as_a_robot_behind_the_gate(arm: Fr3Arm) -> None:
    assert isinstance(arm, Robot)
    gate = SafetyGate(arm)
    gate.connect()
    start = gate.read()
    assert np.isfinite([start.q, start.dq, start.effort]).all() and np.abs(start.dq).max() < 0.05
    goal = start.q + 0.1 * np.eye(7)[0]
    for _ in range(30):
        gate.send(JointTarget(goal))
        time.sleep(arm.period)
    arrives(gate, goal)
    gate.close()


@needs_box
def test_a_target_beyond_a_range_is_clipped(arm: Fr3Arm) -> None:
    q = arm.read().q
    sent = arm.send(JointTarget(np.where(np.arange(7) == 6, 10.0, q)))
    assert sent.q[6] == FR3.upper[6]
    arm.stop("enough")


@needs_box
def test_a_stop_comes_to_rest_on_the_way(arm: Fr3Arm) -> None:
    q = arm.read().q
    goal = q - 0.8 * np.eye(7)[0]
    arm.send(JointTarget(goal))
    end = time.monotonic() + 30
    while np.abs(arm.read().dq).max() < 0.1 and time.monotonic() < end:
        time.sleep(0.02)
    arm.stop("enough")
    while np.abs(arm.read().dq).max() > 0.02:
        assert time.monotonic() < end + 30, "it goes on"
        time.sleep(0.05)
    assert np.abs(arm.read().q - goal).max() > 0.1


@needs_box
@pytest.mark.parametrize("q", [np.zeros(6), np.full(7, np.nan)])
def test_what_is_no_target_is_refused(arm: Fr3Arm, q: np.ndarray) -> None:
    with pytest.raises(Fr3Error, match="7 finite numbers"):
        arm.send(JointTarget(q))


@needs_box
def test_a_reflex_latches_until_the_arm_recovers(arm: Fr3Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated box has none: the exception that the library raises for one comes from here."""
    import franky

    class Reflex:
        def __init__(self, robot: Any) -> None:
            self.robot, self.tripped = robot, True

        def __getattr__(self, name: str) -> Any:
            return getattr(self.robot, name)

        def poll_motion(self) -> bool:
            if self.tripped:
                raise franky.ControlException('motion aborted by reflex! ["cartesian_reflex"]')
            return False

        def recover_from_errors(self) -> bool:
            self.tripped = False
            return True

    monkeypatch.setattr(arm, "_robot", Reflex(arm._robot))
    with pytest.raises(Fr3Stopped, match="cartesian_reflex"):
        arm.read()
    for call in (arm.read, lambda: arm.send(JointTarget(FR3.lower))):
        with pytest.raises(Fr3Stopped, match="free it, then clear"):
            call()
    arm.clear()
    assert arm.fault == "" and np.isfinite(arm.read().q).all()


@needs_box
def test_nobody_there_is_said() -> None:
    with pytest.raises(Fr3Error, match="the arm at 127.0.0.99"):
        Fr3Arm("127.0.0.99", settings=FAST).connect()


def test_without_the_library_the_mend_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "franky", None)
    with pytest.raises(ModuleNotFoundError, match="franky-control is not installed"):
        Fr3Arm("127.0.0.1").connect()


def test_a_speed_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="speed is from 0.01 to 1"):
        Fr3Arm("127.0.0.1", settings=Fr3Settings(speed=2.0))


def test_nothing_goes_to_an_arm_that_is_not_connected() -> None:
    with pytest.raises(Fr3Error, match="not connected"):
        Fr3Arm("127.0.0.1").read()
