"""Show a recording: what was done, seen and sent, and what the gate did.

A recording that was cut short, for instance by a power cut, is shown up to the
cut. --policy asks the hand's policy again everything that it was asked then,
and says by how much its answers differ; with the same weights by nothing. The
exit code is 1 where they differ.

Examples:
  toolwright replay runs/pick.mcap
  toolwright replay runs/pick.mcap --plot runs/pick.png --video runs/pick.mp4
  toolwright replay runs/pick.mcap --policy
  toolwright replay runs/pick.mcap --policy runs/train/held_tool/latest/best
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_json, video

if TYPE_CHECKING:
    from toolwright.launch.results import ReplayResult

USAGE = "FILE [options]"
_SHIPPED = "shipped"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="a recording, .mcap")
    parser.add_argument(
        "--policy", metavar="FOLDER", nargs="?", const=_SHIPPED, help="run the policy again: the shipped one, or this"
    )
    parser.add_argument("--plot", metavar="FILE", type=picture, help="draw joints, targets and opening, .png")
    parser.add_argument("--video", metavar="FILE", type=video, help="write the camera's images, .mp4 or .gif")
    add_json(parser)


def picture(text: str) -> str:
    """A file that a plot can be written to."""
    if not text.endswith((".png", ".pdf", ".svg")):
        raise argparse.ArgumentTypeError(f"a plot is .png, .pdf or .svg, got '{text}'")
    return text


def _grouped(lines: list[str]) -> list[str]:
    """Lines that differ in numbers only once, with how many there are."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        groups.setdefault(re.sub(r"\d+", "", line), []).append(line)
    return [f"{same[0]} (and {len(same) - 1} more like it)" if len(same) > 1 else same[0] for same in groups.values()]


def run(args: argparse.Namespace) -> ReplayResult:
    from toolwright.hardware.mcap_log import Recording
    from toolwright.launch import replay
    from toolwright.launch.console import console, table
    from toolwright.launch.results import ReplayResult, check_writable

    check_writable(args.plot)
    out, recording = console(args), Recording(args.file)
    summary = replay.summarize(recording)
    about = recording.about
    rows = {
        "recorded": f"{about.get('robot', '')}, scene {about.get('scene', 'none')}, Toolwright {about['version']}",
        "length": f"{summary.seconds:.1f} s of robot time{'' if summary.complete else ', cut short'}",
        "sentence": summary.sentence,
        "result": f"{summary.status}: {summary.reason}" if summary.status else "",
        "skills": "; ".join(summary.skills),
        "messages": ", ".join(f"{topic} {count}" for topic, count in summary.topics.items()),
        "joints": f"at most {summary.tracking:.3f} rad from their targets, {summary.fastest:.2f} rad/s",
        "gate": ", ".join(f"{limit} {count} times" for limit, count in summary.gate.items()) or "never acted",
        "stops": "; ".join(_grouped(summary.stops)),
    }
    out.print(table({"": name, " ": text} for name, text in rows.items() if text))
    if args.plot:
        replay.plot(recording, Path(args.plot))
        out.print(f"plot: {args.plot}", markup=False)
    if args.video:
        out.print(f"video: {args.video}, {replay.film(recording, Path(args.video))} frames", markup=False)
    check = None
    if args.policy is not None:
        folder = None if args.policy == _SHIPPED else Path(args.policy)
        if folder is not None and not folder.is_dir():
            raise UserError(f"{folder} is no folder with weights (policy.safetensors and card.json)")
        check = replay.rerun_policy(recording, folder)
        for note in check.notes:
            out.print(f"note: {note}", markup=False)
        verdict = "the same to the last bit" if check.same else f"most at {check.worst_joint}"
        out.print(
            f"policy: {check.steps} answers, largest difference {check.largest:.3g} rad, "
            f"rms {check.rms:.3g} rad: {verdict}"
        )
    return ReplayResult(
        file=str(args.file),
        policy=None if check is None else {**dataclasses.asdict(check), "same": check.same},
        **dataclasses.asdict(summary),
    )
