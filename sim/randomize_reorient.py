"""What varies between two episodes of turning an object in the hand, and by how much.

The ranges follow Visual Dexterity (arXiv 2211.11744) where it gives them. Frictions have the public values of the LEAP
hand as their center: 0.5 at the tips, 0.2 elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReorientRandomization:
    """Ranges. A "share" x scales by a factor drawn from [1 - x, 1 + x]."""

    mass: tuple[float, float]  # kg of the object
    friction: tuple[float, float]  # factor on all frictions
    friction_share: float  # of the shell on its own, beside the common factor
    kp_share: float
    kv_share: float
    damping_share: float
    effort: tuple[float, float]  # N m, current limit of the servos
    latency: tuple[float, float]  # s, command to motion
    joint_offset: float  # rad, uniform +-: zero of each joint's encoder
    joint_noise: float  # rad, standard deviation
    state_noise: float  # standard deviation on the object's pose: m, and rad tenfold
    action_noise: float  # standard deviation on actions
    push: float  # m/s^2, largest push on the object
    push_rate: float  # share of control steps in which a push begins
    sizes: bool  # all sizes of a shape, not its own alone


NOMINAL = ReorientRandomization(
    mass=(0.1, 0.1),
    friction=(1.0, 1.0),
    friction_share=0.0,
    kp_share=0.0,
    kv_share=0.0,
    damping_share=0.0,
    effort=(0.5, 0.5),
    latency=(0.01, 0.01),
    joint_offset=0.0,
    joint_noise=0.0,
    state_noise=0.0,
    action_noise=0.0,
    push=0.0,
    push_rate=0.0,
    sizes=False,
)

MODERATE = ReorientRandomization(
    mass=(0.04, 0.2),
    friction=(0.7, 1.6),
    friction_share=0.2,
    kp_share=0.2,
    kv_share=0.2,
    damping_share=0.3,
    effort=(0.4, 0.5),
    latency=(0.0, 0.03),
    joint_offset=0.03,
    joint_noise=0.003,
    state_noise=0.002,
    action_noise=0.05,
    push=5.0,
    push_rate=0.02,
    sizes=True,
)

HARD = ReorientRandomization(
    mass=(0.02, 0.32),
    friction=(0.5, 2.5),
    friction_share=0.3,
    kp_share=0.4,
    kv_share=0.4,
    damping_share=0.6,
    effort=(0.35, 0.5),
    latency=(0.0, 0.04),
    joint_offset=0.06,
    joint_noise=0.005,
    state_noise=0.004,
    action_noise=0.05,
    push=15.0,
    push_rate=0.02,
    sizes=True,
)

LEVELS = {"nominal": NOMINAL, "moderate": MODERATE, "hard": HARD}
SIZES = (0.95, 1.0, 1.05)  # factors on a shape's size
