"""Where people's text goes: standard output, or standard error while `--json -` has standard output to itself."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE = 200  # columns


def console(args: argparse.Namespace) -> Console:
    """The console of a command. What goes into a file or a pipe is not folded at the width of a screen."""
    out = Console(stderr=args.json == "-", highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = _PIPE
    return out


def table(rows: Iterable[Mapping[str, object]]) -> Table:
    """Rows as a table with the keys of the first row as its head."""
    rows = list(rows)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else ():
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row.values()))
    return drawn


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return "" if value is None else str(value)


def percent(success_rate: float, interval: tuple[float, float], n: int) -> str:
    """A success rate for people: '97.2 % (95 % interval 96.0 to 98.1 %, N = 1000)'."""
    low, high = interval
    return f"{success_rate:.1%} (95 % interval {low:.1%} to {high:.1%}, N = {n})"
