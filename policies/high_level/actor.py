"""The learned upper level as plain numpy: weights as safetensors, a card beside them, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.robot import F64
from toolwright.policies.weights import FILE, FOLDER, by_layer, layers_of, read, write

GOAL_SCALE, NEAR_SCALE = 5.0, 30.0  # 1/m, of the goal, and of where it is from the object and from the tips
_NEAR = 3.0  # these are clipped to


def features(observation: Any, goal: Any, clip: Any, join: Any) -> Any:
    """The network's input, alike for numpy and torch: the observation, the goal, and the way there.

    Args:
        observation: (N, o), as `PickInterface.observe` makes it.
        goal: (N, 3) m.
        clip: of an array to two bounds.
        join: of a list of arrays along the last axis.
    """
    thing, tips = observation[:, :3] / 5, observation[:, 3:6] / 5
    ways = [clip(NEAR_SCALE * (goal - place), -_NEAR, _NEAR) for place in (thing, tips)]
    return join([observation, GOAL_SCALE * goal, *ways])


@dataclass(frozen=True)
class HighLevelActor:
    """The deterministic actor: ReLU layers, a linear head, tanh."""

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]  # (weight (out, in), bias (out,))
    card: dict[str, Any]

    @property
    def residual(self) -> float:
        """What the policy adds to the heuristic's action, at most; 0 where it acts alone."""
        return float(self.card.get("residual", 0.0))

    def act(self, observation: F64, goal: F64) -> F64:
        """Actions (N, a) in [-1, 1] for observations (N, o) and goals (N, 3) [m]."""
        x = features(observation, goal, np.clip, lambda parts: np.concatenate(parts, axis=1))
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            x = np.maximum(x, 0) if i < len(self.layers) - 1 else np.tanh(x)
        return np.asarray(x)


def save(actor: HighLevelActor, folder: Path) -> None:
    """Writes `policy.safetensors` and `card.json`, each atomically."""
    write(folder, FILE, by_layer(actor.layers), actor.card)


def load(folder: Path | None = None) -> HighLevelActor:
    """The shipped policy, or that of a folder.

    Raises:
        WeightsError: missing or damaged; says what to do.
    """
    folder = folder or FOLDER / "high_level" / "pick"
    missing = f"no policy for picking in {folder}: train it with `toolwright train pick`"
    return read(folder, FILE, lambda tensors, card: HighLevelActor(layers_of(tensors), card), missing)


def from_model(model: Any, card: dict[str, Any]) -> HighLevelActor:
    """The actor of a Stable-Baselines3 SAC model with `network.PickFeatures`."""
    policy = model.policy.actor
    modules = [m for m in policy.latent_pi if hasattr(m, "weight")] + [policy.mu]
    layers = tuple((m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy()) for m in modules)
    return HighLevelActor(layers, card)
