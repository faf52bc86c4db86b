"""Make the affordance encoder: clouds to learn from, then its two networks.

ACTION is one of:
  data    clouds of held tools or of small objects, with their truth
  train   a network from these clouds, exported to ONNX
  sheet   a picture of some clouds, to look at before training

KIND is tools or objects. Clouds go into a folder in shards; a run that was
stopped, at whatever moment, goes on where it was when the same command is given
again, a training with --resume. 'toolwright eval affordance' judges the result.

Examples:
  toolwright affordance data tools --shards 8
  toolwright affordance sheet tools --out runs/tools.png
  toolwright affordance train tools --steps 6000
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_json, add_seed, one_of, positive

if TYPE_CHECKING:
    from toolwright.launch.results import AffordanceResult

USAGE = "ACTION KIND [options]"
_ROOT = Path("runs/affordance")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("action", metavar="ACTION", type=one_of("data", "train", "sheet"), help="data, train or sheet")
    parser.add_argument("kind", metavar="KIND", type=one_of("tools", "objects"), help="tools or objects")
    parser.add_argument(
        "--shards", metavar="N", type=positive, help="data: of each family of tools, or of objects (default: 8, 14)"
    )
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="of shards (default: runs/affordance/KIND)")
    parser.add_argument(
        "--out", metavar="PATH", type=Path, help="train: a folder (default: runs/affordance/encoder); sheet: a .png"
    )
    parser.add_argument("--steps", metavar="N", type=positive, help="train: updates (default: the shipped encoder's)")
    parser.add_argument("--resume", action="store_true", help="train: go on from the folder's checkpoint")
    add_seed(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> AffordanceResult:
    from toolwright.launch.results import AffordanceResult, plain

    own = {"data": ("shards",), "train": ("out", "steps", "resume"), "sheet": ("out",)}[args.action]
    for option in ("shards", "out", "steps", "resume"):
        if option not in own and getattr(args, option):
            raise UserError(f"affordance {args.action} has no --{option}")
    folder = args.data or _ROOT / args.kind
    if args.action == "sheet" and (args.out is None or args.out.suffix != ".png"):
        raise UserError(f"a sheet is a .png: say where to with --out, got '{args.out}'")

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    if args.action == "train":
        from toolwright.policies.training import encoder

        out = args.out or _ROOT / "encoder"
        report = encoder.train(args.kind, folder, out, args.steps, args.resume, args.seed, say)
        return AffordanceResult(action="train", **plain(dataclasses.asdict(report)))
    from toolwright.perception import generate_affordance

    if args.action == "sheet":
        from toolwright.perception import generate_sheet

        shown = generate_sheet.draw(args.kind, args.out, args.seed)
        return AffordanceResult(action="sheet", kind=args.kind, samples=shown, folder=str(args.out))
    shards = args.shards or {"tools": 8, "objects": 14}[args.kind]
    made = generate_affordance.generate(folder, shards, args.kind, args.seed, report=say)
    return AffordanceResult(action="data", kind=args.kind, **dataclasses.asdict(made))
