"""Approval at the server's own terminal, also where standard input is the wire to a client."""

from __future__ import annotations

import os
import select
from typing import TextIO

from rich.console import Console

from toolwright.launch.approval import AskUser
from toolwright.launch.errors import UserError
from toolwright.launch.live import Live
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
        self._ask = AskUser(Console(file=terminal, highlight=False), self._line)

    def __call__(self, call: Call) -> Decision:
        self._rest = ""
        self._drain()  # what was typed before the question is no answer to it
        return self._ask(call)

    def _drain(self) -> None:
        while select.select([self._terminal], [], [], 0)[0]:
            if not os.read(self._terminal.fileno(), 4096):
                return

    def _line(self) -> str:
        while "\n" not in self._rest:
            self._live.raise_if_stopped()
            if not select.select([self._terminal], [], [], WAKE)[0]:
                continue
            data = os.read(self._terminal.fileno(), 4096)
            if not data:
                raise EOFError
            self._rest += data.decode(errors="replace")
        line, _, self._rest = self._rest.partition("\n")
        return line


def terminal() -> TextIO:
    """The terminal of this process.

    Raises:
        UserError: it has none.
    """
    try:
        return os.fdopen(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY), "w", buffering=1, errors="replace")
    except OSError as error:
        raise UserError("--approve asks at the terminal before each motion, but there is no terminal here") from error
