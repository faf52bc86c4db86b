"""The privileged heuristic: over the object, down around it, close, lift, after the goal; again where it was missed.

Batched, one phase for each robot. It reads a `PickInterface` and the goal, and gives the actions that the interface
takes; its replay is what learning starts from, and its success is what learning is held against.
"""

from __future__ import annotations

import numpy as np

from toolwright.hardware import tip_motion
from toolwright.hardware.pick import (
    ACTIONS,
    CLOSE_RATE,
    DEEPER,
    EVERY,
    PRESS,
    SPAN,
    STEP,
    TABLE_GAP,
    TURN,
    PickInterface,
    wrap,
)
from toolwright.hardware.robot import F64

OVER, DOWN, CLOSE, LIFT, CARRY = range(5)
HOVER = 0.025  # m of the tips over the object's top
CLEARANCE = 0.008  # m that the tips open wider than the object
SQUEEZE = 0.004  # m that the goal goes below the object's width
PRESSING = 0.8  # s that the hand presses on after the tips have met the object
HAND_ABOVE_TIPS = 0.034  # m that the tips stick out of the hand, less a margin
DESCENT, ASCENT, CARRYING = 0.016, 0.02, 0.03  # m of one action
SHUT, SHUT_AT = 0.55, 0.0025  # share of the width and m, below both of which the tips have closed on nothing
EMPTY_AT = 0.001  # m, the same of tips that were not empty when they closed, for a camera
SLIPPED = 0.02  # m from the tips at which an object is no longer between them
LOWER = 0.001  # m that the tips go lower at each new attempt
ASIDE = 0.002  # m that the tips go to either side at new attempts
CLEAR = 0.03  # m lifted before the goal's direction counts
STUCK = 20  # actions that an approach may take


class Heuristic:
    """Picks with N robots.

    Args:
        interface: what it sees and drives.
        pad_length: m, of the tips.
        sees_held: whether an object between the tips is seen; a camera sees only where it is not.
    """

    def __init__(self, interface: PickInterface, pad_length: float, sees_held: bool = True) -> None:
        n = len(interface.opening)
        self.interface, self.pad, self.sees_held = interface, pad_length, sees_held
        self.phase, self.since = np.full(n, OVER), np.zeros(n, dtype=np.intp)  # actions in this phase
        self.down = np.zeros((n, 3))  # m, where the tips shall close
        self.width = np.zeros(n)  # m, as seen before closing
        self.missed = np.zeros(n, dtype=np.intp)  # times that it closed on nothing, or lost what it held

    def reset(self, ids: np.ndarray) -> None:
        """Begins anew with the robots `ids`."""
        self.phase[ids], self.since[ids], self.missed[ids] = OVER, 0, 0

    def act(self, goal: F64) -> F64:
        """Actions (N, ACTIONS) in [-1, 1] towards goals (N, 3) [m] of the object."""
        i, thing = self.interface, self.interface.object
        self._switch()
        tips, phase, table = i.tips.pos, self.phase, i.room.table
        turn = i.turn_left()
        approach = phase <= DOWN
        # Until it closes, the object is followed; then the tips stay where they are.
        height = np.maximum.reduce(
            [
                thing.center[:, 2] - self.pad / 2,
                np.full(len(turn), table + TABLE_GAP),
                table + thing.top - HAND_ABOVE_TIPS,
            ]
        )
        if not self.sees_held:  # by a camera's measure the tips may be lower than they are
            height = height - np.minimum(LOWER * self.missed, DEEPER)
        spot = np.column_stack([thing.center[:, :2] + self._aside(), height])
        self.down = np.where(approach[:, None], spot, self.down)
        self.width = np.where(approach, thing.width, self.width)
        over = spot.copy()
        over[:, 2] = table + thing.top + HOVER

        target = np.where((phase == OVER)[:, None], over, self.down)
        up = self.down.copy()
        up[:, 2] = np.maximum(i.goal_pos[:, 2], self.down[:, 2]) + ASCENT
        target = np.where((phase == LIFT)[:, None], up, target)
        hangs = (thing.center - tips) * thing.seen[:, None]
        target = np.where((phase == CARRY)[:, None], goal - np.clip(hangs, -SLIPPED, SLIPPED), target)

        action = np.zeros((len(phase), ACTIONS))
        limit = np.select([phase == OVER, phase == DOWN, phase == CARRY], [STEP, DESCENT, CARRYING], ASCENT)
        move = target - i.goal_pos
        far = np.linalg.norm(move, axis=1)
        action[:, :3] = move * np.minimum(1, limit / np.maximum(far, 1e-9))[:, None] / STEP
        action[:, 3] = np.where(approach, turn, 0) / TURN
        opening = np.select(
            [approach, phase == CLOSE],
            [np.minimum(self.width + CLEARANCE, i.widest), np.maximum(self.width - SQUEEZE, 0)],
            i.opening - PRESS,
        )
        action[:, 4] = (opening - i.opening) / SPAN
        self.since += 1
        return np.clip(action, -1, 1)

    def _aside(self) -> F64:
        """(N, 2) m along the pads from where the object is believed to be: what missed is not done again."""
        share = np.array([0.0, 1.0, -1.0])[self.missed % 3]
        if self.sees_held:
            share = np.zeros(len(share))
        yaw = self.interface.aim
        return ASIDE * share[:, None] * np.stack([-np.sin(yaw), np.cos(yaw)], axis=1)

    def _switch(self) -> None:
        i, thing, phase = self.interface, self.interface.object, self.phase
        tips = i.tips.pos
        table = i.room.table
        before = phase.copy()
        beside = np.linalg.norm(thing.center[:, :2] + self._aside() - tips[:, :2], axis=1)
        turned = np.abs(wrap(tip_motion.yaw_of(i.tips) - i.aim)) + np.abs(i.turn_left())
        open_enough = i.opening > np.minimum(thing.width + 0.6 * CLEARANCE, i.widest - 0.001)
        low = tips[:, 2] < table + thing.top + HOVER + 0.01
        ready = (beside < 0.002) & (turned < 0.08) & open_enough & low
        phase[(before == OVER) & (ready | (self.since > STUCK) & (beside < 0.004) & open_enough)] = DOWN
        there = np.abs(tips[:, 2] - self.down[:, 2]) < 0.0015
        phase[(before == DOWN) & ((there & (beside < 0.0025)) | (self.since > STUCK))] = CLOSE
        phase[(before == DOWN) & (beside > 0.012)] = OVER

        closing = (CLEARANCE + SQUEEZE) / CLOSE_RATE + PRESSING
        shut = (before == CLOSE) & (self.since * EVERY * i.period > closing)
        empty = i.opening < np.minimum(SHUT * self.width - 0.0005, SHUT_AT)
        phase[shut & ~empty] = LIFT
        phase[shut & empty] = OVER
        self.missed += shut & empty
        risen = tips[:, 2] - self.down[:, 2]
        elsewhere = thing.seen & (np.linalg.norm(thing.center - tips, axis=1) > SLIPPED + self.pad)
        if self.sees_held:
            lost = empty | elsewhere
        else:  # what is held may be measured a good deal too narrow, but is not seen lying elsewhere
            lost = (i.opening < EMPTY_AT) | (elsewhere & (risen > CLEAR))
        phase[(before == LIFT) & (risen > CLEAR)] = CARRY
        phase[(before >= LIFT) & lost] = OVER
        self.missed += (before >= LIFT) & lost
        self.since[phase != before] = 0
