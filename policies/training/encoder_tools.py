"""Clouds of held tools, as the tool network learns from them: how the fit is to be mended, and how far to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.perception.affordance.tool_features import CHANNELS, FREE, HAND, NUMBERS, chosen
from toolwright.policies.training.encoder_data import EncoderDataError, read

if TYPE_CHECKING:
    from toolwright.policies.training.encoder import EncoderConfig

_FAR = 0.03  # m, rad/10: targets beyond it are of fits that went astray, which are to be distrusted, not mended


class Tools:
    """Rows of fitted clouds with what is wrong with the fit."""

    inputs = {"points": "tool_features.tool_input", "numbers": "tool_features.tool_input"}
    outputs = ["opening", "tip", "turn", "errors", "there"]
    card = {"channels": [CHANNELS, NUMBERS]}

    def __init__(self, shards: list[Path]) -> None:
        self.data = read(shards)
        if "free" not in self.data or self.data["free"].shape[2] != CHANNELS:
            raise EncoderDataError(f"the clouds in {shards[0].parent} are of another version: make them anew")

    def __len__(self) -> int:
        return len(self.data["there"])

    def net(self) -> Any:
        from toolwright.perception.affordance.network import ToolNet

        return ToolNet()

    def example(self) -> tuple[Any, ...]:
        import torch

        return torch.zeros(1, FREE + HAND, CHANNELS), torch.zeros(1, NUMBERS)

    def batch(self, ids: np.ndarray, rng: np.random.Generator, config: EncoderConfig | None) -> tuple[Any, ...]:
        """Tensors of the clouds `ids`; with a configuration, points are left out and numbers blurred at random."""
        import torch

        points = np.empty((len(ids), FREE + HAND, CHANNELS), np.float32)
        for row, i in enumerate(ids):
            free = self.data["free"][i]
            if config and rng.random() < config.thinned:
                free = free[rng.permutation(len(free))[: int(rng.integers(24, len(free)))]]
            points[row] = chosen(free, self.data["hand"][i], rng)
        numbers = self.data["numbers"][ids]
        if config:
            numbers = numbers + rng.normal(0, config.blurred, numbers.shape).astype(np.float32)
        rest = (self.data[key][ids] for key in ("opening_off", "tip_off", "turn_off", "there"))
        return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in (points, numbers, *rest))

    def loss(self, net: Any, batch: tuple[Any, ...]) -> Any:
        import torch

        points, numbers, opening, tip, turn, there = batch
        more, further, turned, errors, logit = net(points, numbers)
        off = (more - opening.clamp(-_FAR, _FAR)).abs()
        away = (further - tip.clamp(-_FAR, _FAR)).norm(dim=1)
        likelihood = off / errors[:, 0] + torch.log(errors[:, 0] / 0.001)
        likelihood = likelihood + away / errors[:, 1] + torch.log(errors[:, 1] / 0.001)
        direct = 0.2 * off / 0.001 + 0.1 * away / 0.001 + 2 * (turned - turn.clamp(-0.3, 0.3)).norm(dim=1)
        real = there.float()
        known = torch.nn.functional.binary_cross_entropy_with_logits(logit, real)
        return (real * (likelihood + direct)).mean() + 0.5 * known

    def errors(self, net: Any, batch: tuple[Any, ...]) -> dict[str, np.ndarray]:
        points, numbers, opening, tip, turn, there = batch
        more, further, turned, errors, logit = net(points, numbers)
        return {
            "opening": (more - opening).abs().numpy(),
            "fitted_opening": opening.abs().numpy(),
            "tip": (further - tip).norm(dim=1).numpy(),
            "fitted_tip": tip.norm(dim=1).numpy(),
            "turn": (turned - turn).norm(dim=1).numpy(),
            "expected": errors[:, 0].numpy(),
            "known": ((logit > 0) == there).numpy(),
            "there": there.numpy(),
        }

    def summary(self, found: dict[str, np.ndarray]) -> dict[str, float]:
        real = found["there"]
        means = {key: float(found[key][real].mean()) for key in ("opening", "fitted_opening", "tip", "fitted_tip")}
        return {
            **means,
            "opening_p95": float(np.percentile(found["opening"][real], 95)),
            "fitted_opening_p95": float(np.percentile(found["fitted_opening"][real], 95)),
            "expected": float(found["expected"][real].mean()),
            "turn_mrad": float(found["turn"][real].mean()),
            "known_rate": float(found["known"].mean()),
        }
