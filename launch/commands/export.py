"""Turn recordings into a dataset to learn from, in LeRobot's format (v3.0).

Every recording becomes one episode: joint positions, velocities and efforts as
observations, the targets that passed the safety gate as actions. Demonstrations
come from 'teleop --record', runs from 'do --record'.

Examples:
  toolwright export runs/demo.mcap --out runs/dataset
  toolwright export runs/a.mcap runs/b.mcap --out runs/set --task "lift it"
  toolwright export runs/pick.mcap --out runs/set --images
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_json

if TYPE_CHECKING:
    from toolwright.launch.results import ExportResult

USAGE = "FILE [FILE ...] --out FOLDER [options]"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="recordings of one robot, .mcap")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, required=True, help="where the dataset goes; new or empty"
    )
    parser.add_argument("--task", metavar="TEXT", default="", help="what was done (default: the recorded sentence)")
    parser.add_argument("--images", action="store_true", help="with the camera's images; the newest one is repeated")
    add_json(parser)


def run(args: argparse.Namespace) -> ExportResult:
    from toolwright.hardware.mcap_log import Recording
    from toolwright.launch import lerobot
    from toolwright.launch.console import console
    from toolwright.launch.results import ExportResult

    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UserError(f"{args.out} is not an empty folder: choose another")
    done = lerobot.export([Recording(file) for file in args.files], args.out, args.task, args.images)
    out = console(args)
    tasks = ", ".join(done.tasks)
    out.print(
        f"{done.folder}: {done.episodes} episodes, {done.frames} frames at {done.fps}/s; tasks: {tasks}", markup=False
    )
    if done.gaps:
        out.print(f"note: {done.gaps} times the robot was not commanded for a while; those moments are left out")
    return ExportResult(**dataclasses.asdict(done))
