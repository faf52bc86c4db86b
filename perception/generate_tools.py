"""Clouds of held tools for the affordance encoder: physics brings hand and tool into states, a camera sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import F64
from toolwright.perception.affordance.clouds import tool_cloud
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.affordance.tool_model import ToolModel
from toolwright.perception.generate_tool_model import tool_model
from toolwright.perception.generate_views import RESOLUTIONS, Eye, Geoms, Stage, View, of_model
from toolwright.sim import grasp, grasp_bank, randomize
from toolwright.sim.camera import D435Noise
from toolwright.sim.models.physics import SUBSTEPS, new_spec
from toolwright.sim.models.robot import add_robot
from toolwright.sim.models.tools import TOOLS
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

SELF, TOOL, OBJECT, TABLE, CLUTTER = 1, 2, 3, 4, 5  # labels of what is seen
_BOX, _BALL, _CYLINDER, _CAPSULE, _EGG = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("BOX", "SPHERE", "CYLINDER", "CAPSULE", "ELLIPSOID")
)


@dataclass(frozen=True)
class ViewRange:
    """Where the camera may be, and by how much the robot is wrong about it and about its own joints."""

    distance: tuple[float, float] = (0.30, 0.60)  # m, from the middle between hand and tips
    elevation: tuple[float, float] = (0.15, 1.15)  # rad above the horizontal
    tilt: float = 0.6  # rad, of the tool's tips against straight down
    shift: float = 0.0008  # m, standard deviation of the camera's place on each axis
    turn: float = 0.0026  # rad, the same of its orientation
    joint_zero: float = 0.03  # rad, uniform +-
    joint_noise: float = 0.003  # rad
    resolution: tuple[float, ...] = (0.48, 0.48, 0.04)  # shares of RESOLUTIONS
    subpixel: tuple[float, float] = (0.05, 0.12)  # px, noise of the disparity


@dataclass(frozen=True)
class ToolState:
    """A tool in the hand, in truth. The palm frame is the world's."""

    family: str
    params: Any
    model: mujoco.MjModel  # of hand and tool
    qpos: F64  # (24,)
    down: F64  # (3,) unit, the tips' usual direction in the palm frame
    known: ToolModel  # what the robot knows of it

    @property
    def tip(self) -> F64:
        """(4, 4) tip frame in the palm frame."""
        tool = TOOLS[self.family]
        pos, quat = grasp.mid_pose(self.qpos[16:], tool.turn)
        T = np.eye(4)
        T[:3, :3] = rotations.rotate(quat, np.eye(3)).T
        T[:3, 3] = pos + rotations.rotate(quat, tool.tip(self.params))
        return T

    @property
    def opening(self) -> float:
        """m between the working tips."""
        return float(TOOLS[self.family].opening(self.params, self.qpos[-1]))


@dataclass(frozen=True)
class ToolView:
    """One state as the camera sees it."""

    state: ToolState
    eye: Eye
    view: View
    up: F64  # (3,) unit, against gravity, palm frame
    table: float  # m along `up`; minus infinity where there is none
    has_tool: bool
    seen: int  # pixels of the tool
    tips_seen: int  # of these, within 25 mm of the tips

    def measured(self, ranges: ViewRange, rng: np.random.Generator) -> tuple[F64, F64, F64]:
        """What the robot believes: the cloud (N, 3) [m] in the palm frame, its joints (16,) [rad], the camera's place
        (3,) [m] in the palm frame."""
        # A world with z up, as the robot knows it.
        T_world_palm = _upright(self.up)
        believed = self.eye.T_world_cam @ wrong(ranges, rng)
        frame = replace(self.view.frame, T_world_cam=T_world_palm @ believed)
        cloud = tool_cloud(frame, T_world_palm, self.table if np.isfinite(self.table) else None)
        zero = rng.uniform(-ranges.joint_zero, ranges.joint_zero, 16)
        return cloud, self.state.qpos[:16] + zero + rng.normal(0, ranges.joint_noise, 16), believed[:3, 3]


def wrong(ranges: ViewRange, rng: np.random.Generator) -> F64:
    """(4, 4) by which the camera's calibrated pose is off, in the camera's frame."""
    error = np.eye(4)
    turn = rotations.from_rotvec(rng.normal(0, ranges.turn, 3))
    error[:3, :3] = rotations.rotate(turn, np.eye(3)).T
    error[:3, 3] = rng.normal(0, ranges.shift, 3)
    return error


def families() -> list[str]:
    """Families that have a grasp bank."""
    return [name for name in TOOLS if (grasp_bank.FOLDER / f"{name}.npz").is_file()]


def states(name: str, part: str, rng: np.random.Generator, worlds: int = 32, every: int = 8) -> Iterator[ToolState]:
    """Endless states of held tools of one part of a family, under hard randomization, brought to random openings."""
    bank = grasp_bank.load(name)
    bank = bank.rows(np.concatenate([[0], rng.permutation(bank.part(part))[: 3 * worlds]]).astype(int))
    task = HeldToolTask(HeldToolConfig(tool=name, part=part, level="hard"), worlds, rng, 1, bank)
    known: dict[int, ToolModel] = {}

    def knowledge(tool: int) -> ToolModel:
        if tool not in known:
            taken = np.eye(4)
            taken[:3, :3], taken[:3, 3] = rotations.rotate(bank.quat[tool], np.eye(3)).T, bank.pos[tool]
            start = bank.start[tool, grasp.MIDDLE]
            known[tool] = tool_model(bank.family, bank.params[tool], bank.models[tool], taken, start)
        return known[tool]

    while True:
        task.reset(np.arange(worlds))
        for step in range(task.horizon):
            task.act_closed_form()
            task.batch.step(nstep=SUBSTEPS)
            task.sense()
            if step % every != every - 1:
                continue
            measured = task.measure()
            held = np.flatnonzero((measured["dropped"] == 0) & (measured["moved"] < 0.03) & (measured["turned"] < 0.6))
            for i in held:
                if np.isfinite(task.qpos[i]).all():
                    tool = int(task.tool[i])
                    params, model = bank.params[tool], bank.models[tool]
                    yield ToolState(name, params, model, task.qpos[i].copy(), bank.down, knowledge(tool))


def look(
    stage: Stage, wrist: Geoms, state: ToolState, ranges: ViewRange, rng: np.random.Generator, always: bool = False
) -> ToolView:
    """A camera somewhere sees the hand with the tool, perhaps an object at the tips, a table, things on it.

    Args:
        stage: draws.
        wrist: what is fixed behind the palm.
        state: of hand and tool.
        ranges: of camera and sensor.
        rng: source of randomness.
        always: with the tool; else a few hands are without it.
    """
    model = state.model
    data = mujoco.MjData(model)
    data.qpos[:] = state.qpos
    mujoco.mj_kinematics(model, data)
    ours = np.array([model.body(b).name.startswith("tool") for b in range(model.nbody)])[model.geom_bodyid]
    has_tool = bool(rng.random() > 0.06) or always
    geoms = of_model(model, data, np.where(ours, TOOL if has_tool else 0, SELF))
    if rng.random() < 0.8:
        geoms = geoms + wrist
    tip = state.tip
    up = -randomize.in_cone(rng, state.down, ranges.tilt, 1)[0]
    middle = 0.7 * tip[:3, 3] + 0.3 * np.array([0.0, 0.02, -0.08])
    table = -np.inf
    lowest = float((data.geom_xpos[ours] @ up - model.geom_rbound[ours] * 0.2).min())
    if rng.random() < 0.85:
        table = min(lowest, float(tip[:3, 3] @ up)) - rng.uniform(0.002, 0.2)
        geoms = geoms + _slab(up, table)
    if rng.random() < (0.5 if has_tool else 0.7):
        geoms = geoms + _object(state, tip, has_tool, rng)
    for _ in range(rng.integers(0, 3) if np.isfinite(table) and rng.random() < 0.4 else 0):
        geoms = geoms + _clutter(tip[:3, 3], up, table, rng)
    eye = eye_around(middle, up, ranges, rng)
    noise = D435Noise(subpixel=float(rng.uniform(*ranges.subpixel)))
    view = stage.view(geoms, eye, middle, 0.135, noise, rng, TABLE)
    seen = view.labels == TOOL
    count = int(seen.sum())
    return ToolView(state, eye, view, up, table, has_tool, count, _near_tips(view, eye, seen, tip[:3, 3]))


def _near_tips(view: View, eye: Eye, seen: np.ndarray, tip: F64) -> int:
    from toolwright.perception.camera import deproject, transform

    points = transform(eye.T_world_cam, deproject(np.where(seen, view.frame.depth, 0.0), view.frame.K))
    return int((np.linalg.norm(points - tip, axis=1) < 0.025).sum())


def eye_around(middle: F64, up: F64, ranges: ViewRange, rng: np.random.Generator) -> Eye:
    """A camera somewhere around a point (3,) [m] that is in its image; `up` (3,) is against gravity."""
    size = RESOLUTIONS[rng.choice(len(RESOLUTIONS), p=ranges.resolution)]
    elevation, azimuth = rng.uniform(*ranges.elevation), rng.uniform(-np.pi, np.pi)
    side = np.cross(up, [0.3, 0.5, 0.8])
    side /= np.linalg.norm(side)
    level = np.cos(azimuth) * side + np.sin(azimuth) * np.cross(up, side)
    back = np.cos(elevation) * level + np.sin(elevation) * up
    distance = rng.uniform(max(ranges.distance[0], 0.36 if size[0] == 1280 else 0.0), ranges.distance[1])
    pos = middle + distance * back
    # The tool is somewhere in the image, not in its middle.
    forward = middle + rng.normal(0, 0.04, 3) - pos
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.stack([right, np.cross(forward, right), forward], axis=1), pos
    return Eye(T, size)


def _upright(up: F64) -> F64:
    """(4, 4) of the palm in a world whose z is `up`."""
    side = np.cross(up, [0.3, 0.5, 0.8])
    side /= np.linalg.norm(side)
    T = np.eye(4)
    T[:3, :3] = np.stack([side, np.cross(up, side), up])
    return T


def solid(kind: int, size: F64, pos: F64, mat: F64, label: int) -> Geoms:
    """One geom."""
    return Geoms(np.array([kind]), np.array([size]), np.array([pos]), mat[None], np.array([-1]), np.array([label]))


def _slab(up: F64, height: float) -> Geoms:
    mat = _upright(up)[:3, :3].T
    return solid(_BOX, np.array([0.7, 0.7, 0.02]), up * (height - 0.02), mat, TABLE)


def _object(state: ToolState, tip: F64, has_tool: bool, rng: np.random.Generator) -> Geoms:
    """A thing that the tips hold, or one that is near them; without a tool, one that is in the hand."""
    half = 0.5 * np.exp(rng.uniform(np.log(0.004), np.log(0.03), 3))
    kind = int(rng.choice([_BOX, _BALL, _CYLINDER, _CAPSULE, _EGG]))
    turn = rotations.rotate(rotations.from_rotvec(rng.normal(0, 1.0, 3)), np.eye(3)).T
    pos = tip[:3, 3] + tip[:3, :3] @ np.array([*rng.normal(0, 0.015, 2), rng.uniform(0.0, 0.05)])
    if not has_tool:
        half = half * 2
        pos = np.array([0.0, 0.05, -0.1]) + rng.normal(0, 0.03, 3)
    elif state.opening > 0.002 and TOOLS[state.family].job in ("pinch", "hold") and rng.random() < 0.6:
        half[0] = state.opening / 2
        kind = int(rng.choice([_BOX, _BALL, _CYLINDER]))
        turn = tip[:3, :3]
        if kind == _CYLINDER:
            half = half[[0, 1, 2]]
        pos = tip[:3, 3] + tip[:3, :3] @ np.array([0.0, rng.normal(0, 0.001), rng.uniform(-0.006, 0.003)])
    size = {_BALL: [half[0], 0, 0], _CYLINDER: [half[0], half[1], 0], _CAPSULE: [half[0], half[1], 0]}.get(kind, half)
    return solid(kind, np.array(size, dtype=float), pos, turn, OBJECT)


def _clutter(tip: F64, up: F64, table: float, rng: np.random.Generator) -> Geoms:
    half = rng.uniform(0.008, 0.035, 3)
    mat = _upright(up)[:3, :3].T
    angle, far = rng.uniform(-np.pi, np.pi), rng.uniform(0.05, 0.15)
    across = mat[:, 0] * np.cos(angle) + mat[:, 1] * np.sin(angle)
    pos = tip + up * (table - tip @ up + half[2]) + far * across
    kind = int(rng.choice([_BOX, _CYLINDER]))
    size = half if kind == _BOX else np.array([half[0], half[2], 0])
    turn = rotations.rotate(rotations.from_rotvec(np.array([0, 0, rng.uniform(0, 3)])), np.eye(3)).T
    return solid(kind, size, pos, mat @ turn, CLUTTER)


def robot() -> tuple[HandModel, Geoms]:
    """The hand on the arm's flange as its own perception knows it, and what is drawn behind the palm."""
    spec = new_spec()
    add_robot(spec, "fr3", "leap", np.zeros(3), np.array([1.0, 0, 0, 0]))
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    palm = model.body("palm")
    links = [b for b in range(model.nbody) if b == palm.id or _below(model, b, palm.id)]
    row = {body: i for i, body in enumerate(links)}
    row[int(palm.parentid[0])] = 0  # the wrist moves with the palm
    joint = [-1] + [LEAP.names.index(model.joint(model.body_jntadr[b]).name) for b in links[1:]]
    axis = [np.zeros(3)] + [model.jnt_axis[model.body_jntadr[b]] for b in links[1:]]
    geoms = [g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in row]
    home = rotations.conjugate(data.xquat[palm.id])
    at, turn = [], []
    for g in geoms:
        wrist = int(model.geom_bodyid[g]) not in links
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, data.geom_xmat[g])
        at.append(rotations.rotate(home, data.geom_xpos[g] - data.xpos[palm.id]) if wrist else model.geom_pos[g])
        turn.append(rotations.multiply(home, quat) if wrist else model.geom_quat[g])
    hand = HandModel(
        parent=np.array([0] + [row[int(model.body_parentid[b])] for b in links[1:]]),
        pos=model.body_pos[links],
        quat=model.body_quat[links],
        joint=np.array(joint),
        axis=np.array(axis),
        link=np.array([row[int(model.geom_bodyid[g])] for g in geoms]),
        round=np.array([int(model.geom_type[g]) == _CAPSULE for g in geoms]),
        size=model.geom_size[geoms],
        at=np.array(at),
        turn=np.array(turn),
    )
    behind = [i for i, g in enumerate(geoms) if int(model.geom_bodyid[g]) not in links]
    wrist_geoms = Geoms(
        model.geom_type[[geoms[i] for i in behind]],
        hand.size[behind],
        hand.at[behind],
        np.stack([rotations.rotate(hand.turn[i], np.eye(3)).T for i in behind]),
        np.full(len(behind), -1),
        np.full(len(behind), SELF),
    )
    return hand, wrist_geoms


def _below(model: mujoco.MjModel, body: int, top: int) -> bool:
    while body > 0:
        body = int(model.body_parentid[body])
        if body == top:
            return True
    return False
