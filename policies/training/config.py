"""Training configurations: dataclasses, registered with Hydra so that every value can be replaced by `name=value`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from toolwright.policies.high_level.config import pick, pick_demo
from toolwright.sim.tasks.held_tool import HeldToolConfig
from toolwright.sim.tasks.held_tools import HeldToolsConfig
from toolwright.sim.tasks.reorient import ReorientConfig


@dataclass
class PPOConfig:
    """Proximal policy optimization as Stable-Baselines3 names it."""

    learning_rate: float = 1e-3  # at the start; falls linearly to `final_share` of it
    final_share: float = 0.03
    rollout: int = 16  # control steps of each world per update
    batch: int = 1024
    epochs: int = 4
    gamma: float = 0.97
    gae_lambda: float = 0.95
    clip: float = 0.2
    target_kl: float = 0.0  # updates on a rollout end when the policy has changed by 1.5 times this; 0: never
    entropy: float = 0.0
    log_std: float = -2.5  # more exploration shakes the tool out of the hand
    layers: tuple[int, ...] = (256, 128)
    average: float = 0.03  # share of an update's weights in the moving average that is judged and kept


@dataclass
class StudentConfig:
    """Distillation of the policy that turns things by what a real hand has."""

    data: str = "runs/plan-data/reorient"  # folder, or several with ":" between, of labels with states
    complete: int = 20  # epochs with complete clouds; with few labels more of them only learn these by heart
    rendered: int = 10  # epochs with rendered ones
    sequences: int = 16  # of one update
    learning_rate: float = 1e-3
    stop: float = 0.2  # weight of the stop's part of the loss
    rare: float = 4.0  # times that a moment at the goal counts there: they are few
    jitter: float = 0.002  # m, standard deviation of noise on points
    seed: int = 1
    worlds: int = 32  # of the evaluation after each stage; 0: none
    threads: int = 1  # of the physics


@dataclass
class TrainConfig:
    """One training."""

    task: Any = field(default_factory=HeldToolConfig)  # its class names the task, see subjects.py
    ppo: PPOConfig = field(default_factory=PPOConfig)
    steps: int = 1_000_000  # control steps of all worlds together
    envs: int = 256
    seed: int = 1
    threads: int = 0  # of the physics; 0: all cores
    backend: str = "cpu"  # of the physics: cpu, gpu or warp-cpu, see sim/batch.py; evaluations run on the CPU always
    evaluate_every: int = 200_000  # control steps
    evaluation_worlds: int = 512
    checkpoint_every: float = 20.0  # s
    start: str = ""  # folder of a training whose policy this one starts from; "": from nothing
    clone: str = ""  # folder of a planner's labels that the policy starts from; "": from nothing
    video: bool = True  # one episode at the end and at every fifth evaluation


def held_tool() -> TrainConfig:
    """The full training: hard randomization, minutes on two cores."""
    return TrainConfig()


def held_tools() -> TrainConfig:
    """One policy for every tool that has grasps, told which one by its shape."""
    return TrainConfig(task=HeldToolsConfig(), steps=3_000_000, envs=384, evaluation_worlds=768, video=False)


def held_tool_demo() -> TrainConfig:
    """A few minutes, moderate randomization: long enough to see it learn."""
    return TrainConfig(
        task=HeldToolConfig(level="moderate"), steps=300_000, evaluate_every=25_000, evaluation_worlds=64, video=False
    )


# Small steps: at a rate of 4e-4 in batches of 512 the policy changed by 0.1 to 0.5 (KL) each time and learned nothing.
_REORIENT_PPO = PPOConfig(
    learning_rate=2e-4,
    rollout=32,
    batch=2048,
    target_kl=0.03,
    log_std=-0.9,
    layers=(512, 256),
    average=0.02,
)


def reorient() -> TrainConfig:
    """All training shapes, goals anywhere, then any palm direction: hours, not minutes.

    Goals close by would teach a hand to rest: nearly every motion leads away from them.
    """
    return TrainConfig(
        task=ReorientConfig(palm=(0.0, 3.1416), coarse=True),
        ppo=_REORIENT_PPO,
        steps=400_000_000,
        envs=256,
        evaluate_every=500_000,
        evaluation_worlds=128,
        checkpoint_every=120.0,
    )


def reorient_demo() -> TrainConfig:
    """The cube alone, goals close by, nominal physics: to see it learn."""
    return TrainConfig(
        task=ReorientConfig(shapes="cube", level="nominal", near=0.6, horizon=100),
        ppo=_REORIENT_PPO,
        steps=1_000_000,
        evaluate_every=200_000,
        evaluation_worlds=64,
        video=False,
    )


def reorient_student() -> StudentConfig:
    """From the labels of `toolwright plan-data`."""
    return StudentConfig()


def reorient_student_demo() -> StudentConfig:
    """A few epochs: to see that it learns at all."""
    return StudentConfig(complete=6, rendered=2, worlds=4)


CONFIGS = {
    "held_tool": held_tool,
    "held_tool_demo": held_tool_demo,
    "held_tools": held_tools,
    "reorient": reorient,
    "reorient_demo": reorient_demo,
    "reorient_student": reorient_student,
    "reorient_student_demo": reorient_student_demo,
    "pick": pick,
    "pick_demo": pick_demo,
}


class ConfigError(ValueError):
    """An override that fits no value of the configuration."""


def compose(name: str, overrides: list[str]) -> TrainConfig:
    """A configuration with overrides such as `steps=1000`, `task.level=moderate` or `ppo.gamma=0.99`.

    Raises:
        ConfigError: an unknown name, a wrong type.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    store = ConfigStore.instance()
    for key, factory in CONFIGS.items():
        store.store(name=key, node=factory())
    try:
        with initialize(version_base="1.3", config_path=None):
            config = hydra_compose(config_name=name, overrides=overrides)
        made: Any = OmegaConf.to_object(config)
    except (HydraException, OmegaConfBaseException) as error:
        lines = [str(e).splitlines()[0] for e in (error, error.__cause__) if e is not None]
        raise ConfigError(f"{'; '.join(dict.fromkeys(lines))}. `toolwright train --help` shows examples") from error
    return made  # type: ignore[no-any-return]
