"""How far labels carry: clones of the planner fitted to more and more of them, each judged on held-out shapes.

`python -m toolwright.policies.training.label_curve --data FOLDER[:FOLDER]` writes a table and a picture; what was
judged once is not judged again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolwright.policies.evaluation.reorient_play import judge, learned
from toolwright.policies.evaluation.statistics import wilson
from toolwright.policies.training import clone
from toolwright.policies.training.config import TrainConfig, reorient
from toolwright.policies.weights import from_model
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

SEED = 4  # of what clones are judged on


@dataclass(frozen=True)
class Point:
    """A clone."""

    shards: int
    labels: int
    fit: float  # coefficient of determination on shards kept aside
    episodes: int
    settled: int
    touched: int
    dropped: int


def curve(
    folders: Sequence[Path],
    counts: Sequence[int],
    episodes: int,
    out: Path,
    threads: int = 1,
    report: Callable[[str], None] = print,
) -> list[Point]:
    """Fits a clone to the first so many shards of all folders, and judges it.

    Args:
        folders: of labels, taken in turn.
        counts: of shards.
        episodes: of each judgement: held-out shapes, nominal physics, palm up, goals anywhere.
        out: folder of the table; points in it are kept.
        threads: of the physics.
        report: called with a line for each point.

    Raises:
        CloneError: fewer labels than asked for.
    """
    files = [file for row in zip(*(sorted(f.glob("shard_*.npz")) for f in folders), strict=False) for file in row]
    if not files or max(counts) > len(files):
        raise clone.CloneError(f"{len(files)} shards, {max(counts)} asked for: make more with `toolwright plan-data`")
    table = out / "labels.json"
    known = [Point(**row) for row in json.loads(table.read_text())] if table.is_file() else []
    points = []
    for count in counts:
        same = [p for p in known if (p.shards, p.episodes) == (count, episodes)]
        point = same[0] if same else _point(files[:count], episodes, threads)
        points.append(point)
        out.mkdir(parents=True, exist_ok=True)
        table.write_text(json.dumps([vars(p) for p in points], indent=1) + "\n")
        low, high = wilson(point.settled, episodes)
        report(
            f"{point.labels:,} labels: R^2 {point.fit:.3f}, settled {point.settled}/{episodes} "
            f"({low:.1%} to {high:.1%}), touched {point.touched}, dropped {point.dropped}"
        )
    return points


def _point(files: Sequence[Path], episodes: int, threads: int) -> Point:
    from toolwright.policies.training.train import Training

    config: TrainConfig = reorient()
    config.envs, config.threads, config.task.shapes = 2, threads, "cube"
    with tempfile.TemporaryDirectory() as place:
        labels = Path(place) / "labels"
        labels.mkdir()
        for i, file in enumerate(files):
            shutil.copy(file, labels / f"shard_{i:05d}.npz")
        training = Training("reorient", config, Path(place) / "run", show=lambda line: None)
        fit = clone.fit(training.model.policy, labels, np.random.default_rng(SEED))
        count = sum(len(np.load(file)["action"]) for file in files)
    task = ReorientTask(
        ReorientConfig(part="held_out", level="nominal"), episodes, np.random.default_rng([SEED, 1]), threads
    )
    judged = judge(task, learned(from_model(training.model, {})))
    shares = (judged.success, np.isfinite(judged.touched), np.isfinite(judged.dropped))
    settled, touched, dropped = (int(share.sum()) for share in shares)
    return Point(len(files), count, fit, episodes, settled, touched, dropped)


def draw(points: Sequence[Point], path: Path) -> None:
    """Writes shares with 95 % intervals against labels as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    labels = [point.labels for point in points]
    for name, color in (("settled", "#1f6f8b"), ("touched", "#d9a441"), ("dropped", "#b3432b")):
        counts = [vars(point)[name] for point in points]
        shares = np.array([count / point.episodes for count, point in zip(counts, points, strict=True)])
        ends = np.array([wilson(count, point.episodes) for count, point in zip(counts, points, strict=True)])
        axes.errorbar(labels, shares, abs(ends.T - shares), marker="o", capsize=3, color=color, label=name)
    axes.set(
        xlabel="labels", ylabel="share of episodes", ylim=(-0.02, 1.02), title="Clones of the planner, held-out shapes"
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(labels, [f"{count:,}" for count in labels])
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Writes the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", default="runs/plan-data/reorient", help='folder of labels, or several with ":" between'
    )
    parser.add_argument("--shards", default="2,4,8", help="how many each clone is fitted to")
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("runs/label-curve"))
    args = parser.parse_args()
    folders = [Path(part) for part in args.data.split(":")]
    points = curve(folders, [int(count) for count in args.shards.split(",")], args.episodes, args.out)
    draw(points, args.out / "labels.png")


if __name__ == "__main__":
    main()
