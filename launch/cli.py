"""The `toolwright` command. Heavy packages are imported by the command that needs them, never here."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from types import ModuleType

from toolwright.launch.errors import BUG, FAILED, INTERRUPTED, WRONG_USE, UserError, did_you_mean, is_expected, message

COMMANDS = (
    "do",
    "console",
    "serve",
    "train",
    "transfer",
    "eval",
    "bench",
    "grasp",
    "objects",
    "plan-data",
    "affordance",
    "calibrate",
    "teleop",
    "replay",
    "export",
    "ros",
    "list",
    "doctor",
)

HELP = """\
usage: toolwright COMMAND [options]

A robot arm with a dexterous hand uses tools, from a sentence.

Commands:
{commands}

Options:
  --version   print the version
  --debug     show the full traceback of an error
  -h, --help  show this text; 'toolwright COMMAND --help' explains a command

Examples:
  toolwright do "pick up the bead with the tweezers and drop it in the cup"
  toolwright list tools
  toolwright doctor

Exit codes: 0 done, 1 the task failed or a check did not pass, 2 the request
cannot be carried out as given, 3 a bug in Toolwright, 130 interrupted.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, for instance `head`; keep Python from complaining once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        expected = is_expected(error, words)
        if "--debug" in words or not expected:
            traceback.print_exc()
        _say(message(error) if expected else "this is a bug in Toolwright; please report it with the lines above")
        return WRONG_USE if expected else BUG
    return code


def _dispatch(words: list[str]) -> int:
    named = [word for word in words if word != "--debug"]
    if not named or named[0] in ("-h", "--help"):
        print(HELP.format(commands=_summaries()), end="")
        return 0
    if named[0] == "--version":
        from importlib.metadata import version

        print(f"toolwright {version('toolwright')}")
        return 0
    if named[0] not in COMMANDS:
        known = COMMANDS if not named[0].startswith("-") else ("--help", "--version", "--debug")
        kind = "command" if known is COMMANDS else "option"
        raise UserError(f"unknown {kind} {named[0]}{did_you_mean(named[0], known)}; see 'toolwright --help'")
    return _run(named[0], named[1:])


def _run(name: str, words: list[str]) -> int:
    from toolwright.launch.parser import Parser

    module = _load(name)
    args = Parser(name, module).read(words)

    from toolwright.launch import results

    results.check_writable(args.json, getattr(args, "video", None), getattr(args, "record", None))
    with results.Clock() as clock:
        result: results.Result = module.run(args)
    if args.json:
        results.write(results.complete(result, getattr(args, "seed", None), clock.seconds), args.json)
    return result.exit_code


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"toolwright.launch.commands.{name.replace('-', '_')}")


def _summaries() -> str:
    lines = ((name, inspect.cleandoc(_load(name).__doc__ or "").split("\n")[0]) for name in COMMANDS)
    return "\n".join(f"  {name:<10}  {line.rstrip('.')}" for name, line in lines)


def _say(line: str) -> None:
    print(f"toolwright: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
