"""Shards of clouds on disk: which there are, which of them a training does not see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

_KEPT_ASIDE = (8, 4)  # of eight shards the fifth: the training does not see it


class EncoderDataError(ValueError):
    """No clouds to train on."""


def split(data: Path, kind: str) -> tuple[list[Path], list[Path]]:
    """The shards to learn from, and those that are kept aside.

    Raises:
        EncoderDataError: there are none, or they are of another version.
    """
    shards = sorted(path for path in data.glob("*.npz") if path.name.startswith("objects_") == (kind == "objects"))
    if len(shards) < 2:
        raise EncoderDataError(f"no clouds in {data}: make them with `toolwright affordance data {kind}`")
    aside = [path for path in shards if int(path.stem.rpartition("_")[2]) % _KEPT_ASIDE[0] == _KEPT_ASIDE[1]]
    aside = aside or shards[-1:]
    return [path for path in shards if path not in aside], aside


Rows = dict[str, np.ndarray]


def read(shards: list[Path], each: Callable[[Rows], Rows] = lambda rows: rows) -> Rows:
    """All rows of some shards, each shard put through `each` before."""
    rows: list[Rows] = []
    for path in shards:
        with np.load(path) as file:
            rows.append(each({key: file[key] for key in file.files if key != "rejected"}))
    if any(row.keys() != rows[0].keys() for row in rows):
        raise EncoderDataError(f"clouds of several versions in {shards[0].parent}: empty the folder and make them anew")
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
