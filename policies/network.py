"""The actor-critic's input layer and the actor as plain numpy, for use without torch."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class GoalExtractor(BaseFeaturesExtractor):
    """Joins observation, achieved goal, desired goal and their difference, scaled to order one."""

    def __init__(self, space: gym.spaces.Dict, goal_scale: float = 50.0, error_scale: float = 200.0) -> None:
        goals = gym.spaces.flatdim(space["achieved_goal"])
        super().__init__(space, gym.spaces.flatdim(space["observation"]) + 3 * goals)
        self.goal_scale, self.error_scale = goal_scale, error_scale

    def forward(self, observation: dict[str, torch.Tensor]) -> torch.Tensor:
        achieved, desired = observation["achieved_goal"], observation["desired_goal"]
        error = torch.clamp(self.error_scale * (desired - achieved), -3, 3)
        goals = [self.goal_scale * achieved, self.goal_scale * desired, error]
        return torch.cat([observation["observation"], *goals], dim=1)
