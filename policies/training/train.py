"""Training with Stable-Baselines3 PPO: resumable at any moment, with a progress line, TensorBoard and videos."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies import weights
from toolwright.policies.training import checkpoint
from toolwright.policies.training.config import CONFIGS, TrainConfig, compose
from toolwright.policies.training.resumable import ROOT, ResumableTraining, TrainReport


class TrainError(ValueError):
    """A training that cannot start as asked."""


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
    if task == "reorient_student":
        from toolwright.policies.training.student import StudentTraining

        return StudentTraining(name, config, folder, state).run()
    return Training(name, config, folder, state).run()


def _latest(name: str) -> Path:
    folders = sorted(path.parent for path in (ROOT / name).glob(f"*/{checkpoint.NEWEST}"))
    if not folders:
        raise TrainError(f"no training of {name} under {ROOT / name} to resume; start one without --resume")
    return folders[-1]


class Training(ResumableTraining):
    """Proximal policy optimization on one of the tasks in `subjects.py`."""

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

        super().__init__(name, config, folder, show)
        ppo = config.ppo
        self.subject = subject(config.task)
        rng = np.random.default_rng(config.seed)
        self.task = self.subject.make(config.task, config.envs, rng, config.threads, backend=config.backend)
        if config.backend != "cpu":
            self.show("the first step on this backend compiles its kernels, once on a machine: a minute or two\n")
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
            target_kl=ppo.target_kl or None,
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
        self.average, self.averaged = weights.from_model(self.model, {}), 0  # and how many epochs it has seen
        if state is not None:
            self.restore(state)

    def state(self) -> dict[str, Any]:
        model = self.model
        return super().state() | {
            "optimizer": model.policy.optimizer.state_dict(),
            "episode_starts": model._last_episode_starts,
            "average": (self.average, self.averaged),
        }

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.model.policy.optimizer.load_state_dict(state["optimizer"])
        self.model._last_episode_starts = state["episode_starts"]
        self.average, self.averaged = state["average"]

    def learn(self) -> None:
        from toolwright.policies.training.callbacks import Progress

        left = max(self.config.steps - self.model.num_timesteps, 0)
        # A restored model has its observation; resetting its worlds would draw from their generator again.
        try:
            self.model.learn(left, callback=Progress(self), reset_num_timesteps=self.model._last_obs is None)
        finally:
            self.blend()
        if not self.curve or self.curve[-1].steps < self.model.num_timesteps:
            self.evaluate(final=True)
        self.model.logger.dump(self.model.num_timesteps)

    def before_rollout(self) -> None:
        self.blend()
        if self.model.num_timesteps >= self.config.evaluate_every * len(self.curve):
            self.evaluate()

    def blend(self) -> None:
        """Takes the weights after an update into their moving average, which is the policy that is judged and kept."""
        epochs = self.model._n_updates
        if epochs == self.averaged:  # a resumed training begins between two updates
            return
        self.averaged = epochs
        share = max(1 / (epochs / self.config.ppo.epochs + 1), self.config.ppo.average)
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
            "seconds": round(self.seconds(), 1),
            "revision": revision(),
            "training_success": self.best,
        }
