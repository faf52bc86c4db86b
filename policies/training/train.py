"""Training with Stable-Baselines3 PPO: resumable at any moment, with a progress line, TensorBoard and videos."""

from __future__ import annotations

import logging
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies import weights
from toolwright.policies.training import checkpoint
from toolwright.policies.training.config import CONFIGS, TrainConfig, compose
from toolwright.policies.training.curve import Point

log = logging.getLogger(__name__)

ROOT = Path("runs/train")


class TrainError(ValueError):
    """A training that cannot start as asked."""


@dataclass(frozen=True)
class TrainReport:
    """What a training reached."""

    task: str
    steps: int
    success_rate: float  # of the best policy, deterministic, in the training's own evaluation
    folder: str


def main(task: str, overrides: list[str], resume: bool = False, demo: bool = False) -> TrainReport:
    """Trains a task, or goes on with the latest training of it.

    Args:
        task: name of a configuration, for instance held_tool.
        overrides: `name=value`; a resumed training keeps its own configuration and takes none.
        resume: go on with the latest training.
        demo: the short configuration.

    Raises:
        TrainError: an unknown task, nothing to resume, overrides with `resume`.
        ConfigError: an override that fits nothing.
        CheckpointError: both checkpoints are damaged.
    """
    if task not in CONFIGS or task.endswith("_demo"):
        raise TrainError(f"unknown task '{task}'; tasks: {', '.join(name for name in CONFIGS if '_demo' not in name)}")
    name = f"{task}_demo" if demo else task
    if resume and overrides:
        raise TrainError("a resumed training keeps its configuration: drop the overrides or drop --resume")
    if resume:
        folder = _latest(name)
        state = checkpoint.load(folder)
        config = state["config"]
    else:
        config, state = compose(name, overrides), None
        folder = ROOT / name / time.strftime("%Y%m%d-%H%M%S")
    if task == "pick":
        from toolwright.policies.high_level.train import PickTraining

        return PickTraining(name, config, folder, state).run()
    return Training(name, config, folder, state).run()


def _latest(name: str) -> Path:
    folders = sorted(path.parent for path in (ROOT / name).glob(f"*/{checkpoint.NEWEST}"))
    if not folders:
        raise TrainError(f"no training of {name} under {ROOT / name} to resume; start one without --resume")
    return folders[-1]


class Training:
    """One training in one folder."""

    def __init__(
        self,
        name: str,
        config: TrainConfig,
        folder: Path,
        state: dict[str, Any] | None = None,
        show: Callable[[str], None] | None = None,
    ) -> None:
        import torch
        from stable_baselines3 import PPO

        from toolwright.policies.network import GoalExtractor
        from toolwright.policies.training.subjects import subject
        from toolwright.sim.batch_env import BatchEnv

        torch.set_num_threads(1)
        self.name, self.config, self.folder = name, config, folder
        self.show = show or _line
        ppo = config.ppo
        self.subject = subject(config.task)
        self.task = self.subject.make(config.task, config.envs, np.random.default_rng(config.seed), config.threads)
        self.env = BatchEnv(self.task, folder / "nan")

        def rate(left: float) -> float:
            return ppo.learning_rate * max(left, ppo.final_share)

        self.model = PPO(
            "MultiInputPolicy",
            self.env,
            learning_rate=rate,
            n_steps=ppo.rollout,
            batch_size=ppo.batch,
            n_epochs=ppo.epochs,
            gamma=ppo.gamma,
            gae_lambda=ppo.gae_lambda,
            clip_range=ppo.clip,
            ent_coef=ppo.entropy,
            use_sde=ppo.smooth > 0,
            sde_sample_freq=ppo.smooth or -1,
            seed=config.seed,
            device="cpu",
            stats_window_size=1000,
            tensorboard_log=str(folder),
            policy_kwargs={
                "features_extractor_class": GoalExtractor,
                "features_extractor_kwargs": self.subject.scales,
                "net_arch": list(ppo.layers),
                "activation_fn": torch.nn.ELU,
                "log_std_init": ppo.log_std,
            },
        )
        if config.start and state is None:
            self.model.policy.load_state_dict(checkpoint.load(Path(config.start))["policy"])
        if config.clone and state is None:
            from toolwright.policies.training import clone

            clone.fit(self.model.policy, Path(config.clone), np.random.default_rng(config.seed), report=self.show)
        self.best = -1.0
        self.average, self.averaged = weights.from_model(self.model, {}), 0
        self.curve: list[Point] = []
        self.spent = 0.0  # s, of earlier runs
        if state is not None:
            self._restore(state)

    # -- state --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on, taken between two updates."""
        import torch

        model = self.model
        return {
            "config": self.config,
            "policy": model.policy.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(),
            "steps": model.num_timesteps,
            "updates": model._n_updates,
            "last_observation": model._last_obs,
            "episode_starts": model._last_episode_starts,
            "returns": list(model.ep_info_buffer or ()),
            "successes": list(model.ep_success_buffer or ()),
            "env": self.env.state(),
            "random": (random.getstate(), np.random.get_state(), torch.get_rng_state()),
            "average": (self.average, self.averaged),
            "best": self.best,
            "curve": self.curve,
            "spent": self.spent + time.monotonic() - self.started,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        import torch

        model = self.model
        model.policy.load_state_dict(state["policy"])
        model.policy.optimizer.load_state_dict(state["optimizer"])
        model.num_timesteps, model._n_updates = state["steps"], state["updates"]
        model._last_obs, model._last_episode_starts = state["last_observation"], state["episode_starts"]
        model.ep_info_buffer = deque(state["returns"], maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(state["successes"], maxlen=model._stats_window_size)
        self.env.restore(state["env"])
        random.setstate(state["random"][0])
        np.random.set_state(state["random"][1])
        torch.set_rng_state(state["random"][2])
        self.best, self.curve, self.spent = state["best"], state["curve"], state["spent"]
        self.average, self.averaged = state["average"]

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> TrainReport:
        """Trains to the end, or until Ctrl-C or SIGTERM, which leave a checkpoint behind after the update under way."""
        from toolwright.policies.training.callbacks import Progress, Stopped

        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self.stopping = False
        handlers = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            left = max(self.config.steps - self.model.num_timesteps, 0)
            # A restored model has its observation; resetting its worlds would draw from their generator again.
            self.model.learn(left, callback=Progress(self), reset_num_timesteps=self.model._last_obs is None)
        except Stopped:
            pass
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
        self.blend()
        checkpoint.save(self.folder, self.state())
        if self.stopping:
            self.show(f"stopped at {self.model.num_timesteps:,} steps; go on with --resume\n")
            raise KeyboardInterrupt
        self.evaluate(final=True)
        self.model.logger.dump(self.model.num_timesteps)
        self.show(f"best success {self.best:.3f}; policy, curve and checkpoint in {self.folder}\n")
        return TrainReport(self.name, self.model.num_timesteps, self.best, str(self.folder))

    def _stop(self, signum: int, frame: Any) -> None:
        del signum, frame
        self.stopping = True

    def blend(self) -> None:
        """Takes the weights after an update into their moving average, which is the policy that is judged and kept."""
        updates = self.model._n_updates // self.config.ppo.epochs
        if updates == self.averaged:  # a resumed training begins between two updates
            return
        self.averaged = updates
        share = max(1 / (updates + 1), self.config.ppo.average)
        self.average = weights.blend(self.average, weights.from_model(self.model, {}), share)

    def evaluate(self, final: bool = False) -> None:
        """Judges the averaged deterministic policy on worlds of its own; keeps it if it is the best so far."""
        from toolwright.policies.evaluation.held_tool import SELECTION, rng_for
        from toolwright.policies.training import curve

        config = self.config
        if not hasattr(self, "_judge_task"):
            n, rng = config.evaluation_worlds, rng_for(0, SELECTION)
            self._judge_task = self.subject.make(config.task, n, rng, config.threads, self.task)
        actor = self.average
        self._judge_task.rng = rng_for(config.seed, SELECTION)
        judged = self.subject.judge(self._judge_task, actor)
        success, drops = judged.success, judged.dropped
        exploring = float(np.mean(self.model.ep_success_buffer or [0.0]))
        self.curve.append(curve.Point(self.model.num_timesteps, success, drops, exploring, judged.returned))
        self.model.logger.record("evaluation/success", success)
        self.model.logger.record("evaluation/dropped", drops)
        if success >= self.best:
            self.best = success
            weights.save(replace(actor, card=self.card()), self.folder / "best")
        curve.plot(self.curve, self.folder / "curve.png", f"{self.name}: success")
        line = f"{self.model.num_timesteps:>9,} steps  {curve.spark(self.curve)}  "
        self.show(line + f"success {success:.3f}, while exploring {exploring:.3f}, drops {drops:.3f}\n")
        if config.video and (final or len(self.curve) % 5 == 0):
            self.subject.film(config.task, self.task, actor, self.folder / f"episode_{self.model.num_timesteps}.mp4")

    def card(self) -> dict[str, Any]:
        """What the weights are, for their card."""
        from toolwright.hardware.joints import LEAP
        from toolwright.policies.revision import revision

        return {
            **self.subject.card(self.config.task),
            "joints": list(LEAP.names),
            "normalizer": "none: the observation is of order one by construction",
            "config": asdict(self.config),
            "steps": self.model.num_timesteps,
            "seed": self.config.seed,
            "seconds": round(self.spent + time.monotonic() - self.started, 1),
            "revision": revision(),
            "training_success": self.best,
        }


def _line(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
