"""Clouds of things on a table, as the object network learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.perception.affordance import clouds
from toolwright.perception.affordance.directions import TILTS, YAWS
from toolwright.perception.generate_affordance import UNIT
from toolwright.policies.training.encoder_data import read

if TYPE_CHECKING:
    from toolwright.policies.training.encoder import EncoderConfig


class Objects:
    """Clouds of things on a table."""

    inputs = {"points": "clouds.object_input"}
    outputs = ["widths", "center", "errors"]
    card = {"directions": {"yaws": YAWS, "tilts": list(TILTS)}}

    def __init__(self, shards: list[Path]) -> None:
        self.data = read(shards, _flat)

    def __len__(self) -> int:
        return len(self.data["seen"])

    def net(self) -> Any:
        from toolwright.perception.affordance.network import ObjectNet

        return ObjectNet()

    def example(self) -> tuple[Any, ...]:
        import torch

        return (torch.zeros(1, clouds.OBJECT, 3),)

    def batch(self, ids: np.ndarray, rng: np.random.Generator, config: EncoderConfig | None) -> tuple[Any, ...]:
        """Tensors of the clouds `ids`; with a configuration, turned about the vertical by whole steps of yaw."""
        import torch

        points = np.empty((len(ids), clouds.OBJECT, 3), np.float32)
        widths = self.data["widths"][ids].reshape(-1, YAWS, len(TILTS))
        centers = self.data["center"][ids].astype(np.float32)
        turned, middles = np.empty_like(widths), np.empty_like(centers)
        for row, i in enumerate(ids):
            steps = int(rng.integers(2 * YAWS)) if config else 0
            mirrored = config is not None and rng.random() < 0.5
            turn = _about_z(steps * np.pi / YAWS) @ np.diag([1.0, -1.0 if mirrored else 1.0, 1.0])
            points[row], origin = clouds.object_input(self.data["points"][i] * UNIT @ turn.T, 0.0, rng)
            turned[row] = turned_widths(widths[row], steps, mirrored)
            middles[row] = turn @ centers[row] - origin
        return tuple(torch.from_numpy(array) for array in (points, turned.reshape(len(ids), -1), middles))

    def loss(self, net: Any, batch: tuple[Any, ...]) -> Any:
        import torch

        points, widths, middle = batch
        got, at, errors = net(points)
        off = (got - widths).abs()
        likelihood = (off / errors + torch.log(errors / 0.001)).mean()
        return likelihood + 0.3 * off.mean() / 0.001 + 0.3 * (at - middle).norm(dim=1).mean() / 0.001

    def errors(self, net: Any, batch: tuple[Any, ...]) -> dict[str, np.ndarray]:
        points, widths, middle = batch
        got, at, errors = net(points)
        level = slice(TILTS.index(0.0), None, len(TILTS))
        best = got[:, level].argmin(dim=1, keepdim=True)
        return {
            "width": (got - widths)[:, level].gather(1, best)[:, 0].abs().numpy(),
            "expected": errors[:, level].gather(1, best)[:, 0].numpy(),
            "any_width": (got - widths).abs().mean(dim=1).numpy(),
            "center": (at - middle).norm(dim=1).numpy(),
        }

    def summary(self, found: dict[str, np.ndarray]) -> dict[str, float]:
        mean = {key: float(values.mean()) for key, values in found.items()}
        return {**mean, "width_p95": float(np.percentile(found["width"], 95))}


def _about_z(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])


def turned_widths(widths: np.ndarray, steps: int, mirrored: bool) -> np.ndarray:
    """Widths (YAWS, tilts) of a thing that was mirrored in y, if so, then turned about z by `steps` of yaw.

    After half a turn a closing direction comes back as its opposite: the tilt changes its sign.
    """
    if mirrored:
        widths = np.concatenate([widths[:1], widths[:0:-1, ::-1]])
    source = np.arange(YAWS) - steps
    found = widths[source % YAWS]
    return np.where((source // YAWS % 2 == 1)[:, None], found[:, ::-1], found)


def _flat(shard: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A row for every draw of the robot's errors, not only for every view."""
    draws = shard["points"].shape[1]
    return {
        key: rows.reshape(-1, *rows.shape[2:]) if key == "points" else np.repeat(rows, draws, axis=0)
        for key, rows in shard.items()
    }
