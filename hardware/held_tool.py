"""The held tool as the hand's controllers see it: synergy, observation, action law. One code for training and robot.

Everything is batched: N hands at once, N = 1 on a robot. "Displacement" is where the tool now is against where it was
grasped, in the palm frame: (dx, dy, dz) [m], then a rotation vector [rad].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import F64

WORKING = np.array([*range(8), *range(12, 16)])  # index, middle, thumb; the ring finger stays tucked
PUSH, LEAK = 0.03, 0.9  # rad an action adds to the residual, share of the residual that stays
SPEED = 0.08  # m/s, of the reference that runs ahead of the opening to the goal; an action scales it by 0 to 2
POSE_SPEED = (0.02, 0.4)  # m/s, rad/s: of the tool's pose, where no controller moves it
ACTIONS = 1 + len(WORKING)


@dataclass(frozen=True)
class Synergy:
    """Servo targets as a piecewise linear function of the opening, one row of anchors per hand."""

    openings: F64  # (N, k) m, increasing
    ctrl: F64  # (N, k, 16) rad
    correction: F64  # (N, 16, 6) joint change that undoes a displacement of the tool

    def __call__(self, opening: F64) -> F64:
        """Targets (N, 16) [rad] for openings (N,) [m]; the end segments go on beyond the anchors."""
        last = self.openings.shape[1] - 2
        segment = np.clip((opening[:, None] >= self.openings).sum(1) - 1, 0, last)
        row = np.arange(len(opening))
        low, high = self.openings[row, segment], self.openings[row, segment + 1]
        share = ((opening - low) / (high - low))[:, None]
        return (1 - share) * self.ctrl[row, segment] + share * self.ctrl[row, segment + 1]

    def rows(self, ids: np.ndarray) -> Synergy:
        """The same for some hands only."""
        return Synergy(self.openings[ids], self.ctrl[ids], self.correction[ids])


@dataclass(frozen=True)
class ClosedFormGains:
    """Integral gains and their limits."""

    opening: float = 3.5  # 1/s
    opening_limit: float = 0.03  # m
    pose: float = 1.0  # 1/s
    pose_limit: tuple[float, float] = (0.02, 0.4)  # m, rad


class ClosedFormController:
    """Synergy with an integral on the opening and a slow six-dimensional integral on the tool's pose."""

    def __init__(self, synergy: Synergy, period: float, gains: ClosedFormGains = ClosedFormGains()) -> None:
        self.synergy, self.period, self.gains = synergy, period, gains
        n = len(synergy.openings)
        self.opening_integral = np.zeros(n)
        self.pose_integral = np.zeros((n, 6))

    def reset(self, ids: np.ndarray) -> None:
        """Forgets the integrals of the hands `ids`."""
        self.opening_integral[ids] = 0
        self.pose_integral[ids] = 0

    def target(self, opening: F64, displacement: F64, goal: F64) -> F64:
        """One step.

        Args:
            opening: (N,) m, measured.
            displacement: (N, 6) m and rad, measured.
            goal: (N,) m.

        Returns:
            Servo targets (N, 16) [rad].
        """
        g = self.gains
        limit = np.repeat(g.pose_limit, 3)
        self.opening_integral += g.opening * self.period * (goal - opening)
        self.opening_integral = np.clip(self.opening_integral, -g.opening_limit, g.opening_limit)
        self.pose_integral = np.clip(self.pose_integral + g.pose * self.period * displacement, -limit, limit)
        target = self.synergy(goal + self.opening_integral)
        target = target + np.einsum("nij,nj->ni", self.synergy.correction, self.pose_integral)
        return np.clip(target, LEAP.lower, LEAP.upper)


class LearnedInterface:
    """Observation and action law of the learned policy, with the little state that it keeps between two steps.

    The policy sets how fast the closed-form controller's reference goes to the goal (a jump from shut to wide open
    throws the tool out of the hand) and adds a residual to the controller's targets. An action pushes the residual,
    which leaks away: exploration stays smooth, and a policy that does nothing is the controller with a steady
    reference.

    `alone` takes the controller's feedback away: actions move the opening and the tool's pose that the fingers are sent
    to, whatever is measured, and one that does nothing keeps them. So a policy has all of the feedback to learn, which
    is what comparisons of learning need, and says it in terms that are the same for every tool.
    """

    SIZE = 3 * len(WORKING) + 6 + 1 + 1 + 6 + 3

    def __init__(self, synergy: Synergy, period: float, alone: bool = False) -> None:
        n = len(synergy.openings)
        self.controller, self.alone = ClosedFormController(synergy, period), alone
        self.period = period
        self.command = np.zeros((n, 16))
        self.residual = np.zeros((n, len(WORKING)))
        self.reference = np.zeros(n)  # m

    def reset(self, ids: np.ndarray, command: F64, opening: F64) -> None:
        """Starts the hands `ids` from servo targets (len(ids), 16) [rad] and measured openings (len(ids),) [m]."""
        self.controller.reset(ids)
        self.reference[ids] = opening
        self.command[ids] = command
        self.residual[ids] = 0

    def observe(self, q: F64, displacement: F64, gravity: F64) -> F64:
        """The observation.

        Args:
            q: (N, 16) rad, measured.
            displacement: (N, 6) m and rad, measured.
            gravity: (N, 3) unit vector in the palm frame.

        Returns:
            (N, SIZE), every entry of order one.
        """
        pose = self.controller.pose_integral
        return np.concatenate(
            [
                q[:, WORKING],  # 12
                10 * (self.command - q)[:, WORKING],  # 12
                10 * self.residual,  # 12
                100 * displacement[:, :3],  # 3
                5 * displacement[:, 3:],  # 3
                50 * self.reference[:, None],  # 1
                100 * self.controller.opening_integral[:, None],  # 1
                100 * pose[:, :3],  # 3
                5 * pose[:, 3:],  # 3
                gravity,  # 3
            ],
            axis=1,
        )

    def target(self, action: F64, opening: F64, displacement: F64, goal: F64) -> F64:
        """Servo targets (N, 16) [rad] after actions (N, ACTIONS) in [-1, 1]; the rest as the controller's."""
        action = np.clip(action, -1, 1)
        if self.alone:
            return self._blindly(action)
        step = self.period * SPEED * (1 + action[:, 0])
        self.reference = np.clip(goal, self.reference - step, self.reference + step)
        self.residual = LEAK * self.residual + PUSH * action[:, 1:]
        command = self.controller.target(opening, displacement, self.reference)
        command[:, WORKING] += self.residual
        self.command = np.clip(command, LEAP.lower, LEAP.upper)
        return self.command

    def _blindly(self, action: F64) -> F64:
        """Servo targets (N, 16) [rad] by the grasp's geometry; seven actions are speeds, the rest is unused."""
        synergy, limits = self.controller.synergy, self.controller.gains
        low, high = synergy.openings[:, 0] - limits.opening_limit, synergy.openings[:, -1] + limits.opening_limit
        self.reference = np.clip(self.reference + self.period * SPEED * action[:, 0], low, high)
        pose = self.controller.pose_integral + self.period * np.repeat(POSE_SPEED, 3) * action[:, 1:7]
        limit = np.repeat(limits.pose_limit, 3)
        self.controller.pose_integral = np.clip(pose, -limit, limit)
        command = synergy(self.reference) + np.einsum("nij,nj->ni", synergy.correction, self.controller.pose_integral)
        self.command = np.clip(command, LEAP.lower, LEAP.upper)
        return self.command
