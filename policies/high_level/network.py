"""The input layer of the learned upper level for Stable-Baselines3."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from toolwright.policies.high_level.actor import features


class PickFeatures(BaseFeaturesExtractor):
    """Joins observation, goal and the way to it. The achieved goal is the reward's alone, and is not read."""

    def __init__(self, space: gym.spaces.Dict) -> None:
        super().__init__(space, gym.spaces.flatdim(space["observation"]) + 9)

    def forward(self, observation: dict[str, torch.Tensor]) -> torch.Tensor:
        seen, goal = observation["observation"], observation["desired_goal"]
        return features(seen, goal, torch.clamp, lambda parts: torch.cat(parts, dim=1))
