"""Show how much faster a tool is learned after the others.

Trains one policy for all tools but one. Then that tool is learned twice, by
this policy and from nothing, with several seeds each; the curves and the
ratio of steps are written. A second call goes on where the first one stopped.

Examples:
  toolwright transfer tweezers
  toolwright transfer tongs --seeds 1 --steps 100000 --shared-steps 200000
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from typing import TYPE_CHECKING

from toolwright.launch.parser import Parser, add_json, positive

if TYPE_CHECKING:
    from toolwright.launch.results import TransferResult

USAGE = "TOOL [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("tool", metavar="TOOL", help="the tool that is left out, from 'list tools'")
    parser.add_argument("--seeds", metavar="N", type=positive, default=3, help="trainings of each kind (default: 3)")
    parser.add_argument(
        "--steps", metavar="N", type=positive, default=150_000, help="of each of them (default: 150000)"
    )
    parser.add_argument(
        "--shared-steps",
        metavar="N",
        type=positive,
        default=600_000,
        help="of the policy of the others (default: 600000)",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> TransferResult:
    from toolwright.launch.console import console
    from toolwright.launch.results import TransferResult
    from toolwright.policies.training import transfer

    report = transfer.main(args.tool, args.seeds, args.steps, args.shared_steps)
    out = console(args)
    for start, steps in report.steps.items():
        out.print(f"learned {start}: {f'{steps:,.0f} steps' if math.isfinite(steps) else 'not within these steps'}")
    fewer = f"{report.ratio:.1f} times fewer" if 0 < report.ratio < math.inf else "no ratio"
    out.print(f"{fewer}; curves in {report.folder}")
    return TransferResult(**dataclasses.asdict(report))
