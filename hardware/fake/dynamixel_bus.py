"""Sixteen faked Dynamixel XC330-M288 motors on a pseudo-terminal, byte for byte in Protocol 2.0, with wires that fail.

    python -m toolwright.hardware.fake.dynamixel_bus        # prints the port, serves until interrupted

Sources: the maker's e-manual of Protocol 2.0 and of the XC330-M288-T. It shares nothing with the driver and the SDK, so
that a mistake of one is not the other's too. Simplified: motors have no load, and only the registers below exist. In a
synchronous read each motor waits for the one before it: behind a dead motor all are silent.
"""

from __future__ import annotations

import math
import os
import select
import struct
import tempfile
import termios
import threading
import time
import tty
from collections.abc import Iterable
from pathlib import Path

PING, READ, WRITE, REBOOT, STATUS = 0x01, 0x02, 0x03, 0x08, 0x55
SYNC_READ, SYNC_WRITE, FAST_SYNC_READ = 0x82, 0x83, 0x8A
BROADCAST = 0xFE
HEADER = b"\xff\xff\xfd\x00"
INSTRUCTION_ERROR, CHECKSUM_ERROR, RANGE_ERROR, LENGTH_ERROR, LIMIT_ERROR, ACCESS_ERROR = 2, 3, 4, 5, 6, 7
ALERT = 0x80
OVERLOAD, OVERHEATED = 1 << 5, 1 << 2  # hardware error status
MODEL, FIRMWARE = 1240, 50
TABLE_SIZE = 228
# Address, bytes, value at power on, smallest and largest value; entries without these two are read only.
ENTRIES: dict[str, tuple[int, int, int, int | None, int | None]] = {
    "model": (0, 2, MODEL, None, None),
    "firmware": (6, 1, FIRMWARE, None, None),
    "id": (7, 1, 1, 0, 252),
    "baud rate": (8, 1, 1, 0, 6),
    "return delay": (9, 1, 250, 0, 254),
    "drive mode": (10, 1, 0, 0, 5),
    "operating mode": (11, 1, 3, 0, 16),
    "homing offset": (20, 4, 0, -1_044_479, 1_044_479),
    "temperature limit": (31, 1, 70, 0, 100),
    "current limit": (38, 2, 2352, 0, 2352),
    "shutdown": (63, 1, 52, 0, 255),
    "torque": (64, 1, 0, 0, 1),
    "led": (65, 1, 0, 0, 1),
    "hardware error": (70, 1, 0, None, None),
    "position d": (80, 2, 500, 0, 16_383),
    "position i": (82, 2, 0, 0, 16_383),
    "position p": (84, 2, 1100, 0, 16_383),
    "goal current": (102, 2, 2352, -2352, 2352),
    "goal position": (116, 4, 2048, -1_048_575, 1_048_575),
    "current": (126, 2, 0, None, None),
    "velocity": (128, 4, 0, None, None),
    "position": (132, 4, 2048, None, None),
    "voltage": (144, 2, 50, None, None),
    "temperature": (146, 1, 35, None, None),
}
EEPROM_END = 64
BAUD_CODES = {0: 9600, 1: 57_600, 2: 115_200, 3: 1_000_000, 4: 2_000_000, 5: 3_000_000, 6: 4_000_000}
SPEED = 353.0  # 0.229 rev/min, without load at 5 V
TICKS_PER_SECOND = 4096 * 0.229 / 60  # of one unit of speed
SPRING, RISE = 25.0, 4000.0  # 1/s, units of speed per second
STEP = 0.01  # s, longest of the simulated motion


def _crc_of_byte(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1 ^ (0x8005 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


_CRC = [_crc_of_byte(byte) for byte in range(256)]


def checksum(data: bytes, crc: int = 0) -> int:
    """CRC-16 with the polynomial x^16 + x^15 + x^2 + 1, as Protocol 2.0 uses it; `crc` of what goes before."""
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC[crc >> 8 ^ byte]
    return crc


def packet(motor: int, instruction: int, parameters: bytes = b"") -> bytes:
    """A packet as it goes over the wire, stuffed and with its checksum."""
    body = (bytes([instruction]) + parameters).replace(b"\xff\xff\xfd", b"\xff\xff\xfd\xfd")
    head = HEADER + bytes([motor]) + struct.pack("<H", len(body) + 2) + body
    return head + struct.pack("<H", checksum(head))


class Motor:
    """One motor: its control table, and how it moves."""

    def __init__(self, number: int, baudrate: int = 4_000_000) -> None:
        self.table = bytearray(TABLE_SIZE)
        for name, (_, _, value, _, _) in ENTRIES.items():
            self[name] = value
        self["id"] = number
        self["baud rate"] = next(code for code, rate in BAUD_CODES.items() if rate == baudrate)
        self._at = float(self["position"])  # ticks
        self._speed = 0.0  # units of speed
        self.stops = (-math.inf, math.inf)  # ticks, where the joint's mechanics end

    def __getitem__(self, name: str) -> int:
        address, size, _, low, _ = ENTRIES[name]
        signed = low is None or low < 0
        return int.from_bytes(self.table[address : address + size], "little", signed=signed and size > 1)

    def __setitem__(self, name: str, value: int) -> None:
        address, size, *_ = ENTRIES[name]
        self.table[address : address + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    @property
    def error(self) -> int:
        """Alert bit of the error byte."""
        return ALERT if self["hardware error"] else 0

    def put(self, ticks: float) -> None:
        """Turns the horn by hand."""
        self._at, self._speed = float(ticks), 0.0
        self["position"] = round(ticks)

    def fail(self, error: int) -> None:
        """Reports a hardware error and shuts down, as motors do."""
        self["hardware error"] = error
        self["torque"] = 0

    def move(self, seconds: float) -> None:
        """Goes on in time."""
        if not self["torque"]:
            self._speed, self["velocity"], self["current"] = 0.0, 0, 0
            return
        limit = abs(self["goal current"])
        left = self["goal position"] - self._at
        self["current"] = round(max(-limit, min(limit, left * self["position p"] / 256)))
        for _ in range(min(math.ceil(seconds / STEP), 200)):
            step = min(seconds, STEP)
            wanted = SPRING * (self["goal position"] - self._at) / TICKS_PER_SECOND if limit else 0.0
            wanted = max(-SPEED, min(SPEED, wanted))
            self._speed += max(-RISE * step, min(RISE * step, wanted - self._speed))
            self._at += self._speed * TICKS_PER_SECOND * step
            if not self.stops[0] <= self._at <= self.stops[1]:
                self._at, self._speed = min(max(self._at, self.stops[0]), self.stops[1]), 0.0
        self["velocity"], self["position"] = round(self._speed), round(self._at)

    def write(self, address: int, data: bytes) -> int:
        """Writes, as an instruction does; the error number."""
        written = [entry for entry in ENTRIES.items() if address <= entry[1][0] < address + len(data)]
        if not written or written[0][1][0] != address:
            return ACCESS_ERROR
        changes = {}
        for name, (start, size, _, low, high) in written:
            raw = data[start - address : start - address + size]
            if low is None or high is None or (start < EEPROM_END and self["torque"]):
                return ACCESS_ERROR
            if len(raw) < size:
                return LENGTH_ERROR
            value = int.from_bytes(raw, "little", signed=low < 0)
            if not low <= value <= high:
                return RANGE_ERROR
            if name == "goal current" and abs(value) > self["current limit"]:
                return LIMIT_ERROR
            changes[name] = value
        if changes.get("torque") == 1 and not self["torque"]:
            if self["hardware error"]:
                return 0  # stays off until the motor is restarted
            self["goal position"] = self["position"]
        for name, value in changes.items():
            self[name] = value
        return 0

    def reboot(self) -> None:
        """Forgets everything but the EEPROM. The position counts from within one turn again."""
        for name, (start, _, value, _, _) in ENTRIES.items():
            if start >= EEPROM_END and name not in ("position", "voltage", "temperature"):
                self[name] = value
        self.put(self["position"] % 4096)


class DynamixelBus:
    """The wire, the motors on it, and what is wrong with them.

    Attributes to be set while it runs: `dead`, ids of motors that do not answer; `corrupt` and `lose`, how many of the
    next replies are damaged or lost; `has_fast_reads`, whether the firmware knows them; `count`, instructions seen.

    Args:
        motors: ids.
        baudrate: at which the motors listen.
        latency: s that the serial adapter adds to every reply.
    """

    def __init__(self, motors: Iterable[int] = range(16), baudrate: int = 4_000_000, latency: float = 0.001) -> None:
        self.motors = {number: Motor(number, baudrate) for number in motors}
        self.dead: set[int] = set()
        self.corrupt = self.lose = self.count = 0
        self.has_fast_reads = True
        self.latency = latency
        self._folder = tempfile.TemporaryDirectory(prefix="dynamixel-")
        self.port = str(Path(self._folder.name) / "port")  # stable, as /dev/serial/by-id is
        self._master = self._slave = -1
        self._moved_at = time.monotonic()
        self._running = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> DynamixelBus:
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the wire -----------------------------------------------------------------------------------------------------

    def plug(self) -> None:
        """Plugs the adapter in."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.symlink(os.ttyname(self._slave), self.port)
        self._running = True
        self._thread = threading.Thread(target=self._serve, name="fake Dynamixel bus", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Pulls the adapter's cable. The motors stay powered, and hold."""
        self._running = False
        os.unlink(self.port)
        if self._thread is not None:
            self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def close(self) -> None:
        """Removes it all."""
        if self._running:
            self.unplug()
        self._folder.cleanup()

    def power_cycle(self) -> None:
        """Takes the motors' power away for a moment."""
        for motor in self.motors.values():
            motor.reboot()

    def _serve(self) -> None:
        pending = b""
        while self._running:
            if not select.select([self._master], [], [], 0.02)[0]:
                continue
            pending += os.read(self._master, 4096)
            received, pending = _split(pending)
            for motor, instruction, parameters, intact in received:
                rate = self._baudrate()
                reply = self.reply(motor, instruction, parameters, intact, rate)
                if reply:
                    time.sleep(self.latency + 10 * len(reply) / rate)
                    os.write(self._master, reply)

    def _baudrate(self) -> int:
        code = termios.tcgetattr(self._slave)[5]
        return next((rate for rate in BAUD_CODES.values() if getattr(termios, f"B{rate}") == code), 0)

    # -- the protocol -------------------------------------------------------------------------------------------------

    def reply(self, motor: int, instruction: int, parameters: bytes, intact: bool, baudrate: int) -> bytes:
        """What comes back on an instruction, faults included."""
        self.count += 1
        now = time.monotonic()
        for one in self.motors.values():
            one.move(now - self._moved_at)
        self._moved_at = now
        awake = {
            number: one
            for number, one in sorted(self.motors.items())
            if number not in self.dead and BAUD_CODES[one["baud rate"]] == baudrate
        }
        if not intact:
            answer = packet(motor, STATUS, bytes([CHECKSUM_ERROR])) if motor in awake else b""
        elif instruction == SYNC_WRITE:
            answer = self._sync_write(awake, parameters)
        elif instruction in (SYNC_READ, FAST_SYNC_READ):
            answer = self._sync_read(awake, parameters, fast=instruction == FAST_SYNC_READ)
        else:
            asked = awake if motor == BROADCAST else {motor: awake[motor]} if motor in awake else {}
            answer = b"".join(_single(number, one, instruction, parameters) for number, one in asked.items())
            if motor == BROADCAST and instruction != PING:
                answer = b""
        return self._spoil(answer)

    def _spoil(self, answer: bytes) -> bytes:
        if answer and self.lose > 0:
            self.lose -= 1
            return b""
        if answer and self.corrupt > 0:
            self.corrupt -= 1
            return answer[:9] + bytes([answer[9] ^ 0x10]) + answer[10:]
        return answer

    def _sync_write(self, awake: dict[int, Motor], parameters: bytes) -> bytes:
        address, size = struct.unpack_from("<HH", parameters)
        rest = parameters[4:]
        for i in range(0, len(rest), size + 1):
            if rest[i] in awake:
                awake[rest[i]].write(address, rest[i + 1 : i + 1 + size])
        return b""

    def _sync_read(self, awake: dict[int, Motor], parameters: bytes, fast: bool) -> bytes:
        if fast and not self.has_fast_reads:
            return b""
        address, size = struct.unpack_from("<HH", parameters)
        numbers = parameters[4:]
        head = HEADER + bytes([BROADCAST]) + struct.pack("<HB", 1 + len(numbers) * (size + 4), STATUS)
        answer = head if fast else b""
        crc = checksum(head)
        for number in numbers:
            if number not in awake:
                return answer if answer != head else b""
            one = awake[number]
            time.sleep(2e-6 * one["return delay"])
            data = bytes(one.table[address : address + size])
            if fast:
                block = bytes([one.error, number]) + data
                crc = checksum(block, crc)
                answer += block + (end := struct.pack("<H", crc))
                crc = checksum(end, crc)
            else:
                answer += packet(number, STATUS, bytes([one.error]) + data)
        return answer


def _single(number: int, motor: Motor, instruction: int, parameters: bytes) -> bytes:
    error, data = 0, b""
    if instruction == PING:
        data = struct.pack("<HB", motor["model"], motor["firmware"])
    elif instruction == READ:
        address, size = struct.unpack("<HH", parameters)
        data = bytes(motor.table[address : address + size])
    elif instruction == WRITE:
        error = motor.write(struct.unpack_from("<H", parameters)[0], parameters[2:])
    elif instruction == REBOOT:
        motor.reboot()
    else:
        error = INSTRUCTION_ERROR
    return packet(number, STATUS, bytes([motor.error | error]) + data)


def _split(data: bytes) -> tuple[list[tuple[int, int, bytes, bool]], bytes]:
    """Packets (id, instruction, parameters, intact) in what was received, and what is not yet complete."""
    packets = []
    while (start := data.find(HEADER)) >= 0 and len(data) >= start + 7:
        end = start + 7 + struct.unpack_from("<H", data, start + 5)[0]
        if len(data) < end:
            break
        whole, data = data[start:end], data[end:]
        body = whole[7:-2].replace(b"\xff\xff\xfd\xfd", b"\xff\xff\xfd")
        intact = checksum(whole[:-2]) == struct.unpack("<H", whole[-2:])[0]
        packets.append((whole[4], body[0], body[1:], intact))
    return packets, data


if __name__ == "__main__":
    with DynamixelBus() as running:
        print(f"sixteen motors at 4000000 bit/s on {running.port}", flush=True)
        threading.Event().wait()
