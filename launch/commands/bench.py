"""Measure the simulation's speed, the cost of the language side, what is seen.

'throughput' runs the batched environment, the physics alone, and
Stable-Baselines3's SubprocVecEnv and DummyVecEnv, and compares them; where
there is a GPU, the environment and the physics on it, too.
'gate' measures what sandbox and gate add to each call of a skill. 'seeing'
draws scenes, looks once at each through the simulated depth camera, and
compares what is seen with the truth.

Examples:
  toolwright bench throughput
  toolwright bench gate
  toolwright bench throughput --envs 512 --json runs/throughput.json
  toolwright bench seeing --scenes 10
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from toolwright.launch.parser import Parser, add_json, add_seed, one_of, positive

if TYPE_CHECKING:
    from toolwright.launch.results import BenchResult

USAGE = "BENCHMARK [options]"
BENCHMARKS = ("throughput", "gate", "seeing")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("benchmark", metavar="BENCHMARK", type=one_of(*BENCHMARKS), help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--envs", metavar="N", type=positive, default=256, help="throughput: worlds stepped together (default: 256)"
    )
    parser.add_argument(
        "--gpu-envs", metavar="N", type=positive, default=4096, help="throughput: the same on a GPU (default: 4096)"
    )
    parser.add_argument(
        "--scenes", metavar="N", type=positive, default=10, help="seeing: drawn of each of four kinds (default: 10)"
    )
    add_seed(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> BenchResult:
    return {"gate": _gate, "seeing": _seeing, "throughput": _throughput}[args.benchmark](args)


def _gate(args: argparse.Namespace) -> BenchResult:
    from toolwright.launch.console import console, table
    from toolwright.launch.results import BenchResult
    from toolwright.llm_planner.run import bench

    measured = bench.overhead()
    rows = {"mean": measured.mean, "median": measured.median, "95 %": measured.p95, "longest": measured.longest}
    rows["before the first call"] = measured.start
    console(args).print(table({"per call": name, "ms": f"{value * 1e3:.3f}"} for name, value in rows.items()))
    return BenchResult(benchmark="gate", calls=measured.calls, overhead=measured.mean, overhead_p95=measured.p95)


def _seeing(args: argparse.Namespace) -> BenchResult:
    from toolwright.launch import looking
    from toolwright.launch.console import console
    from toolwright.launch.results import BenchResult

    seeds = range(args.seed, args.seed + args.scenes)
    sight = looking.measure(looking.SCENES, seeds, lambda line: print(line, file=sys.stderr))
    for line in sight.lines():
        console(args).print(line, markup=False)
    return BenchResult(
        benchmark="seeing",
        things=sight.things,
        found=sight.things - len(sight.missed),
        invented=len(sight.invented),
        mistaken=len(sight.mistaken),
        position_error={shape: sum(errors) / len(errors) for shape, errors in sight.position.items()},
        size_error={shape: sum(errors) / len(errors) for shape, errors in sight.size.items()},
    )


def _throughput(args: argparse.Namespace) -> BenchResult:
    from toolwright.launch.console import console, table
    from toolwright.launch.errors import message
    from toolwright.launch.results import BenchResult, plain
    from toolwright.policies.evaluation import bench
    from toolwright.sim.batch import BackendError

    report = bench.throughput(envs=args.envs, seed=args.seed, report=console(args).print)
    rates = {
        "physics alone": report.physics_rate,
        "batched environment": report.rate,
        "SubprocVecEnv": report.subproc_rate,
        "DummyVecEnv": report.dummy_rate,
    }
    gpu: dict[str, Any] = {}
    try:
        device = bench.on_device(args.gpu_envs, args.seed, report=console(args).print)
    except (BackendError, ModuleNotFoundError) as error:
        missing = f"not measured: {message(error)}"
    else:
        missing = ""
        rates |= {f"{device.device}, physics": device.physics_rate, f"{device.device}, environment": device.rate}
        gpu = {f"gpu_{name}": value for name, value in dataclasses.asdict(device).items()}
    measured = plain(dataclasses.asdict(report) | gpu)
    result = BenchResult(benchmark=args.benchmark, ratio_to_physics=report.ratio_to_physics, **measured)
    console(args).print(
        table(
            {
                "environment": name,
                "control steps/s": f"{value:,.0f}",
                "of physics": f"{value / report.physics_rate:.2f}",
            }
            for name, value in rates.items()
        )
    )
    if missing:
        console(args).print(f"on a GPU: {missing}", markup=False)
    return result
