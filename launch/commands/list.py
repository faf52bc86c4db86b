"""List what there is: tools, objects, scenes, tasks, skills, weights, robots.

WHAT is one of:
  tools         families of articulated tools that the hand can hold
  objects       small objects that 'eval pick' picks
  scenes        scenes for --scene
  tasks         tasks for train
  skills        what skill code can call, and what was learned from runs
  weights       trained policies that are shipped
  robots        robots with their joints
  schema        the JSON schema of everything that --json writes
  scene-schema  the JSON schema of scene files

Examples:
  toolwright list tools
  toolwright list tools --picture tools.png
  toolwright list scenes --json -
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.carrying import add_skills
from toolwright.launch.parser import Parser, add_json, one_of

if TYPE_CHECKING:
    from toolwright.launch.results import ListResult

USAGE = "WHAT [options]"
KINDS = ("tools", "objects", "scenes", "tasks", "skills", "weights", "robots")
SCHEMAS = ("schema", "scene-schema")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("what", metavar="WHAT", type=one_of(*KINDS, *SCHEMAS), help="one of the kinds above")
    add_skills(parser)
    parser.add_argument(
        "--picture", metavar="FILE", type=Path, help="with 'tools' or 'objects': draw them (.png or .jpg)"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> ListResult:
    from toolwright.launch import inventory
    from toolwright.launch.console import console, table
    from toolwright.launch.results import ListResult

    out = console(args)
    if args.picture:
        _draw(args, out.print)
    if args.what in SCHEMAS:
        items, text = inventory.scene_schema() if args.what == "scene-schema" else inventory.result_schema()
        out.print(json.dumps(text, indent=2), markup=False, soft_wrap=True)
        return ListResult(kind=args.what, count=len(items), items=items)
    items = inventory.skills(args.skills) if args.what == "skills" else getattr(inventory, args.what)()
    out.print(table(items) if items else f"no {args.what}")
    return ListResult(kind=args.what, count=len(items), items=items)


def _draw(args: argparse.Namespace, say: Callable[[str], None]) -> None:
    from toolwright.launch.errors import UserError
    from toolwright.sim import small_object_sheet, tool_picture

    sheets = {"tools": tool_picture.draw, "objects": small_object_sheet.draw}
    if args.what not in sheets:
        raise UserError(f"--picture draws tools or objects, not {args.what}")
    try:
        sheets[args.what](args.picture, say)
    except ValueError as error:
        raise UserError(str(error)) from error
