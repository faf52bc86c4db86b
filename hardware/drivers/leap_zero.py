"""Finds where the LEAP hand's joints are zero: in a reference pose, or with fingers against their mechanical stops.

The motors' own offsets stay zero: what is found goes into the calibration file, from which `leap_motors` makes the
driver's `MotorMap`. Not tried on a real hand; that the stops are where the joints' ranges end is taken from the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toolwright.hardware.drivers import dynamixel as dxl
from toolwright.hardware.drivers.leap_hand import TICK, HandError, HandSettings, LeapHand, MotorSilent
from toolwright.hardware.joints import LEAP, LEAP_MOTORS, MotorMap
from toolwright.hardware.robot import F64

SAMPLES, STILL = 40, 0.01  # readings, rad that a joint may move while it is measured
FARTHEST = 0.5  # rad between a zero and the nominal one: beyond, a horn is mounted turned
# Joints whose stops are reached with the finger stretched, where nothing is in its way.
STOP_JOINTS = tuple(name for name in LEAP.names if name.endswith(("_mcp", "_pip", "_dip")) and name[:2] != "th")
_CURRENT = 0.10  # A, of the one motor that moves: about 0.05 N m
_UNHURRIED = HandSettings(reply_timeout=0.05)
_CREEP = 0.6  # rad/s
_BLOCKED, _BLOCKED_FOR = 0.15, 0.25  # rad that the goal is ahead of a joint, and for how long [s], at a stop


class HandMoved(HandError):
    """A joint moved while it was measured."""


class HornTurned(HandError):
    """A zero is far from where it should be."""


class NoStop(HandError):
    """A joint met no stop."""


class LimpHand(LeapHand):
    """The hand without torque: its fingers are moved by hand.

    Args:
        port: of the serial adapter.
        settings: as the driver's.
        motors: nominal wiring.
    """

    def __init__(self, port: str, settings: HandSettings = _UNHURRIED, motors: MotorMap = LEAP_MOTORS) -> None:
        super().__init__(port, settings=settings, motors=motors)

    def _set_up(self) -> None:
        self._set(dxl.TORQUE_ENABLE, np.zeros(len(LEAP), np.int64))
        self._set_eeprom()

    def motor_angles(self) -> F64:
        """(16,) rad, in the joints' order."""
        return np.asarray(self._get(dxl.PRESENT_POSITION) * TICK, dtype=np.float64)

    def push(self, joint: str, direction: int, report: Callable[[str], None] = lambda line: None) -> float:
        """Creeps with one joint, at little current, until it is blocked; lets go of it again.

        Args:
            joint: of this hand.
            direction: of the joint, 1 or -1.
            report: told what is done.

        Returns:
            rad, the motor's angle at the stop.

        Raises:
            NoStop: it went on for more than the joint's range.
        """
        i = LEAP.names.index(joint)
        report(f"{joint}: to its {'upper' if direction > 0 else 'lower'} stop")
        start = at = self.motor_angles()[i]
        step = direction * self.motors.sign[i]
        everything = np.rint(self.motor_angles() / TICK).astype(np.int64)
        self._set(dxl.GOAL_CURRENT, np.full(len(LEAP), round(1e3 * _CURRENT)))
        alone = (np.arange(len(LEAP)) == i).astype(np.int64)
        self._bus.write(self.motors.ids, dxl.GOAL_POSITION, everything)
        self._set(dxl.TORQUE_ENABLE, alone)
        began, free_at, span = time.monotonic(), time.monotonic(), LEAP.upper[i] - LEAP.lower[i] + FARTHEST
        try:
            while (now := time.monotonic()) - free_at < _BLOCKED_FOR:
                goal = start + step * _CREEP * (now - began)
                everything[i] = round(goal / TICK)
                self._bus.write(self.motors.ids, dxl.GOAL_POSITION, everything)
                before, at = at, self.motor_angles()[i]
                if abs(goal - at) < _BLOCKED or abs(at - before) > STILL:
                    free_at = now
                if abs(at - start) > span:
                    raise NoStop(
                        f"{joint} turned {abs(at - start):.1f} rad without a stop: is its horn screwed on, and the "
                        "finger mounted? Zero it in the reference pose instead"
                    )
                time.sleep(0.02)
        finally:
            self._set(dxl.TORQUE_ENABLE, np.zeros(len(LEAP), np.int64))
        return float(at)


def zero_in_pose(hand: LimpHand, pose: F64) -> MotorMap:
    """Zeros from a pose in which somebody holds the fingers, for instance straight in a jig.

    Args:
        hand: connected.
        pose: (16,) rad, the joints' angles in it.

    Raises:
        HandMoved: says which joints.
        HornTurned: says which joints, and by how much.
    """
    samples = np.array([hand.motor_angles() for _ in range(SAMPLES)])
    moved = np.ptp(samples, axis=0) > STILL
    if moved.any():
        names = ", ".join(name for name, one in zip(LEAP.names, moved, strict=True) if one)
        raise HandMoved(f"{names} moved while they were measured: hold the hand still, or put it into its jig")
    return _checked(hand.motors, samples.mean(axis=0) - hand.motors.sign * pose)


def zero_at_stops(
    hand: LimpHand, motors: MotorMap, joints: tuple[str, ...] = STOP_JOINTS, report: Callable[[str], None] = print
) -> MotorMap:
    """Better zeros for joints that have a mechanical stop at the lower end of their range.

    Args:
        hand: connected, nothing in the fingers' way, palm up.
        motors: with the zeros of the other joints.
        joints: that are pushed to their stops, one after the other.
        report: told what is done.

    Raises:
        NoStop: says which joint met none.
        HornTurned: says which joints are far from where they should be.
    """
    offset = motors.offset.copy()
    for joint in joints:
        i = LEAP.names.index(joint)
        offset[i] = hand.push(joint, -1, report) - motors.sign[i] * LEAP.lower[i]
    return _checked(motors, offset)


def _checked(motors: MotorMap, offset: F64) -> MotorMap:
    off = np.abs(offset - LEAP_MOTORS.offset)
    if (off > FARTHEST).any():
        named = ", ".join(f"{name} {one:.2f} rad" for name, one in zip(LEAP.names, off, strict=True) if one > FARTHEST)
        raise HornTurned(
            f"zeros far from the nominal ones: {named}. If the hand was in the right pose, take these horns off and "
            "mount them so that half a turn of the motor is the straight finger; after power-on a motor counts from "
            "within one turn"
        )
    return replace(motors, offset=offset)


__all__ = ["HandMoved", "HornTurned", "LimpHand", "MotorSilent", "NoStop", "zero_at_stops", "zero_in_pose"]
