"""Train a policy, or go on with a training that was stopped.

Checkpoints, TensorBoard files and videos go into a folder under runs/. A
training that was killed, at whatever moment, goes on with --resume as if it
had not been.

Examples:
  toolwright train held_tool --demo
  toolwright train held_tool seed=3 envs=512
  toolwright train held_tool --resume
  toolwright train reorient clone=runs/plan-data/reorient
  toolwright train reorient_student data=runs/plan-data/reorient
  toolwright train reorient backend=gpu envs=4096
  toolwright train pick --ablations
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_json

if TYPE_CHECKING:
    from toolwright.launch.results import TrainResult

USAGE = "TASK [OVERRIDES ...] [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("task", metavar="TASK", help="a task from 'list tasks'")
    parser.add_argument(
        "overrides",
        metavar="OVERRIDES",
        nargs="*",
        default=[],
        help="name=value: replaces a value of the configuration",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the latest training of this task")
    parser.add_argument(
        "--ablations", action="store_true", help="with 'pick': short trainings with one part changed, three seeds each"
    )
    parser.add_argument("--demo", action="store_true", help="a short training of a few minutes, with a live curve")
    add_json(parser)


def run(args: argparse.Namespace) -> TrainResult:
    from toolwright.launch.results import TrainResult, plain

    for override in args.overrides:
        if "=" not in override and not override.startswith("~"):
            raise UserError(f"'{override}' is no override; write name=value, for instance seed=3")

    from toolwright.policies.training import train

    if args.ablations:
        return _ablations(args)
    report = train.main(args.task, args.overrides, resume=args.resume, demo=args.demo)
    return TrainResult(**plain(dataclasses.asdict(report)))


def _ablations(args: argparse.Namespace) -> TrainResult:
    import sys

    from toolwright.launch.results import TrainResult, plain

    if args.task != "pick" or args.overrides or args.demo:
        raise UserError(
            "--ablations goes with 'train pick' alone: it has configurations of its own, and goes on by itself"
        )
    from toolwright.policies.high_level import ablations

    return TrainResult(**plain(dataclasses.asdict(ablations.run(lambda line: print(line, end="", file=sys.stderr)))))
