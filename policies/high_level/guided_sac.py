"""Soft actor-critic whose actor also stays near what the heuristic did: its likelihood is part of the loss.

The critics are those of SAC. Alone they lead an actor that was cloned away from what it can do before they know better:
half a millimeter in the opening decides about a pick, and one Adam step for an untrue value is as long as one for a
true one. In one loss the sizes of both gradients count (as in TD3+BC, arXiv 2106.06860, there for a fixed data set).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.utils import polyak_update
from torch.nn import functional


class GuidedSAC(SAC):
    """`SAC` with a guide.

    `guide` returns what is added to the actor's loss, beside values divided by their mean size; None: plain SAC.
    """

    guide: Callable[[], torch.Tensor] | None = None
    weight: float = 1.0  # of it

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        if self.guide is None:
            super().train(gradient_steps, batch_size)
            return
        self.policy.set_training_mode(True)
        entropy = [self.ent_coef_optimizer] if self.ent_coef_optimizer is not None else []
        self._update_learning_rate([self.actor.optimizer, self.critic.optimizer, *entropy])
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)  # type: ignore[union-attr]
            actions, likelihood = self._draw(batch.observations)
            price = self._price(likelihood)
            self._fit_critics(batch, price)
            values = torch.cat(self.critic(batch.observations, actions), dim=1).min(dim=1, keepdim=True).values
            scale = values.detach().abs().mean().clamp(min=0.1)
            loss = ((price * likelihood - values) / scale).mean() + self.weight * self.guide()
            _descend(self.actor.optimizer, loss)
            polyak_update(self.critic.parameters(), self.critic_target.parameters(), self.tau)
        self._n_updates += gradient_steps

    def _draw(self, observations: Any) -> tuple[torch.Tensor, torch.Tensor]:
        actions, likelihood = self.actor.action_log_prob(observations)
        return actions, likelihood.reshape(-1, 1)

    def _price(self, likelihood: torch.Tensor) -> torch.Tensor:
        """The price of being predictable, moved towards the wanted entropy."""
        if self.ent_coef_optimizer is None or self.log_ent_coef is None:
            return self.ent_coef_tensor
        price = self.log_ent_coef.detach().exp()
        too_sure = (likelihood + float(self.target_entropy)).detach()
        _descend(self.ent_coef_optimizer, -(self.log_ent_coef * too_sure).mean())
        return price

    def _fit_critics(self, batch: Any, price: torch.Tensor) -> None:
        with torch.no_grad():
            actions, likelihood = self._draw(batch.next_observations)
            after = torch.cat(self.critic_target(batch.next_observations, actions), dim=1).min(dim=1, keepdim=True)
            goes_on = (1 - batch.dones) * self.gamma
            target = batch.rewards + goes_on * (after.values - price * likelihood)
        found = self.critic(batch.observations, batch.actions)
        _descend(self.critic.optimizer, 0.5 * sum(functional.mse_loss(q, target) for q in found))


def _descend(optimizer: torch.optim.Optimizer, loss: Any) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
