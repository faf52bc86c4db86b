"""Motion of a held tool's tips, batched: kinematics of the arm, and a smooth way to a goal that moves in steps.

Everything is batched: N arms at once, N = 1 on a robot. The tip frame has z out of the tips and x along the opening.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, FR3_HOME
from toolwright.hardware.robot import F64

STIFF, DAMP = 5.0, 20.0  # 1/s: goal error to velocity, velocity error to acceleration; no overshoot at 1 to 4
SPEED, ACCELERATION, JERK = 0.25, 0.8, 8.0  # m/s, m/s^2, m/s^3
TURN = 4.0  # rad/m: what turning may do against what moving may do
_DAMPING = 1e-3  # of the inverse
_MARGIN = 0.05  # rad kept from the joints' ends
_POSTURE = 0.02  # share of the way to the home posture that a step takes where the target leaves freedom


@dataclass(frozen=True)
class Chain:
    """A serial arm: where each joint sits in the link before it, and what is fixed to the last link."""

    pos: F64  # (n, 3) m
    quat: F64  # (n, 4); a joint turns about its own z
    end_pos: F64  # (3,) m, the palm in the last link
    end_quat: F64  # (4,)

    @cached_property
    def _turns(self) -> F64:
        """(n + 1, 3, 3): the fixed rotation before each joint, and that of the end."""
        quats = np.concatenate([self.quat, self.end_quat[None]])
        return rotations.rotate(quats[:, None], np.eye(3)).transpose(0, 2, 1)

    def palm(self, q: F64) -> tuple[F64, F64]:
        """Position (N, 3) [m] and orientation (N, 4) of the palm at joints (N, n) [rad]."""
        _, _, pos, turn = self.walk(q)
        return pos + turn @ self.end_pos, _quat(turn @ self._turns[-1])

    def jacobian(self, q: F64, point: F64) -> F64:
        """(N, 6, n): velocity and angular velocity of world points (N, 3) fixed to the palm, per joint velocity."""
        origins, axes, _, _ = self.walk(q)
        return np.concatenate([cross(axes, point[:, None] - origins), axes], axis=2).transpose(0, 2, 1)

    def walk(self, q: F64) -> tuple[F64, F64, F64, F64]:
        """Origins (N, n, 3) [m] and axes (N, n, 3) of the joints; place (N, 3) and turn (N, 3, 3) of the last link."""
        n, count = q.shape
        pos, turn = np.zeros((n, 3)), np.tile(np.eye(3), (n, 1, 1))
        origins, axes = np.empty((n, count, 3)), np.empty((n, count, 3))
        cos, sin = np.cos(q), np.sin(q)
        for i in range(count):
            pos = pos + turn @ self.pos[i]
            turn = turn @ self._turns[i]
            origins[:, i], axes[:, i] = pos, turn[:, :, 2]
            c, s = cos[:, i, None], sin[:, i, None]
            x, y = turn[:, :, 0], turn[:, :, 1]
            turn = np.stack([c * x + s * y, c * y - s * x, turn[:, :, 2]], axis=2)
        return origins, axes, pos, turn


def cross(a: F64, b: F64) -> F64:
    """Vector products (..., 3)."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _quat(turn: F64) -> F64:
    """Quaternions (N, 4) of rotation matrices (N, 3, 3), by the largest of the four components."""
    m = turn
    trace = m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2]
    squares = np.stack([trace, *(2 * m[:, i, i] - trace for i in range(3))], axis=1)  # 4 q^2 - 1
    w = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    x, y, z = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    one = 1 + squares
    rows = np.stack(
        [
            np.stack([one[:, 0], *w], axis=1),
            np.stack([w[0], one[:, 1], x, y], axis=1),
            np.stack([w[1], x, one[:, 2], z], axis=1),
            np.stack([w[2], y, z, one[:, 3]], axis=1),
        ],
        axis=1,
    )
    best = rows[np.arange(len(m)), np.argmax(squares, axis=1)]
    return np.asarray(best / np.linalg.norm(best, axis=1, keepdims=True))


@dataclass
class Poses:
    """N poses."""

    pos: F64  # (N, 3) m
    quat: F64  # (N, 4)

    def __matmul__(self, other: Poses) -> Poses:
        return Poses(self.pos + rotations.rotate(self.quat, other.pos), rotations.multiply(self.quat, other.quat))

    def inverse(self) -> Poses:
        back = rotations.conjugate(self.quat)
        return Poses(-rotations.rotate(back, self.pos), back)

    def rows(self, ids: np.ndarray) -> Poses:
        return Poses(self.pos[ids], self.quat[ids])

    def write(self, ids: np.ndarray, other: Poses) -> None:
        """Replaces the rows `ids`."""
        self.pos[ids], self.quat[ids] = other.pos, other.quat

    def blend(self, other: Poses, share: float | F64) -> Poses:
        """This far on the way to others."""
        share = np.asarray(share, dtype=np.float64)[..., None]
        turn = rotations.to_rotvec(rotations.multiply(other.quat, rotations.conjugate(self.quat)))
        quat = rotations.multiply(rotations.from_rotvec(share * turn), self.quat)
        return Poses(self.pos + share * (other.pos - self.pos), quat)


def identity(n: int) -> Poses:
    """N poses at the origin."""
    return Poses(np.zeros((n, 3)), np.tile([1.0, 0, 0, 0], (n, 1)))


def pointing_down(pos: F64, yaw: F64) -> Poses:
    """Poses of tips (N,) that point straight down, their opening along (cos yaw, sin yaw)."""
    half = np.asarray(yaw) / 2
    zero = np.zeros_like(half)
    return Poses(pos, np.stack([zero, np.cos(half), np.sin(half), zero], axis=-1))


def yaw_of(tips: Poses) -> F64:
    """(N,) rad: direction of the opening about the vertical."""
    across = rotations.rotate(tips.quat, np.array([1.0, 0, 0]))
    return np.asarray(np.arctan2(across[:, 1], across[:, 0]))


def solve(chain: Chain, tips: Poses, palm_tip: Poses, q: F64, iterations: int) -> F64:
    """Joints (N, n) [rad] that bring the tips to poses, by damped least squares from `q`.

    Args:
        chain: of the arm.
        tips: wanted, world.
        palm_tip: the tips in the palm.
        q: (N, n) rad, where to begin.
        iterations: one is enough for a step of a smooth motion.
    """
    lower, upper = FR3.lower + _MARGIN, FR3.upper - _MARGIN
    for _ in range(iterations):
        now = Poses(*chain.palm(q)) @ palm_tip
        error = np.concatenate(
            [tips.pos - now.pos, rotations.to_rotvec(rotations.multiply(tips.quat, rotations.conjugate(now.quat)))],
            axis=1,
        )
        jac = chain.jacobian(q, now.pos)
        square = jac @ jac.transpose(0, 2, 1) + _DAMPING**2 * np.eye(6)
        pull = _POSTURE * (FR3_HOME - q)
        step = error - np.einsum("nij,nj->ni", jac, pull)
        q = q + pull + np.einsum("nji,nj->ni", jac, np.linalg.solve(square, step[..., None])[..., 0])
        q = np.clip(q, lower, upper)
    return q


class TipStream:
    """Arm targets that bring the tips smoothly to a goal; the goal may be set anew at any time.

    Args:
        chain: of the arm.
        n: arms.
        period: s between two targets.
    """

    def __init__(self, chain: Chain, n: int, period: float) -> None:
        self.chain, self.period = chain, period
        self.q = np.tile(FR3_HOME, (n, 1))  # rad, commanded
        self.palm_tip, self.tips, self.goal = identity(n), identity(n), identity(n)
        self.velocity, self.push = np.zeros((n, 6)), np.zeros((n, 6))  # m/s, m/s^2, rad alike

    def reset(self, ids: np.ndarray, q: F64, palm_tip: Poses) -> None:
        """Starts the arms `ids` at rest at joints (len(ids), n) [rad]; the goal is where the tips are."""
        self.q[ids] = q
        self.velocity[ids] = self.push[ids] = 0
        self.palm_tip.write(ids, palm_tip)
        now = Poses(*self.chain.palm(q)) @ palm_tip
        self.tips.write(ids, now)
        self.goal.write(ids, pointing_down(now.pos, yaw_of(now)))

    def steer(self, palm_tip: Poses, goal: Poses) -> None:
        """Takes the tips' place in the palm and their goal. Speeds go on; what slipped is made good smoothly."""
        self.palm_tip, self.goal = palm_tip, goal
        self.tips = Poses(*self.chain.palm(self.q)) @ palm_tip

    def next(self) -> F64:
        """Arm targets (N, n) [rad] one period later."""
        dt = self.period
        turn = rotations.to_rotvec(rotations.multiply(self.goal.quat, rotations.conjugate(self.tips.quat)))
        error = np.concatenate([self.goal.pos - self.tips.pos, turn], axis=1)
        wanted = _within(STIFF * error, SPEED)
        push = _within(DAMP * (wanted - self.velocity), ACCELERATION)
        self.push = self.push + _within(push - self.push, JERK * dt)
        step = self.velocity * dt + self.push * dt**2 / 2
        self.velocity = self.velocity + self.push * dt
        self.tips = Poses(
            self.tips.pos + step[:, :3], rotations.multiply(rotations.from_rotvec(step[:, 3:]), self.tips.quat)
        )
        reach = FR3.velocity * dt
        q = solve(self.chain, self.tips, self.palm_tip, self.q, 2)
        self.q = np.clip(q, self.q - reach, self.q + reach)
        return self.q


def _within(x: F64, limit: float) -> F64:
    """Moving parts (N, :3) no longer than a limit, turning parts (N, 3:) no longer than `TURN` times that."""
    moving = np.linalg.norm(x[:, :3], axis=1, keepdims=True)
    turning = np.linalg.norm(x[:, 3:], axis=1, keepdims=True) / TURN
    return np.concatenate(
        [
            x[:, :3] * np.minimum(1, limit / np.maximum(moving, 1e-12)),
            x[:, 3:] * np.minimum(1, limit / np.maximum(turning, 1e-12)),
        ],
        axis=1,
    )
