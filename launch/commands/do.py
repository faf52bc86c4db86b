"""Do what a sentence asks, in simulation.

The sentence becomes a plan, the plan becomes skill code, the code drives the
policies. Every skill's result is measured after it ended, and so is the final
verdict. A sentence that cannot be carried out is refused with the reason, and
nothing moves.

Examples:
  toolwright do "pick up the bead with the tweezers and drop it in the cup"
  toolwright do "put the bead into the cup" --seed 7 --video runs/bead.mp4
  toolwright do "move the bead to the left" --scene my_table.yaml --json -
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_controller, add_json, add_seed, one_of, video

if TYPE_CHECKING:
    from toolwright.launch.results import DoResult

USAGE = "SENTENCE [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("sentence", metavar="SENTENCE", help="what to do, in plain English, in quotes")
    parser.add_argument(
        "--scene", metavar="NAME|FILE", default="bead", help="one of 'list scenes', or your own file (default: bead)"
    )
    add_seed(parser)
    parser.add_argument(
        "--model",
        metavar="NAME",
        type=one_of("offline"),
        default="offline",
        help="what fills the four roles; 'offline' is built in and needs no network (default: offline)",
    )
    add_controller(parser, "of the hand")
    parser.add_argument("--video", metavar="FILE", type=video, help="write a video of the run, .mp4 or .gif")
    add_json(parser)


def run(args: argparse.Namespace) -> DoResult:
    if not args.sentence.strip():
        raise UserError('the sentence is empty; say what to do, for instance "pick up the bead"')

    from toolwright.launch.console import console
    from toolwright.launch.results import DoResult
    from toolwright.launch.session import open_session
    from toolwright.llm_planner.console import ConsolePrinter
    from toolwright.llm_planner.executor import run_sentence
    from toolwright.llm_planner.offline import OfflineModel

    with open_session(args.scene, args.seed, args.video, args.controller) as session:
        record = run_sentence(
            args.sentence,
            actions=session.actions,
            perception=session.perception,
            model=OfflineModel(),
            report=ConsolePrinter(console(args)),
        )
    return DoResult(scene=args.scene, video=args.video, **dict(record))
