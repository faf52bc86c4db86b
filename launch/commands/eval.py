"""Run many episodes and count the successes.

WHAT is one of:
  pick       24 small objects picked with tweezers; writes runs/eval/pick
  cup        whole runs: a random bead anywhere on the table, into the cup
  fetch      the tool starts in its stand; arm and hand take it and check it
  held_tool  the hand alone: tweezers in it brought to a commanded opening
  tools      the same for every articulated tool; writes runs/eval/tools
  reorient   an object turned in the hand to an orientation anywhere in SO(3);
             writes runs/eval/reorient
  affordance what a depth camera sees; writes runs/eval/affordance
  language   every task from sentence to verdict; writes runs/eval/language

The result is the success rate with its 95 % Wilson interval, and every failure
with its cause. The same seed gives the same episodes. The exit code is 1 if the
rate is below the target.

'language' writes each episode down as it ends: after Ctrl-C the same command
goes on with what is missing, and what this version of the code has run already
is not run again; so do 'pick', 'fetch' and 'reorient'. Every failure gets its
kind: tool use, logic, numbers, perception, control. With --model a language
model fills the roles, and --roles all runs its ablations too.

Examples:
  toolwright eval pick --state camera --episodes-per-object 50
  toolwright eval cup --episodes 20
  toolwright eval fetch --tool tongs --episodes 20
  toolwright eval reorient --only 'nominal, held-out, 0.4' --episodes 24
  toolwright eval reorient --state camera --palm up --shapes letter --episodes 8
  toolwright eval reorient --controller student --weights FOLDER --episodes 64
  toolwright eval held_tool --episodes 1000 --seed 1 --json runs/held_tool.json
  toolwright eval language --task milk --episodes 10
  toolwright eval language --roles all --model ollama:qwen3 --episodes 10
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolwright.launch.errors import UserError
from toolwright.launch.models import add_model
from toolwright.launch.parser import Parser, add_controller, add_json, add_seed, one_of, positive, rate

if TYPE_CHECKING:
    from toolwright.launch.results import EvalResult
    from toolwright.policies.evaluation.report import EvalReport

USAGE = "WHAT [options]"
# Each evaluation and the options that only some have.
EVALUATIONS: dict[str, tuple[str, ...]] = {
    "pick": ("state", "episodes_per_object"),
    "cup": ("scene", "controller"),
    "fetch": ("tool", "state", "controller"),
    "held_tool": (),
    "tools": ("tool",),
    "language": ("task", "model"),
    "reorient": ("shapes", "controller", "state", "palm", "only", "weights", "in_a_row"),
    "affordance": (),
}
_SHARED = ("controller", "model")  # told apart below, or made of several options


def add_arguments(parser: Parser) -> None:
    parser.add_argument("what", metavar="WHAT", type=one_of(*EVALUATIONS), help=", ".join(EVALUATIONS))
    parser.add_argument(
        "--episodes",
        metavar="N",
        type=positive,
        help="how many (default: cup 200, fetch 200 of each tool, held_tool 1000, tools 500, language 50, "
        "reorient 1000, affordance 100)",
    )
    parser.add_argument(
        "--episodes-per-object", metavar="N", type=positive, help="for pick: of each object and policy (default: 50)"
    )
    parser.add_argument(
        "--state",
        metavar="NAME",
        type=one_of("privileged", "camera", "assumed", "exact"),
        help="for pick, what is measured: privileged (the truth with a sensor's noise; default), camera (images, read "
        "by the encoder), assumed (the truth with errors assumed for a camera) or exact; for fetch: privileged "
        "(default), assumed or exact; for reorient: exact (default) or camera (default for the student; the learned "
        "policy has exact alone)",
    )
    add_seed(parser)
    parser.add_argument(
        "--target", metavar="RATE", type=rate, help="success rate to reach (default: what the README claims)"
    )
    add_controller(parser, "of the hand, for cup, fetch and, there planner by default, reorient", "planner", "student")
    parser.set_defaults(controller=None)  # each evaluation has its own
    parser.add_argument("--scene", metavar="NAME|FILE", help="for cup: a scene with a bead and a cup (default: bead)")
    parser.add_argument("--task", metavar="NAME|FILE", help="for language: one task, or your own scene file with one")
    parser.add_argument("--tool", metavar="NAME", help="for tools and fetch: one family only, from 'list tools'")
    parser.add_argument("--shapes", metavar="NAME", help="for reorient: one family of shapes or one shape only")
    parser.add_argument(
        "--palm",
        metavar="WHERE",
        type=one_of("up", "down", "any"),
        help="for reorient: where the palm faces (default: up); it begins facing up and is swung there in 2 s",
    )
    parser.add_argument(
        "--in-a-row",
        metavar="N",
        type=positive,
        help="for reorient: up to N goals one after the other in an episode, until one is missed (default: 1)",
    )
    parser.add_argument(
        "--weights",
        metavar="FOLDER",
        type=Path,
        help="for reorient: of a training, whose policy is used instead of the shipped one",
    )
    parser.add_argument(
        "--only", metavar="TEXT", help="for reorient: only conditions with this in their name, such as 'held-out, 0.4'"
    )
    add_json(parser)
    add_model(parser, ablations=True)


def run(args: argparse.Namespace) -> EvalResult:
    from toolwright.launch.console import console, percent, table
    from toolwright.launch.results import EvalResult, plain

    own = EVALUATIONS[args.what]
    not_there = {"cup": ("planner", "student"), "fetch": ("planner", "student"), "reorient": ("closed_form",)}
    if args.controller in not_there.get(args.what, ()):
        raise UserError(f"eval {args.what} has no controller '{args.controller}'; see 'toolwright eval --help'")
    if args.what == "reorient" and args.state in ("privileged", "assumed"):
        raise UserError("eval reorient knows the states exact and camera")
    if args.what == "fetch" and args.state == "camera":
        raise UserError("eval fetch knows the states privileged, assumed and exact")
    if args.what == "pick" and args.episodes is not None:
        raise UserError("eval pick counts by object: give --episodes-per-object instead of --episodes")
    for option in dict.fromkeys(name for names in EVALUATIONS.values() for name in names if name not in _SHARED):
        if option not in own and getattr(args, option) is not None:
            raise UserError(f"eval {args.what} has no {option}: drop --{option.replace('_', '-')}")
    asked = {name: getattr(args, name) for name in ("episodes", "target", *own) if name != "model"}
    asked |= _model(args) if "model" in own else {}
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
    if args.what == "affordance":
        return _affordance(result, out)
    if result.failures:
        out.print(table(failure.model_dump() for failure in result.failures))
    for group in result.groups:
        kinds = {name.removeprefix("errors "): n for name, n in group.measured.items() if name.startswith("errors ")}
        errors = f"; errors: {', '.join(f'{kind} {n:.0f}' for kind, n in kinds.items())}" if kinds else ""
        out.print(f"{group.name}: {percent(group.success_rate, group.interval_95, group.n)}{errors}")
    verdict = "reached" if result.passed else "missed"
    out.print(
        f"success: {percent(result.success_rate, result.interval_95, result.n)}; target {result.target:.1%} {verdict}"
    )
    return result


def _affordance(result: EvalResult, out: Any) -> EvalResult:
    """Errors are measured, not only counted: a table not a line for each condition. The page has more columns."""
    from toolwright.launch.console import percent, table

    for kind, rows in _by_kind(result).items():
        out.print(f"[bold]{kind}[/bold]")
        out.print(table(rows))
    verdict = "every target reached" if result.passed else "a target was missed"
    out.print(f"within 2 mm: {percent(result.success_rate, result.interval_95, result.n)}; {verdict}")
    return result


def _by_kind(result: EvalResult) -> dict[str, list[dict[str, object]]]:
    from toolwright.policies.evaluation.affordance_page import is_object, row

    rows: dict[str, list[dict[str, object]]] = {"held tools": [], "objects": []}
    for group in result.groups:
        told = row(group)
        few = [name for name in told if name in ("tool", "object", "method", "N", "p95", "time") or "mean" in name]
        rows["objects" if is_object(group) else "held tools"].append({name: told[name] for name in few})
    return rows


def _model(args: argparse.Namespace) -> dict[str, Any]:
    """The model for `language`, after everything that can be complained about before anything is built."""
    from toolwright.launch.models import choice
    from toolwright.llm_planner.evaluation.ablations import pipelines

    asked = choice(args)
    try:
        pipelines(asked)
    except ValueError as error:
        raise UserError(str(error)) from error
    return {"choice": asked}


def _evaluation(what: str) -> Callable[..., EvalReport]:
    if what == "language":
        from toolwright.llm_planner.evaluation.language import evaluate as language

        return language
    from toolwright.policies.evaluation import evaluate

    found: Callable[..., EvalReport] = getattr(evaluate, what)
    return found
