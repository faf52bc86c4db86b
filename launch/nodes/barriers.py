"""What the safety gate of robot_node keeps the arm out of, where its kinematics are known."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.barriers import Barrier, self_collision, workspace
from toolwright.hardware.joints import FR3
from toolwright.hardware.robot import F64, JointSpec
from toolwright.hardware.ros.node import ParameterError
from toolwright.hardware.ros.robot_node import RobotParameters


def barriers(joints: JointSpec, parameters: RobotParameters) -> tuple[Barrier, ...]:
    """The robot itself, and the box of the parameter `workspace`, which the palm does not leave.

    Raises:
        ParameterError: it is no box, or this arm's kinematics are not known here.
    """
    own: tuple[Barrier, ...] = ()
    if parameters.self_distance and set(FR3.names) <= set(joints.names):
        from toolwright.launch.nodes.own_distance import own_distance

        # The fingers go on: what they hold must not be dropped because the elbow is near the base.
        own = (self_collision(own_distance(joints), parameters.self_distance, FR3.names),)
    return own + _box(joints, parameters)


def _box(joints: JointSpec, parameters: RobotParameters) -> tuple[Barrier, ...]:
    text = parameters.workspace.strip()
    if not text:
        return ()
    try:
        box = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        box = np.zeros(0)
    if box.shape != (6,) or not (box[:3] < box[3:]).all():
        raise ParameterError(f"robot_node: parameter 'workspace' is x y z of two corners, low then high, got '{text}'")
    if not set(FR3.names) <= set(joints.names):
        raise ParameterError("robot_node: parameter 'workspace' needs arm:=fr3: no other arm's kinematics are known")

    from toolwright.policies.motion import ArmMotion

    motion, arm = ArmMotion(), joints.indices(FR3.names)

    def palm(q: F64) -> F64:
        return motion.palm(q[arm])[:3, 3]

    return (workspace(palm, box[:3], box[3:], FR3.names),)
