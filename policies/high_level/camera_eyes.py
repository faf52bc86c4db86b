"""Eyes for the batched pick task: images of a simulated depth camera, through the same encoder as on the robot.

Each world has its own camera at the scene's place, wrong by a calibration's error that lasts an episode, and its own
errors of the hand's joints, which what is seen of the hand puts right bit by bit. Five times a second the object is
looked at, as long as the tips are not before it, and at every third of these looks the tool; in between the fingers
feel how the tool moves. Where the object is at the start is told to within `PLACE`, as by what finds things on a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.pick import Affordance
from toolwright.hardware.robot import F64, Frame
from toolwright.hardware.tip_motion import Poses
from toolwright.perception.affordance import Affordance as Encoder
from toolwright.perception.affordance import CloudError, GraspEstimate, object_cloud, tool_cloud
from toolwright.perception.affordance.align import felt, quaternion
from toolwright.perception.generate_objects import PLACE
from toolwright.perception.generate_tool_model import of_bank
from toolwright.perception.generate_tools import OBJECT, SELF, TABLE, TOOL, ViewRange, wrong
from toolwright.perception.generate_views import Eye, Stage, hulls_of, of_model
from toolwright.sim.camera import D435Noise
from toolwright.sim.tasks.pick import PickTask

RESOLUTION = (1280, 720)  # px: small things want many pixels
TOOL_EVERY = 3  # looks
SURE = 0.5  # least confidence of a look at the tool that counts
_HAND_MIDDLE, _HAND_REACH = np.array([0.02, 0.02, -0.09]), 0.135  # m, palm frame: what is drawn of hand and tool
_NEAR, _WIDE = 0.04, 0.10  # m around a place where a thing is looked for: at first, and where nothing is
_SEEN = 3  # looks in a row at one place after which it lies there
_LOST = 4  # looks in a row without it after which a thing is looked for further away
_STAYS = 0.006  # m between two looks; beyond it a thing was moved, or what is seen is something else
_UNDER = 0.005  # m under the tips: what is higher is tool and hand
_OVER = 0.01  # m over the top of a thing that was seen: what is higher does not lie on the table
_ALIKE, _ALIKE_LEAST = 0.25, 0.0015  # share, m: how much width and height of a thing that went elsewhere may differ
_NEWEST = 0.15  # least share of a new look in what is known of a thing that lies still
_TURN = 0.0008  # m by which another direction must be narrower than that in which the tips stand
_MINE = 0.35  # share of a new look at the tool in what was felt and seen before


@dataclass
class _World:
    """What one robot believes."""

    camera: F64  # (4, 4) by which its camera's calibrated pose is off
    zero: F64  # (16,) rad by which its joints' zeros are off
    camera_found: F64  # (4, 4) by which the hand's own points say that the pose is off, undone
    zero_found: F64  # (16,) rad, the same of the joints
    offset: F64  # (7,) tips' place (3) [m] and turn (3) [rad] in the palm, and opening [m]: seen against felt
    looks: int = 0
    times: int = 0  # that the thing was seen where it is
    row: int = 0  # looks in a row at which it was
    missed: int = 0  # looks in a row at which it was not
    place: F64 | None = None  # (3,) m, middle of the thing
    yaw: float = 0.0  # rad
    width: float = 0.01  # m
    top: float = 0.01  # m


class CameraEyes:
    """Implements `sim.tasks.pick.Eyes`.

    Args:
        task: whose worlds are looked at.
        encoder: what makes sense of the images.
        rng: of cameras, joints and sensor noise.
    """

    def __init__(self, task: PickTask, encoder: Encoder, rng: np.random.Generator) -> None:
        self._task, self._encoder, self._rng = task, encoder, rng
        self._known = of_bank("tweezers")
        self._ranges = ViewRange()
        models = task.world.models
        self._data = [mujoco.MjData(model) for model in models]
        self._labels = [_labels(model) for model in models]
        self._stage = Stage(hulls_of(models[0]))
        self._worlds: list[_World | None] = [None] * task.n
        first = self._data[0]
        mujoco.mj_kinematics(models[0], first)
        mujoco.mj_camlight(models[0], first)
        camera = models[0].camera("camera").id
        T = np.eye(4)
        T[:3, :3] = first.cam_xmat[camera].reshape(3, 3) @ np.diag([1.0, -1.0, -1.0])
        T[:3, 3] = first.cam_xpos[camera]
        self._eye = Eye(T, RESOLUTION)

    def reset(self, ids: np.ndarray) -> None:
        for i in ids.tolist():
            zero = self._rng.uniform(-self._ranges.joint_zero, self._ranges.joint_zero, 16)
            mine = _World(wrong(self._ranges, self._rng), zero, np.eye(4), np.zeros(16), np.zeros(7))
            self._worlds[i] = mine
            self._look_at_tool(i, mine)
            told = self._task.object_pos()[i, :2] + self._rng.normal(0, PLACE, 2)
            mine.place = np.append(told, self._task.world.room.table + mine.top / 2)
            self._look_at_object(i, mine)

    def look(self, ids: np.ndarray, hidden: np.ndarray) -> None:
        for i in ids.tolist():
            mine = self._of(i)
            mine.looks += 1
            if (mine.looks + i) % TOOL_EVERY == 0:
                self._look_at_tool(i, mine)
            if not hidden[i]:
                self._look_at_object(i, mine)

    def tool(self, ids: np.ndarray) -> tuple[Poses, F64, F64]:
        tips, opening, pose = np.empty((len(ids), 7)), np.empty(len(ids)), np.empty((len(ids), 7))
        for row, i in enumerate(ids.tolist()):
            rotation, tip, wide = self._believed(i, self._joints(i))
            quat = quaternion(rotation)
            tips[row] = *tip, *quat
            pose[row] = *(tip - rotation @ self._known.tip), *quat
            opening[row] = wide
        return Poses(tips[:, :3], tips[:, 3:]), opening, pose

    def objects(self, ids: np.ndarray) -> Affordance:
        rows = [self._of(i) for i in ids.tolist()]
        return Affordance(
            np.array([mine.place for mine in rows]),
            np.array([mine.yaw for mine in rows]),
            np.array([mine.width for mine in rows]),
            np.array([mine.top for mine in rows]),
            np.array([mine.row >= _SEEN for mine in rows]),
        )

    # -- one world ----------------------------------------------------------------------------------------------------

    def _of(self, i: int) -> _World:
        mine = self._worlds[i]
        assert mine is not None
        return mine

    def _joints(self, i: int) -> F64:
        """(16,) rad, as measured."""
        start = len(FR3)
        q = self._task.qpos[i, start : start + len(LEAP)]
        mine = self._of(i)
        return q + mine.zero - mine.zero_found + self._rng.normal(0, self._ranges.joint_noise, 16)

    def _palm(self, i: int) -> F64:
        """(4, 4), from the arm's joints."""
        pos, quat = self._task.world.chain.palm(self._task.qpos[i : i + 1, : len(FR3)])
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = rotations.rotate(quat[0], np.eye(3)).T, pos[0]
        return T

    def _believed(self, i: int, q: F64) -> tuple[F64, F64, float]:
        """Rotation (3, 3) and tips (3,) [m] of the tool in the palm, and opening [m]: felt, and put right by looks."""
        found = felt(q, self._known, self._encoder.hand)
        off = self._of(i).offset
        rotation = rotations.matrix(off[3:6]) @ found.rotation
        tip = found.place + found.rotation @ self._known.tip + off[:3]
        return rotation, tip, self._known.opening(found.joint) + float(off[6])

    def _image(self, i: int, at: F64, reach: float) -> Frame:
        """The frame around a point (3,) [m] of the world, with the pose that the camera is believed to have."""
        thing = int(self._task.thing[i])
        model, data = self._task.world.models[thing], self._data[thing]
        data.qpos[:] = self._task.qpos[i]
        mujoco.mj_kinematics(model, data)
        geoms = of_model(model, data, self._labels[thing])
        noise = D435Noise()
        frame = self._stage.view(geoms, self._eye, at, reach, noise, self._rng, TABLE).frame
        mine = self._of(i)
        return replace(frame, T_world_cam=self._eye.T_world_cam @ mine.camera @ mine.camera_found)

    def _look_at_tool(self, i: int, mine: _World) -> None:
        T, q = self._palm(i), self._joints(i)
        frame = self._image(i, T[:3, :3] @ _HAND_MIDDLE + T[:3, 3], _HAND_REACH)
        eye = T[:3, :3].T @ (frame.T_world_cam[:3, 3] - T[:3, 3])
        try:
            seen = self._encoder.tool(tool_cloud(frame, T, self._task.world.room.table), q, eye, self._known)
        except CloudError:
            return
        if seen.confidence < SURE and mine.looks:
            return
        gain = _MINE if mine.looks else 1.0
        off = np.linalg.inv(frame.T_world_cam) @ T @ seen.mended.matrix @ np.linalg.inv(T) @ frame.T_world_cam
        step = np.eye(4)
        step[:3, :3] = rotations.matrix(gain * rotations.to_rotvec(quaternion(off[:3, :3])))
        step[:3, 3] = gain * off[:3, 3]
        mine.camera_found = mine.camera_found @ step
        shift = gain * (q - seen.mended.q)
        mine.zero_found = mine.zero_found + shift
        found = felt(q - shift, self._known, self._encoder.hand)
        turn = rotations.to_rotvec(quaternion(seen.tip_rot @ found.rotation.T))
        place = seen.tip_pos - found.place - found.rotation @ self._known.tip
        now = np.array([*place, *turn, seen.opening - self._known.opening(found.joint)])
        mine.offset = mine.offset + gain * (now - mine.offset)

    def _look_at_object(self, i: int, mine: _World) -> None:
        assert mine.place is not None
        table = self._task.world.room.table
        radius = _WIDE if mine.missed >= _LOST else _NEAR
        frame = self._image(i, mine.place, radius + 0.01)
        rotation, tip, _ = self._believed(i, self._joints(i))
        palm = self._palm(i)
        ceiling = palm[2, :3] @ tip + palm[2, 3] - _UNDER
        if mine.times:
            ceiling = min(ceiling, table + mine.top + _OVER)
        cloud = object_cloud(frame, mine.place, table, radius, ceiling)
        try:
            best = self._encoder.object(cloud, table)
        except CloudError:
            mine.missed, mine.row = mine.missed + 1, 0
            return
        jumped = bool(mine.times) and np.linalg.norm((best.center - mine.place)[:2]) > _STAYS
        known_size = np.array([mine.width, mine.top])
        alike = np.abs(np.array([best.width, best.height]) - known_size) < _ALIKE * known_size + _ALIKE_LEAST
        if jumped and (mine.missed < _LOST or not alike.all()):
            mine.missed, mine.row = mine.missed + 1, 0  # something else, or noise
            return
        mine.missed, mine.row = 0, 1 if jumped else mine.row + 1
        x = palm[:3, :3] @ rotation[:, 0]
        level = [best.closing[0], best.closing[1], 0.0], [x[0], x[1], 0.0]
        kept = [np.cos(mine.yaw), np.sin(mine.yaw), 0.0]
        ways = [np.array(way) for way in ((*level, kept) if mine.times else level)]
        known = [self._encoder.object(cloud, table, along=way) for way in ways]
        cost = [grasp.width - (0.0 if k == 0 else _TURN * k) for k, grasp in enumerate(known)]
        self._take(mine, known[int(np.argmin(cost))])

    @staticmethod
    def _take(mine: _World, seen: GraspEstimate) -> None:
        """What a look shows goes into what is known."""
        assert mine.place is not None
        mine.times += 1
        share = max(1 / mine.times, _NEWEST)
        if np.linalg.norm((seen.center - mine.place)[:2]) > _STAYS:
            mine.place = seen.center  # it was moved: the same thing at another place
        mine.yaw = float(np.arctan2(seen.closing[1], seen.closing[0]))
        mine.place = mine.place + share * (seen.center - mine.place)
        mine.width += share * (seen.width - mine.width)
        mine.top += share * (seen.height - mine.top)


def _labels(model: mujoco.MjModel) -> np.ndarray:
    """(ngeom,) what each geom is to the camera; what is only drawn counts as well."""
    names = [model.body(b).name for b in model.geom_bodyid]
    kinds = {"world": TABLE, "table": TABLE, "thing": OBJECT, "tweezers": TOOL, "tweezers_b": TOOL}
    labels = np.array([kinds.get(name, SELF) for name in names])
    plane = model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
    return np.where(plane | (model.geom_group > 2), 0, labels)
