"""The arm with the palm on its flange, as a chain for batched kinematics."""

from __future__ import annotations

import json

import numpy as np

from toolwright.hardware.tip_motion import Chain
from toolwright.sim.models import fr3
from toolwright.sim.models.robot import MOUNT_POS, MOUNT_QUAT


def arm_chain() -> Chain:
    """Of the Franka Research 3 at the world's origin, from the data that its model is built from."""
    links = json.loads(fr3._DATA.read_text())["links"]
    quat = np.array([link["quat"] for link in links], dtype=np.float64)
    return Chain(
        np.array([link["pos"] for link in links], dtype=np.float64),
        quat / np.linalg.norm(quat, axis=1, keepdims=True),
        MOUNT_POS,
        MOUNT_QUAT / np.linalg.norm(MOUNT_QUAT),
    )
