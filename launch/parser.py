"""The argument parser of every command: one look, did-you-mean, and errors as `UserError`.

argparse, not typer: `toolwright --help` takes 0.04 s with it and 0.2 s with typer (0.12 s without its rich output).
"""

from __future__ import annotations

import argparse
import inspect
import math
import shutil
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from toolwright.launch.errors import UserError, did_you_mean


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size().columns
        super().__init__(prog, max_help_position=26, width=min(columns, 100) - 2)


class Parser(argparse.ArgumentParser):
    """The parser of one command.

    Args:
        name: of the command.
        module: with the help text as its docstring, `USAGE`, `add_arguments` and `run`.
    """

    def __init__(self, name: str, module: ModuleType) -> None:
        about, _, examples = inspect.cleandoc(module.__doc__ or "").partition("\n\nExamples:\n")
        super().__init__(
            prog=f"toolwright {name}",
            usage=f"toolwright {name} {module.USAGE}",
            description=about,
            epilog=f"Examples:\n{examples}",
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
        )
        self._positionals.title, self._optionals.title = "Arguments", "Options"
        module.add_arguments(self)
        self.add_argument("--debug", action="store_true", help="show the full traceback of an error")
        self.add_argument("-h", "--help", action="help", help="show this text")

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{message}; see '{self.prog} --help'")

    def read(self, words: list[str]) -> argparse.Namespace:
        """Reads a command line; options may stand anywhere between the other words.

        Raises:
            UserError: it does not fit the command.
        """
        # Unknown words are reported before missing ones: a misspelled option often causes both.
        for word in words[: words.index("--")] if "--" in words else words:
            option = word.split("=", 1)[0]
            if option.startswith("--") and option not in self._option_string_actions:
                self.error(f"unknown option {option}{did_you_mean(option, self._option_string_actions)}")
        args, extra = self.parse_known_intermixed_args(words)
        if extra:
            self.error(f"unexpected: {' '.join(extra)}")
        return args


def add_controller(parser: Parser, what: str, *others: str) -> None:
    """`--controller`; `what` begins its help, `others` can be chosen beside the usual two."""
    parser.add_argument(
        "--controller",
        metavar="NAME",
        type=one_of("learned", "closed_form", *others),
        default="learned",
        help=f"{what}: learned (default) or {' or '.join(('closed_form', *others))}",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds --json, which every command with a result has."""
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the result to this file, '-' for standard output ('list schema' explains it)",
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Adds --seed."""
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="seed of all randomness (default: 0)")


def add_scene(parser: argparse.ArgumentParser) -> None:
    """Adds --scene."""
    parser.add_argument(
        "--scene", metavar="NAME|FILE", default="bead", help="one of 'list scenes', or your own file (default: bead)"
    )


def pace(text: str) -> float:
    """Times real time: a number from 0, where 0 is as fast as possible."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 100, got '{text}'")
    return value


def video(text: str) -> str:
    """A file that a video can be written to."""
    if not text.endswith((".mp4", ".gif")):
        raise argparse.ArgumentTypeError(f"a video is .mp4 or .gif, got '{text}'")
    return text


def recording(text: str) -> str:
    """A file that a recording can be written to."""
    if not text.endswith(".mcap"):
        raise argparse.ArgumentTypeError(f"a recording is .mcap, got '{text}'")
    return text


def natural(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0)


def positive(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got '{text}'")
    return int(text)


def rate(text: str) -> float:
    """A share between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got '{text}'")
    return value


def one_of(*known: str) -> Callable[[str], str]:
    """A type for a word out of a list, with did-you-mean."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"unknown '{text}'{did_you_mean(text, known)}; choose {', '.join(known)}")
        return text

    return read
