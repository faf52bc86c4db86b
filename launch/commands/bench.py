"""Measure how fast the simulation steps.

'throughput' runs the batched environment, the physics alone, and
Stable-Baselines3's SubprocVecEnv and DummyVecEnv, and compares them.

Examples:
  toolwright bench throughput
  toolwright bench throughput --envs 512 --json runs/throughput.json
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from toolwright.launch.parser import Parser, add_json, add_seed, one_of, positive

if TYPE_CHECKING:
    from toolwright.launch.results import BenchResult

USAGE = "throughput [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("benchmark", metavar="BENCHMARK", type=one_of("throughput"), help="throughput")
    parser.add_argument(
        "--envs", metavar="N", type=positive, default=256, help="worlds stepped together (default: 256)"
    )
    add_seed(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> BenchResult:
    from toolwright.launch.console import console, table
    from toolwright.launch.results import BenchResult, plain
    from toolwright.policies import bench

    report = bench.throughput(envs=args.envs, seed=args.seed, report=console(args).print)
    ratio = report.ratio_to_physics
    result = BenchResult(benchmark=args.benchmark, ratio_to_physics=ratio, **plain(dataclasses.asdict(report)))
    rates = {
        "physics alone": result.physics_rate,
        "batched environment": result.rate,
        "SubprocVecEnv": result.subproc_rate,
        "DummyVecEnv": result.dummy_rate,
    }
    console(args).print(
        table(
            {
                "environment": name,
                "control steps/s": f"{value:,.0f}",
                "of physics": f"{value / result.physics_rate:.2f}",
            }
            for name, value in rates.items()
        )
    )
    return result
