"""The safety gate: a `Robot` around a `Robot`, through which every target passes, in simulation and on hardware.

The gate holds no thread. A target is a position within one period's travel, so a robot that hears nothing more has
stopped when that period is over; and a `read` or `send` that fails stops the robot in the same call. What remains is a
call that never returns: drivers bound theirs by time limits. A thread would be a second caller of drivers and of the
simulator, which allow one.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from toolwright.hardware.barriers import Barrier
from toolwright.hardware.joints import acceleration
from toolwright.hardware.robot import F64, JointOrderError, JointSpec, JointTarget, Robot, RobotState

Limit = Literal[
    "position", "velocity", "acceleration", "workspace", "self-collision", "stale", "rate", "gap", "refused", "stopped"
]

_ROUNDING = 1 + 1e-9  # lets a joint reach the end of its range exactly

log = logging.getLogger(__name__)


class TargetRefused(ValueError):
    """A target that makes no sense. The robot holds."""


class StateRefused(RuntimeError):
    """A robot that reports a state or a sent target that makes no sense: it counts as lost."""


class EmergencyStopped(RuntimeError):
    """The emergency stop is latched; `SafetyGate.clear` releases it."""


@dataclass(frozen=True)
class GateSettings:
    """Times and tolerances of the gate."""

    stale: float = 0.15  # s, age of the state above which the robot holds
    soonest: float = 0.5  # periods between two targets below which the later one is not sent
    gap: float = 3.0  # periods between two targets above which the robot is taken to have come to rest
    effort_time: float = 0.5  # s that an effort may exceed its limit
    outside: float = 0.1  # rad that a joint may be measured outside of its range


@dataclass(frozen=True)
class GateReport:
    """What the gate did at one call."""

    stamp: float  # s, the gate's clock
    limits: dict[Limit, tuple[str, ...]]  # which acted, on which joints
    reason: str = ""  # in words, where the robot was stopped or a target refused
    asked: F64 | None = None  # (n,) rad
    sent: F64 | None = None  # (n,) rad

    @property
    def acted(self) -> bool:
        """Whether the target was changed or not sent."""
        return bool(self.limits)


@dataclass
class _Course:
    """Where the targets are, and how fast."""

    q: F64  # (n,) rad, in force
    dq: F64  # (n,) rad/s, with which they came there


@dataclass
class _Notes:
    """Limits that acted on the target in hand."""

    names: tuple[str, ...]
    limits: dict[Limit, tuple[str, ...]] = field(default_factory=dict)

    def add(self, limit: Limit, where: np.ndarray) -> None:
        if where.any():
            known = self.limits.get(limit, ())
            self.limits[limit] = tuple(
                name for name, here in zip(self.names, where, strict=True) if here or name in known
            )

    def add_all(self, limit: Limit) -> None:
        self.limits[limit] = self.names


class SafetyGate:
    """Implements `hardware.robot.Robot` around one.

    A target passes unchanged, to the last bit, where no limit acts. Otherwise the joints concerned go as far towards it
    as the limits allow, in such a way that they can still brake before the ends of their ranges.

    Args:
        robot: behind the gate. Nothing else may send to it.
        barriers: forbidden configurations: see `hardware/barriers.py`.
        acceleration_limit: (n,) rad/s^2; by default what `hardware/joints.py` says.
        settings: times and tolerances.
        clock: s, on the same scale as the stamps of the robot's states. For a simulated robot: simulated time.
        on_event: called with every report of something that acted, in the thread that called the gate.
    """

    def __init__(
        self,
        robot: Robot,
        barriers: tuple[Barrier, ...] = (),
        acceleration_limit: F64 | None = None,
        settings: GateSettings = GateSettings(),
        clock: Callable[[], float] = time.monotonic,
        on_event: Callable[[GateReport], None] | None = None,
    ) -> None:
        self.joints: JointSpec = robot.joints
        self.period: float = robot.period
        self._robot, self._settings, self._clock, self._on_event = robot, settings, clock, on_event
        self._acceleration = acceleration(robot.joints) if acceleration_limit is None else acceleration_limit
        self._barriers = [(barrier, self._mask(barrier)) for barrier in barriers]
        self._lock = threading.RLock()
        self._course: _Course | None = None
        self._sent_at = -math.inf  # s
        self._state: RobotState | None = None
        self._strained_since = np.full(len(self.joints), np.nan)  # s
        self._stopped = ""
        self.last_report = GateReport(0.0, {})

    @property
    def stopped(self) -> str:
        """Why the emergency stop is latched; empty where it is not."""
        return self._stopped

    def connect(self) -> None:
        """Connects the robot and takes over where it is. A latched emergency stop stays.

        Raises:
            StateRefused: a joint is far outside of its range.
        """
        with self._lock:
            self._robot.connect()
            self._take_over()

    def read(self) -> RobotState:
        """Reads the robot; an effort that exceeds its limit for too long is an emergency stop.

        Raises:
            StateRefused: the state makes no sense. This and whatever the robot raises is an emergency stop, too.
        """
        with self._lock:
            with self._or_lost("read"):
                state = self._robot.read()
                self._check(state)
            self._state = state
            self._watch_effort(state)
            return state

    def send(self, target: JointTarget, names: tuple[str, ...] | None = None) -> JointTarget:
        """Sends what the limits leave of a target.

        Args:
            target: for every joint.
            names: of the target's joints where its sender knows them, as in a ROS message or a recording.

        Returns:
            What the robot was really sent.

        Raises:
            EmergencyStopped: the emergency stop is latched.
            TargetRefused: wrong length or type, or not finite. The robot was told to hold.
            JointOrderError: other joints, or in another order. The robot was told to hold.
        """
        with self._lock:
            self._raise_if_stopped()
            try:
                asked = self._accept(target, names)
            except (TargetRefused, JointOrderError) as error:
                self._halt("refused", str(error))
                raise
            with self._or_lost("send"):
                return self._send(asked)

    def stop(self, reason: str) -> None:
        """Holds position. The next target may come at any time: see `emergency_stop` for one that latches."""
        with self._lock:
            self._halt("stopped", reason)

    def emergency_stop(self, reason: str) -> None:
        """Stops and refuses every target until `clear`. Callable from any thread."""
        self._stopped = self._stopped or reason  # ahead of the lock: no further target passes
        with self._lock:
            self._halt("stopped", reason)

    def clear(self) -> None:
        """Releases the emergency stop and takes over where the robot is now.

        Raises:
            StateRefused: a joint is far outside of its range. The stop stays latched.
        """
        with self._lock:
            self._take_over()
            self._stopped = ""
            log.warning("emergency stop cleared")

    def close(self) -> None:
        """Stops the robot and closes it."""
        with self._lock:
            self._halt("stopped", "closed")
            self._robot.close()

    # -- targets ------------------------------------------------------------------------------------------------------

    def _accept(self, target: JointTarget, names: tuple[str, ...] | None) -> F64:
        if names is not None and tuple(names) != self.joints.names:
            pairs = zip(tuple(names), self.joints.names, strict=False)
            wrong = next(
                (f"expected '{mine}' at {i}, got '{its}'" for i, (its, mine) in enumerate(pairs) if its != mine), ""
            )
            raise JointOrderError(
                f"{wrong or f'{len(names)} joints instead of {len(self.joints)}'}: see hardware/joints.py"
            )
        try:
            given = np.asarray(target.q)
        except ValueError as error:
            raise TargetRefused(f"a target is {len(self.joints)} numbers, got a ragged list") from error
        if given.dtype.kind not in "fiu" or given.shape != (len(self.joints),):
            raise TargetRefused(f"a target is {len(self.joints)} numbers, got shape {given.shape} of {given.dtype}")
        q = given.astype(np.float64)
        if not np.isfinite(q).all():
            raise TargetRefused(f"targets that are not finite: {self._named(~np.isfinite(q), q)}")
        return q

    def _send(self, asked: F64) -> JointTarget:
        now, settings, notes = self._clock(), self._settings, _Notes(self.joints.names)
        course = self._course or self._take_over()
        elapsed = now - self._sent_at
        if elapsed < settings.soonest * self.period:
            notes.add_all("rate")
            self._report(GateReport(now, notes.limits, asked=asked, sent=course.q))
            return JointTarget(course.q.copy())
        dq = course.dq
        if elapsed > settings.gap * self.period:
            dq = np.zeros(len(self.joints))
            if math.isfinite(elapsed):
                notes.add_all("gap")
        if self._is_stale(now):
            notes.add_all("stale")
        wanted = course.q if "stale" in notes.limits else asked
        dt = min(elapsed, self.period)
        q = self._limited(wanted, course.q, dq, dt, notes)
        self._sent_at = now
        sent = self._vetted(self._robot.send(JointTarget(q.copy())).q, "a sent target")
        in_force = np.clip(sent, self.joints.lower, self.joints.upper)
        self._course = _Course(in_force, (in_force - course.q) / dt)
        self._report(GateReport(now, notes.limits, asked=asked, sent=sent))
        return JointTarget(sent)

    def _limited(self, wanted: F64, q: F64, dq: F64, dt: float, notes: _Notes) -> F64:
        """The point nearest to `wanted` that can be reached in `dt`; all (n,) in rad and rad/s."""
        joints = self.joints
        inside = np.clip(wanted, joints.lower, joints.upper)
        room_up, room_down = self._fastest(joints.upper - q), self._fastest(q - joints.lower)
        gain = self._acceleration * dt
        least = np.maximum(np.maximum(-joints.velocity, dq - gain), -room_down)
        most = np.minimum(np.minimum(joints.velocity, dq + gain), room_up)
        speed = (inside - q) / dt
        # Rounding can turn the bounds around; the upper one wins then, and the clip of the position has the last word.
        reached = np.clip(speed, least, most)
        notes.add(
            "position", (wanted != inside) | (reached != speed) & ((reached == room_up) | (reached == -room_down))
        )
        notes.add("velocity", np.abs(speed) > joints.velocity)
        notes.add("acceleration", np.abs(speed - dq) > gain)
        goal = np.where(reached == speed, inside, np.clip(q + reached * dt, joints.lower, joints.upper))
        ahead = [(barrier, mask) for barrier, mask in self._barriers if self._runs_into(barrier, q, goal, dt)]
        for barrier, mask in ahead:
            notes.add(barrier.name, mask)
        if ahead:
            brake = np.clip(q + np.clip(0.0, least, most) * dt, joints.lower, joints.upper)
            goal = np.where(np.any([mask for _, mask in ahead], axis=0), brake, goal)
            if any(self._runs_into(barrier, q, goal, dt) for barrier, _ in self._barriers):
                goal = brake
        return goal

    def _fastest(self, room: F64) -> F64:
        """Speed [rad/s] from which a joint can still brake, period by period, within `room` (n,) [rad].

        It counts on what targets that come as soon as is allowed can still brake in a step.
        """
        step = self._settings.soonest * self._acceleration * self.period  # rad/s
        periods = room / (step * self.period)
        whole = np.floor((np.sqrt(1 + 8 * periods) - 1) / 2)
        return (periods / (whole + 1) + whole / 2) * step * _ROUNDING

    def _runs_into(self, barrier: Barrier, q: F64, goal: F64, dt: float) -> bool:
        """Whether going from `q` to `goal` in `dt`, and braking from there, passes through what is forbidden.

        Every step that was let through could be followed by braking, so braking is always a way out.
        """
        bearable = max(barrier.violation(q), 0.0)
        return not all(barrier.violation(at) <= bearable for at in self._braking(goal, (goal - q) / dt))

    def _braking(self, q: F64, dq: F64) -> Iterator[F64]:
        yield q
        while dq.any():
            dq = np.copysign(np.maximum(np.abs(dq) - self._acceleration * self.period, 0.0), dq)
            q = q + dq * self.period
            yield q

    # -- states -------------------------------------------------------------------------------------------------------

    def _take_over(self) -> _Course:
        state = self._robot.read()
        self._check(state)
        outside = np.maximum(self.joints.lower - state.q, state.q - self.joints.upper)
        far = outside > self._settings.outside
        if far.any():
            raise StateRefused(
                f"measured outside of their ranges: {self._named(far, state.q)}: move them by hand, "
                "or correct their offsets in hardware/joints.py"
            )
        self._state = state
        self._strained_since[:] = np.nan
        self._course = _Course(np.clip(state.q, self.joints.lower, self.joints.upper), np.zeros(len(self.joints)))
        return self._course

    def _check(self, state: RobotState) -> None:
        for what in ("q", "dq", "effort"):
            self._vetted(getattr(state, what), f"the state's {what}")

    def _vetted(self, values: F64, what: str) -> F64:
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(self.joints),) or not np.isfinite(values).all():
            raise StateRefused(f"{what} is {len(self.joints)} finite numbers, the robot says {values}")
        return values

    def _is_stale(self, now: float) -> bool:
        """Also for a stamp from the future: the clocks differ then, and no age means anything."""
        assert self._state is not None
        return not abs(now - self._state.stamp) <= self._settings.stale

    def _watch_effort(self, state: RobotState) -> None:
        # A motor at its limit is one that saturates, as a firm grip may; beyond the limit is a measurement of trouble.
        over = np.abs(state.effort) > 1.001 * self.joints.effort
        self._strained_since = np.where(over, np.fmin(self._strained_since, state.stamp), np.nan)
        strained = state.stamp - self._strained_since > self._settings.effort_time
        if strained.any() and not self._stopped:
            self.emergency_stop(f"effort over the limit [N m]: {self._named(strained, state.effort)}")

    # -- stops --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _or_lost(self, call: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.emergency_stop(f"{call} failed: {type(error).__name__}: {error}")
            raise

    def _halt(self, limit: Limit, reason: str) -> None:
        self._course = None
        try:
            self._robot.stop(reason)
        except Exception:  # whatever a driver raises: the report must still go out
            log.exception("the robot could not be told to stop")
        self._report(GateReport(self._clock(), {limit: self.joints.names}, reason))

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise EmergencyStopped(f"{self._stopped}: mend it, then clear the emergency stop")

    def _report(self, report: GateReport) -> None:
        self.last_report = report
        if report.acted and self._on_event is not None:
            try:
                self._on_event(report)
            except Exception:  # a listener must not undo a stop
                log.exception("the gate's event callback failed")

    def _mask(self, barrier: Barrier) -> np.ndarray:
        mask = np.full(len(self.joints), barrier.joints is None)
        if barrier.joints is not None:
            mask[self.joints.indices(barrier.joints)] = True
        return mask

    def _named(self, where: np.ndarray, values: F64) -> str:
        return ", ".join(f"{self.joints.names[i]} {values[i]:.4g}" for i in np.flatnonzero(where))
