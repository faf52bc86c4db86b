"""A gamepad under Linux, through the kernel's joystick interface (/dev/input/js0): no library is needed.

Axes and buttons go by the kernel's codes, so pads with another order of buttons work alike.
"""

from __future__ import annotations

import array
import logging
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_EVENT = struct.Struct("IhBB")  # time [ms], value, type, number
_BUTTON, _AXIS, _INITIAL = 0x01, 0x02, 0x80
_FULL = 32767
_DEAD = 0.12  # share of an axis around its middle that counts as the middle
# Kernel codes (linux/input-event-codes.h) and what they are called here.
_AXIS_NAMES = {0: "left x", 1: "left y", 2: "left trigger", 3: "right x", 4: "right y", 5: "right trigger"}
_AXIS_NAMES |= {16: "cross x", 17: "cross y"}
_BUTTON_NAMES = {0x130: "a", 0x131: "b", 0x133: "x", 0x134: "y", 0x136: "left shoulder", 0x137: "right shoulder"}
_BUTTON_NAMES |= {0x13A: "back", 0x13B: "start"}
# The order of a common pad (driver xpad), where the kernel does not tell.
_USUAL_AXES, _USUAL_BUTTONS = (0, 1, 2, 3, 4, 5, 16, 17), (0x130, 0x131, 0x133, 0x134, 0x136, 0x137, 0x13A, 0x13B)
_GET_AXES, _GET_BUTTONS = 0x80406A32, 0x84006A34  # ioctl JSIOCGAXMAP, JSIOCGBTNMAP

log = logging.getLogger(__name__)


class PadError(RuntimeError):
    """A gamepad that is not there, or gone; the message says what to do."""


class PadLost(PadError):
    """The gamepad was there and is gone."""


@dataclass(frozen=True)
class PadState:
    """What is pressed."""

    axes: dict[str, float]  # -1 to 1; y down is positive, as pads have it; triggers -1 released to 1
    held: frozenset[str]  # buttons
    pressed: frozenset[str]  # buttons that went down since the last look


class Gamepad:
    """The pad.

    Args:
        path: of the device; by default the first one.

    Raises:
        PadError: none is there, or it cannot be opened.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        if path is None:
            found = sorted(Path("/dev/input").glob("js*"))
            if not found:
                raise PadError(
                    "no gamepad at /dev/input/js*: plug one in; if it is, load its module: sudo modprobe joydev"
                )
            path = found[0]
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            hint = (
                "sudo usermod -aG input $USER, then log in again"
                if isinstance(error, PermissionError)
                else "plug it in"
            )
            raise PadError(f"{self.path} cannot be opened ({error.strerror}): {hint}") from error
        self._axis_names = self._names(_GET_AXES, "B", 64, _AXIS_NAMES, _USUAL_AXES)
        self._button_names = self._names(_GET_BUTTONS, "H", 512, _BUTTON_NAMES, _USUAL_BUTTONS)
        self._axes: dict[str, float] = {}
        self._held: set[str] = set()
        self._rest = b""

    def read(self) -> PadState:
        """What is pressed now; never waits.

        Raises:
            PadLost: it was unplugged.
        """
        pressed = set()
        data = self._rest + self._all_bytes()
        whole = len(data) // _EVENT.size * _EVENT.size
        self._rest = data[whole:]
        for _, value, kind, number in _EVENT.iter_unpack(data[:whole]):
            if kind & ~_INITIAL == _BUTTON and number in self._button_names:
                name = self._button_names[number]
                (self._held.add if value else self._held.discard)(name)
                if value and not kind & _INITIAL:
                    pressed.add(name)
            elif kind & ~_INITIAL == _AXIS and number in self._axis_names:
                self._axes[self._axis_names[number]] = value / _FULL
        return PadState(
            {name: _without_middle(value) for name, value in self._axes.items()},
            frozenset(self._held),
            frozenset(pressed),
        )

    def close(self) -> None:
        """Lets it go."""
        os.close(self._file)

    def _all_bytes(self) -> bytes:
        data = b""
        while True:
            try:
                more = os.read(self._file, 4096)
            except BlockingIOError:
                return data
            except OSError as error:
                raise PadLost(f"the gamepad {self.path} is gone ({error.strerror}): plug it in again") from error
            if not more:
                raise PadLost(f"the gamepad {self.path} is gone: plug it in again")
            data += more

    def _names(
        self, request: int, kind: str, size: int, known: dict[int, str], usual: tuple[int, ...]
    ) -> dict[int, str]:
        import fcntl

        codes = array.array(kind, [0] * size)
        try:
            fcntl.ioctl(self._file, request, codes)
        except OSError:
            log.debug("%s does not tell its layout: taking the usual one", self.path)
            codes = array.array(kind, usual)
        names: dict[int, str] = {}
        for number, code in enumerate(codes):
            # The rest of the table is zeros, which is also a code: the first one counts.
            if code in known and known[code] not in names.values():
                names[number] = known[code]
        return names


def _without_middle(value: float) -> float:
    return 0.0 if abs(value) < _DEAD else max(-1.0, min(1.0, value))
