"""Asks the user before each motion, on the terminal: yes, no, or other numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from toolwright.launch.errors import UserError
from toolwright.llm_planner.run.gate import Call, Decision, Value

HELP = "y to go on, n to end the run here, or other arguments, for instance lift=0.05"


def check_terminal() -> None:
    """Whether there is anybody to ask.

    Raises:
        UserError: standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise UserError("--approve asks before each motion, but standard input is no terminal: nobody could answer")


class AskUser:
    """An `Approve` that asks on the terminal.

    Args:
        console: to write the question to.
        read: a line from the user; raises EOFError where there is no more.
    """

    def __init__(self, console: Console, read: Callable[[], str] = input) -> None:
        self._console, self._read = console, read

    def __call__(self, call: Call) -> Decision:
        while True:
            self._console.print(Text(f"  ? {call}  [y / n / edit] "), end="")
            try:
                answer = self._read().strip()
            except EOFError:
                return Decision(False, f"{call.skill.name} was not approved: there was no answer.")
            if answer.lower() in ("y", "yes"):
                return Decision(True)
            if answer.lower() in ("n", "no"):
                return Decision(False, f"{call.skill.name} was not approved by the user.")
            try:
                return Decision(True, edited=edits(call, answer))
            except ValueError as error:
                self._console.print(Text(f"    {error}; {HELP}"))


def edits(call: Call, answer: str) -> dict[str, Value]:
    """Arguments from 'name=value name=value'.

    Raises:
        ValueError: says what cannot be read.
    """
    kinds = {item.name: item.type for item in call.skill.parameters}
    found: dict[str, Value] = {}
    for word in answer.replace(",", " ").split():
        name, equals, text = word.partition("=")
        if not equals or name not in kinds:
            known = ", ".join(f"{kind}=" for kind in kinds)
            raise ValueError(f"'{word[:40]}' is not one of {known or 'its arguments: it has none'}")
        found[name] = _value(name, kinds[name], text)
    if not found:
        raise ValueError("nothing was typed")
    return found


def _value(name: str, kind: str, text: str) -> Value:
    if kind == "str":
        return text.strip("'\"")
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name} is true or false")
        return text.lower() == "true"
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError as error:
        raise ValueError(f"{name} is a number, '{text[:20]}' is none") from error
