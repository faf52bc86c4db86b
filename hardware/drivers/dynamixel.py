"""A bus of Dynamixel X motors over `dynamixel-sdk`, Protocol 2.0: registers, synchronous reads and writes, lost wires.

Sources: the maker's e-manual of Protocol 2.0 and of the XC330-M288-T. Not thread-safe.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

try:
    import termios

    WIRE_ERRORS: tuple[type[Exception], ...] = (OSError, termios.error)
except ImportError:  # Windows
    WIRE_ERRORS = (OSError,)

BAUDRATES = (57_600, 115_200, 1_000_000, 2_000_000, 3_000_000, 4_000_000)  # bit/s, that an X motor can be set to
HINT = "install the bus library: pip install 'toolwright[hardware]'"
WRITES = 3  # attempts
ALERT = 0x80  # bit of a status packet's error byte: see the hardware error status
_SYNC_OVERHEAD = 4  # bytes that a motor adds to its data in a fast sync read: error, id, two of checksum

log = logging.getLogger(__name__)

I64 = NDArray[np.int64]


class Register(NamedTuple):
    """An entry of the control table."""

    name: str
    address: int
    size: int  # bytes
    signed: bool = False


RETURN_DELAY = Register("Return Delay Time", 9, 1)  # 2 us
DRIVE_MODE = Register("Drive Mode", 10, 1)
OPERATING_MODE = Register("Operating Mode", 11, 1)
HOMING_OFFSET = Register("Homing Offset", 20, 4, signed=True)  # ticks
TORQUE_ENABLE = Register("Torque Enable", 64, 1)
HARDWARE_ERROR = Register("Hardware Error Status", 70, 1)
POSITION_D = Register("Position D Gain", 80, 2)
POSITION_I = Register("Position I Gain", 82, 2)
POSITION_P = Register("Position P Gain", 84, 2)
GOAL_CURRENT = Register("Goal Current", 102, 2, signed=True)  # mA
GOAL_POSITION = Register("Goal Position", 116, 4, signed=True)  # ticks
PRESENT_CURRENT = Register("Present Current", 126, 2, signed=True)  # mA
PRESENT_POSITION = Register("Present Position", 132, 4, signed=True)  # ticks
INPUT_VOLTAGE = Register("Present Input Voltage", 144, 2)  # 0.1 V
TEMPERATURE = Register("Present Temperature", 146, 1)  # degrees Celsius
EEPROM_END = 64  # addresses below are locked while a motor's torque is on


class BusError(RuntimeError):
    """No reply, or a damaged one."""


class PortLost(BusError):
    """The serial port does not open, or is gone."""


class Bus:
    """The wire.

    Args:
        port: of the serial adapter, for instance one of /dev/serial/by-id.
        baudrate: bit/s.
        reply_timeout: s that a reply may be late; may be changed at any time.
    """

    def __init__(self, port: str, baudrate: int, reply_timeout: float) -> None:
        self.port, self.baudrate, self.reply_timeout = port, baudrate, reply_timeout
        self._wire: Any = None
        self._owed: tuple[object, ...] | None = None  # a question whose reply may still come
        self._packets: Any = None

    @property
    def is_open(self) -> bool:
        """Whether the port was opened, and not lost since."""
        return self._wire is not None

    def open(self, baudrate: int | None = None) -> None:
        """Opens the port, anew where it was open.

        Raises:
            PortLost: it does not open.
            ImportError: the SDK is not installed.
            ValueError: no such baud rate.
        """
        self.close()
        self.baudrate = baudrate or self.baudrate
        wire = _wire(self)
        with self._or_lost("open"):
            if not wire.setBaudRate(self.baudrate):
                raise ValueError(f"{self.baudrate} bit/s is no baud rate of the SDK")
        self._wire, self._owed = wire, None

    def close(self) -> None:
        """Closes the port; may be called twice."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.closePort()

    def ping(self, motor: int) -> int | None:
        """Model number of a motor, None where it is silent."""
        with self._or_lost("ping"):
            model, result, _ = self._sdk().ping(self._wire, motor)
        return int(model) if result == 0 else None

    def reboot(self, motor: int) -> None:
        """Restarts a motor: clears its hardware error, turns its torque off."""
        with self._or_lost("reboot"):
            result, _ = self._sdk().reboot(self._wire, motor)
        self._raise_unless(result, f"reboot of motor {motor}")

    def read_block(self, motors: tuple[int, ...], address: int, size: int, fast: bool) -> tuple[NDArray[np.uint8], I64]:
        """Reads the same stretch of the control table of several motors by one instruction.

        Args:
            motors: ids, in the order in which they answer.
            address: first byte.
            size: bytes.
            fast: all answers in one packet; needs firmware that knows it.

        Returns:
            Bytes (n, size), and the error bytes (n,) of the status packets.

        Raises:
            BusError: not all answered, or damaged.
        """
        question = (motors, address, size, fast)
        if self._owed not in (None, question):
            self._settle()
        try:
            return self._read_block(motors, address, size, fast)
        except BusError:
            self._owed = question
            raise

    def _read_block(
        self, motors: tuple[int, ...], address: int, size: int, fast: bool
    ) -> tuple[NDArray[np.uint8], I64]:
        what = f"{'fast ' if fast else ''}sync read at {address}"
        with self._or_lost(what):
            sdk = self._sdk()
            self._raise_unless(sdk.syncReadTx(self._wire, address, size, list(motors), len(motors), fast), what)
            if not fast:
                replies: list[int] = []
                for motor in motors:
                    data, result, error = sdk.readRx(self._wire, motor, size)
                    self._raise_unless(result, f"{what}, motor {motor}")
                    replies += [error, motor, *data, 0, 0]
            else:
                replies, result, _ = sdk.fastSyncReadRx(self._wire, 0xFE, len(motors) * (size + _SYNC_OVERHEAD))
                self._raise_unless(result, what)
        if len(replies) != len(motors) * (size + _SYNC_OVERHEAD):
            raise BusError(f"{what}: an answer of another length")
        rows = np.array(replies, dtype=np.uint8).reshape(len(motors), -1)
        if (rows[:, 1] != motors).any():
            raise BusError(f"{what}: answers of other motors")
        return rows[:, 2:-2], rows[:, 0].astype(np.int64)

    def _settle(self) -> None:
        """Waits until nothing comes: a reply has no number, so one that is late would answer the next question."""
        with self._or_lost("wait for silence"):
            until, end = time.monotonic() + self.reply_timeout, time.monotonic() + 5 * self.reply_timeout
            while self._wire is not None and time.monotonic() < min(until, end):
                if self._wire.ser.read(4096):
                    until = time.monotonic() + self.reply_timeout
        self._owed = None

    def first_silent(self, motors: tuple[int, ...]) -> int | None:
        """The first motor in a row that answers neither in its turn nor to a ping; two time limits at most."""
        with self._or_lost("search for silent motors"):
            sdk = self._sdk()
            sdk.syncReadTx(self._wire, HARDWARE_ERROR.address, HARDWARE_ERROR.size, list(motors), len(motors), False)
            late = (motor for motor in motors if sdk.readRx(self._wire, motor, HARDWARE_ERROR.size)[1] != 0)
            suspect = next(late, None)
        return suspect if suspect is not None and self.ping(suspect) is None else None

    def write(self, motors: tuple[int, ...], register: Register, values: I64) -> None:
        """Writes values (n,) to a register by one instruction, which no motor answers.

        Raises:
            BusError: the adapter takes nothing.
        """
        parameters: list[int] = []
        for motor, value in zip(motors, values, strict=True):
            parameters += [motor, *int(value).to_bytes(register.size, "little", signed=register.signed)]
        result = -1
        with self._or_lost(f"write of {register.name}"):
            for _ in range(WRITES):
                result = self._sdk().syncWriteTxOnly(
                    self._wire, register.address, register.size, parameters, len(parameters)
                )
                if result == 0:
                    return
        self._raise_unless(result, f"write of {register.name}")

    def _sdk(self) -> Any:
        if self._wire is None:
            raise PortLost(f"{self.port} is not open: call connect")
        if self._packets is None:
            from dynamixel_sdk import PacketHandler

            self._packets = PacketHandler(2.0)
        return self._packets

    def _raise_unless(self, result: int, what: str) -> None:
        if result != 0:
            raise BusError(f"{what}: {self._sdk().getTxRxResult(result).removeprefix('[TxRxResult] ')}")

    @contextmanager
    def _or_lost(self, what: str) -> Iterator[None]:
        try:
            yield
        except WIRE_ERRORS as error:
            wire, self._wire = self._wire, None
            if wire is not None:
                _close_quietly(wire)
            raise PortLost(
                f"{self.port} is lost ({what}: {error}): plug it in, check that no other program has it open and that "
                "you may use serial ports (Linux: group dialout), then connect again"
            ) from error


def decode(rows: NDArray[np.uint8], start: int, register: Register) -> I64:
    """Values (n,) of a register out of bytes (n, size) that begin at address `start`."""
    first = register.address - start
    kind = f"<{'i' if register.signed else 'u'}{register.size}"
    return np.ascontiguousarray(rows[:, first : first + register.size]).view(kind)[:, 0].astype(np.int64)


def _close_quietly(wire: Any) -> None:
    try:
        wire.closePort()
    except WIRE_ERRORS as error:
        log.debug("closing a lost port: %s", error)


def _wire(bus: Bus) -> Any:
    """The SDK's port with a monotonic clock, reads that wait instead of spinning, and a time limit of our own.

    The SDK's limit assumes an adapter that holds bytes back for 16 ms; low latency is asked for instead.
    """
    try:
        import serial
        from dynamixel_sdk import PortHandler
    except ImportError as error:
        raise ImportError(HINT) from error

    class Wire(PortHandler):
        def setupPort(self, cflag_baud: int) -> bool:
            self.ser = serial.Serial(self.port_name, self.baudrate, timeout=0.001, write_timeout=0.02, exclusive=True)
            self.is_open = True
            self.tx_time_per_byte = 10_000 / self.baudrate  # ms
            try:
                self.ser.set_low_latency_mode(True)
            except (OSError, ValueError, NotImplementedError) as error:
                log.debug("%s: no low latency mode (%s)", self.port_name, error)
            return True

        def writePort(self, packet: Any) -> int:
            try:
                return int(super().writePort(packet))
            except serial.SerialTimeoutException:
                # The adapter is slow, or this process was held up: no loss yet. Whoever asked tries again.
                self.ser.reset_output_buffer()
                return 0

        def getCurrentTime(self) -> float:
            return 1e3 * time.monotonic()

        def setPacketTimeout(self, packet_length: int) -> None:
            self.setPacketTimeoutMillis(self.tx_time_per_byte * packet_length + 1e3 * bus.reply_timeout)

    return Wire(bus.port)
