"""Make labels for a policy from what the sampling planner would do.

A task is 'reorient'. Labels go into a folder in shards; a run that was stopped,
at whatever moment, goes on where it was when the same command is given again.
With --student the states are those that this policy brings about. A training of
'reorient' starts from the labels with clone=FOLDER; that of 'reorient_student'
is made of them, with data=FOLDER.

Examples:
  toolwright plan-data reorient --shards 400
  toolwright plan-data reorient --student FOLDER --out runs/dagger
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.parser import Parser, add_json, add_seed, one_of, positive

if TYPE_CHECKING:
    from toolwright.launch.results import PlanDataResult

USAGE = "TASK [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("task", metavar="TASK", type=one_of("reorient"), help="reorient")
    parser.add_argument(
        "--shards",
        metavar="N",
        type=positive,
        default=400,
        help="how many there shall be, of 512 labels (default: 400)",
    )
    parser.add_argument("--shapes", metavar="NAME", default="all", help="one family of shapes or one shape only")
    parser.add_argument("--student", metavar="FOLDER", type=Path, help="weights of a policy that moves the hand")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where to (default: runs/plan-data/reorient)")
    add_seed(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> PlanDataResult:
    from toolwright.launch.results import PlanDataResult
    from toolwright.policies import weights
    from toolwright.policies.training import reorient_data
    from toolwright.sim.tasks.reorient import ReorientConfig

    student = weights.load("the student", args.student) if args.student is not None else None
    task = ReorientConfig(shapes=args.shapes)
    report = reorient_data.generate(
        args.out or reorient_data.ROOT,
        args.shards,
        args.seed,
        reorient_data.DataConfig(task=task),
        student,
        report=lambda line: print(line, file=sys.stderr),
    )
    return PlanDataResult(**dataclasses.asdict(report))
