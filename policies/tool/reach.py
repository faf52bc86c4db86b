"""What the arm reaches and where the hand has room, asked ahead of any motion: the kinematics behind a dry run.

The same inverse kinematics and the same choice of direction as the actions use, so that a yes here is a way there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import F64
from toolwright.perception.scene import Scene
from toolwright.policies.motion import Unreachable, pointing_down
from toolwright.policies.tool import approach
from toolwright.policies.tool.tool_use import ToolUse


class ArmReach:
    """Kinematics of the robot as it stands now, with the tool as it is held now.

    Args:
        actions: of the robot; they are asked for their kinematics and do not move.
        scene: as measured now.

    Raises:
        ValueError: no tool is held.
    """

    def __init__(self, actions: ToolUse, scene: Scene) -> None:
        if scene.tool is None:
            raise ValueError("reach is that of a held tool, and the hand holds none")
        robot = actions._robot
        state = robot.read()
        self._motion, self._shape, self._pad = actions._motion, actions._shape, actions._pad
        self._q = state.q[robot.joints.indices(FR3.names)]
        self._fingers = state.q[robot.joints.indices(LEAP.names)]
        self._T_palm_tip = np.linalg.inv(self._motion.palm(self._q)) @ scene.tool.T_world_tip
        self._yaw = approach.yaw_of(scene.tool.T_world_tip)

    def __call__(self, scene: Scene, points: Sequence[F64], item: str, opening: float, without: tuple[str, ...]) -> str:
        """Why the tips cannot be brought to these points one after another, pointing down; empty where they can.

        Args:
            scene: with everything that may be in the way.
            points: (3,) m each.
            item: the object to close on at the last point; empty for any direction of the opening.
            opening: m between the tips on the way.
            without: objects that are not in the way.
        """
        closing = scene.objects[item] if item else None
        yaws = approach.candidates(closing, opening, self._yaw)
        if not yaws:
            return f"{item} has no sides that the tips can close on"
        targets = [np.array(point, dtype=float) for point in points]
        if closing is not None:
            targets[-1][2] = approach.grasp_height(closing, scene.table_height, self._pad)
        poses = {yaw: [pointing_down(target, yaw) for target in targets] for yaw in yaws}
        shape = self._shape.points(self._fingers, self._T_palm_tip, opening)
        around = approach.obstacles(scene, without)
        try:
            approach.choose(self._motion, poses, self._T_palm_tip, self._q, shape, around, self._yaw)
        except approach.NoWay as error:
            return f"no way there: {error}"
        except Unreachable as error:
            x, y, z = targets[-1]
            return f"({x:.3f}, {y:.3f}, {z:.3f}) is out of the arm's reach by {error.distance * 1e3:.0f} mm"
        return ""
