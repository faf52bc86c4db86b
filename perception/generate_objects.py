"""Clouds of small things on a table for the affordance encoder, often with a hand and its tool in the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.affordance.clouds import object_cloud
from toolwright.perception.affordance.directions import closing
from toolwright.perception.generate_shapes import SmallShape, draw, resting
from toolwright.perception.generate_tools import CLUTTER, OBJECT, SELF, TABLE, TOOL, ViewRange, eye_around, solid, wrong
from toolwright.perception.generate_views import Eye, Geoms, Stage, View, of_model
from toolwright.sim import grasp, grasp_bank
from toolwright.sim.camera import D435Noise
from toolwright.sim.models.tools import family

ABOVE = (0.012, 0.08)  # m between an object and the tips of a tool that waits above it
PLACE = 0.006  # m, standard deviation of how well one knows where to look
_KINDS = {
    "box": int(mujoco.mjtGeom.mjGEOM_BOX),
    "cylinder": int(mujoco.mjtGeom.mjGEOM_CYLINDER),
    "capsule": int(mujoco.mjtGeom.mjGEOM_CAPSULE),
    "ellipsoid": int(mujoco.mjtGeom.mjGEOM_ELLIPSOID),
    "hull": int(mujoco.mjtGeom.mjGEOM_MESH),
}
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class ObjectView:
    """A thing on a table (z = 0) as the camera sees it."""

    shape: SmallShape
    rotation: F64  # (3, 3) of the shape in the world
    pos: F64  # (3,) m, of its origin
    eye: Eye
    view: View
    seen: int  # pixels of it

    def measured(self, ranges: ViewRange, rng: np.random.Generator) -> F64:
        """What the robot believes: the cloud (N, 3) [m] of the thing in the world frame."""
        frame = replace(self.view.frame, T_world_cam=self.eye.T_world_cam @ wrong(ranges, rng))
        return object_cloud(frame, self.pos[:2] + rng.normal(0, PLACE, 2), 0.0)

    def widths(self, directions: F64) -> F64:
        """(n,) m: true extents along unit vectors (n, 3) of the world."""
        return self.shape.width(directions @ self.rotation)

    @property
    def center(self) -> F64:
        """(3,) m: middle of the bounding box, world."""
        high, low = self.shape.support(self.rotation), self.shape.support(-self.rotation)
        return self.pos + (high - low) / 2


@dataclass(frozen=True)
class Waiting:
    """Hands with tools that may be in the way."""

    geoms: tuple[Geoms, ...]  # in the palm frame
    tips: tuple[F64, ...]  # (4, 4)

    @classmethod
    def some(cls, names: list[str], rng: np.random.Generator, each: int = 4) -> Waiting:
        """A few settled grasps of some families."""
        geoms, tips = [], []
        for name in names:
            bank = grasp_bank.load(name)
            for i in rng.choice(len(bank.params), each, replace=False):
                model = grasp.hand_and_tool(family(name), bank.params[i])
                data = mujoco.MjData(model)
                data.qpos[:] = bank.start[i, rng.integers(bank.start.shape[1])]
                mujoco.mj_kinematics(model, data)
                ours = np.array([model.body(b).name.startswith("tool") for b in range(model.nbody)])[model.geom_bodyid]
                geoms.append(of_model(model, data, np.where(ours, TOOL, SELF)))
                pos, quat = grasp.mid_pose(data.qpos[16:], bank.family.turn)
                T = np.eye(4)
                T[:3, :3] = rotations.rotate(quat, np.eye(3)).T
                T[:3, 3] = pos + rotations.rotate(quat, bank.family.tip(bank.params[i]))
                tips.append(T)
        return cls(tuple(geoms), tuple(tips))


def look_at_object(
    stage: Stage, waiting: Waiting, held_out: bool, ranges: ViewRange, rng: np.random.Generator
) -> ObjectView:
    """A thing of one part lies on a table; a camera sees it, perhaps past a hand with a tool, perhaps among others."""
    shape = draw(rng, held_out)
    rotation, height = resting(shape, rng)
    turn = rotations.rotate(rotations.from_rotvec(np.array([0, 0, rng.uniform(-np.pi, np.pi)])), np.eye(3)).T
    rotation, pos = turn @ rotation, np.array([0.0, 0.0, height])
    geoms = placed(shape, rotation, pos) + solid(
        _KINDS["box"], np.array([0.7, 0.7, 0.02]), np.array([0, 0, -0.02]), np.eye(3), TABLE
    )
    top = height + float(shape.support((_UP @ rotation)[None])[0])
    if rng.random() < 0.4:
        geoms = geoms + _hand_above(waiting, top, rng)
    if rng.random() < 0.3:
        geoms = geoms + _neighbor(rng)
    eye = eye_around(np.array([0, 0, top / 2]), _UP, ranges, rng)
    noise = D435Noise(subpixel=float(rng.uniform(*ranges.subpixel)))
    view = stage.view(geoms, eye, pos, 0.05, noise, rng)
    return ObjectView(shape, rotation, pos, eye, view, int((view.labels == OBJECT).sum()))


def placed(shape: SmallShape, rotation: F64, pos: F64) -> Geoms:
    """The geoms of a shape at a pose."""
    mats = [rotations.rotate(part.quat, np.eye(3)).T for part in shape.parts]
    return Geoms(
        np.array([_KINDS[part.kind] for part in shape.parts]),
        np.array([part.size for part in shape.parts]),
        np.array([pos + rotation @ part.pos for part in shape.parts]),
        np.array([rotation @ mat for mat in mats]),
        np.full(len(shape.parts), shape.mesh),
        np.full(len(shape.parts), OBJECT),
    )


def _hand_above(waiting: Waiting, top: float, rng: np.random.Generator) -> Geoms:
    which = rng.integers(len(waiting.tips))
    yaw = rotations.from_rotvec(np.array([0, 0, rng.uniform(-np.pi, np.pi)]))
    lean = rotations.from_rotvec(np.array([*rng.normal(0, 0.25, 2), 0.0]))
    over = np.eye(4)
    # Tips down.
    over[:3, :3] = rotations.rotate(rotations.multiply(lean, yaw), np.diag([1.0, -1.0, -1.0])).T
    over[:3, 3] = [*rng.normal(0, 0.006, 2), top + rng.uniform(*ABOVE)]
    return waiting.geoms[which].moved(over @ np.linalg.inv(waiting.tips[which]))


def _neighbor(rng: np.random.Generator) -> Geoms:
    half = rng.uniform(0.003, 0.015, 3)
    angle, far = rng.uniform(-np.pi, np.pi), rng.uniform(0.036, 0.06)
    pos = np.array([far * np.cos(angle), far * np.sin(angle), half[2]])
    return solid(_KINDS["box"], half, pos, np.eye(3), CLUTTER)


def truth(view: ObjectView) -> dict[str, F64]:
    """What the encoder shall say: widths along its directions, middle of the bounding box."""
    return {"widths": view.widths(closing()), "center": view.center}
