"""Find a grasp for a family of tools.

Searches finger contacts on the tool's limbs, solves for the joint angles, and
keeps the grasps that hold the tool when geometry, friction and pushes change.
A new tool needs this once, before a policy can be trained with it.

Examples:
  toolwright grasp tweezers
  toolwright grasp tweezers --seed 3 --json -
  toolwright grasp pliers --refit
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.parser import Parser, add_json, add_seed

if TYPE_CHECKING:
    from toolwright.launch.results import GraspResult

USAGE = "FAMILY [options]"
_TESTS = 256  # perturbed episodes of held-out tools under the closed-form controller


def add_arguments(parser: Parser) -> None:
    parser.add_argument("family", metavar="FAMILY", help="a family from 'list tools'")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="where to write the bank (default: where training looks for it)"
    )
    parser.add_argument("--refit", action="store_true", help="no search: fit the grasp of the present bank again")
    add_seed(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> GraspResult:
    import numpy as np

    from toolwright.launch.console import console, percent
    from toolwright.launch.results import GraspResult
    from toolwright.policies.evaluation.held_tool import closed_form, judge, rng_for
    from toolwright.policies.evaluation.statistics import wilson
    from toolwright.sim import grasp_bank
    from toolwright.sim.models.tools import family
    from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

    out, tool = console(args), family(args.family)
    known = grasp_bank.used(grasp_bank.load(tool.name)) if args.refit else None
    bank = grasp_bank.make(tool, np.random.default_rng(args.seed), report=out.print, known=known)
    config = HeldToolConfig(tool=tool.name, part="held_out", level="moderate")
    judged = judge(HeldToolTask(config, _TESTS, rng_for(args.seed), bank=bank), closed_form)
    held = int((~judged.dropped).sum())
    path = args.out or grasp_bank.FOLDER / f"{tool.name}.npz"
    bank.save(path)
    low, high = wilson(held, _TESTS)
    result = GraspResult(
        family=tool.name, n=_TESTS, held=held, success_rate=held / _TESTS, interval_95=(low, high), file=str(path)
    )
    out.print(f"held: {percent(result.success_rate, result.interval_95, result.n)} in perturbed tests; bank: {path}")
    return result
