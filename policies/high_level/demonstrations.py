"""What the heuristic did, to fill a replay buffer with: whole episodes of one horizon, kept in a file for all seeds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from toolwright.hardware.held_tool import WORKING
from toolwright.policies.evaluation.held_tool import rng_for
from toolwright.policies.high_level.env import make_task, with_plan
from toolwright.policies.high_level.heuristic import Heuristic
from toolwright.sim.tasks.pick import JOINT_STEP, PickConfig

SPREAD = 0.05  # standard deviation of what is added to its actions, so that not all is seen along one line
PURPOSE = 11  # of the random stream
_AT_ONCE = 64  # worlds
# Code and weights that an episode of the heuristic depends on.
DEPENDS = (
    "hardware/pick.py",
    "hardware/tip_motion.py",
    "hardware/held_tool.py",
    "sim/tasks/pick.py",
    "sim/pick_world.py",
    "sim/pick_errors.py",
    "sim/models/small_objects.py",
    "sim/models/objects.py",
    "sim/models/leap.py",
    "sim/models/tools/tweezers.py",
    "policies/high_level/env.py",
    "policies/high_level/heuristic.py",
    "policies/weights/held_tool/tweezers/policy.safetensors",
)


@dataclass(frozen=True)
class Demonstrations:
    """Episodes of the heuristic: (episodes, horizon + 1, ...) of what was seen, (episodes, horizon, ...) of actions."""

    observation: np.ndarray
    achieved: np.ndarray  # m
    desired: np.ndarray  # m
    action: np.ndarray
    plan: np.ndarray  # (episodes, horizon + 1, 10): the heuristic's own action and phase
    joints: np.ndarray  # what a flat policy would have had to do, the first four columns left out
    ended: np.ndarray  # (episodes, horizon) bool: the tool was lost in this action
    success: np.ndarray  # (episodes,) bool

    def rows(self, episodes: int, with_plan: bool = False) -> Demonstrations:
        """The first episodes in which the tool was not lost. With a plan, as a residual policy would have seen them."""
        ids = np.flatnonzero(~self.ended.any(axis=1))[:episodes]
        columns = {f.name: getattr(self, f.name)[ids] for f in fields(self)}
        if with_plan:
            columns["observation"] = np.concatenate([columns["observation"], columns["plan"]], axis=2)
        return Demonstrations(**columns)

    def actions_for(self, flat: bool, residual: float) -> np.ndarray:
        """(episodes, horizon, a): the same for a policy that sets joints, or that adds to the heuristic."""
        if residual:
            return np.clip((self.action - self.plan[:, :-1, :5]) / residual, -1, 1)
        return np.concatenate([self.action[..., :4], self.joints], axis=2) if flat else self.action

    def save(self, path: Path) -> None:
        """Writes one compressed file, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez_compressed(temporary, **{f.name: getattr(self, f.name) for f in fields(self)})
        os.replace(temporary, path)


def load_or_record(
    path: Path, config: PickConfig, episodes: int, report: Callable[[str], None] = lambda line: None
) -> Demonstrations:
    """The episodes of a file, recorded first where it is not there or too short.

    Args:
        path: .npz.
        config: of the task; its `flat` is ignored, since the heuristic has the hand's policy beneath it.
        episodes: at least.
        report: called with a line of progress.
    """
    if path.is_file():
        with np.load(path) as file:
            kept = Demonstrations(**{f.name: file[f.name] for f in fields(Demonstrations)})
        if len(kept.success) >= episodes and kept.action.shape[1] == config.horizon:
            return kept
    made = record(config, episodes, report)
    made.save(path)
    return made


def record(config: PickConfig, episodes: int, report: Callable[[str], None] = lambda line: None) -> Demonstrations:
    """Plays the heuristic."""
    parts: list[Demonstrations] = []
    rng = rng_for(0, PURPOSE)
    task = make_task(PickConfig(**{**vars(config), "flat": False}), _AT_ONCE, rng)
    everyone = np.arange(_AT_ONCE)
    while sum(len(part.success) for part in parts) < episodes:
        task.reset(everyone)
        heuristic = Heuristic(task.interface, task.tool.pad_length, not task.errors.blind)
        joints = task.ctrl[:, task._fingers][:, WORKING].copy()
        looks, done, plan, flat, lost = [task.observe()], [], [], [], []
        for _ in range(config.horizon):
            planned = heuristic.act(task.goal)
            plan.append(with_plan(np.zeros((_AT_ONCE, 0)), planned, heuristic.phase))
            action = np.clip(planned + rng.normal(0, SPREAD, (_AT_ONCE, 5)), -1, 1)
            task.act(action)
            task.advance()
            task.sense()
            step = np.clip((task.ctrl[:, task._fingers][:, WORKING] - joints) / JOINT_STEP, -1, 1)
            joints = joints + JOINT_STEP * step
            looks.append(task.observe())
            done.append(action)
            flat.append(step)
            lost.append(task.failed(task.measure()))
        plan.append(with_plan(np.zeros((_AT_ONCE, 0)), heuristic.act(task.goal), heuristic.phase))
        seen = {key: np.stack([s[key] for s in looks], axis=1).astype(np.float32) for key in looks[0]}
        parts.append(
            Demonstrations(
                observation=seen["observation"],
                achieved=seen["achieved_goal"],
                desired=seen["desired_goal"],
                action=np.stack(done, axis=1).astype(np.float32),
                plan=np.stack(plan, axis=1).astype(np.float32),
                joints=np.stack(flat, axis=1).astype(np.float32),
                ended=np.stack(lost, axis=1),
                success=task.success(task.measure()),
            )
        )
        report(f"heuristic: {sum(len(p.success) for p in parts)}/{episodes} episodes")
    return Demonstrations(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Demonstrations)))


def fill(buffer: object, demonstrations: Demonstrations, n_envs: int, flat: bool, residual: float = 0.0) -> int:
    """Adds the episodes to a Stable-Baselines3 hindsight replay; returns the number of transitions.

    Args:
        buffer: `HerReplayBuffer` of `n_envs` environments.
        demonstrations: episodes; a remainder that does not fill all environments is left out.
        n_envs: of the buffer.
        flat: of the policy that shall learn from them.
        residual: of that policy; its action is what was added to the heuristic's.
    """
    d, added = demonstrations, 0
    horizon = d.action.shape[1]
    actions = d.actions_for(flat, residual)
    for first in range(0, len(d.success) - n_envs + 1, n_envs):
        rows = slice(first, first + n_envs)
        for t in range(horizon):
            now, after = (
                {
                    "observation": d.observation[rows, k],
                    "achieved_goal": d.achieved[rows, k],
                    "desired_goal": d.desired[rows, k],
                }
                for k in (t, t + 1)
            )
            away = np.linalg.norm(after["achieved_goal"] - after["desired_goal"], axis=1)
            last = np.full(n_envs, t == horizon - 1)
            lost = d.ended[rows, t]
            infos = [{"TimeLimit.truncated": bool(e and not g)} for e, g in zip(last, lost, strict=True)]
            reward = (away < PickConfig.tolerance).astype(np.float32)
            buffer.add(now, after, actions[rows, t], reward, last | lost, infos)  # type: ignore[attr-defined]
            added += n_envs
    return added
