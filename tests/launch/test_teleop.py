"""Jogging: what is held moves, what is released rests, and everything passes the gate."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import select
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mcap", reason="mcap is not installed: pip install 'toolwright[record]'")

from toolwright.hardware.drivers.gamepad import Gamepad, PadLost
from toolwright.hardware.mcap_log import Recording
from toolwright.launch import cli, teleop
from toolwright.launch.jog import HELD, LINEAR, RAMP, Keys, Pad, Wish
from toolwright.launch.keyboard import EmergencyKey, Keyboard, split
from toolwright.policies.motion import Unreachable

COMMAND = [sys.executable, str(Path(sys.executable).with_name("toolwright"))]


def load_fake_pad():
    spec = importlib.util.spec_from_file_location("fake_pad", Path(__file__).parents[1] / "hardware/test_gamepad.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FakePad


def axes(**moves: float) -> np.ndarray:
    names = ("x", "y", "z", "rx", "ry", "rz", "opening", "joint")
    return np.array([moves.get(name, 0.0) for name in names])


@pytest.fixture
def rig():
    made = teleop.simulated("bead", 0, 0.2, controller="closed_form")
    yield made
    made.close()


# -- keys -------------------------------------------------------------------------------------------------------------


def test_escape_sequences_are_keys_or_nothing():
    assert split("w\x1b[Aq\x1b[24~\x1b") == ["w", "up", "q", "esc"]
    assert split(" \t\x7f") == [" ", "tab", "backspace"]


def test_a_key_counts_as_held_until_it_does_not_come_again():
    keys = Keys()
    keys.press("w", 10.0)
    assert keys.wish(10.0 + HELD / 2).axes[0] == 1
    keys.press("w", 10.0 + HELD / 2)
    assert keys.wish(10.0 + HELD).axes[0] == 1
    assert not keys.wish(10.0 + 1.5 * HELD).axes.any()


def test_opposite_keys_cancel_and_orders_come_once():
    keys = Keys()
    for key in ("w", "s", "c", "tab"):
        keys.press(key, 0.0)
    wish = keys.wish(0.01)
    assert not wish.axes.any() and wish.orders == ("clear", "next")
    assert keys.wish(0.02).orders == ()


# -- motion -----------------------------------------------------------------------------------------------------------


def test_the_tips_go_where_they_are_told_at_the_speed_chosen_and_rest_when_released(rig):
    jogger = rig.jogger
    start = jogger.tips.copy()
    for _ in range(30):
        jogger.tick(axes(y=-1))
    moved = jogger.tips - start
    seconds = 30 * jogger.robot.period
    assert moved[1] == pytest.approx(-0.2 * LINEAR * (seconds - RAMP / 2), rel=0.08)
    assert np.abs(moved[[0, 2]]).max() < 1e-3
    for _ in range(round(RAMP / jogger.robot.period) + 1):
        jogger.tick(axes())
    rest = jogger.tips.copy()
    for _ in range(6):
        jogger.tick(axes())
    assert np.abs(jogger.tips - rest).max() < 1e-6
    assert np.abs(rig.gate.read().dq[:7]).max() < 5e-3


def test_the_tips_stop_at_the_wall_of_the_workspace(rig):
    jogger = rig.jogger
    jogger.speed = 1.0
    limits = set()
    for _ in range(80):
        jogger.tick(axes(z=-1))
        limits |= set(rig.gate.last_report.limits)
    assert "workspace" in limits
    assert -0.001 < jogger.tips[2] < 0.03  # over the table
    low = jogger.tips[2]
    for _ in range(20):
        jogger.tick(axes(z=1))
    assert jogger.tips[2] > low + 0.05  # and come back


def test_the_tool_opens_and_closes_by_the_hand_s_policy(rig):
    jogger = rig.jogger
    before = jogger._fingers._tool().opening
    for _ in range(60):
        jogger.tick(axes(opening=-1))
    closed = jogger._fingers._tool().opening
    assert closed < before - 0.006 and jogger.opening < 0.02


def test_one_joint_can_be_jogged_alone(rig):
    jogger = rig.jogger
    jogger.choose(-1)
    assert jogger.joint == "th_ipl"
    jogger.choose(1)
    assert jogger.joint == "fr3_joint1"
    before = rig.gate.read().q
    for _ in range(20):
        jogger.tick(axes(joint=1))
    moved = rig.gate.read().q - before
    assert moved[0] > 0.1 and np.abs(moved[1:7]).max() < 5e-3


def test_after_an_emergency_stop_nothing_moves_until_it_is_cleared_and_then_without_a_jump(rig):
    jogger = rig.jogger
    for _ in range(15):
        jogger.tick(axes(x=-1))
    teleop._obey("stop", rig)
    from toolwright.hardware.safety import EmergencyStopped

    with pytest.raises(EmergencyStopped):
        jogger.tick(axes(x=-1))
    teleop._obey("clear", rig)
    before = rig.gate.read().q
    jogger.tick(axes())
    assert np.abs(rig.gate.read().q - before)[:7].max() < 0.01


def test_beyond_the_arm_s_reach_it_says_so_and_holds(rig, monkeypatch):
    jogger = rig.jogger
    for _ in range(6):
        jogger.tick(axes(x=-1))

    def unreachable(*_: object, **__: object) -> None:
        raise Unreachable(0.05, 0.1)

    monkeypatch.setattr(jogger._motion, "solve", unreachable)
    jogger.tick(axes(x=-1))
    held = jogger.tips.copy()
    jogger.tick(axes(x=-1))
    assert "reach" in teleop._line(rig)
    assert (jogger.tips == held).all()


# -- gamepad ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(tmp_path):
    return load_fake_pad()(tmp_path / "js0")


def test_without_the_dead_man_s_button_the_sticks_move_nothing(fake):
    pad = Pad(Gamepad(fake.path))
    fake.axis("left y", -1.0)
    assert not pad.wish(0.0).axes.any()
    fake.button("left shoulder", True)
    assert pad.wish(0.0).axes[0] == 1
    fake.button("left shoulder", False)
    assert not pad.wish(0.0).axes.any()


def test_the_pad_s_buttons_order_and_its_triggers_open(fake):
    pad = Pad(Gamepad(fake.path))
    fake.button("b", True)
    assert pad.wish(0.0).orders == ("stop",)
    fake.button("left shoulder", True)
    fake.axis("right trigger", 1.0)
    fake.axis("left trigger", -1.0)
    assert pad.wish(0.0).axes[6] == 1


class Script:
    """Asks for one thing after the other, then quits."""

    def __init__(self, *steps) -> None:
        self.steps = list(steps)

    def wish(self, now: float) -> Wish:
        del now
        step = self.steps.pop(0) if self.steps else Wish(orders=("quit",))
        return step() if callable(step) else step


def test_a_pad_that_is_unplugged_stops_the_robot(rig, fake):
    pad = Pad(Gamepad(fake.path))
    fake.button("left shoulder", True)
    fake.axis("left x", 1.0)
    idle = [Wish()] * 5
    with pytest.raises(PadLost):
        teleop.drive(
            rig, None, [pad, Script(*idle, lambda: fake.unplug() or Wish())], lambda line: None, realtime=False
        )
    assert "PadLost" in rig.gate.stopped


def test_a_drive_counts_stops_and_shows_them(rig):
    said = []
    steps = [Wish(axes(y=1))] * 6 + [Wish(orders=("stop",))] + [Wish(axes(y=1))] * 6 + [Wish(orders=("clear",))]
    ended = teleop.drive(rig, None, [Script(*steps, *[Wish()] * 5)], said.append, realtime=False)
    assert ended.stops == 1 and ended.ticks == 19
    assert any("STOPPED (the operator): c clears" in line for line in said)
    assert any(line.startswith("tips ") and "opening" in line for line in said)


# -- the whole command ------------------------------------------------------------------------------------------------


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execv(sys.executable, [*COMMAND, *words])
        self.said = ""

    def listen(self, seconds: float) -> bool:
        """False where the command has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.said += os.read(self.master, 65536).decode(errors="ignore")
                except OSError:
                    return False
        return True

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while text not in self.said:
            assert self.listen(0.05) and time.monotonic() < end, self.said

    def hold(self, key: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            os.write(self.master, key.encode())
            self.listen(0.03)

    def end(self) -> int:
        while self.listen(0.2):
            pass
        os.close(self.master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_keys_on_a_terminal_move_the_arm_stop_it_and_leave_a_demonstration(tmp_path):
    words = ["teleop", "--controller", "closed_form", "--record", "demo.mcap", "--json", "out.json"]
    terminal = Terminal(*words, cwd=tmp_path)
    terminal.wait_for("opening")
    terminal.hold("d", 2.0)
    terminal.listen(0.5)
    os.write(terminal.master, b" ")
    terminal.wait_for("STOPPED (space bar)")
    os.write(terminal.master, b"w" * 5)
    terminal.listen(0.3)
    os.write(terminal.master, b"q")
    assert terminal.end() == 0, terminal.said
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["stops"] == 1 and result["recording"] == "demo.mcap"
    recording = Recording(tmp_path / "demo.mcap")
    assert recording.complete and recording.about["kind"] == "demonstration"
    q = recording.array("/state", "q")
    assert np.abs(q[-1, :7] - q[0, :7]).max() > 0.02
    # Released, it came to rest before the stop.
    assert np.abs(recording.array("/state", "dq")[-1, :7]).max() < 0.02
    assert "space bar" in [entry.value["reason"] for entry in recording.of("/gate")]
    assert recording.topics["/scene"] > 5 and recording.topics["/policy/step"] > 5


def test_the_terminal_is_put_back_as_it_was():
    import termios

    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with Keyboard(slave) as keyboard:
        assert termios.tcgetattr(slave)[3] != before[3]
        os.write(master, b"wd")
        assert keyboard.keys(1.0) == ["w", "d"]
    assert termios.tcgetattr(slave) == before


def test_the_emergency_key_calls_at_once_and_other_keys_do_not():
    master, slave = pty.openpty()
    called = []
    with EmergencyKey(called.append, slave):
        os.write(master, b"abc")
        time.sleep(0.2)
        assert not called
        os.write(master, b" ")
        end = time.monotonic() + 2.0
        while not called and time.monotonic() < end:
            time.sleep(0.005)
    assert called == ["space bar"]


def test_mistakes_get_one_line(monkeypatch, capsys):
    monkeypatch.setattr(Keyboard, "is_there", staticmethod(lambda: True))
    for words, expected in (
        (["--robot", "leap"], "--port /dev/ttyUSB0"),
        (["--robot", "leep"], "did you mean leap?"),
        (["--robot", "fr3"], "--host 172.16.0.2"),
        (["--speed", "0"], "a percentage up to 100"),
        (["--pad", "/dev/input/nothing"], "plug it in"),
        (["--robot", "leap", "--port", "x", "--video", "a.mp4"], "only a simulation can be filmed"),
        (["--scene", "nowhere"], "nowhere: "),
        (["--clear"], "toolwright ros clear"),
    ):
        assert cli.main(["teleop", *words]) == 2
        err = capsys.readouterr().err
        assert expected in err and err.count("\n") == 1, err
    monkeypatch.setattr(Keyboard, "is_there", staticmethod(lambda: False))
    assert cli.main(["teleop"]) == 2
    assert "needs a terminal" in capsys.readouterr().err


@pytest.fixture
def hand_bus(tmp_path, monkeypatch):
    """Faked motors, and a driver that waits for them on a busy machine."""
    pytest.importorskip("dynamixel_sdk", reason="dynamixel-sdk is not installed: pip install 'toolwright[hardware]'")
    from toolwright.hardware.calibration import VARIABLE
    from toolwright.hardware.drivers import leap_hand
    from toolwright.hardware.fake.dynamixel_bus import DynamixelBus

    monkeypatch.setenv(VARIABLE, str(tmp_path / "c.json"))
    patient = leap_hand.HandSettings(reply_timeout=0.15)
    monkeypatch.setattr(leap_hand.LeapHand, "__init__", _patient(leap_hand.LeapHand.__init__, patient))
    with DynamixelBus() as bus:
        yield bus


def test_the_hand_alone_is_jogged_on_its_bus(hand_bus, tmp_path):
    rig = teleop.leap_hand(hand_bus.port, 1.0, str(tmp_path / "hand.mcap"))
    rig.jogger.choose(2)
    start = rig.gate.read().q
    steps = [Wish(axes(joint=1))] * 12
    teleop.drive(rig, None, [Script(*steps)], lambda line: None)
    time.sleep(0.1)
    moved = rig.gate.read().q - start
    rig.close()
    assert moved[2] > 0.1 and np.abs(np.delete(moved, 2)).max() < 0.02
    assert Recording(tmp_path / "hand.mcap").about["robot"] == "leap"


@pytest.fixture
def jogged_hand(hand_bus):
    """A bus of faked motors, and what jogs the hand on it."""
    rig = teleop.leap_hand(hand_bus.port, 1.0, None)
    yield hand_bus, rig
    rig.close()


@pytest.mark.parametrize("fault", ["overload", "cable"])
def test_a_fault_of_the_hand_latches_and_c_mends_it_once_its_cause_is_gone(jogged_hand, fault):
    from toolwright.hardware.fake.dynamixel_bus import OVERLOAD

    bus, rig = jogged_hand
    said: list[str] = []

    def fail() -> Wish:
        bus.motors[6].fail(OVERLOAD) if fault == "overload" else bus.unplug()
        return Wish()

    def mend() -> Wish:
        if fault == "cable":
            bus.plug()
        return Wish(orders=("clear",))

    early = [Wish(orders=("clear",)), *[Wish()] * 3] if fault == "cable" else []
    script = Script(*[Wish()] * 4, fail, *[Wish()] * 4, *early, mend, *[Wish()] * 8)
    ended = teleop.drive(rig, None, [script], said.append, realtime=False)
    assert ended.stops == 1
    stopped = [line for line in said if line.startswith("STOPPED (")]
    assert ("overloaded" if fault == "overload" else "plug it in") in stopped[0]
    assert not rig.gate.stopped and not said[-1].startswith("STOPPED"), said
    assert bus.motors[6]["torque"] == 1


def test_a_fault_from_before_is_cleared_at_the_start_when_asked(jogged_hand):
    from toolwright.hardware.drivers.leap_hand import MotorFault
    from toolwright.hardware.fake.dynamixel_bus import OVERLOAD

    bus, rig = jogged_hand
    rig.close()
    bus.motors[6].fail(OVERLOAD)
    with pytest.raises(MotorFault, match="overloaded"):
        teleop.leap_hand(bus.port, 1.0, None)
    teleop.leap_hand(bus.port, 1.0, None, clear=True).close()


def _patient(init, settings):
    def made(self, port, **more):
        init(self, port, **{"settings": settings, **more})

    return made
