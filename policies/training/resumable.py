"""What every training shares: one folder, a checkpoint that leaves nothing out, an end at Ctrl-C that loses nothing."""

from __future__ import annotations

import random
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies.training import checkpoint
from toolwright.policies.training.curve import Point

ROOT = Path("runs/train")


class Stopped(Exception):
    """Asked to stop, between two updates: where a training can be taken up again without a difference."""


@dataclass(frozen=True)
class TrainReport:
    """What a training reached."""

    task: str
    steps: int
    success_rate: float  # of the best policy, deterministic, in the training's own evaluation
    folder: str


class ResumableTraining(ABC):
    """A Stable-Baselines3 model on a batched environment, in one folder.

    Args:
        name: of the configuration.
        config: of the training.
        folder: for checkpoint, curve and best policy.
        show: takes lines of progress; standard error by default.
    """

    unit = "steps"
    model: Any
    env: Any

    def __init__(self, name: str, config: Any, folder: Path, show: Callable[[str], None] | None = None) -> None:
        import torch

        torch.set_num_threads(1)
        self.name, self.config, self.folder, self.show = name, config, folder, show or _line
        self.best, self.spent = -1.0, 0.0  # success; s, of earlier runs
        self.curve: list[Point] = []
        self.started, self.stopping = time.monotonic(), False

    @abstractmethod
    def learn(self) -> None:
        """Goes on to the end; raises Stopped where `stopping` is seen."""

    @abstractmethod
    def before_rollout(self) -> None:
        """What is due between two updates, when model and worlds agree with each other."""

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on, taken between two updates."""
        import torch

        model = self.model
        return {
            "config": self.config,
            "policy": model.policy.state_dict(),
            "steps": model.num_timesteps,
            "updates": model._n_updates,
            "last_observation": model._last_obs,
            "returns": list(model.ep_info_buffer or ()),
            "successes": list(model.ep_success_buffer or ()),
            "env": self.env.state(),
            "random": (random.getstate(), np.random.get_state(), torch.get_rng_state()),
            "best": self.best,
            "curve": self.curve,
            "spent": self.seconds(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to what `state` returned, for a training of the same configuration."""
        import torch

        model = self.model
        model.policy.load_state_dict(state["policy"])
        model.num_timesteps, model._n_updates = state["steps"], state["updates"]
        model._last_obs = state["last_observation"]
        model.ep_info_buffer = deque(state["returns"], maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(state["successes"], maxlen=model._stats_window_size)
        self.env.restore(state["env"])
        random.setstate(state["random"][0])
        np.random.set_state(state["random"][1])
        torch.set_rng_state(state["random"][2])
        self.best, self.curve, self.spent = state["best"], state["curve"], state["spent"]

    def seconds(self) -> float:
        """Spent on this training so far, in all its runs."""
        return self.spent + time.monotonic() - self.started

    def run(self) -> TrainReport:
        """Trains to the end, or until Ctrl-C or SIGTERM, which leave a checkpoint behind after the update under way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started, self.stopping = time.monotonic(), False
        handlers = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.learn()
        except Stopped:
            pass
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
        if self.model._last_obs is not None:
            checkpoint.save(self.folder, self.state())
        if self.stopping:
            self.show(f"stopped at {self.model.num_timesteps:,} {self.unit}; go on with --resume\n")
            raise KeyboardInterrupt
        self.show(f"best success {self.best:.3f}; policy, curve and checkpoint in {self.folder}\n")
        return TrainReport(self.name, self.model.num_timesteps, self.best, str(self.folder))

    def _stop(self, signum: int, frame: Any) -> None:
        del signum, frame
        self.stopping = True


def _line(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
