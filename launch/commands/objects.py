"""Make the shapes that are turned in the hand.

'make' draws them from a seed (convex, composed, turned on a lathe, letters,
tools, irregular), drops each into the hand to find where it comes to rest, and
writes two small files. A picture of all shapes can go with them. Making them
takes a few minutes; the files that are shipped have seed 0.

Examples:
  toolwright objects make --seed 0
  toolwright objects make --seed 3 --out runs/shapes --picture runs/shapes.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.parser import Parser, add_json, add_seed, one_of

if TYPE_CHECKING:
    from toolwright.launch.results import ObjectsResult

USAGE = "make [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("action", metavar="ACTION", type=one_of("make"), help="make")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where to (default: where the task looks for them)")
    parser.add_argument("--picture", metavar="FILE", type=Path, help="a .png of all shapes, held-out ones in blue")
    add_seed(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> ObjectsResult:
    import numpy as np

    from toolwright.launch.console import console
    from toolwright.launch.errors import UserError
    from toolwright.launch.results import ObjectsResult, check_writable
    from toolwright.sim import object_shapes, object_starts, shape_families

    if args.picture is not None and args.picture.suffix != ".png":
        raise UserError(f"a picture is .png, got '{args.picture}'")
    folder = args.out or object_shapes.FILE.parent
    files = [folder / path.name for path in (object_shapes.FILE, object_starts.FILE)]
    check_writable(*map(str, files), str(args.picture) if args.picture else None)
    out = console(args)
    shapes = shape_families.make(args.seed)
    held_out = sum(shape.held_out for shape in shapes)
    out.print(f"{len(shapes) - held_out} shapes for training, {held_out} held out")
    if args.picture is not None:
        from toolwright.sim import shape_sheet

        shape_sheet.draw(shapes, args.picture)
    rng = np.random.default_rng(args.seed)
    starts = object_starts.make(shapes, rng, report=lambda line: print(line, file=sys.stderr))
    object_shapes.save(shapes, files[0], args.seed)
    object_starts.save(shapes, starts, files[1])
    out.print(f"written: {files[0]}, {files[1]}")
    families = sorted({shape.family for shape in shapes})
    return ObjectsResult(
        train=len(shapes) - held_out, held_out=held_out, families=families, files=[str(file) for file in files]
    )
