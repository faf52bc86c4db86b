"""The LEAP hand: sixteen Dynamixel XC330-M288 motors in current-based position mode. Implements `hardware.robot.Robot`.

A motor follows its goal position with a current that never exceeds the limit: a grip is soft, and a blocked finger
neither breaks nor burns. All angles pass through `hardware/joints.py`; what motors have stored of offsets and reversed
directions is set to zero. Not tried on a real hand: see `toolwright.hardware.fake.dynamixel_bus`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from toolwright.hardware.drivers import dynamixel as dxl
from toolwright.hardware.joints import LEAP, LEAP_MOTORS, MotorMap
from toolwright.hardware.robot import F64, JointSpec, JointTarget, RobotState

MODEL = 1240  # XC330-M288-T
TICK = 2 * np.pi / 4096  # rad
SPEED_UNIT = 0.229 * 2 * np.pi / 60  # rad/s
CURRENT_BASED_POSITION = 5  # operating mode
ATTEMPTS = 3
_STATE_START, _STATE_SIZE = dxl.PRESENT_CURRENT.address, 10  # current, velocity, position in a row
_VELOCITY = dxl.Register("Present Velocity", 128, 4, signed=True)
_HEALTH_START, _HEALTH_SIZE = dxl.INPUT_VOLTAGE.address, 3  # voltage, temperature
_PATIENCE = 0.03  # s that replies may be late at the start: motors come with a return delay of half a millisecond each
_OUTSIDE = 0.3  # rad that a joint may stand outside of its range when the hand is connected
_HARDWARE_ERRORS = {
    0: "supply voltage out of range: check the 5 V supply and its cable",
    2: "overheated: let it cool, lower the current limit",
    3: "encoder fault: replace the motor",
    4: "electrical shock or too little power: check the supply and the wiring",
    5: "overloaded: free the finger, then call clear_faults()",
}

log = logging.getLogger(__name__)


class HandError(RuntimeError):
    """A hand that cannot go on; the message names motor, joint and the mend."""


class MotorSilent(HandError):
    """Motors that do not answer."""


class WrongBaudRate(HandError):
    """The motors answer at another baud rate."""


class MotorFault(HandError):
    """A motor reports an error, is too hot, or its supply is out of range."""


@dataclass(frozen=True)
class Gains:
    """Of the motors' position loop, in firmware units; the defaults are the public LEAP API's."""

    p: int = 600
    i: int = 0
    d: int = 200
    sideways: float = 0.75  # share of p and d for the joints that spread the fingers


@dataclass(frozen=True)
class HandSettings:
    """What the hand is told, and when it gives up."""

    baudrate: int = 4_000_000  # bit/s
    current_limit: float = 0.55  # A per motor, as the public LEAP API advises for XC330
    gains: Gains = field(default_factory=Gains)
    hottest: int = 65  # degrees Celsius; the firmware cuts the torque at 70
    voltage: tuple[float, float] = (4.3, 5.8)  # V
    health_period: float = 0.5  # s between two looks at voltage and temperature
    reply_timeout: float = 0.006  # s that a reply may be late; a loss is reported after five of them
    release_on_close: bool = True  # torque off: the fingers go limp


class LeapHand:
    """The hand on its serial adapter.

    The motors keep their last goals when the program stops, crashes or is unplugged, and with them the grip.

    Args:
        port: of the serial adapter, for instance one of /dev/serial/by-id.
        period: s between two `send` calls.
        settings: what the hand is told.
        motors: which motor turns which joint; with the hand's own offsets after it was zeroed.
    """

    def __init__(
        self,
        port: str,
        period: float = 0.05,
        settings: HandSettings = HandSettings(),
        motors: MotorMap = LEAP_MOTORS,
    ) -> None:
        self.joints: JointSpec = LEAP
        self.period, self.settings, self.motors = period, settings, motors
        self.damaged_replies = 0  # replies that were lost or damaged and had to be asked for again
        self._bus = dxl.Bus(port, settings.baudrate, settings.reply_timeout)
        self._fast = True
        self._goal = np.zeros(len(LEAP))  # rad
        self._fault: MotorFault | None = None
        self._next_health = 0.0  # s

    # -- Robot --------------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Opens the port, checks all motors, sets them up, turns their torque on. Also after the port was lost.

        Motors that were holding go on holding, so a grip outlives an unplugged cable. The others hold where they are.

        Raises:
            PortLost: the port does not open.
            WrongBaudRate: the motors answer at another rate; says which.
            MotorSilent: motors are missing; says which.
            MotorFault: a motor reports an error, or stands outside of its joint's range.
        """
        self._fault = None
        self._bus.reply_timeout = self.settings.reply_timeout
        self._bus.open(self.settings.baudrate)
        try:
            self._find_motors()
            self._bus.reply_timeout = max(_PATIENCE, self.settings.reply_timeout)
            self._check_errors()
            self._set_up()
            self._bus.reply_timeout = self.settings.reply_timeout
            self._fast = self._knows_fast_reads()
            self._check_health()
        except Exception:
            self._bus.close()
            raise

    def read(self) -> RobotState:
        """Reads position, velocity and current of all motors at once; from time to time their health, too.

        Returns:
            Joint state, stamped with `time.monotonic` in the middle of the transaction. Effort is current times the
            torque constant.

        Raises:
            PortLost: the adapter is gone; connect again once it is back.
            MotorSilent: motors do not answer; says which.
            MotorFault: a motor reports an error, is too hot, or its supply is out of range.
        """
        if self._fault is not None:
            raise self._fault
        before = time.monotonic()
        rows, errors = self._ask(_STATE_START, _STATE_SIZE)
        after = time.monotonic()
        if (errors & dxl.ALERT).any():
            self._check_errors()
        if after >= self._next_health:
            self._check_health()
        motors = self.motors
        speed = dxl.decode(rows, _STATE_START, _VELOCITY) * SPEED_UNIT
        torque = dxl.decode(rows, _STATE_START, dxl.PRESENT_CURRENT) * 1e-3 * motors.torque_constant
        return RobotState(
            stamp=(before + after) / 2,
            q=self._angles(dxl.decode(rows, _STATE_START, dxl.PRESENT_POSITION)),
            dq=motors.sign * speed,
            effort=motors.sign * torque,
        )

    def send(self, target: JointTarget) -> JointTarget:
        """Sets the goals of all motors by one packet, which no motor answers: a lost one is made up for by the next.

        Args:
            target: for every joint; clipped to the joints' range, and to what their velocity limits allow in a period.

        Returns:
            The goals, rounded to the motors' resolution.

        Raises:
            HandError: wrong length, or not finite.
            PortLost: the adapter is gone.
            MotorFault: as `read` said before.
        """
        if self._fault is not None:
            raise self._fault
        q = np.asarray(target.q, dtype=np.float64)
        if q.shape != (len(LEAP),) or not np.isfinite(q).all():
            raise HandError(f"a target has {len(LEAP)} finite numbers, got {q}")
        reach = LEAP.velocity * self.period
        q = np.clip(np.clip(q, self._goal - reach, self._goal + reach), LEAP.lower, LEAP.upper)
        ticks = self._ticks(q)
        self._bus.write(self.motors.ids, dxl.GOAL_POSITION, ticks)
        self._goal = q
        return JointTarget(self._angles(ticks))

    def stop(self, reason: str) -> None:
        """Leaves the goals as they are, never more than a period's travel away: letting go would drop the tool."""
        log.warning("hand stopped: %s", reason)

    def close(self) -> None:
        """Lets go, unless told otherwise in the settings, and closes the port."""
        if self._bus.is_open and self.settings.release_on_close:
            try:
                self._bus.write(self.motors.ids, dxl.TORQUE_ENABLE, np.zeros(len(LEAP), np.int64))
            except dxl.BusError as error:
                log.warning("the hand could not let go: %s", error)
        self._bus.close()

    def clear_faults(self) -> None:
        """Restarts the motors that report an error, and connects again. They lose their grip: others keep it.

        Raises:
            As `connect`.
        """
        self._bus.open(self.settings.baudrate)
        errors = self._get(dxl.HARDWARE_ERROR)
        for motor in np.array(self.motors.ids)[errors != 0]:
            self._bus.reboot(int(motor))
        if errors.any():
            self._wait_for_motors()
        self.connect()

    # -- start --------------------------------------------------------------------------------------------------------

    def _find_motors(self) -> None:
        models = {motor: self._ping(motor) for motor in self.motors.ids}
        missing = [motor for motor, model in models.items() if model is None]
        if len(missing) == len(models):
            self._raise_no_motor()
        if missing:
            raise MotorSilent(
                f"{self._named(missing)} missing on {self._bus.port}, the others answer: check the cable into "
                "the first of them, and with the maker's tool its id and baud rate"
            )
        if odd := {motor: model for motor, model in models.items() if model != MODEL}:
            log.warning("%s: not XC330-M288 motors (models %s)", self._named(odd), sorted(map(str, odd.values())))

    def _ping(self, motor: int) -> int | None:
        return next((model for _ in range(ATTEMPTS) if (model := self._bus.ping(motor)) is not None), None)

    def _raise_no_motor(self) -> None:
        wanted = self.settings.baudrate
        for rate in dxl.BAUDRATES:
            if rate == wanted:
                continue
            self._bus.open(rate)
            if found := [motor for motor in self.motors.ids[:3] if self._bus.ping(motor) is not None]:
                raise WrongBaudRate(
                    f"{self._named(found)} answers at {rate} bit/s, not at {wanted}: use "
                    f"HandSettings(baudrate={rate}), or set the motors' baud rate to {wanted} with the maker's tool"
                )
        raise MotorSilent(f"no motor answers on {self._bus.port} at any baud rate: is the hand's 5 V supply on?")

    def _wait_for_motors(self) -> None:
        end = time.monotonic() + 2.0
        while time.monotonic() < end and any(self._bus.ping(motor) is None for motor in self.motors.ids):
            time.sleep(0.05)

    def _set_up(self) -> None:
        ids, settings = self.motors.ids, self.settings
        self._set_eeprom()
        side = np.array([name.endswith("_rot") for name in self.motors.joints])
        share = np.where(side, settings.gains.sideways, 1.0)
        for register, values in (
            (dxl.POSITION_P, settings.gains.p * share),
            (dxl.POSITION_I, np.full(len(ids), settings.gains.i)),
            (dxl.POSITION_D, settings.gains.d * share),
            (dxl.GOAL_CURRENT, np.full(len(ids), 1e3 * settings.current_limit)),
        ):
            self._set(register, np.rint(values).astype(np.int64))
        q = self._angles(self._get(dxl.PRESENT_POSITION))
        outside = np.maximum(LEAP.lower - q, q - LEAP.upper) > _OUTSIDE
        if outside.any():
            raise MotorFault(
                f"{self._named(np.array(ids)[outside])} stands outside of its joint's range ("
                f"{', '.join(f'{angle:.2f} rad' for angle in q[outside])}): move the finger by hand and power-cycle; "
                "if it stays, the horn is mounted turned, or the offset in hardware/joints.py is wrong"
            )
        holding = self._get(dxl.TORQUE_ENABLE) == 1
        goals = self._angles(self._get(dxl.GOAL_POSITION))
        self._goal = np.where(holding, goals, q)
        self._bus.write(ids, dxl.GOAL_POSITION, self._ticks(self._goal))
        self._set(dxl.TORQUE_ENABLE, np.ones(len(ids), np.int64))

    def _set_eeprom(self) -> None:
        """Writes only what differs: this memory wears out. The torque of a motor that is written goes off first."""
        for register, wanted in (
            (dxl.RETURN_DELAY, 0),
            (dxl.DRIVE_MODE, 0),
            (dxl.HOMING_OFFSET, 0),
            (dxl.OPERATING_MODE, CURRENT_BASED_POSITION),
        ):
            other = self._get(register) != wanted
            if other.any():
                log.info("setting %s to %d on %s", register.name, wanted, self._named(np.array(self.motors.ids)[other]))
                self._set(dxl.TORQUE_ENABLE, np.where(other, 0, self._get(dxl.TORQUE_ENABLE)))
                self._set(register, np.full(len(other), wanted))

    def _knows_fast_reads(self) -> bool:
        for _ in range(ATTEMPTS):
            try:
                self._bus.read_block(self.motors.ids, _STATE_START, _STATE_SIZE, fast=True)
                return True
            except dxl.PortLost:
                raise
            except dxl.BusError as error:
                cause = error
        log.warning("no fast sync read (%s): reading the slower way; newer motor firmware has it", cause)
        return False

    def _get(self, register: dxl.Register) -> dxl.I64:
        return dxl.decode(self._ask(register.address, register.size, fast=False)[0], register.address, register)

    def _set(self, register: dxl.Register, values: dxl.I64) -> None:
        """Writes, and reads back, since no motor answers such a write."""
        for _ in range(ATTEMPTS):
            self._bus.write(self.motors.ids, register, values)
            wrong = self._get(register) != values
            if not wrong.any():
                return
        raise HandError(
            f"{self._named(np.array(self.motors.ids)[wrong])} did not take {register.name} = "
            f"{values[wrong].tolist()}: power-cycle the hand, and check the limits stored in the motor"
        )

    def _angles(self, ticks: dxl.I64) -> F64:
        return self.motors.to_joint(ticks.astype(np.float64) * TICK)

    def _ticks(self, q: F64) -> dxl.I64:
        """Goals in ticks, rounded so that they stay inside of the joints' ranges."""
        ends = np.sort([self.motors.to_motor(LEAP.lower), self.motors.to_motor(LEAP.upper)], axis=0) / TICK
        return np.clip(np.rint(self.motors.to_motor(q) / TICK), np.ceil(ends[0]), np.floor(ends[1])).astype(np.int64)

    # -- while it runs ------------------------------------------------------------------------------------------------

    def _ask(self, address: int, size: int, fast: bool | None = None) -> tuple[np.ndarray, dxl.I64]:
        for _ in range(ATTEMPTS):
            try:
                return self._bus.read_block(self.motors.ids, address, size, self._fast if fast is None else fast)
            except dxl.PortLost:
                raise
            except dxl.BusError as error:
                self.damaged_replies += 1
                cause = error
        if (silent := self._bus.first_silent(self.motors.ids)) is not None:
            raise MotorSilent(
                f"{self._named([silent])} does not answer: check the cable into it and its power, then connect again"
            ) from cause
        raise HandError(
            f"{ATTEMPTS} replies in a row were lost or damaged ({cause}), though every motor answers a ping: check "
            "cables and ground, shorten them, or lower the baud rate"
        ) from cause

    def _check_errors(self) -> None:
        errors = self._get(dxl.HARDWARE_ERROR)
        faults = [
            f"{self._named([motor])}: {cause}"
            for motor, error in zip(self.motors.ids, errors, strict=True)
            for bit, cause in _HARDWARE_ERRORS.items()
            if error >> bit & 1
        ]
        if faults:
            self._fail("; ".join(faults))

    def _check_health(self) -> None:
        self._next_health = time.monotonic() + self.settings.health_period
        rows, _ = self._ask(_HEALTH_START, _HEALTH_SIZE)
        volts = dxl.decode(rows, _HEALTH_START, dxl.INPUT_VOLTAGE) * 0.1
        heat = dxl.decode(rows, _HEALTH_START, dxl.TEMPERATURE)
        low, high = self.settings.voltage
        worst, hottest = int(np.argmax(np.abs(volts - (low + high) / 2))), int(heat.argmax())
        if not low <= volts[worst] <= high:
            self._fail(
                f"{self._named([self.motors.ids[worst]])} has {volts[worst]:.1f} V, not {low} to {high} V: "
                "check the 5 V supply, its rating and its cable"
            )
        if heat[hottest] > self.settings.hottest:
            self._fail(
                f"{self._named([self.motors.ids[hottest]])} is at {heat[hottest]} degrees Celsius, over "
                f"{self.settings.hottest}: let it cool, and lower the current limit"
            )

    def _fail(self, message: str) -> None:
        self._fault = MotorFault(message)
        raise self._fault

    def _named(self, motors: Iterable[int]) -> str:
        joints = dict(zip(self.motors.ids, self.motors.joints, strict=True))
        return ", ".join(f"motor {motor} ({joints[int(motor)]})" for motor in motors)
