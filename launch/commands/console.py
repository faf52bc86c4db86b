"""Talk to the robot in a full-screen terminal program; works over ssh.

Type what you want. The plan, its code and a dry run appear as they are made;
nothing moves before you approve the code with 'a', and you may edit it first
with 'e'. Ctrl-C, Esc or the space bar stop motion at once; Ctrl-C twice quits.
Up and down bring earlier sentences back. It needs 80 by 24 characters.

Examples:
  toolwright console
  toolwright console --scene beads --seed 3
  toolwright console --scene my_table.yaml --ask each --speed 2
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from toolwright.launch.carrying import add_skills
from toolwright.launch.errors import UserError
from toolwright.launch.models import add_model, open_model
from toolwright.launch.parser import Parser, add_controller, add_json, add_scene, add_seed, one_of, pace

if TYPE_CHECKING:
    from toolwright.launch.results import ConsoleResult

USAGE = "[options]"
ASK = ("code", "each", "never")


def add_arguments(parser: Parser) -> None:
    add_scene(parser)
    add_seed(parser)
    add_controller(parser, "of the hand")
    parser.add_argument(
        "--ask",
        metavar="WHEN",
        type=one_of(*ASK),
        default="code",
        help="ask before the 'code' runs (default), also before 'each' call, or 'never'",
    )
    parser.add_argument(
        "--speed",
        metavar="N",
        type=pace,
        default=1.0,
        help="times real time that the simulation may go; 0: as fast as it can (default: 1)",
    )
    add_skills(parser)
    add_json(parser)
    add_model(parser)


def run(args: argparse.Namespace) -> ConsoleResult:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError("the console needs a terminal; without one, use 'toolwright do'")

    from toolwright.launch.carrying import copies
    from toolwright.launch.live import Live
    from toolwright.launch.results import ConsoleResult
    from toolwright.launch.session import open_session
    from toolwright.launch.tui.app import Console  # ahead of the world: a missing package is told at once
    from toolwright.launch.tui.history import default_path
    from toolwright.llm_planner.run.executor import Options
    from toolwright.llm_planner.skills import library
    from toolwright.llm_planner.skills.choice import skills_for

    # The model first: a wrong name is told before the world is built.
    with open_model(args) as model, open_session(args.scene, args.seed, controller=args.controller) as session:
        skills = skills_for(session.perception.look())
        app = Console(
            Live(session, args.speed),
            model,
            f"{args.scene} · seed {args.seed}",
            default_path(),
            args.ask,
            skills,
            Options(
                copy=copies(session, "models", args.seed, args.controller),
                library=library.load(library.folder(args.skills), skills),
            ),
        )
        app.run()
        if app.return_code:
            raise RuntimeError("the console ended with an error, which stands above")
    return ConsoleResult(scene=args.scene, model=args.model, runs=app.records)
