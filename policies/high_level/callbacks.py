"""What happens between two actions of a training: a progress line, checkpoints, evaluations, an orderly stop."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from stable_baselines3.common.callbacks import BaseCallback

from toolwright.policies.training import checkpoint
from toolwright.policies.training.callbacks import Stopped

if TYPE_CHECKING:
    from toolwright.policies.high_level.train import PickTraining


class PickProgress(BaseCallback):
    """Serves one `PickTraining`."""

    def __init__(self, training: PickTraining) -> None:
        super().__init__()
        self.training = training

    def _on_training_start(self) -> None:
        self.begun, self.first = time.monotonic(), self.num_timesteps
        self.shown = self.saved = self.begun

    def _on_rollout_start(self) -> None:
        training, now = self.training, time.monotonic()
        if training.stopping:
            raise Stopped
        config = training.config
        if training.clone:
            training.clone.step(config.sac.clone)
        if self.num_timesteps >= training.curve[-1].steps + config.evaluate_every:
            training.evaluate()
        if now - self.saved > config.checkpoint_every:
            checkpoint.save(training.folder, training.state())
            self.saved = time.monotonic()
        if now - self.shown > (1.0 if sys.stderr.isatty() else 20.0):
            rate = max((self.num_timesteps - self.first) / (now - self.begun), 1e-9)
            left = (config.steps - self.num_timesteps) / rate
            end = "\r" if sys.stderr.isatty() else "\n"
            training.show(
                f"{self.num_timesteps:>9,} actions  {rate:,.0f}/s  {int(left // 60)}:{int(left % 60):02d} left{end}"
            )
            self.shown = now

    def _on_step(self) -> bool:
        return True
