"""Joint order, limits and motor ratings, per robot: the only place where they stand.

Sources: the maker's data for the Franka Research 3; the published LEAP hand design (Dynamixel XC330-M288 motors).
"""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import JointSpec

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
