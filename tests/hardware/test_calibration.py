"""The calibration file, and the zeros of a hand of sixteen faked motors whose horns sit a little off."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("dynamixel_sdk", reason="dynamixel-sdk is not installed: pip install 'toolwright[hardware]'")

from toolwright.hardware import calibration as cal
from toolwright.hardware.drivers import leap_zero
from toolwright.hardware.drivers.leap_hand import TICK, HandSettings, LeapHand
from toolwright.hardware.fake import dynamixel_bus as fake
from toolwright.hardware.joints import LEAP, LEAP_MOTORS

POSE = np.zeros(16)


def test_what_was_saved_is_loaded_and_the_one_before_is_kept(tmp_path):
    path = tmp_path / "new" / "calibration.json"
    place = cal.CameraPlace(np.eye(4) + 0.1, np.eye(4), serial="123", position_std=0.0007, views=15, date="2026-11-01")
    cal.save(cal.Calibration(camera=place), path)
    zero = cal.HandZero({name: 3.0 for name in LEAP.names}, "pose")
    cal.save(cal.Calibration(camera=place, hand=zero), path)
    loaded = cal.load(path)
    assert (loaded.camera.T_base_cam == place.T_base_cam).all() and loaded.camera.serial == "123"
    assert loaded.hand == zero
    assert cal.load(cal.previous(path)).hand is None
    assert sorted(file.name for file in path.parent.iterdir()) == ["calibration.json", "calibration.previous.json"]


def test_a_file_that_cannot_be_written_leaves_the_one_that_is_there(tmp_path, monkeypatch):
    path = tmp_path / "calibration.json"
    cal.save(cal.Calibration(hand=cal.HandZero({"a": 1.0})), path)
    monkeypatch.setattr(cal.os, "fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        cal.save(cal.Calibration(hand=cal.HandZero({"a": 2.0})), path)
    assert cal.load(path).hand.offsets == {"a": 1.0}
    assert [file.name for file in tmp_path.iterdir()] == ["calibration.json"]


def test_what_a_newer_version_wrote_is_kept(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"gripper": {"width": 1}}))
    cal.save(cal.Calibration(hand=cal.HandZero({"a": 1.0}), other=cal.load(path).other), path)
    assert json.loads(path.read_text())["gripper"] == {"width": 1}


@pytest.mark.parametrize("text", ["{", "[1]", '{"hand": {"offset": 1}}'])
def test_a_damaged_file_says_how_to_go_back(text, tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(cal.CalibrationFileError, match="damaged.*calibration.previous.json"):
        cal.load(path)


def test_the_place_of_the_file_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv(cal.VARIABLE, raising=False)
    assert cal.default_path() == tmp_path / "toolwright/calibration.json"
    monkeypatch.setenv(cal.VARIABLE, str(tmp_path / "mine.json"))
    assert cal.default_path() == tmp_path / "mine.json"
    assert cal.leap_motors() is LEAP_MOTORS
    with pytest.raises(cal.CalibrationFileError, match="toolwright calibrate camera"):
        cal.camera_pose()


def test_zeros_of_another_hand_are_refused(tmp_path):
    cal.save(cal.Calibration(hand=cal.HandZero({"thumb": 1.0})), tmp_path / "c.json")
    with pytest.raises(cal.CalibrationFileError, match="another hand"):
        cal.leap_motors(tmp_path / "c.json")


# -- the hand ---------------------------------------------------------------------------------------------------------

PATIENT = HandSettings(reply_timeout=0.1)
OFF = np.random.default_rng(4).uniform(-0.12, 0.12, 16)  # rad, how the horns really sit
TRUE = LEAP_MOTORS.offset + OFF


@pytest.fixture
def bus() -> Iterator[fake.DynamixelBus]:
    with fake.DynamixelBus() as running:
        for i, motor in enumerate(LEAP_MOTORS.ids):
            running.motors[motor].stops = (
                (LEAP.lower[i] + TRUE[i]) / TICK,
                (LEAP.upper[i] + TRUE[i]) / TICK,
            )
        yield running


def bend(bus: fake.DynamixelBus, q: np.ndarray) -> None:
    for i, motor in enumerate(LEAP_MOTORS.ids):
        bus.motors[motor].put((q[i] + TRUE[i]) / TICK)


@pytest.fixture
def hand(bus: fake.DynamixelBus) -> Iterator[leap_zero.LimpHand]:
    bend(bus, POSE)
    limp = leap_zero.LimpHand(bus.port, PATIENT)
    limp.connect()
    yield limp
    limp.close()


def test_a_limp_hand_has_no_torque(bus, hand):
    assert not any(motor["torque"] for motor in bus.motors.values())


def test_zeros_from_a_pose_are_right_to_a_tick(bus, hand):
    pose = np.linspace(-0.2, 0.4, 16)
    bend(bus, pose)
    found = leap_zero.zero_in_pose(hand, pose)
    assert np.abs(found.offset - TRUE).max() < TICK


def test_zeros_at_the_stops_are_right_to_a_hundredth_and_leave_the_others(bus, hand):
    joints = ("if_mcp", "mf_pip", "rf_dip")
    bend(bus, np.full(16, 0.2))
    before = LEAP_MOTORS
    said: list[str] = []
    found = leap_zero.zero_at_stops(hand, before, joints, said.append)
    where = [LEAP.names.index(name) for name in joints]
    others = np.setdiff1d(np.arange(16), where)
    assert np.abs(found.offset - TRUE)[where].max() < 0.01
    assert (found.offset[others] == before.offset[others]).all()
    assert [line.split(":")[0] for line in said] == list(joints)
    assert not any(motor["torque"] for motor in bus.motors.values())
    assert all(abs(motor["goal current"]) <= 100 for motor in bus.motors.values())


def test_the_driver_with_the_found_zeros_reads_true_angles(bus, hand, tmp_path):
    found = leap_zero.zero_in_pose(hand, POSE)
    hand.close()
    zero = cal.HandZero(dict(zip(found.joints, found.offset.tolist(), strict=True)), "pose")
    cal.save(cal.Calibration(hand=zero), tmp_path / "c.json")
    q = np.linspace(0.1, 0.4, 16)
    bend(bus, q)
    driver = LeapHand(bus.port, settings=PATIENT, motors=cal.leap_motors(tmp_path / "c.json"))
    driver.connect()
    assert driver.read().q == pytest.approx(q, abs=2 * TICK)
    driver.close()


def test_a_hand_that_moves_is_not_measured(bus, hand, monkeypatch):
    angles, calls = hand.motor_angles, []

    def moving() -> np.ndarray:
        calls.append(0)
        bus.motors[5].put(2048 + 2 * len(calls))
        return angles()

    monkeypatch.setattr(hand, "motor_angles", moving)
    with pytest.raises(leap_zero.HandMoved, match=r"^mf_mcp moved"):
        leap_zero.zero_in_pose(hand, POSE)


def test_a_horn_that_is_mounted_turned_is_named(bus, hand):
    bus.motors[0].put((TRUE[1] + 0.8) / TICK)
    with pytest.raises(leap_zero.HornTurned, match=r"if_rot 0\.\d+ rad.*mount them"):
        leap_zero.zero_in_pose(hand, POSE)


def test_a_joint_without_a_stop_is_named_and_let_go(bus, hand, monkeypatch):
    monkeypatch.setattr(leap_zero, "_CREEP", 3 * leap_zero._CREEP)  # not to wait for it
    bus.motors[1].stops = (-1e9, 1e9)
    with pytest.raises(leap_zero.NoStop, match="if_mcp turned .* without a stop"):
        leap_zero.zero_at_stops(hand, LEAP_MOTORS, ("if_mcp",), lambda line: None)
    assert not bus.motors[1]["torque"]
