"""Makes the affordance encoder's training data: shards of clouds with their truth, resumable at any moment.

Every shard depends on its seed alone, and is written atomically: what is missing is made when the same command is
given again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolwright.perception.affordance import clouds
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.generate_objects import ObjectView, Waiting, look_at_object, truth
from toolwright.perception.generate_shapes import hulls
from toolwright.perception.generate_tools import NONE, ToolView, ViewRange, families, look, robot, states
from toolwright.perception.generate_views import Stage

ROOT = Path("runs/affordance")
VIEWS, VARIANTS = 160, 1  # of a shard; of a view: draws of the robot's errors about camera and joints
POOL, POOL_HAND, POOL_OBJECT = 512, 160, 384  # points kept: the training takes other ones of them every time
UNIT = 1e-5  # m, of stored coordinates
LEAST_SEEN = 60  # pixels of the tool in a view that is kept
TRAIN, EVALUATION = 0, 1  # purposes of a seed's streams


@dataclass(frozen=True)
class DataReport:
    """What is in the folder now."""

    shards: int
    samples: int
    rejected: int  # views of this run in which too little was to be seen
    folder: str


def generate(
    folder: Path,
    shards: int,
    kind: str,
    seed: int = 0,
    only: list[str] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> DataReport:
    """Makes the shards that are missing.

    Args:
        folder: where they are, or shall be; one file for each shard.
        shards: how many there shall be, of each family of tools, or of objects.
        kind: "tools" or "objects".
        seed: of all of them.
        only: some families of tools only.
        report: called with a line of progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ["objects"] if kind == "objects" else [name for name in families() if only is None or name in only]
    wanted = [(name, i) for i in range(shards) for name in names]
    missing = [(name, i) for name, i in wanted if not _path(folder, name, i).exists()]
    begun, rejected, made = time.monotonic(), 0, 0
    if missing:
        maker = _Maker(kind)
        for done, (name, i) in enumerate(missing, 1):
            arrays = maker.shard(name, np.random.default_rng(np.random.SeedSequence([seed, i], spawn_key=(TRAIN,))))
            rejected, made = rejected + int(arrays["rejected"]), made + len(arrays["seen"])
            temporary = folder / f".{name}_{i:05d}.tmp"
            with open(temporary, "wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            os.replace(temporary, _path(folder, name, i))
            spent = time.monotonic() - begun
            left = spent / done * (len(missing) - done)
            report(bar(len(wanted) - len(missing) + done, len(wanted), made / spent, left))
    count = 0
    for name, i in wanted:
        with np.load(_path(folder, name, i)) as file:
            count += len(file["seen"])
    return DataReport(len(wanted), count, rejected, str(folder))


def bar(done: int, wanted: int, rate: float, left: float) -> str:
    """A line of progress."""
    filled = round(24 * done / wanted)
    return (
        f"[{'#' * filled}{'.' * (24 - filled)}] {done}/{wanted} shards  {rate:.1f} views/s  "
        f"{int(left // 3600)}:{int(left // 60 % 60):02d}:{int(left % 60):02d} left"
    )


def _path(folder: Path, name: str, i: int) -> Path:
    return folder / f"{name}_{i:05d}.npz"


class _Maker:
    """Draws shards, one after the other."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.hand, self.wrist = robot()
        self.stage = Stage([points for _, _, points in hulls()])

    def shard(self, name: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The arrays of one shard."""
        return self._objects(rng) if name == "objects" else self._tools(name, rng)

    def _objects(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        rows: list[dict[str, np.ndarray]] = []
        rejected = 0
        ranges = ViewRange()
        waiting = Waiting.some(families(), rng)
        while len(rows) < VIEWS:
            row = object_row(look_at_object(self.stage, waiting, False, ranges, rng), ranges, rng)
            if row is None:
                rejected += 1
            else:
                rows.append(row)
        return {**{key: np.stack([row[key] for row in rows]) for key in rows[0]}, "rejected": np.array(rejected)}

    def _tools(self, name: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
        rows: list[dict[str, np.ndarray]] = []
        rejected = 0
        ranges = ViewRange()
        source = states(name, "train", rng, worlds=16)
        while len(rows) < VIEWS:
            view = look(self.stage, self.wrist, next(source), ranges, rng)
            row = tool_row(view, self.hand, ranges, rng)
            if row is None:
                rejected += 1
            else:
                rows.append(row)
        arrays = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
        return {**arrays, "rejected": np.array(rejected)}


def tool_row(
    view: ToolView, hand: HandModel, ranges: ViewRange, rng: np.random.Generator
) -> dict[str, np.ndarray] | None:
    """A view as it is stored, or None where too little of the tool is to be seen."""
    if view.has_tool and view.seen < LEAST_SEEN:
        return None
    points, gaps, joints = [], [], []
    for _ in range(VARIANTS):
        cloud, q = view.measured(ranges, rng)
        found = clouds.split(cloud, q, hand, rng)
        if len(found.free) < clouds.LEAST or not len(found.hand):
            return None
        a, b = clouds.sample(len(found.free), POOL, rng), clouds.sample(len(found.hand), POOL_HAND, rng)
        points.append(np.concatenate([found.free[a], found.hand[b]]))
        gaps.append(np.concatenate([found.free_gap[a], found.hand_gap[b]]))
        joints.append(q)
    return {
        "points": np.round(np.stack(points) / UNIT).astype(np.int16),
        "gap": np.round(np.stack(gaps) / UNIT).astype(np.int16),
        "joints": np.stack(joints).astype(np.float32),
        "opening": np.array(view.state.opening, np.float32),
        "tip": view.state.tip.astype(np.float32),
        "family": np.array(view.state.family if view.has_tool else NONE),
        "seen": np.array(view.seen, np.int32),
        "tips_seen": np.array(view.tips_seen, np.int32),
        "resolution": np.array(view.eye.size[0], np.int32),
    }


def object_row(view: ObjectView, ranges: ViewRange, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
    """A view as it is stored, or None where too little of the thing is to be seen."""
    if view.seen < clouds.LEAST_OBJECT:
        return None
    points = []
    for _ in range(VARIANTS):
        cloud = view.measured(ranges, rng)
        if len(cloud) < clouds.LEAST_OBJECT:
            return None
        points.append(cloud[clouds.sample(len(cloud), POOL_OBJECT, rng)])
    return {
        "points": np.round(np.stack(points) / UNIT).astype(np.int16),
        "widths": truth(view)["widths"].astype(np.float32),
        "center": view.center.astype(np.float32),
        "kind": np.array(view.shape.kind),
        "seen": np.array(view.seen, np.int32),
        "resolution": np.array(view.eye.size[0], np.int32),
    }
