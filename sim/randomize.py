"""What varies between two episodes, and by how much. A level is a declared range, not a distribution to be guessed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolwright.hardware.robot import F64


@dataclass(frozen=True)
class HeldToolRandomization:
    """Ranges for a hand that holds a tool. A "share" x scales by a factor drawn from [1 - x, 1 + x]."""

    # The hand
    kp_share: float
    kv_share: float
    effort: tuple[float, float]  # N m, current limit of the servos
    latency: tuple[float, float]  # s, command to motion
    damping_share: float
    friction_share: float  # sliding friction of the fingertips
    joint_offset: float  # rad, uniform +-: zero of each joint's encoder
    joint_noise: float  # rad, standard deviation
    # The world
    palm_cone: float  # rad, largest angle between gravity and the direction of the tips; pi: any palm direction
    push: float  # N, largest force on the tool, shared by its limbs
    push_rate: float  # share of control steps in which a push begins
    # N m, largest extra torque at the tool's joint, as from a thing between the tips; sets in within the first 3/4 of
    # an episode, in every second one
    load: float
    slip: tuple[float, float]  # m, rad: standard deviation of how far the tool slid and turned before the start
    # What perception delivers about the tool
    opening_noise: float  # m, standard deviation
    opening_bias: float  # m, uniform +- per episode
    pose_noise: tuple[float, float]  # m, rad: standard deviation
    pose_bias: tuple[float, float]  # m, rad: uniform +- per episode
    delay: tuple[int, int]  # control steps, inclusive


NOMINAL = HeldToolRandomization(
    kp_share=0.0,
    kv_share=0.0,
    effort=(0.5, 0.5),
    latency=(0.01, 0.01),
    damping_share=0.0,
    friction_share=0.0,
    joint_offset=0.0,
    joint_noise=0.0,
    palm_cone=0.0,
    push=0.0,
    push_rate=0.0,
    load=0.0,
    slip=(0.0, 0.0),
    opening_noise=0.0,
    opening_bias=0.0,
    pose_noise=(0.0, 0.0),
    pose_bias=(0.0, 0.0),
    delay=(0, 0),
)

MODERATE = HeldToolRandomization(
    kp_share=0.25,
    kv_share=0.5,
    effort=(0.35, 0.5),
    latency=(0.0, 0.03),
    damping_share=0.5,
    friction_share=0.2,
    joint_offset=0.06,
    joint_noise=0.003,
    palm_cone=np.pi,
    push=1.2,
    push_rate=0.02,
    load=0.04,
    slip=(0.001, 0.02),
    opening_noise=0.0006,
    opening_bias=0.0004,
    pose_noise=(0.001, 0.01),
    pose_bias=(0.001, 0.02),
    delay=(0, 1),
)

HARD = HeldToolRandomization(
    kp_share=0.4,
    kv_share=0.8,
    effort=(0.3, 0.5),
    latency=(0.0, 0.04),
    damping_share=0.8,
    friction_share=0.4,
    joint_offset=0.08,
    joint_noise=0.005,
    palm_cone=np.pi,
    push=1.2,
    push_rate=0.02,
    load=0.05,
    slip=(0.0015, 0.03),
    opening_noise=0.0008,
    opening_bias=0.0005,
    pose_noise=(0.0015, 0.015),
    pose_bias=(0.0015, 0.03),
    delay=(0, 2),
)

LEVELS = {"nominal": NOMINAL, "moderate": MODERATE, "hard": HARD}


def directions(rng: np.random.Generator, n: int) -> F64:
    """(n, 3) unit vectors, uniform on the sphere."""
    v = rng.normal(size=(n, 3))
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def in_cone(rng: np.random.Generator, axis: F64, angle: float, n: int) -> F64:
    """(n, 3) unit vectors, uniform on the cap of half-angle `angle` [rad] around the unit vector `axis`."""
    height = rng.uniform(np.cos(angle), 1, n)
    side = np.cross(directions(rng, n), axis)
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    return height[:, None] * axis + np.sqrt(1 - height**2)[:, None] * side


def scales(rng: np.random.Generator, share: float, shape: tuple[int, ...]) -> F64:
    """Factors in [1 - share, 1 + share]."""
    return rng.uniform(1 - share, 1 + share, shape)
