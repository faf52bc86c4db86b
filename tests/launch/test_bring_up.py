"""The bring-up guide and the page on ROS 2: their commands can be typed, and their messages are those of the code."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from toolwright.launch import cli
from toolwright.launch.commands import ros
from toolwright.launch.graph import graph
from toolwright.launch.parser import Parser

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/bring_up.md").read_text()
PAGES = GUIDE + (ROOT / "docs/ros.md").read_text()


def commands() -> list[str]:
    """Every `toolwright ...` of the pages, in code blocks and in the text."""
    found = [line for block in re.findall(r"```sh\n(.*?)```", PAGES, re.S) for line in block.splitlines()]
    found += re.findall(r"`(?:\.venv/bin/)?(toolwright [^`]+)`", re.sub(r"```.*?```", "", PAGES, flags=re.S))
    lines = [re.sub(r"\s#.*", "", line).strip().removeprefix(".venv/bin/") for line in found]
    return sorted({line for line in lines if line.startswith("toolwright ") and line.count(" ") > 1})


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_can_be_typed(command):
    name, *words = shlex.split(command)[1:]
    assert name in cli.COMMANDS
    args = Parser(name, cli._load(name)).read(words)
    if name == "ros" and args.action in ("up", "graph"):
        assert graph(*ros._kind(args.action, args.words))


def test_the_pages_have_commands_for_every_step():
    said = {command.split()[1] for command in commands()}
    assert {"calibrate", "teleop", "ros", "replay", "do", "bench"} <= said


def messages() -> list[str]:
    """First column of the guide's table of messages."""
    table = GUIDE.split("## 8. What the messages mean")[1]
    return [
        line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ") and "`" in line
    ]


@cache
def sources() -> str:
    files = [path for room in ("hardware", "launch", "perception") for path in sorted((ROOT / room).rglob("*.py"))]
    joined = "\n".join(path.read_text() for path in files)
    return re.sub(r'"\s*\n\s*f?"', "", joined)  # strings that go on in the next line


@pytest.mark.parametrize("row", messages())
def test_a_message_of_the_guide_is_one_of_the_code(row):
    for text in re.findall(r"`([^`]+)`", row):
        for part in re.split(
            r"\.\.\.|\d[\dx./]*|'[^']*'|\([a-z_]+\)|: (?=\.\.\.)|\b(?:hand|camera|read|bead|depth|open)\b", text
        ):
            if len(part.strip(" :,")) > 3:
                assert part.strip(" :,") in sources(), f"nothing says '{part.strip()}'"
    for error in re.findall(r"\((\w+)\)$", row):
        assert f"class {error}" in sources(), error
