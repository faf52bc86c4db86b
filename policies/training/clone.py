"""A policy's start from labels: the network is fitted to what a planner did, before reinforcement learning goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class CloneError(ValueError):
    """No labels to start from, or labels of another task."""


def fit(
    policy: Any,
    folder: Path,
    rng: np.random.Generator,
    epochs: int = 20,
    batch: int = 1024,
    report: Callable[[str], None] = lambda line: None,
) -> float:
    """Fits the actor of a Stable-Baselines3 policy to the labels of a folder, by mean squared error.

    Args:
        policy: with a `GoalExtractor` and an observation that holds all it needs.
        folder: with shards, see `reorient_data`.
        rng: splits and shuffles.
        epochs: passes over the labels.
        batch: labels of one update.
        report: called with a line of progress.

    Returns:
        Coefficient of determination on a tenth of the shards that was kept aside.

    Raises:
        CloneError: no shards, or of another size.
    """
    import torch

    files = sorted(folder.glob("shard_*.npz"))
    if len(files) < 2:
        raise CloneError(f"no labels in {folder}: make them with `toolwright plan-data`")
    aside = set(rng.permutation(len(files))[: max(len(files) // 10, 1)].tolist())
    train, held = (_read([f for i, f in enumerate(files) if (i in aside) == kept]) for kept in (False, True))
    space = policy.observation_space
    if train[0].shape[1] != space["observation"].shape[0]:
        raise CloneError(f"labels in {folder} are of another task: {train[0].shape[1]} values in an observation")

    def predict(observation: torch.Tensor) -> torch.Tensor:
        nothing = torch.zeros(len(observation), space["achieved_goal"].shape[0])
        joined = {"observation": observation, "achieved_goal": nothing, "desired_goal": nothing}
        latent = policy.mlp_extractor.forward_actor(policy.extract_features(joined, policy.pi_features_extractor))
        return policy.action_net(latent)  # type: ignore[no-any-return]

    x, y = (torch.from_numpy(array) for array in train)
    held_x, held_y = (torch.from_numpy(array) for array in held)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    score = 0.0
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for first in range(0, len(order), batch):
            rows = order[first : first + batch]
            loss = ((predict(x[rows]) - y[rows]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            rest = ((predict(held_x) - held_y) ** 2).sum()
        score = float(1 - rest / ((held_y - y.mean(dim=0)) ** 2).sum())
        report(f"cloning: epoch {epoch + 1}/{epochs}, R^2 on shards kept aside {score:.3f}\n")
    return score


def _read(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    rows = []
    for file in files:
        with np.load(file) as shard:
            # On a detour the planner turns to another goal than the one that is observed.
            own = np.ones(len(shard["action"]), dtype=bool)
            if "toward" in shard.files:
                own = np.abs(shard["toward"] - shard["goal"]).max(axis=1) < 1e-5
            rows.append((shard["observation"][own], shard["action"][own]))
    return np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows])
