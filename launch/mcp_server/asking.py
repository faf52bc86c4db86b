"""Approval at the server's own terminal, also where standard input is the wire to a client."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.text import Text

from toolwright.launch.approval import AskUser
from toolwright.launch.errors import UserError
from toolwright.launch.live import Live
from toolwright.launch.plain_text import clean
from toolwright.llm_planner.run.gate import Call, Decision

WAKE = 0.1  # s


class TerminalApproval:
    """An `Approve` that asks at the terminal from which the server was started; a stop takes the question back.

    Args:
        live: the robot.
        terminal: to write to and to read from.
    """

    def __init__(self, live: Live, terminal: TextIO) -> None:
        self._live, self._terminal = live, terminal
        self._rest = ""
        self._over: Callable[[], bool] = lambda: False  # whether the question is taken back
        self._console = Console(file=terminal, highlight=False)
        self._ask = AskUser(self._console, self._line)

    def __call__(self, call: Call) -> Decision:
        self._drain()
        return self._ask(call)

    def may_clear(self, reason: str, over: Callable[[], bool]) -> bool:
        """Asks whether a latched stop may be released; no answer is a no.

        Args:
            reason: why the robot is stopped.
            over: whether nobody waits for the answer any more.
        """
        self._drain()
        self._over = over
        text = f"  ? The robot is stopped: {clean(reason, 200)}. Is it safe to release it?  [y / n] "
        try:
            self._console.print(Text(text), end="")
            return self._line().strip().lower() in ("y", "yes")
        except EOFError:
            return False
        finally:
            self._over = lambda: False

    def _drain(self) -> None:
        """Forgets what was typed before the question: it is no answer to it."""
        self._rest = ""
        while select.select([self._terminal], [], [], 0)[0]:
            if not os.read(self._terminal.fileno(), 4096):
                return

    def _line(self) -> str:
        while "\n" not in self._rest:
            self._live.raise_if_stopped()
            if self._over():
                raise EOFError
            if not select.select([self._terminal], [], [], WAKE)[0]:
                continue
            data = os.read(self._terminal.fileno(), 4096)
            if not data:
                raise EOFError
            self._rest += data.decode(errors="replace")
        line, _, self._rest = self._rest.partition("\n")
        return line


def terminal() -> TextIO | None:
    """The terminal of this process; None where it has none."""
    try:
        return os.fdopen(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY), "w", buffering=1, errors="replace")
    except OSError:
        return None


def needed(found: TextIO | None) -> TextIO:
    """The terminal for `--approve`.

    Raises:
        UserError: there is none.
    """
    if found is None:
        raise UserError("--approve asks at the terminal before each motion, but there is no terminal here")
    return found
