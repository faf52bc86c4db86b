"""Shipped policies: weights as safetensors, a JSON card beside them, and a numpy forward pass that needs no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.robot import F64

FOLDER, FILE = Path(__file__).parent, "policy.safetensors"
_Made = TypeVar("_Made")


class WeightsError(ValueError):
    """Weights that are missing, damaged or made for something else."""


@dataclass(frozen=True)
class Actor:
    """The deterministic actor: scaled goals, two or more ELU layers, a linear head."""

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]  # (weight (out, in), bias (out,))
    goal_scale: float
    error_scale: float
    card: dict[str, Any]

    def act(self, observation: F64, achieved: F64, desired: F64) -> F64:
        """Actions (N, a) in [-1, 1].

        Args:
            observation: (N, o).
            achieved: (N, g) in the units of the goal.
            desired: (N, g).
        """
        error = np.clip(self.error_scale * (desired - achieved), -3, 3)
        x = np.concatenate([observation, self.goal_scale * achieved, self.goal_scale * desired, error], axis=1)
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            if i < len(self.layers) - 1:
                x = elu(x)
        return np.clip(x, -1, 1)


def save(actor: Actor, folder: Path) -> None:
    """Writes `policy.safetensors` and `card.json`, each atomically."""
    card = dict(actor.card, goal_scale=actor.goal_scale, error_scale=actor.error_scale)
    write(folder, FILE, by_layer(actor.layers), card)


def by_layer(layers: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Weights and biases by the names that they have on disk."""
    rows = ((i, *pair) for i, pair in enumerate(layers))
    return {name: array for i, weight, bias in rows for name, array in ((f"{i}.weight", weight), (f"{i}.bias", bias))}


def write(folder: Path, name: str, tensors: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> None:
    """Writes arrays to a safetensors file of this name and `card.json` beside it, each atomically."""
    from safetensors.numpy import save as encode

    folder.mkdir(parents=True, exist_ok=True)
    content = encode({key: np.ascontiguousarray(array) for key, array in tensors.items()})
    for file, data in ((name, content), ("card.json", (json.dumps(dict(card), indent=1) + "\n").encode())):
        temporary = folder / f".{file}.tmp"
        temporary.write_bytes(data)
        os.replace(temporary, folder / file)


def read(folder: Path, name: str, make: Callable[[dict[str, Any], dict[str, Any]], _Made], missing: str) -> _Made:
    """What `make` makes of the arrays and the card that `write` wrote.

    Raises:
        WeightsError: with the text `missing` where there is none; else the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return make(load_file(folder / name), json.loads((folder / "card.json").read_text()))
    except FileNotFoundError as error:
        raise WeightsError(missing) from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"the policy in {folder} is damaged ({error}): restore it or train it anew") from error


def layers_of(
    tensors: Mapping[str, NDArray[np.float32]],
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
    """What `by_layer` named: each layer's weight and bias."""
    return tuple((tensors[f"{i}.weight"], tensors[f"{i}.bias"]) for i in range(len(tensors) // 2))


def elu(x: NDArray[Any]) -> NDArray[Any]:
    """The networks' nonlinearity."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def load(name: str, folder: Path | None = None) -> Actor:
    """A shipped or trained policy.

    Args:
        name: for instance "held_tool/tweezers", a folder of the shipped weights.
        folder: where to look instead.

    Raises:
        WeightsError: missing or damaged; says what to do.
    """
    folder = folder or FOLDER / name

    def make(tensors: dict[str, Any], card: dict[str, Any]) -> Actor:
        return Actor(layers_of(tensors), card["goal_scale"], card["error_scale"], card)

    missing = f"no policy '{name}' in {folder}: train it with `toolwright train {name.split('/')[0]}`"
    return read(folder, FILE, make, missing)


def from_model(model: Any, card: dict[str, Any]) -> Actor:
    """The actor of a Stable-Baselines3 PPO model with a `GoalExtractor`."""
    policy = model.policy
    modules = [m for m in policy.mlp_extractor.policy_net if hasattr(m, "weight")] + [policy.action_net]
    layers = tuple((m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy()) for m in modules)
    extractor = policy.features_extractor
    return Actor(layers, extractor.goal_scale, extractor.error_scale, card)


def blend(old: Actor, new: Actor, share: float) -> Actor:
    """The actor whose weights are (1 - share) of `old` and `share` of `new`."""
    pairs = zip(old.layers, new.layers, strict=True)
    layers = tuple(((1 - share) * w0 + share * w1, (1 - share) * b0 + share * b1) for (w0, b0), (w1, b1) in pairs)
    return replace(new, layers=layers)
