"""Joint order, limits, motor ratings and wiring, per robot: the only place where they stand.

Sources: the maker's data for the Franka Research 3; the published LEAP hand design (Dynamixel XC330-M288 motors).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolwright.hardware.robot import F64, JointSpec

FR3 = JointSpec(
    names=tuple(f"fr3_joint{i}" for i in range(1, 8)),
    lower=np.array([-2.9007, -1.8361, -2.9007, -3.077, -2.8763, 0.4398, -3.0508]),
    upper=np.array([2.9007, 1.8361, 2.9007, -0.1169, 2.8763, 4.6216, 3.0508]),
    velocity=np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26]),
    effort=np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0]),
)
FR3_HOME = np.array([0.0, 0.0, 0.0, -1.57079, 0.0, 1.57079, -0.7853])  # rad, the maker's ready pose

_FINGER_LOWER, _FINGER_UPPER = [-0.314, -1.047, -0.506, -0.366], [2.23, 1.047, 1.885, 2.042]
_THUMB_LOWER, _THUMB_UPPER = [-0.349, -0.349, -0.47, -1.34], [2.094, 2.094, 2.443, 1.88]

LEAP = JointSpec(
    names=tuple(f"{finger}_{joint}" for finger in ("if", "mf", "rf") for joint in ("mcp", "rot", "pip", "dip"))
    + ("th_cmc", "th_axl", "th_mcp", "th_ipl"),
    lower=np.array(_FINGER_LOWER * 3 + _THUMB_LOWER),
    upper=np.array(_FINGER_UPPER * 3 + _THUMB_UPPER),
    velocity=np.full(16, 8.4),
    # The current limit set in firmware, well under the motor's stall torque: it keeps fingers and motors whole.
    effort=np.full(16, 0.5),
)


def join(*specs: JointSpec) -> JointSpec:
    """One spec for several devices in a row, for instance arm then hand."""
    return JointSpec(
        names=sum((spec.names for spec in specs), ()),
        **{
            field: np.concatenate([getattr(spec, field) for spec in specs])
            for field in ("lower", "upper", "velocity", "effort")
        },
    )


FR3_LEAP = join(FR3, LEAP)

# What the targets may ask for. Arm: the maker's limit. Hand: the effort limit on a rotor's inertia behind its gear.
_ACCELERATION = dict.fromkeys(FR3.names, 10.0) | dict.fromkeys(LEAP.names, 250.0)  # rad/s^2


def acceleration(spec: JointSpec) -> F64:
    """Acceleration limits (n,) [rad/s^2] of joints that are known here.

    Raises:
        KeyError: a joint that is not.
    """
    return np.array([_ACCELERATION[name] for name in spec.names])


@dataclass(frozen=True)
class MotorMap:
    """Which motor turns which joint, and how: motor angle = sign * joint angle + offset.

    A hand whose horns sit a little off has the same map with other offsets: see `dataclasses.replace`.
    """

    joints: tuple[str, ...]
    ids: tuple[int, ...]  # on the bus
    sign: F64  # (n,) 1 or -1
    offset: F64  # (n,) rad, angle of the motor at joint zero
    torque_constant: float  # N m/A

    def to_motor(self, q: F64) -> F64:
        """Motor angles (n,) [rad] of joint angles (n,) [rad]."""
        return self.sign * q + self.offset

    def to_joint(self, angle: F64) -> F64:
        """Joint angles (n,) [rad] of motor angles (n,) [rad]."""
        return self.sign * (angle - self.offset)


# The public LEAP API: per finger the motors are sideways, forward, then outward along the finger; all turn with their
# joints, and half a turn is joint zero. None of this was checked on a real hand. Least certain is the thumb: its motors
# are taken in the order of the chain, while the API's ranges of motors 13 and 14 (-0.47..2.443, -1.20..1.90 rad) are
# not those of th_axl and th_mcp above. The torque constant is the stall point at 5 V (0.93 N m, 1.80 A).
LEAP_MOTORS = MotorMap(
    joints=LEAP.names,
    ids=(1, 0, 2, 3, 5, 4, 6, 7, 9, 8, 10, 11, 12, 13, 14, 15),
    sign=np.ones(16),
    offset=np.full(16, np.pi),
    torque_constant=0.93 / 1.80,
)
