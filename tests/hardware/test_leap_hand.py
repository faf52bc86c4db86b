"""The LEAP hand's driver against sixteen faked motors on a pseudo-terminal, with wires that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dynamixel_sdk", reason="dynamixel-sdk is not installed: pip install 'toolwright[hardware]'")

from dynamixel_sdk import PacketHandler
from serial import SerialTimeoutException

from toolwright.hardware.drivers.dynamixel import BusError, PortLost
from toolwright.hardware.drivers.leap_hand import (
    TICK,
    HandError,
    HandSettings,
    LeapHand,
    MotorFault,
    MotorSilent,
    WrongBaudRate,
)
from toolwright.hardware.fake import dynamixel_bus as fake
from toolwright.hardware.joints import LEAP, LEAP_MOTORS
from toolwright.hardware.robot import JointTarget, Robot
from toolwright.hardware.safety import EmergencyStopped, SafetyGate

# The fake shares a busy machine with other work; only the tests of timing use the driver's own limits.
PATIENT = HandSettings(reply_timeout=0.1)
CURL = np.linspace(0.1, 0.3, 16)  # rad


@pytest.fixture
def bus() -> Iterator[fake.DynamixelBus]:
    with fake.DynamixelBus() as running:
        yield running


@pytest.fixture
def hand(bus: fake.DynamixelBus) -> Iterator[LeapHand]:
    driver = LeapHand(bus.port, settings=PATIENT)
    driver.connect()
    yield driver
    driver.close()


def follow(hand: LeapHand, q: np.ndarray, seconds: float = 0.4) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hand.send(JointTarget(q))
        time.sleep(0.01)


def until(condition: Callable[[], object], seconds: float = 1.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# -- bytes ------------------------------------------------------------------------------------------------------------

# Worked examples of the maker's description of Protocol 2.0.
EXAMPLES = {
    "ping": ((1, fake.PING, b""), "ff ff fd 00 01 03 00 01 19 4e"),
    "broadcast ping": ((0xFE, fake.PING, b""), "ff ff fd 00 fe 03 00 01 31 42"),
    "ping status": ((1, fake.STATUS, bytes([0, 6, 4, 0x26])), "ff ff fd 00 01 07 00 55 00 06 04 26 65 5d"),
    "read": ((1, fake.READ, bytes([0x84, 0, 4, 0])), "ff ff fd 00 01 07 00 02 84 00 04 00 1d 15"),
    "read status": ((1, fake.STATUS, bytes([0, 0xA6, 0, 0, 0])), "ff ff fd 00 01 08 00 55 00 a6 00 00 00 8c c0"),
    "write": ((1, fake.WRITE, bytes([0x74, 0, 0, 2, 0, 0])), "ff ff fd 00 01 09 00 03 74 00 00 02 00 00 ca 89"),
    "sync read": (
        (0xFE, fake.SYNC_READ, bytes([0x84, 0, 4, 0, 1, 2])),
        "ff ff fd 00 fe 09 00 82 84 00 04 00 01 02 ce fa",
    ),
    "sync write": (
        (0xFE, fake.SYNC_WRITE, bytes([0x74, 0, 4, 0, 1, 0x96, 0, 0, 0, 2, 0xAA, 0, 0, 0])),
        "ff ff fd 00 fe 11 00 83 74 00 04 00 01 96 00 00 00 02 aa 00 00 00 82 87",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_packets_are_those_of_the_makers_description(name: str) -> None:
    contents, golden = EXAMPLES[name]
    assert fake.packet(*contents) == bytes.fromhex(golden)


def test_a_header_inside_of_a_packet_is_stuffed() -> None:
    stuffed = fake.packet(1, fake.WRITE, b"\x74\x00\xff\xff\xfd\x00")
    assert b"\xff\xff\xfd\xfd\x00" in stuffed and stuffed[5] == 10


def test_the_checksum_is_the_sdks() -> None:
    data = np.random.default_rng(0).integers(0, 256, 300).tolist()
    assert fake.checksum(bytes(data)) == PacketHandler(2.0).updateCRC(0, data, len(data))


class Recorder(fake.DynamixelBus):
    """Keeps what came over the wire."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int, bytes]] = []

    def reply(self, motor: int, instruction: int, parameters: bytes, intact: bool, baudrate: int) -> bytes:
        assert intact
        self.seen.append((motor, instruction, parameters))
        return super().reply(motor, instruction, parameters, intact, baudrate)


def test_a_target_is_one_sync_write_of_goal_positions() -> None:
    with Recorder() as wire:
        hand = LeapHand(wire.port, settings=PATIENT)
        hand.connect()
        wire.seen.clear()
        hand.send(JointTarget(np.zeros(16)))
        until(lambda: wire.seen)
        goals = b"".join(bytes([motor, 0x00, 0x08, 0, 0]) for motor in LEAP_MOTORS.ids)
        assert wire.seen == [(0xFE, fake.SYNC_WRITE, bytes([116, 0, 4, 0]) + goals)]
        wire.seen.clear()
        hand.read()
        assert wire.seen == [(0xFE, fake.FAST_SYNC_READ, bytes([126, 0, 10, 0, *LEAP_MOTORS.ids]))]


# -- motion -----------------------------------------------------------------------------------------------------------


def test_it_is_a_robot(hand: LeapHand) -> None:
    assert isinstance(hand, Robot)


def test_each_joint_turns_its_own_motor_about_its_own_zero(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    sent = hand.send(JointTarget(CURL))
    assert np.abs(sent.q - CURL).max() <= TICK / 2 + 1e-9
    until(lambda: bus.motors[0]["goal position"] != 2048)
    for i, motor in enumerate(LEAP_MOTORS.ids):
        assert bus.motors[motor]["goal position"] == round(2048 + CURL[i] / TICK)


def test_joints_arrive_at_their_targets_and_say_so(hand: LeapHand) -> None:
    follow(hand, CURL)
    state = hand.read()
    assert np.abs(state.q - CURL).max() < 2 * TICK
    assert abs(state.stamp - time.monotonic()) < 0.1


def test_signs_and_offsets_of_the_map_go_both_ways(bus: fake.DynamixelBus) -> None:
    rng = np.random.default_rng(1)
    motors = replace(LEAP_MOTORS, sign=rng.choice([-1.0, 1.0], 16), offset=np.pi + rng.uniform(-0.2, 0.2, 16))
    hand = LeapHand(bus.port, settings=PATIENT, motors=motors)
    hand.connect()
    follow(hand, CURL)
    assert np.abs(hand.read().q - CURL).max() < 2 * TICK
    for i, motor in enumerate(motors.ids):
        expected = (motors.sign[i] * CURL[i] + motors.offset[i]) / TICK
        assert bus.motors[motor]["position"] == pytest.approx(expected, abs=2)


def test_velocity_and_effort_have_the_sign_of_the_motion(hand: LeapHand) -> None:
    for _ in range(5):
        hand.send(JointTarget(CURL))
        time.sleep(0.01)
    state = hand.read()
    assert (state.dq > 0).all() and (state.effort > 0).all()


def test_targets_are_clipped_to_ranges_and_velocity(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    assert hand.send(JointTarget(np.full(16, 3.0))).q.max() <= LEAP.velocity[0] * hand.period + TICK
    for _ in range(10):
        sent = hand.send(JointTarget(np.full(16, 3.0))).q
    assert (sent <= LEAP.upper).all() and (sent > LEAP.upper - TICK).all()


def test_the_current_limit_and_gains_reach_the_motors(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    one, side = bus.motors[1], bus.motors[0]
    assert (one["operating mode"], one["goal current"], one["torque"]) == (5, 550, 1)
    assert (one["position p"], one["position d"]) == (600, 200)
    assert (side["position p"], side["position d"]) == (450, 150)


def test_stored_offsets_and_directions_are_put_to_zero(bus: fake.DynamixelBus) -> None:
    bus.motors[3]["homing offset"], bus.motors[4]["drive mode"] = 512, 1
    LeapHand(bus.port, settings=PATIENT).connect()
    assert bus.motors[3]["homing offset"] == 0 and bus.motors[4]["drive mode"] == 0


def test_a_hundred_cycles_a_second_with_sixteen_motors(hand: LeapHand) -> None:
    def rate(cycles: int = 100) -> float:
        start = time.monotonic()
        for _ in range(cycles):
            hand.send(JointTarget(CURL))
            hand.read()
        return cycles / (time.monotonic() - start)

    rates: list[float] = []
    while len(rates) < 5 and max(rates, default=0) < 100:  # what else the machine does is not the driver's
        rates.append(rate())
    assert max(rates) >= 100, f"{rates} cycles/s"


@pytest.mark.parametrize("bad", [np.zeros(15), np.full(16, np.nan)])
def test_a_target_that_makes_no_sense_is_refused(hand: LeapHand, bad: np.ndarray) -> None:
    with pytest.raises(HandError, match="16 finite numbers"):
        hand.send(JointTarget(bad))


def test_closing_lets_go_unless_told_otherwise(bus: fake.DynamixelBus) -> None:
    for release in (False, True):
        hand = LeapHand(bus.port, settings=replace(PATIENT, release_on_close=release))
        hand.connect()
        hand.close()
        time.sleep(0.05)
        assert bus.motors[0]["torque"] == (not release)


# -- faults -----------------------------------------------------------------------------------------------------------


def test_eeprom_is_locked_while_torque_is_on(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    locked = bus.reply(2, fake.WRITE, bytes([11, 0, 3]), True, 4_000_000)
    assert locked == fake.packet(2, fake.STATUS, bytes([fake.ACCESS_ERROR]))
    assert bus.motors[2]["operating mode"] == 5


def test_damaged_and_lost_replies_are_asked_for_again(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    for fault in ("corrupt", "lose"):
        before = hand.damaged_replies
        setattr(bus, fault, 1)
        assert np.isfinite(hand.read().q).all()
        assert hand.damaged_replies == before + 1


def test_a_program_that_is_held_up_while_it_writes_has_lost_nothing(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    serial = hand._bus._wire.ser
    write, held_up = serial.write, [True, False, True, False]

    def slow(packet: bytes) -> int:
        if held_up.pop(0):
            raise SerialTimeoutException("Write timeout")
        return int(write(packet))

    serial.write = slow
    try:
        assert np.isfinite(hand.read().q).all() and hand.damaged_replies == 1
        hand.send(JointTarget(CURL))
        until(lambda: bus.motors[1]["goal position"] != 2048)
        held_up[:] = [True] * 20
        with pytest.raises(BusError, match="write of Goal Position"):
            hand.send(JointTarget(CURL))
    finally:
        serial.write = write
    hand.read()


def test_a_late_reply_does_not_answer_the_next_question(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    """Both are four bytes long: nothing in the packet tells a goal from a position."""
    follow(hand, CURL, 0.2)
    hand._bus.reply_timeout = 0.04
    bus.motors[3]["homing offset"] = 1_000_000
    reply = bus.reply

    def late(motor: int, instruction: int, parameters: bytes, intact: bool, baudrate: int) -> bytes:
        answer = reply(motor, instruction, parameters, intact, baudrate)
        if parameters[:2] == bytes([20, 0]):
            bus.reply = reply  # type: ignore[method-assign]
            time.sleep(0.06)
        return answer

    bus.reply = late  # type: ignore[method-assign]
    with pytest.raises(BusError):
        hand._bus.read_block(LEAP_MOTORS.ids, 20, 4, fast=False)
    rows, _ = hand._bus.read_block(LEAP_MOTORS.ids, 132, 4, fast=False)
    ticks = rows.copy().view("<i4")[:, 0]
    assert np.abs(hand._angles(ticks.astype(np.int64)) - CURL).max() < 0.05


def test_a_wire_that_only_delivers_rubbish_is_an_error(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    bus.corrupt = 3
    with pytest.raises(HandError, match="damaged.*every motor answers a ping"):
        hand.read()


def test_a_lost_goal_is_made_up_for_by_the_next(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    bus.dead = set(range(16))
    hand.send(JointTarget(CURL))
    time.sleep(0.05)
    bus.dead = set()
    follow(hand, CURL)
    assert np.abs(hand.read().q - CURL).max() < 2 * TICK


@pytest.mark.parametrize(("motor", "joint"), [(1, "if_mcp"), (7, "mf_dip"), (15, "th_ipl")])
def test_a_motor_that_dies_is_named_with_its_joint(
    hand: LeapHand, bus: fake.DynamixelBus, motor: int, joint: str
) -> None:
    bus.dead = {motor}
    with pytest.raises(MotorSilent, match=rf"^motor {motor} \({joint}\) does not answer: check the cable"):
        hand.read()


def test_a_motor_missing_at_the_start_is_named() -> None:
    with (
        fake.DynamixelBus(motors=[m for m in range(16) if m != 9]) as bus,
        pytest.raises(MotorSilent, match=r"motor 9 \(rf_mcp\) missing"),
    ):
        LeapHand(bus.port, settings=PATIENT).connect()


def test_a_hand_without_power_is_told_from_a_missing_motor(bus: fake.DynamixelBus) -> None:
    bus.dead = set(range(16))
    with pytest.raises(MotorSilent, match="5 V supply"):
        LeapHand(bus.port).connect()


def test_a_wrong_baud_rate_is_named_with_the_one_that_answers() -> None:
    with (
        fake.DynamixelBus(baudrate=57_600) as bus,
        pytest.raises(WrongBaudRate, match="answers at 57600 bit/s, not at 4000000"),
    ):
        LeapHand(bus.port).connect()


def test_an_overload_is_named_and_mended_by_a_restart(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    bus.motors[6].fail(fake.OVERLOAD)
    with pytest.raises(MotorFault, match=r"motor 6 \(mf_pip\): overloaded.*clear_faults"):
        hand.read()
    with pytest.raises(MotorFault):
        hand.send(JointTarget(CURL))
    with pytest.raises(MotorFault):
        hand.connect()
    hand.clear_faults()
    assert bus.motors[6]["torque"] == 1 and bus.motors[6]["goal current"] == 550
    hand.read()


@pytest.mark.parametrize(
    ("register", "value", "message"),
    [("temperature", 68, r"motor 12 \(th_cmc\) is at 68 degrees"), ("voltage", 40, r"motor 12 \(th_cmc\) has 4.0 V")],
)
def test_heat_and_voltage_stop_the_hand(bus: fake.DynamixelBus, register: str, value: int, message: str) -> None:
    hand = LeapHand(bus.port, settings=replace(PATIENT, health_period=0.05))
    hand.connect()
    bus.motors[12][register] = value
    time.sleep(0.06)
    with pytest.raises(MotorFault, match=message):
        hand.read()
    with pytest.raises(MotorFault, match=message):
        hand.send(JointTarget(CURL))


def test_a_grip_outlives_an_unplugged_cable(hand: LeapHand, bus: fake.DynamixelBus) -> None:
    follow(hand, CURL)
    bus.unplug()
    with pytest.raises(PortLost, match="plug it in"):
        hand.read()
    with pytest.raises(PortLost):
        hand.connect()
    bus.plug()
    before = [motor["goal position"] for motor in bus.motors.values()]
    hand.connect()
    assert [motor["goal position"] for motor in bus.motors.values()] == before
    assert all(motor["torque"] for motor in bus.motors.values())
    assert np.abs(hand.read().q - CURL).max() < 2 * TICK


def test_a_finger_outside_of_its_range_is_not_taken_over(bus: fake.DynamixelBus) -> None:
    bus.motors[2].put(2048 + 3.0 / TICK)
    with pytest.raises(MotorFault, match=r"motor 2 \(if_pip\) stands outside.*3.00 rad"):
        LeapHand(bus.port, settings=PATIENT).connect()


def test_firmware_without_fast_reads_is_read_the_slower_way(bus: fake.DynamixelBus) -> None:
    bus.has_fast_reads = False
    hand = LeapHand(bus.port, settings=PATIENT)
    hand.connect()
    follow(hand, CURL)
    assert np.abs(hand.read().q - CURL).max() < 2 * TICK


@pytest.mark.parametrize("fault", ["motor", "cable"])
def test_through_the_gate_a_loss_stops_everything_within_50_ms(fault: str) -> None:
    # Other work on the machine can only add to the time: the best of a few counts.
    assert min(seconds_to_stop(fault) for _ in range(3)) < 0.05


def seconds_to_stop(fault: str) -> float:
    with fake.DynamixelBus() as bus:
        hand = LeapHand(bus.port, settings=PATIENT)
        gate = SafetyGate(hand)
        gate.connect()
        gate.send(JointTarget(gate.read().q))
        stops: list[float] = []
        hand.stop = lambda reason: stops.append(time.monotonic())  # type: ignore[method-assign]
        hand._bus.reply_timeout = HandSettings().reply_timeout
        if fault == "motor":
            bus.dead = {15}
        else:
            bus.unplug()
        lost = time.monotonic()
        with pytest.raises((HandError, PortLost)):
            gate.read()
        with pytest.raises(EmergencyStopped, match="read failed"):
            gate.send(JointTarget(np.zeros(16)))
        return stops[0] - lost
