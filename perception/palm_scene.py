"""What lies in the palm-up hand, by one depth camera and the joints' readings: a `Scene` with one thing in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.reorient import CENTER, lies_in_palm
from toolwright.hardware.robot import F64, Frame
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.pose_tracker import Fit, Follower, TrackerConfig
from toolwright.perception.scene import Box, Scene, SceneObject
from toolwright.perception.shape_field import ShapeField

# Notes of a scene without the thing: why it is not there.
GONE = "nothing lies in the hand"
STRANGE = "what lies in the hand does not look as it should"
BLIND = "the camera sends no pictures"
SKIN = 0.005  # m from the hand's surface within which a point is the hand's own
AROUND = 0.11  # m from the middle of the hand: what is further away is something else
_STRIDE = 2  # px between two points that are used
_LEAST = 0.05  # share of the window with a depth, below which a picture is none


@dataclass(frozen=True)
class Body:
    """Where the hand is, at a time."""

    stamp: float  # s
    T_world_palm: F64  # (4, 4)
    q: F64  # (16,) rad


def others(points: F64, q: F64, hand: HandModel) -> F64:
    """The points (m, 3) near the hand that are not its own.

    Args:
        points: (n, 3) m, palm frame.
        q: (16,) rad, measured.
        hand: its model.
    """
    near = points[np.linalg.norm(points - CENTER, axis=1) < AROUND]
    return near[hand.distance(near.astype(np.float32), q) >= SKIN]


def window(frame: Frame, T_world_palm: F64) -> tuple[F64, float]:
    """Points (n, 3) [m, palm frame] of the part of a picture where the hand is, and the share of it with a depth."""
    T_palm_cam = np.linalg.inv(T_world_palm) @ frame.T_world_cam
    middle = np.linalg.inv(T_palm_cam) @ np.array([*CENTER, 1.0])
    focal, (height, width) = frame.K[0, 0], frame.depth.shape
    if middle[2] <= AROUND:
        return np.zeros((0, 3)), 0.0
    column, row = frame.K[:2, :2] @ middle[:2] / middle[2] + frame.K[:2, 2]
    reach = focal * AROUND / middle[2]
    v = np.arange(max(0, int(row - reach)), min(height, int(row + reach)), _STRIDE)
    u = np.arange(max(0, int(column - reach)), min(width, int(column + reach)), _STRIDE)
    if not (len(v) and len(u)):
        return np.zeros((0, 3)), 0.0
    depth = frame.depth[np.ix_(v, u)]
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns]
    x, y = (u[columns] - frame.K[0, 2]) * z / focal, (v[rows] - frame.K[1, 2]) * z / frame.K[1, 1]
    points = np.stack([x, y, z], axis=1) @ T_palm_cam[:3, :3].T + T_palm_cam[:3, 3]
    return points, len(z) / depth.size


class PalmPerception:
    """Implements `perception.scene.Perception`: follows one thing of known shape from its known first pose.

    Args:
        frame: takes a picture; None where there is none.
        body: measures arm and hand.
        thing: what lies in the hand, with its first pose.
        field: of the thing's shape.
        workspace: of the scene.
        table_height: m.
        hand: model of its surface.
        config: of the tracker.
    """

    def __init__(
        self,
        frame: Callable[[], Frame | None],
        body: Callable[[], Body],
        thing: SceneObject,
        field: ShapeField,
        workspace: Box,
        table_height: float,
        hand: HandModel | None = None,
        config: TrackerConfig | None = None,
    ) -> None:
        self._frame, self._body, self._follower = frame, body, Follower(field, config)
        self._workspace, self._table, self._hand = workspace, table_height, hand or HandModel.load()
        self._thing = thing
        self._expected = (thing.pos, thing.quat)
        self._last: Scene | None = None
        self._pictured = -np.inf  # s, stamp of the last picture
        self.fit: Fit | None = None  # of the last look; None where there was no picture

    def expect(self, pos: F64, quat: F64) -> None:
        """Says where the thing should be at the next look (world frame): the controller's model foresees it."""
        self._expected = (pos, quat)

    def look(self) -> Scene:
        """The scene now. Without the thing in it, `notes` say why: GONE, STRANGE or BLIND."""
        body = self._body()
        if self._last is None or body.stamp > self._last.stamp:
            self._last = self._looked(body)
        return self._last

    def _looked(self, body: Body) -> Scene:
        frame, self.fit = self._frame(), None
        if frame is None or frame.stamp <= self._pictured:
            return self._scene(body, BLIND)
        self._pictured = frame.stamp
        points, share = window(frame, body.T_world_palm)
        if share < _LEAST:
            return self._scene(body, BLIND)
        cloud = others(points, body.q, self._hand)
        if len(cloud) < self._follower.config.least:
            return self._scene(body, GONE)
        palm_quat = quaternion(body.T_world_palm[:3, :3])
        inverse, origin = rotations.conjugate(palm_quat), body.T_world_palm[:3, 3]
        pos, quat = self._expected
        pos, quat = rotations.rotate(inverse, pos - origin), rotations.multiply(inverse, quat)
        self.fit = found = self._follower.look(cloud, pos, quat)
        if not found.good:
            return self._scene(body, STRANGE)
        pos = rotations.rotate(palm_quat, found.pos) + origin
        quat = rotations.multiply(palm_quat, found.quat)
        self._thing = replace(self._thing, pos=pos, quat=quat / np.linalg.norm(quat))
        self._expected = (self._thing.pos, self._thing.quat)
        return self._scene(body, "", lies_in_palm(origin, palm_quat, pos))

    def _scene(self, body: Body, note: str, in_palm: bool = False) -> Scene:
        return Scene(
            stamp=body.stamp,
            objects={} if note else {self._thing.name: self._thing},
            tool=None,
            workspace=self._workspace,
            table_height=self._table,
            notes=(note,) if note else (),
            in_palm=self._thing.name if in_palm else "",
        )


def quaternion(matrix: F64) -> F64:
    """(4,) of a rotation matrix (3, 3)."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(matrix).as_quat(scalar_first=True))
