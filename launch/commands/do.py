"""Do what a sentence asks, in simulation.

The sentence becomes a plan, the plan becomes skill code, the code drives the
policies. Every skill's result is measured after it ended, and so is the final
verdict. A sentence that cannot be carried out is refused with the reason, and
nothing moves. The space bar is the emergency stop, Ctrl-C the gentle one.

Examples:
  toolwright do "pick up the bead with the tweezers and drop it in the cup"
  toolwright do "put the bead into the cup" --seed 7 --video runs/bead.mp4
  toolwright do "move the bead to the left" --scene my_table.yaml --json -
  toolwright do "pick up the bead" --record runs/pick.mcap
  toolwright do "pick up the bead" --model http://localhost:8080/v1
  toolwright do "put the bead into the cup" --dry-run
  toolwright do "put the bead into the cup" --perception camera
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from toolwright.launch.carrying import add_carrying
from toolwright.launch.errors import UserError
from toolwright.launch.models import add_model, open_model
from toolwright.launch.parser import Parser, add_controller, add_json, add_seed, one_of, recording, video

if TYPE_CHECKING:
    from toolwright.launch.results import DoResult

USAGE = "SENTENCE [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("sentence", metavar="SENTENCE", help="what to do, in plain English, in quotes")
    parser.add_argument(
        "--scene", metavar="NAME|FILE", default="bead", help="one of 'list scenes', or your own file (default: bead)"
    )
    add_seed(parser)
    add_controller(parser, "of the hand")
    parser.add_argument(
        "--perception",
        metavar="WAY",
        type=one_of("state", "camera"),
        default="state",
        help="what is seen: state, the simulation's with noise (default), or camera, a simulated depth camera",
    )
    parser.add_argument("--video", metavar="FILE", type=video, help="write a video of the run, .mp4 or .gif")
    parser.add_argument("--record", metavar="FILE", type=recording, help="record the run, .mcap; see 'replay'")
    add_carrying(parser)
    add_json(parser)
    add_model(parser)


def run(args: argparse.Namespace) -> DoResult:
    if not args.sentence.strip():
        raise UserError('the sentence is empty; say what to do, for instance "pick up the bead"')

    from toolwright.launch import carrying
    from toolwright.launch.console import console
    from toolwright.launch.results import DoResult
    from toolwright.launch.session import open_session
    from toolwright.llm_planner.run.console import ConsolePrinter
    from toolwright.llm_planner.run.executor import run_sentence

    carrying.check(args)
    with (
        open_model(args) as model,  # first: it complains early
        open_session(args.scene, args.seed, args.video, args.controller, args.record, args.perception) as session,
    ):
        record = run_sentence(
            args.sentence,
            actions=session.actions,
            perception=session.perception,
            model=model,
            report=session.watched(ConsolePrinter(console(args)), args.sentence),
            options=carrying.options(args, session, console(args)),
        )
    carrying.keep(args, record, console(args))
    return DoResult(scene=args.scene, video=args.video, recording=args.record, **dict(record))
