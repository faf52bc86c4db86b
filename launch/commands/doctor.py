"""Check this machine: what works, what is missing, how to get it.

Optional things may be missing; only a required one makes the exit code 1.

Examples:
  toolwright doctor
  toolwright doctor --json -
"""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from toolwright.launch.parser import Parser, add_json

if TYPE_CHECKING:
    from toolwright.launch.results import DoctorResult

USAGE = "[options]"
STYLES = {"ok": "green", "missing": "bold red", "missing (optional)": "yellow"}


def add_arguments(parser: Parser) -> None:
    add_json(parser)


def run(args: argparse.Namespace) -> DoctorResult:
    from rich.text import Text

    from toolwright.launch.checks import CHECKS
    from toolwright.launch.console import console
    from toolwright.launch.results import DoctorResult

    out = console(args)
    state_width = max(map(len, STYLES)) + 2
    name_width = max(map(len, CHECKS)) + 2
    checks = []
    for name, examine in CHECKS.items():
        check = examine(name)
        checks.append(check)
        line = Text.assemble((check.state.ljust(state_width), STYLES[check.state]), check.name.ljust(name_width))
        indent = " " * len(line)
        first, *rest = textwrap.wrap(check.detail, max(out.width - len(line), 30)) or [""]
        out.print(line.append(first), soft_wrap=True)
        for more in rest:
            out.print(indent + more, markup=False, soft_wrap=True)
        if check.hint:  # in one piece, so that it can be copied
            out.print(f"{' ' * state_width}get it: {check.hint}", markup=False, soft_wrap=True)

    missing = [check.name for check in checks if check.state == "missing"]
    out.print(f"\nmissing: {', '.join(missing)}" if missing else "\nEverything required is there.")
    return DoctorResult(success=not missing, checks=checks)
