"""What happens between two updates: a progress line, checkpoints, an orderly stop, and what the training adds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from toolwright.policies.training import checkpoint
from toolwright.policies.training.resumable import Stopped

if TYPE_CHECKING:
    from toolwright.policies.training.resumable import ResumableTraining

SHOWN = (1.0, 15.0)  # s between two lines of progress: on a terminal, and in a file


class Progress(BaseCallback):
    """Serves one training. Works at the start of each rollout."""

    def __init__(self, training: ResumableTraining) -> None:
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
        training.before_rollout()
        if now - self.saved > training.config.checkpoint_every:
            checkpoint.save(training.folder, training.state())
            self.saved = time.monotonic()
        if now - self.shown > SHOWN[not sys.stderr.isatty()]:
            self._show()

    def _on_step(self) -> bool:
        return True

    def _show(self) -> None:
        training, now = self.training, time.monotonic()
        rate = max((self.num_timesteps - self.first) / (now - self.begun), 1e-9)
        left = (training.config.steps - self.num_timesteps) / rate
        exploring = f"{np.mean(recent):.3f}" if (recent := self.model.ep_success_buffer) else "-"
        end = "\r" if sys.stderr.isatty() else "\n"
        training.show(
            f"{self.num_timesteps:>9,} {training.unit}  {rate:,.0f}/s  {int(left // 60)}:{int(left % 60):02d} left  "
            f"success while exploring {exploring}   {end}"
        )
        self.logger.record("progress/rate", rate)
        self.shown = now
