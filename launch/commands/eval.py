"""Run many episodes and count the successes.

WHAT is one of:
  pick       whole runs: a sentence, a random bead, the cup
  held_tool  the hand alone: tweezers in it brought to a commanded opening
  tools      the same for every articulated tool; writes runs/eval/tools
  reorient   an object turned in the hand to an orientation anywhere in SO(3)
  language   every task from sentence to verdict; writes runs/eval/language

The result is the success rate with its 95 % Wilson interval, and every failure
with its cause. The same seed gives the same episodes. The exit code is 1 if the
rate is below the target.

Examples:
  toolwright eval pick --episodes 20
  toolwright eval reorient --controller planner --shapes cube --episodes 24
  toolwright eval held_tool --episodes 1000 --seed 1 --json runs/held_tool.json
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_controller, add_json, add_seed, one_of, positive, rate

if TYPE_CHECKING:
    from toolwright.launch.results import EvalResult
    from toolwright.policies.evaluation.report import EvalReport

USAGE = "WHAT [options]"
# Each evaluation and the options that only some have.
EVALUATIONS: dict[str, tuple[str, ...]] = {
    "pick": ("scene", "controller"),
    "held_tool": (),
    "tools": ("tool",),
    "language": ("task",),
    "reorient": ("shapes", "controller"),
}


def add_arguments(parser: Parser) -> None:
    parser.add_argument("what", metavar="WHAT", type=one_of(*EVALUATIONS), help=", ".join(EVALUATIONS))
    parser.add_argument(
        "--episodes",
        metavar="N",
        type=positive,
        help="how many (default: pick 200, held_tool 1000, tools 500, language 50, reorient 1000)",
    )
    add_seed(parser)
    parser.add_argument(
        "--target", metavar="RATE", type=rate, help="success rate to reach (default: what the README claims)"
    )
    add_controller(parser, "of the hand, for pick and reorient (the others show both)", "planner")
    parser.add_argument("--scene", metavar="NAME|FILE", help="for pick: a scene with a bead and a cup (default: bead)")
    parser.add_argument("--task", metavar="NAME|FILE", help="for language: one task only")
    parser.add_argument("--tool", metavar="NAME", help="for tools: one family only, from 'list tools'")
    parser.add_argument("--shapes", metavar="NAME", help="for reorient: one family of shapes or one shape only")
    add_json(parser)


def run(args: argparse.Namespace) -> EvalResult:
    from toolwright.launch.console import console, percent, table
    from toolwright.launch.results import EvalResult, plain

    own = EVALUATIONS[args.what]
    if args.controller == {"pick": "planner", "reorient": "closed_form"}.get(args.what):
        raise UserError(f"eval {args.what} has no controller '{args.controller}'; see 'toolwright eval --help'")
    for option in ("scene", "tool", "task", "shapes"):
        if option not in own and getattr(args, option) is not None:
            raise UserError(f"eval {args.what} has no {option}: drop --{option}")
    asked = {name: getattr(args, name) for name in ("episodes", "target", *own)}
    report = _evaluation(args.what)(
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


def _evaluation(what: str) -> Callable[..., EvalReport]:
    if what == "language":
        from toolwright.llm_planner.evaluate_language import evaluate as language

        return language
    from toolwright.policies.evaluation import evaluate

    found: Callable[..., EvalReport] = getattr(evaluate, what)
    return found
