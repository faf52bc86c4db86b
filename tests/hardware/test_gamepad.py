"""The gamepad's events, from a pipe in the place of the kernel."""

from __future__ import annotations

import os
import struct

import pytest

from toolwright.hardware.drivers.gamepad import Gamepad, PadError, PadLost

BUTTONS = {"a": 0, "b": 1, "x": 2, "y": 3, "left shoulder": 4, "right shoulder": 5, "back": 6, "start": 7}
AXES = {"left x": 0, "left y": 1, "left trigger": 2, "right x": 3, "right y": 4, "right trigger": 5}


class FakePad:
    """Writes what the kernel would."""

    def __init__(self, path) -> None:
        os.mkfifo(path)
        self.path = path
        self._keep = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def event(self, kind: int, number: int, value: int) -> None:
        os.write(self._keep, struct.pack("IhBB", 0, value, kind, number))

    def button(self, name: str, down: bool) -> None:
        self.event(0x01, BUTTONS[name], int(down))

    def axis(self, name: str, share: float) -> None:
        self.event(0x02, AXES[name], round(32767 * share))

    def unplug(self) -> None:
        os.close(self._keep)


@pytest.fixture
def fake(tmp_path) -> FakePad:
    return FakePad(tmp_path / "js0")


@pytest.fixture
def pad(fake):
    device = Gamepad(fake.path)
    yield device
    device.close()


def test_axes_and_buttons_are_as_they_were_moved_last(fake, pad):
    assert pad.read().axes == {} and not pad.read().held
    fake.axis("left y", -1.0)
    fake.axis("right x", 0.5)
    fake.button("left shoulder", True)
    state = pad.read()
    assert state.axes == {"left y": -1.0, "right x": pytest.approx(0.5, abs=1e-4)}
    assert state.held == {"left shoulder"} == state.pressed
    assert pad.read().held == {"left shoulder"} and not pad.read().pressed
    fake.button("left shoulder", False)
    assert not pad.read().held


def test_a_press_between_two_looks_is_not_missed(fake, pad):
    fake.button("b", True)
    fake.button("b", False)
    assert pad.read().pressed == {"b"}


def test_a_stick_that_does_not_come_back_to_the_middle_moves_nothing(fake, pad):
    fake.axis("left x", 0.1)
    assert pad.read().axes["left x"] == 0.0


def test_the_kernel_s_first_report_presses_nothing(fake, pad):
    fake.event(0x81, BUTTONS["b"], 1)
    assert not pad.read().pressed


def test_half_an_event_waits_for_its_rest(fake, pad):
    event = struct.pack("IhBB", 0, 1, 1, BUTTONS["a"])
    os.write(fake._keep, event[:5])
    assert not pad.read().held
    os.write(fake._keep, event[5:])
    assert pad.read().held == {"a"}


def test_a_pad_that_is_unplugged_is_lost(fake, pad):
    fake.unplug()
    with pytest.raises(PadLost, match="plug it in again"):
        pad.read()


def test_a_pad_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(PadError, match="nothing cannot be opened.*plug it in"):
        Gamepad(tmp_path / "nothing")
