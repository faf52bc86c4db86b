"""List what there is: tools, scenes, tasks, skills, weights, robots.

WHAT is one of:
  tools    families of articulated tools that the hand can hold
  scenes   scenes for --scene
  tasks    tasks for train
  skills   what skill code can call
  weights  trained policies that are shipped
  robots   robots with their joints
  schema   the JSON schema of everything that --json writes

Examples:
  toolwright list tools
  toolwright list scenes --json -
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from toolwright.launch.parser import Parser, add_json, one_of

if TYPE_CHECKING:
    from toolwright.launch.results import ListResult

USAGE = "WHAT [options]"
KINDS = ("tools", "scenes", "tasks", "skills", "weights", "robots")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("what", metavar="WHAT", type=one_of(*KINDS, "schema"), help=", ".join(KINDS) + " or schema")
    add_json(parser)


def run(args: argparse.Namespace) -> ListResult:
    from toolwright.launch import inventory
    from toolwright.launch.console import console, table
    from toolwright.launch.results import RESULTS, ListResult, schema

    out = console(args)
    if args.what == "schema":
        items = [
            {"command": kind.model_fields["command"].default, "fields": list(kind.model_fields)} for kind in RESULTS
        ]
        out.print(json.dumps(schema(), indent=2), markup=False, soft_wrap=True)
        return ListResult(kind="schema", count=len(items), items=items)
    items = getattr(inventory, args.what)()
    out.print(table(items) if items else f"no {args.what}")
    return ListResult(kind=args.what, count=len(items), items=items)
