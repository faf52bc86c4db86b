"""Training of the upper level: SAC with hindsight relabelling, its replay filled by the heuristic; resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies.evaluation import source
from toolwright.policies.evaluation.held_tool import SELECTION, rng_for
from toolwright.policies.high_level import actor as actors
from toolwright.policies.high_level import demonstrations
from toolwright.policies.high_level.clone import Clone
from toolwright.policies.high_level.config import PickTrainConfig
from toolwright.policies.high_level.play import learned, play
from toolwright.policies.training import curve
from toolwright.policies.training.resumable import ROOT, ResumableTraining, Stopped

_WARM_UP = 20  # gradient steps of the critics at a time
_RANDOM_EPISODES = 1  # of each world that are played at random where the replay begins empty


class PickTraining(ResumableTraining):
    """Soft actor-critic with hindsight on the task of picking."""

    unit = "actions"

    def __init__(
        self,
        name: str,
        config: PickTrainConfig,
        folder: Path,
        state: dict[str, Any] | None = None,
        show: Callable[[str], None] | None = None,
    ) -> None:
        from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

        from toolwright.policies.high_level.env import PickEnv, make_task
        from toolwright.policies.high_level.guided_sac import GuidedSAC
        from toolwright.policies.high_level.network import PickFeatures

        super().__init__(name, config, folder, show)
        sac = config.sac
        task = make_task(config.task, config.envs, np.random.default_rng(config.seed), config.threads)
        self.env = PickEnv(task, config.residual, folder / "nan")
        filled = bool(config.demonstrations) or state is not None
        self.model = GuidedSAC(
            "MultiInputPolicy",
            self.env,
            learning_rate=sac.learning_rate,
            buffer_size=sac.buffer,
            learning_starts=0 if filled else _RANDOM_EPISODES * config.envs * (config.task.horizon + 1),
            batch_size=sac.batch,
            tau=sac.tau,
            gamma=sac.gamma,
            ent_coef=sac.entropy,
            target_entropy=sac.target_entropy,  # type: ignore[arg-type]
            train_freq=1,
            gradient_steps=sac.updates,
            replay_buffer_class=HerReplayBuffer,
            replay_buffer_kwargs={"n_sampled_goal": sac.relabelled, "goal_selection_strategy": "future"},
            policy_kwargs={"features_extractor_class": PickFeatures, "net_arch": list(sac.layers)},
            seed=config.seed,
            device="cpu",
            stats_window_size=200,
        )
        self.clone: Clone | None = None
        self._optimizer: Any = None  # of the clone, from a checkpoint
        self._judge_task: Any = None
        if state is not None:
            self.restore(state)

    def state(self) -> dict[str, Any]:
        model = self.model
        held = {key: value for key, value in vars(model.replay_buffer).items() if key not in ("env", "infos")}
        return super().state() | {
            "optimizers": [o.state_dict() for o in self._optimizers()],
            "entropy": model.log_ent_coef.detach().clone(),
            "replay": held,
            "clone": self.clone.optimizer.state_dict() if self.clone else None,
            "actions": self.env.action_space.np_random.bit_generator.state,
        }

    def _optimizers(self) -> list[Any]:
        policy = self.model.policy
        return [policy.actor.optimizer, policy.critic.optimizer, self.model.ent_coef_optimizer]

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        for optimizer, kept in zip(self._optimizers(), state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.model.log_ent_coef.data.copy_(state["entropy"])
        vars(self.model.replay_buffer).update(state["replay"])
        self._optimizer = state["clone"]
        self.env.action_space.np_random.bit_generator.state = state["actions"]

    def learn(self) -> None:
        from toolwright.policies.training.callbacks import Progress

        config, model = self.config, self.model
        begins = model._last_obs is None
        if config.demonstrations:
            self._prepare(begins)
        if begins:
            self.evaluate()
        left = max(config.steps - model.num_timesteps, 0)
        # A restored model has its observation; resetting its worlds would draw from their generator again.
        model.learn(left, callback=Progress(self), reset_num_timesteps=begins)
        if not self.curve or self.curve[-1].steps < model.num_timesteps:
            self.evaluate()

    def before_rollout(self) -> None:
        if self.model.num_timesteps >= self.curve[-1].steps + self.config.evaluate_every:
            self.evaluate()

    def _prepare(self, begins: bool) -> None:
        """Fills the replay with the heuristic's episodes, and learns from them before anything is tried."""
        from stable_baselines3.common.logger import configure

        config, model = self.config, self.model
        version = source.digest(demonstrations.DEPENDS)
        state = f"{config.task.state}_{config.task.part}_{config.task.horizon}_{version}"
        path = ROOT / "pick" / f"heuristic_{state}.npz"
        made = demonstrations.load_or_record(path, config.task, config.demonstrations, lambda x: self.show(x + "\n"))
        episodes = made.rows(config.demonstrations, with_plan=bool(config.residual))
        if config.sac.cloned:
            self.clone = Clone(model, episodes, config.task.flat, config.residual)
            model.guide, model.weight = self.clone.loss, config.sac.guide
        if not begins:
            if self.clone and self._optimizer:
                self.clone.optimizer.load_state_dict(self._optimizer)
            return
        count = demonstrations.fill(model.replay_buffer, episodes, config.envs, config.task.flat, config.residual)
        self.show(f"{count:,} of the heuristic's transitions, success {episodes.success.mean():.3f}, in the replay\n")
        if self.clone:
            self.clone.step(config.sac.cloned)
        model.set_logger(configure(None, []))
        # The actor stays: driven by critics that know nothing yet, it would leave what the replay tells of.
        kept = {key: value.clone() for key, value in model.actor.state_dict().items()}
        for _ in range(config.sac.offline // _WARM_UP):
            if self.stopping:
                raise Stopped
            model.train(_WARM_UP, config.sac.batch)
            model.actor.load_state_dict(kept)

    def evaluate(self) -> None:
        """Judges the deterministic policy on worlds of its own; keeps it if it is the best so far."""
        from toolwright.policies.high_level.env import make_task

        config, rng = self.config, rng_for(self.config.seed, SELECTION)
        if self._judge_task is None:
            self._judge_task = make_task(config.task, config.evaluation_worlds, rng, config.threads)
        self._judge_task.rng = rng
        actor = actors.from_model(self.model, self.card())
        played = play(self._judge_task, learned(actor), stop=lambda: self.stopping)
        if self.stopping:
            raise Stopped
        success, lost = float(played.success.mean()), float(played.lost.mean())
        exploring = float(np.mean(self.model.ep_success_buffer or [0.0]))
        self.curve.append(curve.Point(self.model.num_timesteps, success, lost, exploring))
        if success >= self.best:
            self.best = success
            actors.save(actors.HighLevelActor(actor.layers, self.card()), self.folder / "best")
        curve.plot(self.curve, self.folder / "curve.png", f"{self.name}: success")
        line = f"{self.model.num_timesteps:>9,} actions  {curve.spark(self.curve)}  "
        self.show(line + f"success {success:.3f}, while exploring {exploring:.3f}, tool lost {lost:.3f}\n")

    def card(self) -> dict[str, Any]:
        """What the weights are, for their card."""
        from toolwright.policies.revision import revision

        return {
            "policy": "pick",
            "observation": "see PickInterface.observe in hardware/pick.py; a residual also sees the heuristic's action",
            "action": "see PickInterface.steer in hardware/pick.py",
            "residual": self.config.residual,
            "config": asdict(self.config),
            "steps": self.model.num_timesteps,
            "seed": self.config.seed,
            "seconds": round(self.seconds(), 1),
            "revision": revision(),
            "training_success": self.best,
        }
