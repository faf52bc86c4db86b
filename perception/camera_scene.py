"""A depth camera and the fingers' sense of the tool as `Perception`: a `Scene` from nothing but sensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolwright.hardware.robot import F64, Frame
from toolwright.perception import tabletop
from toolwright.perception.memory import Known, Memory
from toolwright.perception.scene import Box, HeldTool, Scene


@dataclass(frozen=True)
class CameraSettings:
    """What perception is told of the place it looks at."""

    workspace: Box
    table: Box  # whose x and y bound the table's part that counts, and whose lower z is where its top is expected
    period: float = 0.2  # s between two frames


class SeenScene:
    """Scenes from frames: a frame changes what is known of the table, the tool moves what it holds in between.

    `take` and `scene` may be called in two threads.
    """

    def __init__(self, settings: CameraSettings) -> None:
        self.settings = settings
        self.memory = Memory(settings.table)
        self._known = Known({}, {}, ("nothing was seen yet",))
        self._height = float(settings.table.lower[2])  # m, of the table

    def take(self, frame: Frame, hidden: tabletop.Mask, tool: Callable[[tabletop.View], HeldTool | None]) -> None:
        """Looks at a frame.

        Args:
            frame: of the camera.
            hidden: (H, W) pixels that show the robot.
            tool: in the hand at the frame's time; is shown the frame.

        Raises:
            NoTable: no table is seen. What was known stays.
        """
        seen = tabletop.view(frame, self.settings.table, hidden)
        self.memory.update(seen, tool(seen))
        middle = (self.settings.workspace.lower + self.settings.workspace.upper) / 2
        self._known, self._height = self.memory.known(seen), float(seen.plane.height(middle[:2]))

    def scene(self, time: float, tool: HeldTool | None) -> Scene:
        """What is known, at a time [s], with the tool as it is felt then."""
        known = self._known
        return Scene(time, known.now(tool), tool, self.settings.workspace, self._height, known.notes)


class CameraPerception:
    """Implements `perception.scene.Perception`: each look takes a frame where the last one is a period old.

    Args:
        frame: takes a picture.
        hidden: pixels (H, W) of a frame that show the robot.
        tool: what the hand holds now; None for nothing.
        watch: is shown every frame, to correct `tool`.
        time: s, of the robot's newest state, on the scale of the frames' stamps.
        settings: of the place.
    """

    def __init__(
        self,
        frame: Callable[[], Frame],
        hidden: Callable[[Frame], tabletop.Mask],
        tool: Callable[[], HeldTool | None],
        watch: Callable[[tabletop.View], None],
        time: Callable[[], float],
        settings: CameraSettings,
    ) -> None:
        self._frame, self._hidden, self._tool, self._watch, self._time = frame, hidden, tool, watch, time
        self.seen = SeenScene(settings)
        self._taken_at = -np.inf  # s

    def look(self) -> Scene:
        """The scene now: the newest frame, not older than a period, and the tool as it is felt.

        Raises:
            NoTable: the camera sees no table.
        """
        time, tool = self._time(), self._tool()
        if not 0 <= time - self._taken_at < self.seen.settings.period - 1e-6:
            frame = self._frame()
            self.seen.take(frame, self._hidden(frame), self._show)
            self._taken_at, tool = frame.stamp, self._tool()
        return self.seen.scene(time, tool)

    def _show(self, view: tabletop.View) -> HeldTool | None:
        self._watch(view)
        return self._tool()


def shadow(points: F64, grow: F64, frame: Frame) -> tabletop.Mask:
    """Pixels (H, W) that show a body given as points on its surface.

    Args:
        points: (n, 3) m, world.
        grow: (n,) m around each point that belong to the body, too.
        frame: of the camera.
    """
    height, width = frame.depth.shape
    camera = (points - frame.T_world_cam[:3, 3]) @ frame.T_world_cam[:3, :3]
    ahead = camera[:, 2] > 0.05
    camera, grow = camera[ahead], grow[ahead]
    pixels = np.rint(camera[:, :2] / camera[:, 2:] * frame.K[[0, 1], [0, 1]] + frame.K[:2, 2]).astype(np.intp)
    reach = np.ceil(grow * frame.K[0, 0] / camera[:, 2]).astype(np.intp)
    mask = np.zeros((height, width), dtype=bool)
    for radius in np.unique(reach):
        at = pixels[reach == radius]
        at = np.unique(at[((at > -radius) & (at < np.array([width, height]) + radius)).all(axis=1)], axis=0)
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        disc = np.column_stack([x[x**2 + y**2 <= radius**2], y[x**2 + y**2 <= radius**2]])
        u, v = (at[:, None] + disc).reshape(-1, 2).T
        inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
        mask[v[inside], u[inside]] = True
    return mask
