"""Picking as the upper level sees it: what is filtered, what is observed, what an action means.

One code for training and robot, batched: N robots at once, N = 1 on one. Twenty times a second `look` takes
measurements and `tick` gives arm targets and the goal opening of the hand's policy; five times a second `see` takes
what is known of the object, `observe` makes the observation, and `steer` an action of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from toolwright.hardware import tip_motion
from toolwright.hardware.robot import F64
from toolwright.hardware.tip_motion import Chain, Poses, TipStream

EVERY = 4  # control periods between two actions: 5 Hz
STEP, TURN, SPAN = 0.04, 0.2, 0.012  # m, rad, m: what an action of one adds to the tips' goal, and to the opening
ACTIONS = 5  # dx, dy, dz, dyaw, opening
OPEN_RATE, CLOSE_RATE = 0.04, 0.02  # m/s of the goal opening
TABLE_GAP = 0.0007  # m between the ends of the pads and the table
DEEPER = 0.002  # m that a goal may lie below that, for tips that are lower in the picture than in truth
AHEAD = 0.06  # m by which the tips' goal may run ahead of them
YAW_REACH = 1.9  # rad to either side of the home direction; a tool that closes from both sides needs half a turn
FORGET = 0.15  # share of a new look in the filtered tips and opening
PRESS = 0.0001  # m by which the goal stays below an opening that is to be kept
LOST = (0.05, 1.0)  # m, rad: a tool this far from where it was grasped is no longer held


@dataclass
class Affordance:
    """What is known of N objects: where and how wide tips can close on them."""

    center: F64  # (N, 3) m, world
    yaw: F64  # (N,) rad, direction along which to close; half a turn more is the same
    width: F64  # (N,) m along that direction
    top: F64  # (N,) m, height of the highest point above the table
    seen: np.ndarray  # (N,) bool: just now; else it is where it was seen last

    @classmethod
    def nothing(cls, n: int) -> Affordance:
        """Before the first look."""
        return cls(np.zeros((n, 3)), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool))

    def rows(self, ids: np.ndarray) -> Affordance:
        """The rows `ids`."""
        return Affordance(*(getattr(self, f.name)[ids] for f in fields(self)))

    def write(self, ids: np.ndarray, other: Affordance) -> None:
        """Replaces the rows `ids`."""
        for f in fields(self):
            getattr(self, f.name)[ids] = getattr(other, f.name)


@dataclass(frozen=True)
class Room:
    """Where tips may be, world frame."""

    lower: F64  # (3,) m
    upper: F64  # (3,) m
    table: float  # m, height of its top


class PickInterface:
    """Filters, observation and action law of N robots.

    Args:
        chain: of the arm.
        room: for the tips.
        widest: (N,) m, widest opening of each tool.
        period: s between two `tick`.
    """

    SIZE = 37

    def __init__(self, chain: Chain, room: Room, widest: F64, period: float) -> None:
        n = len(widest)
        self.chain, self.room, self.widest, self.period = chain, room, widest, period
        self.stream = TipStream(chain, n, period)
        home = tip_motion.FR3_HOME[None]
        self.home = home
        self.palm_tip = tip_motion.identity(n)  # filtered
        self.tips = tip_motion.identity(n)  # through measured joints, at the last look
        self.opening = np.zeros(n)  # m, filtered
        self.goal, self.final_goal = np.zeros(n), np.zeros(n)  # m, opening: now, and where the ramp ends
        self.displacement = np.zeros((n, 6))  # of the tool in the hand
        self.yaw_home, self.aim = np.zeros(n), np.zeros(n)  # rad
        self.goal_pos = np.zeros((n, 3))  # m, of the tips
        self.object = Affordance.nothing(n)

    def reset(self, ids: np.ndarray, q: F64, palm_tip: Poses, opening: F64) -> None:
        """Starts the robots `ids` at rest.

        Args:
            ids: (k,).
            q: (k, 7) rad, arm.
            palm_tip: the tips in the palm, measured.
            opening: (k,) m, measured.
        """
        self.stream.reset(ids, q, palm_tip)
        self.palm_tip.write(ids, palm_tip)
        tips = Poses(*self.chain.palm(q)) @ palm_tip
        self.tips.write(ids, tips)
        self.opening[ids] = self.goal[ids] = self.final_goal[ids] = opening
        self.displacement[ids] = 0
        home = Poses(*self.chain.palm(np.tile(self.home, (len(ids), 1)))) @ palm_tip
        self.yaw_home[ids] = tip_motion.yaw_of(home)
        self.aim[ids] = self.yaw_home[ids] + wrap(tip_motion.yaw_of(tips) - self.yaw_home[ids])
        self.goal_pos[ids] = tips.pos

    def look(self, q: F64, palm_tip: Poses, opening: F64, displacement: F64) -> None:
        """Takes measurements.

        Args:
            q: (N, 7) rad, arm.
            palm_tip: the tips in the palm.
            opening: (N,) m.
            displacement: (N, 6) m and rad, of the tool against where it was grasped, palm frame.
        """
        self.palm_tip = self.palm_tip.blend(palm_tip, FORGET)
        self.tips = Poses(*self.chain.palm(q)) @ self.palm_tip
        self.opening = self.opening + FORGET * (opening - self.opening)
        self.displacement = displacement

    def see(self, thing: Affordance) -> None:
        """Takes what is known of the objects now."""
        self.object = thing

    def turn_left(self) -> F64:
        """(N,) rad from the tips' aim to the object's closing direction, the shorter way that the arm can turn."""
        turn = (self.object.yaw - self.aim + np.pi / 2) % np.pi - np.pi / 2
        away = self.aim + turn - self.yaw_home
        return turn - np.pi * np.sign(away) * (np.abs(away) > YAW_REACH - 0.3)

    def observe(self) -> F64:
        """The observation (N, SIZE), every entry of order one. Its first three are the object's place."""
        thing, tips, table = self.object, self.tips, self.room.table
        to = thing.center - tips.pos
        turn = self.turn_left()
        yaw = wrap(tip_motion.yaw_of(tips) - self.aim)
        high = tips.pos[:, 2] - table
        wide = self.opening - thing.width
        columns = [
            5 * thing.center,  # 3
            5 * tips.pos,  # 3
            10 * to,  # 3
            np.clip(150 * to, -3, 3),  # 3
            np.stack([turn, 3 * np.clip(turn, -1, 1), 5 * yaw, self.aim - self.yaw_home], axis=1),  # 4
            np.stack([100 * thing.width, 50 * thing.top], axis=1),  # 2
            np.stack([50 * self.opening, np.clip(200 * wide, -3, 3)], axis=1),  # 2
            np.clip(300 * (self.final_goal - self.opening), -3, 3)[:, None],  # 1
            np.clip(300 * (self.goal - self.opening), -3, 3)[:, None],  # 1
            np.clip(100 * high, 0, 3)[:, None],  # 1
            5 * self.stream.velocity[:, :3],  # 3
            30 * (self.goal_pos - tips.pos),  # 3
            100 * self.displacement[:, :3],  # 3
            5 * self.displacement[:, 3:],  # 3
            np.clip(100 * self.widest - 100 * thing.width, -3, 3)[:, None],  # 1
            np.ones((len(high), 1)),  # 1
        ]
        return np.concatenate(columns, axis=1)

    def steer(self, action: F64) -> None:
        """Takes an action (N, ACTIONS) in [-1, 1]: how far the tips' goal moves, and how far from now to open."""
        action = np.clip(action, -1, 1)
        goal = self.goal_pos + STEP * action[:, :3]
        ahead = goal - self.tips.pos
        far = np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True) / AHEAD, 1)
        lower = np.array([*self.room.lower[:2], self.room.table + TABLE_GAP - DEEPER])
        self.goal_pos = np.clip(self.tips.pos + ahead / far, lower, self.room.upper)
        self.aim = np.clip(self.aim + TURN * action[:, 3], self.yaw_home - YAW_REACH, self.yaw_home + YAW_REACH)
        self.final_goal = np.clip(self.opening + SPAN * action[:, 4], 0, self.widest)
        self.stream.steer(self.palm_tip, tip_motion.pointing_down(self.goal_pos, self.aim))

    def tick(self) -> F64:
        """Arm targets (N, 7) [rad] of the next period; `goal` is then the opening that the hand shall have."""
        opens = self.final_goal > self.goal
        step = self.period * np.where(opens, OPEN_RATE, CLOSE_RATE)
        self.goal = self.goal + np.clip(self.final_goal - self.goal, -step, step)
        return self.stream.next()


def wrap(angle: F64) -> F64:
    """Angles in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
