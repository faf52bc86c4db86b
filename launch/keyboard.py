"""Keys as they are pressed, from a terminal; works over ssh. And the emergency stop on the space bar."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

STOP_KEY = " "
_NAMES = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left", "\x1bOA": "up", "\x1bOB": "down",
    "\x1bOC": "right", "\x1bOD": "left", "\x1b[5~": "page up", "\x1b[6~": "page down", "\x1b": "esc", "\r": "enter",
    "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x03": "ctrl-c",
}  # fmt: skip


class Keyboard:
    """A terminal that gives keys one by one, without echo; as a context manager it is put back as it was.

    Ctrl-C stays an interrupt. A key that is held comes again and again: terminals tell of no release.

    Args:
        file: descriptor of the terminal; standard input by default.
    """

    def __init__(self, file: int | None = None) -> None:
        self.file = sys.stdin.fileno() if file is None else file
        self._before: list[Any] | None = None

    @staticmethod
    def is_there() -> bool:
        """Whether standard input is a terminal whose keys this process may read."""
        try:
            return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        except (OSError, ValueError, AttributeError):
            return False

    def __enter__(self) -> Keyboard:
        import termios
        import tty

        self._before = termios.tcgetattr(self.file)
        tty.setcbreak(self.file, termios.TCSANOW)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import termios

        if self._before is not None:
            # A process that a shell moved to the background must not be halted for putting the terminal back.
            handler = signal.signal(signal.SIGTTOU, signal.SIG_IGN) if _in_main_thread() else None
            termios.tcsetattr(self.file, termios.TCSANOW, self._before)
            if handler is not None:
                signal.signal(signal.SIGTTOU, handler)

    def keys(self, timeout: float) -> list[str] | None:
        """Keys pressed since the last call, waiting at most this long [s] for the first.

        Returns:
            Characters, or names as "up" and "esc"; None where the terminal is gone.
        """
        if not select.select([self.file], [], [], timeout)[0]:
            return []
        try:
            data = os.read(self.file, 1024)
        except OSError:
            return None
        return split(data.decode(errors="ignore")) if data else None


def split(text: str) -> list[str]:
    """Keys in what a terminal sent. Escape sequences that mean nothing here are dropped whole."""
    keys = []
    while text:
        size = 1
        if text[0] == "\x1b" and text[1:2] in ("[", "O"):
            size = next((i + 1 for i in range(2, len(text)) if "@" <= text[i] <= "~"), len(text))
        key, text = text[:size], text[size:]
        if size == 1 or key in _NAMES:
            keys.append(_NAMES.get(key, key))
    return keys


class EmergencyKey:
    """Calls `stop` from a thread of its own as soon as the space bar is pressed; does nothing without a terminal.

        with EmergencyKey(gate.emergency_stop):
            ...

    Args:
        stop: takes the reason. It must be callable from any thread.
        file: descriptor of the terminal; standard input by default, where it is one.
    """

    def __init__(self, stop: Callable[[str], None], file: int | None = None) -> None:
        self._stop = stop
        self.active = file is not None or Keyboard.is_there()
        self._keyboard = Keyboard(file) if self.active else None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def __enter__(self) -> EmergencyKey:
        if self._keyboard is not None:
            self._keyboard.__enter__()
            self._thread = threading.Thread(target=self._listen, name="emergency key", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._keyboard is not None:
            self._keyboard.__exit__(kind, error, trace)

    def _listen(self) -> None:
        assert self._keyboard is not None
        while not self._ended.is_set():
            keys = self._keyboard.keys(timeout=0.02)
            if keys is None:
                return
            if STOP_KEY in keys:
                self._stop("space bar")


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
