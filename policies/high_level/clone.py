"""Steps of the actor towards what the heuristic did: likelihood of its actions, beside the learner's own updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolwright.policies.high_level.demonstrations import Demonstrations

_BATCH = 256
_EDGE = 0.995  # actions nearer to the ends of the tanh than this say nothing more


class Clone:
    """Learns from the heuristic's episodes.

    Args:
        model: Stable-Baselines3 SAC.
        demonstrations: successful and other episodes; only the successful ones are followed, where there are any.
        flat: whether the policy sets the joints.
        residual: share of the heuristic's action that the policy may change: it then learns to leave that alone.
    """

    def __init__(self, model: Any, demonstrations: Demonstrations, flat: bool, residual: float = 0.0) -> None:
        import torch

        d = demonstrations
        good = d.success if d.success.any() else np.ones_like(d.success)
        actions = d.actions_for(flat, residual)

        def rows(array: np.ndarray) -> Any:
            return torch.as_tensor(array[good].reshape(-1, array.shape[-1]))

        self._seen = {
            "observation": rows(d.observation[:, :-1]),
            "achieved_goal": rows(d.achieved[:, :-1]),
            "desired_goal": rows(d.desired[:, :-1]),
        }
        self._actions = rows(np.clip(actions, -_EDGE, _EDGE))
        self._actor = model.policy.actor
        self.optimizer = torch.optim.Adam(self._actor.parameters(), lr=1e-3)

    def loss(self) -> Any:
        """Of a random batch: by how much the heuristic's actions are unlikely."""
        import torch

        ids = torch.randint(len(self._actions), (_BATCH,))
        mean, log_std, more = self._actor.get_action_dist_params({key: x[ids] for key, x in self._seen.items()})
        spread = self._actor.action_dist.proba_distribution(mean, torch.clamp(log_std, min=-3), **more)
        return -spread.log_prob(self._actions[ids]).mean()

    def step(self, count: int) -> float:
        """Takes steps; returns the last one's loss."""
        import torch

        loss = torch.zeros(())
        for _ in range(count):
            loss = self.loss()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return float(loss.detach())
