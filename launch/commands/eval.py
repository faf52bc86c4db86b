"""Run many episodes and count the successes.

WHAT is one of:
  pick       whole runs: a sentence, a random bead, the cup
  held_tool  the hand alone: tweezers in it brought to a commanded opening
  tools      the same for every articulated tool; writes a page, runs/eval/tools

The result is the success rate with its 95 % Wilson interval, and every failure
with its cause. The same seed gives the same episodes. The exit code is 1 if the
rate is below the target.

Examples:
  toolwright eval pick --episodes 20
  toolwright eval held_tool --episodes 1000 --seed 1 --json runs/held_tool.json
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_controller, add_json, add_seed, one_of, positive, rate

if TYPE_CHECKING:
    from toolwright.launch.results import EvalResult

USAGE = "WHAT [options]"
# Each evaluation and the options that only some have.
EVALUATIONS: dict[str, tuple[str, ...]] = {"pick": ("scene", "controller"), "held_tool": (), "tools": ("tool",)}


def add_arguments(parser: Parser) -> None:
    parser.add_argument("what", metavar="WHAT", type=one_of(*EVALUATIONS), help=", ".join(EVALUATIONS))
    parser.add_argument(
        "--episodes", metavar="N", type=positive, help="how many (default: pick 200, held_tool 1000, tools 500)"
    )
    add_seed(parser)
    parser.add_argument(
        "--target", metavar="RATE", type=rate, help="success rate to reach (default: what the README claims)"
    )
    add_controller(parser, "of the hand, for pick (the others show both)")
    parser.add_argument("--scene", metavar="NAME|FILE", help="for pick: a scene with a bead and a cup (default: bead)")
    parser.add_argument("--tool", metavar="NAME", help="for tools: one family only, from 'list tools'")
    add_json(parser)


def run(args: argparse.Namespace) -> EvalResult:
    from toolwright.launch.console import console, percent, table
    from toolwright.launch.results import EvalResult, plain
    from toolwright.policies import evaluate

    own = EVALUATIONS[args.what]
    for option in ("scene", "tool"):
        if option not in own and getattr(args, option) is not None:
            raise UserError(f"eval {args.what} has no {option}: drop --{option}")
    asked = {name: getattr(args, name) for name in ("episodes", "target", *own)}
    report = getattr(evaluate, args.what)(
        seed=args.seed,
        report=lambda line: print(line, file=sys.stderr),
        **{name: value for name, value in asked.items() if value is not None},
    )
    rates = {"success_rate": report.success_rate, "interval_95": report.interval_95}
    groups = [
        {**dataclasses.asdict(group), "success_rate": group.success_rate, "interval_95": group.interval_95}
        for group in report.groups
    ]
    result = EvalResult(task=args.what, **plain({**dataclasses.asdict(report), **rates, "groups": groups}))

    out = console(args)
    if result.failures:
        out.print(table(failure.model_dump() for failure in result.failures))
    for group in result.groups:
        out.print(f"{group.name}: {percent(group.success_rate, group.interval_95, group.n)}")
    verdict = "reached" if result.passed else "missed"
    out.print(
        f"success: {percent(result.success_rate, result.interval_95, result.n)}; target {result.target:.1%} {verdict}"
    )
    return result
