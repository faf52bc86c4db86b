"""What happens between two updates: a progress line, checkpoints, evaluations, an orderly stop."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from toolwright.policies.training import checkpoint

if TYPE_CHECKING:
    from toolwright.policies.training.train import Training


class Stopped(Exception):
    """Asked to stop, between two updates: where a training can be taken up again without a difference."""


class Progress(BaseCallback):
    """Serves one `Training`. Works at the start of each rollout, when model and worlds agree with each other."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.training = training

    def _on_training_start(self) -> None:
        self.begun, self.first = time.monotonic(), self.num_timesteps
        self.shown = self.begun
        self.saved = -np.inf  # a first checkpoint at once: a training killed soon can be resumed too

    def _on_rollout_start(self) -> None:
        training, now = self.training, time.monotonic()
        if training.stopping:
            raise Stopped
        training.blend()
        if self.num_timesteps >= training.config.evaluate_every * len(training.curve):
            training.evaluate()
        if now - self.saved > training.config.checkpoint_every:
            checkpoint.save(training.folder, training.state())
            self.saved = time.monotonic()
        if now - self.shown > (1.0 if sys.stderr.isatty() else 15.0):
            self._show()
        if training.config.ppo.smooth:
            # Stable-Baselines3 has drawn the exploration of this rollout already, before a checkpoint could be taken:
            # drawn again from the number of steps, it is the same in a resumed training.
            torch.manual_seed(training.config.seed + self.num_timesteps)
            policy: Any = self.model.policy
            policy.reset_noise(self.model.n_envs)

    def _on_step(self) -> bool:
        return True

    def _show(self) -> None:
        now = time.monotonic()
        rate = (self.num_timesteps - self.first) / (now - self.begun)
        left = (self.training.config.steps - self.num_timesteps) / max(rate, 1e-9)
        exploring = f"{np.mean(recent):.3f}" if (recent := self.model.ep_success_buffer) else "-"
        end = "\r" if sys.stderr.isatty() else "\n"
        self.training.show(
            f"{self.num_timesteps:>9,} steps  {rate:,.0f}/s  {int(left // 60)}:{int(left % 60):02d} left  "
            f"success while exploring {exploring}   {end}"
        )
        self.logger.record("progress/rate", rate)
        self.shown = now
