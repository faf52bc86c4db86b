"""Configuration of the upper level's training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from toolwright.sim.tasks.pick import PickConfig


@dataclass
class SACConfig:
    """Soft actor-critic with hindsight relabelling as Stable-Baselines3 names it."""

    learning_rate: float = 3e-4
    batch: int = 256
    gamma: float = 0.95
    tau: float = 0.01
    entropy: str = "auto_0.005"
    target_entropy: float = -10.0  # below the usual minus actions: exploration shakes the tool
    relabelled: int = 4  # goals in hindsight for each real one
    updates: int = 12  # gradient steps after each action of all worlds
    buffer: int = 60_000  # transitions
    layers: tuple[int, ...] = (256, 256)
    offline: int = 600  # gradient steps of the critics on the heuristic's replay before the first action
    cloned: int = 600  # steps of the actor towards the heuristic's actions before that; 0: no guide
    guide: float = 5.0  # weight of those actions' likelihood in the actor's loss, beside values of order one


@dataclass
class PickTrainConfig:
    """One training of the policy that picks."""

    task: PickConfig = field(default_factory=PickConfig)
    sac: SACConfig = field(default_factory=SACConfig)
    demonstrations: int = 96  # episodes of the heuristic in the replay; 0: none
    residual: float = 0.0  # share of the heuristic's action that the policy may change; 0: it acts alone
    steps: int = 9_600  # actions of all worlds together
    envs: int = 32
    seed: int = 1
    threads: int = 0  # of the physics; 0: all cores
    evaluate_every: int = 3_200  # actions
    evaluation_worlds: int = 48
    checkpoint_every: float = 60.0  # s


def pick() -> PickTrainConfig:
    """The shipped policy's training: a residual on the heuristic, from nothing, with errors assumed for a camera."""
    return PickTrainConfig(PickConfig(state="assumed"), residual=0.1)


def pick_demo() -> PickTrainConfig:
    """A few minutes, to see it learn."""
    short = {"steps": 6_000, "demonstrations": 64, "evaluate_every": 2_000, "evaluation_worlds": 32}
    return replace(pick(), **short)  # type: ignore[arg-type]
