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

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.affordance import align, clouds
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.affordance.tool_features import HAND, tool_input
from toolwright.perception.affordance.tool_model import ToolModel
from toolwright.perception.generate_objects import ObjectView, Waiting, look_at_object, truth
from toolwright.perception.generate_shapes import hulls
from toolwright.perception.generate_tool_model import of_bank
from toolwright.perception.generate_tools import ToolView, ViewRange, families, look, robot, states
from toolwright.perception.generate_views import Stage

ROOT = Path("runs/affordance")
VIEWS, VARIANTS = 160, 1  # of a shard; of an object's view: draws of the robot's errors about the camera
POOL, POOL_OBJECT = 256, 384  # points kept: the training takes other ones of them every time
UNIT = 1e-5  # m, of stored coordinates
LOOKS = 2  # at a state, from different places
LEARNED_RANGE = ViewRange(resolution=(0.35, 0.35, 0.3))  # the finest resolution more often than in the evaluation
WRONG, JUNK = 0.06, 0.05  # shares of tools' views in which another tool is held, or something that is no tool is seen
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
        ranges = LEARNED_RANGE
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
        ranges = LEARNED_RANGE
        source = states(name, "train", rng, worlds=16)
        others = [other for other in families() if other != name]
        while len(rows) < VIEWS:
            state = next(source)
            for _ in range(LOOKS):
                view = look(self.stage, self.wrist, state, ranges, rng)
                told = state.known
                if rng.random() < WRONG and others:
                    told = of_bank(others[rng.integers(len(others))], int(rng.integers(8)))
                row = tool_row(view, told, self.hand, ranges, rng, bool(rng.random() < JUNK))
                if row is None:
                    rejected += 1
                elif len(rows) < VIEWS:
                    rows.append(row)
        arrays = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
        return {**arrays, "rejected": np.array(rejected)}


def tool_row(
    view: ToolView, told: ToolModel, hand: HandModel, ranges: ViewRange, rng: np.random.Generator, spoilt: bool = False
) -> dict[str, np.ndarray] | None:
    """A view as it is stored, or None where too little of the tool is to be seen.

    Args:
        view: what is there.
        told: which tool the robot believes to hold.
        hand: its model.
        ranges: of the robot's errors.
        rng: source of randomness.
        spoilt: something that is no tool takes the place of what is seen beside the hand.
    """
    there = view.has_tool and told is view.state.known and not spoilt
    if view.has_tool and view.seen < LEAST_SEEN:
        return None
    cloud, q, eye = view.measured(ranges, rng)
    found = clouds.split(cloud, q, hand, rng)
    if spoilt:
        other = clouds.split(junk(rng, 600), q, hand, rng)
        found = clouds.ToolCloud(other.free, other.free_gap, found.hand, found.hand_gap)
    if len(found.free) < clouds.LEAST or not len(found.hand):
        return None
    seen = tool_input(found, q, eye, told, hand, rng, POOL)
    tip, at = view.state.tip, seen.aligned
    turn = at.rotation.T @ tip[:3, :3]
    return {
        "free": _filled(seen.free, POOL, rng).astype(np.float16),
        "hand": _filled(seen.hand, HAND, rng).astype(np.float16),
        "numbers": seen.numbers,
        "doubt": np.array(seen.doubt, np.float32),
        "opening_off": np.array(view.state.opening - seen.opening, np.float32),
        "tip_off": (at.rotation.T @ (tip[:3, 3] - seen.tip(told))).astype(np.float32),
        "turn_off": rotations.to_rotvec(align.quaternion(turn)).astype(np.float32),
        "there": np.array(there),
        "opening": np.array(view.state.opening, np.float32),
        "seen": np.array(view.seen, np.int32),
        "tips_seen": np.array(view.tips_seen, np.int32),
    }


def _filled(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return rows[clouds.sample(len(rows), count, rng)]


def junk(rng: np.random.Generator, count: int) -> F64:
    """(count, 3) m: points that are no tool: a wall, a cloud of dust, a lump, anything in the hand's reach."""
    low, high = clouds.REACH
    anywhere = rng.uniform(low, high, (count, 3))
    kind = rng.integers(4)
    if kind == 0:
        normal = rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        off = (anywhere - rng.uniform(low, high)) @ normal
        anywhere -= (off - rng.normal(0, 0.002, count))[:, None] * normal
    elif kind == 1:
        spread = np.exp(rng.uniform(np.log(0.01), np.log(0.08), 3))
        anywhere = rng.uniform(low, high) + rng.normal(size=(count, 3)) * spread
    elif kind == 2:
        size = rng.uniform(0.01, 0.06, 3)
        ball = rng.normal(size=(count, 3))
        anywhere = rng.uniform(low, high) + ball / np.linalg.norm(ball, axis=1, keepdims=True) * size
    return np.clip(anywhere, low + 1e-6, high - 1e-6)


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
