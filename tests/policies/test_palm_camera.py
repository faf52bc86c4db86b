"""Following a thing in the hand by a depth camera, and knowing when to hold still: small, true versions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.hardware.reorient import CENTER, HOME, LOST, UP
from toolwright.hardware.robot import Frame
from toolwright.perception.palm_scene import BLIND, GONE, STRANGE, Body, PalmPerception
from toolwright.perception.pose_tracker import TrackerConfig, fit
from toolwright.perception.scene import Box, SceneObject
from toolwright.perception.shape_field import ShapeField
from toolwright.policies.palm.control import CameraControl
from toolwright.policies.palm.eye import CAMERA, TaskEyes, field_of
from toolwright.policies.palm.planner import PlanCosts, PlannerConfig
from toolwright.policies.palm.stop import FEATURES, Learned, Memory, always_when_near
from toolwright.policies.palm.twin import PalmTwin
from toolwright.policies.training.palm_stop import Recorded, confusion, learn
from toolwright.policies.weights import WeightsError
from toolwright.sim import object_shapes
from toolwright.sim.object_shapes import box, capsule, cylinder, ellipsoid, finish, hull
from toolwright.sim.shape_distance import bounds, distance
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

LUMP = finish("lump", "test", False, [box([1, 0.4, 0.3]), cylinder(0.2, 0.5, [0.6, 0.3, 0])], 0.08)


@cache
def _field() -> ShapeField:
    return field_of(LUMP)


def _surface(rng: np.random.Generator, n: int = 3000) -> np.ndarray:
    """Points on the side of LUMP that a camera far along +z sees."""
    low, high = bounds(LUMP)
    xy = rng.uniform(low[:2], high[:2], (n, 2))
    z = np.full(n, high[2] + 0.01)
    for _ in range(60):  # walk down to the surface
        z -= np.maximum(distance(LUMP, np.column_stack([xy, z])), 0)
    points = np.column_stack([xy, z])
    return points[np.abs(distance(LUMP, points)) < 1e-4]


@pytest.mark.parametrize(
    "part", [box([0.02, 0.01, 0.03]), cylinder(0.02, 0.03), capsule(0.01, 0.02), ellipsoid([0.02, 0.02, 0.02])]
)
def test_distance_of_a_part_is_that_of_its_surface(part: object_shapes.Part) -> None:
    shape = object_shapes.Shape("one", "test", False, (part,), 1.0, np.eye(3))
    outline = part.outline()
    assert np.abs(distance(shape, outline)).max() < 1e-9
    pushed = outline * (1 + 0.01 / np.linalg.norm(outline, axis=1, keepdims=True))
    assert (distance(shape, pushed) > 0.004).all() and distance(shape, np.zeros((1, 3)))[0] < -0.005


def test_distance_of_a_hull_is_measured_from_its_faces() -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.02
    shape = object_shapes.Shape("cube", "test", False, (hull(corners),), 1.0, np.eye(3))
    assert np.allclose(distance(shape, np.array([[0.05, 0, 0], [0, 0, 0.0]])), [0.03, -0.02])


def test_the_field_gives_distance_and_direction_between_its_corners_too() -> None:
    points = np.random.default_rng(0).uniform(*(1.2 * corner for corner in bounds(LUMP)), (500, 3))
    value, gradient = _field().at(points)
    assert np.abs(value - distance(LUMP, points)).max() < 0.001
    away = np.array([[1.0, 0, 0]])
    far = away * (bounds(LUMP)[1][0] + 0.2)
    assert abs(float(_field().at(far)[0][0]) - float(distance(LUMP, far)[0])) < 0.02
    ahead = _field().at(points + 1e-5 * np.array([1, 0, 0]))[0]
    assert np.median(np.abs((ahead - value) / 1e-5 - gradient[:, 0])) < 1e-3


def test_a_view_of_one_side_gives_the_pose_to_a_few_milliradians_whatever_the_start() -> None:
    rng = np.random.default_rng(1)
    pos, quat = CENTER, rotations.from_rotvec(np.array([0.4, -1.0, 0.2]))
    cloud = pos + rotations.rotate(quat, _surface(rng)) + 0.0005 * rng.normal(size=(1, 3))
    cloud += 0.0007 * rng.normal(size=cloud.shape)
    for _ in range(5):
        start = rotations.multiply(rotations.from_rotvec(0.17 * rng.normal(size=3)), quat)
        found = fit(_field(), cloud, pos + 0.003 * rng.normal(size=3), start)
        off = rotations.to_rotvec(rotations.multiply(found.quat, rotations.conjugate(quat)))
        assert found.good and np.linalg.norm(off) < 0.04 and np.linalg.norm(found.pos - pos) < 0.0025


def test_what_does_not_fit_is_no_pose() -> None:
    rng = np.random.default_rng(2)
    pos, quat = np.zeros(3), np.array([1.0, 0, 0, 0])
    cloud = _surface(rng)
    few = fit(_field(), cloud[:20], pos, quat)
    assert not few.good and few.reason == "too few points" and np.array_equal(few.quat, quat)
    ball = rng.normal(size=(800, 3))
    ball *= 0.03 / np.linalg.norm(ball, axis=1, keepdims=True)
    other = fit(_field(), ball, pos, quat, replace(TrackerConfig(), poor=0.002))
    assert not other.good
    jump = fit(_field(), cloud + [0.012, 0, 0], pos, quat, TrackerConfig(prior_pos=1.0, jump=(0.005, 0.9)))
    assert not jump.good and jump.reason in ("jump", "poor fit")


def _task(n: int = 2, seed: int = 0, **config: object) -> ReorientTask:
    settings = {"shapes": "cube", "level": "nominal", "stop": 0.0, "renew": False} | config
    task = ReorientTask(ReorientConfig(**settings), n, np.random.default_rng(seed), 1)  # type: ignore[arg-type]
    task.reset(np.arange(n))
    return task


def test_the_eye_sees_the_thing_without_the_hand() -> None:
    task = _task()
    clouds = TaskEyes(task, np.random.default_rng(0)).cloud(np.arange(2), task.measured())
    field = field_of(task.shapes[0])
    for i, cloud in enumerate(clouds):
        pos, quat = task.qpos[i, 16:19], task.qpos[i, 19:]
        off = field.at(rotations.rotate(rotations.conjugate(quat), cloud - pos))[0]
        assert len(cloud) > 200 and np.quantile(np.abs(off), 0.9) < 0.004
    assert np.linalg.norm(CAMERA - CENTER) > 0.35 and (CAMERA - CENTER) @ UP < 0


def test_the_twin_foresees_rest_and_takes_over_what_is_measured() -> None:
    task = _task()
    ids, pose = np.arange(2), task.qpos[:, 16:].copy()
    twin = PalmTwin(task.shapes, 2)
    q = task.measured()
    twin.begin(ids, task.variant, q, task.interface.command, pose[:, :3], pose[:, 3:])
    for _ in range(4):
        twin.foresee(ids, task.interface.command)
    assert np.linalg.norm(twin.qpos[:, 16:19] - pose[:, :3], axis=1).max() < 0.008
    moved = pose[:, :3] + [0.004, 0, 0]
    twin.correct(ids, q, np.zeros((2, 16)), moved, pose[:, 3:])
    assert np.array_equal(twin.qpos[:, 16:19], moved) and (twin.qvel[:, 16] > 0.005).all()
    twin.aim(ids, pose[:, 3:])
    assert (twin.error() < 1e-3).all()


def test_seen_by_camera_alone_the_hand_turns_a_cube_and_says_so_only_where_it_is_true() -> None:
    task = _task(3, seed=3, near=0.7, far=0.7)
    small = PlannerConfig(plans=12, level="nominal", costs=PlanCosts(effort=0.0))
    control = CameraControl(task, small, always_when_near, np.random.default_rng(1))
    active, before = np.ones(3, dtype=bool), task.error()
    for _ in range(40):
        task.act(control(task, active))
        task.batch.step(np.flatnonzero(active), nstep=10)
        task.sense()
        active &= ~control.declared & (task.measure()["dropped"] == 0)
        if not active.any():
            break
    log = control.log.arrays()
    assert np.median(log["turn"]) < 0.05 and np.median(log["shift"]) < 0.003 and log["good"].mean() > 0.8
    assert control.declared.any() and (task.error() < before - 0.1).any()
    assert (task.error()[control.declared] < task.config.tolerance).all()


# -- the stop predictor ------------------------------------------------------------------------------------------------


def test_the_predictor_learns_what_can_be_known_and_not_more() -> None:
    rng = np.random.default_rng(0)
    features, world = rng.normal(size=(1500, len(FEATURES))), np.repeat(np.arange(15), 100)
    known = features[:, 0] + 0.5 * features[:, 4] < -0.3
    for within, low, high in ((known, 0.93, 1.0), (rng.random(1500) < 0.3, 0.0, 0.8)):
        stop = learn(Recorded(features[:1000], within[:1000], world[:1000]))
        counts = confusion(within[1000:], stop.probability(features[1000:]) > 0.5)
        right = (counts["right to stop"] + counts["right to go on"]) / 500
        assert low <= right <= high


def test_a_hand_that_holds_still_goes_on_doing_so_down_to_a_lower_probability() -> None:
    k = len(FEATURES)
    stop = Learned(np.zeros(k), np.ones(k), np.eye(1, k + 1), np.array([-4.0, 0.0]), begin=0.6, keep=0.4)

    class Twin:
        config = ReorientConfig(tolerance=1.0)

        def speeds(self) -> tuple[np.ndarray, ...]:
            return np.zeros(1), np.zeros(1), np.zeros(1)

    memory, said = Memory.of(1), []
    for error in (1.0, -0.5, 0.02, 0.5):  # the network's probability rises above one half below zero
        memory.error[:, 0] = error
        said.append(bool(stop(Twin(), memory)[0]))  # type: ignore[arg-type]
    assert said == [False, True, True, False]


def test_the_shipped_predictor_loads_and_a_missing_one_says_so(tmp_path: object) -> None:
    from pathlib import Path

    stop = Learned.load()
    rest = np.array([[0.1, 0, 0, 0.05, 0.05, 0.01, 0.2, 0.1, 0.1, 0]])
    far = np.array([[4.0, 0, 0, 2.0, 1.5, 1.0, 0.4, 0.3, 0.2, 0]])
    assert stop.probability(rest)[0] > 0.7 > 0.2 > stop.probability(far)[0]
    with pytest.raises(WeightsError, match="stop predictor"):
        Learned.load(Path(str(tmp_path)) / "none.json")


# -- the scene of the skill --------------------------------------------------------------------------------------------


class _Stage:
    """A palm at the origin facing up, over which pictures of LUMP come and go."""

    def __init__(self) -> None:
        self.stamp, self.shows, self.shape = 0.0, True, LUMP
        self.pos, self.quat = np.array([0.0, 0.0, 0.0]), np.array([1.0, 0, 0, 0])
        down = rotations.multiply(rotations.from_rotvec(np.array([np.pi, 0, 0])), np.array([1.0, 0, 0, 0]))
        turn = rotations.rotate(down, np.eye(3)).T
        lean = np.arctan2(UP[0], UP[2])
        self.T = np.eye(4)
        self.T[:3, :3] = turn @ rotations.rotate(rotations.from_rotvec(np.array([0, -lean, 0])), np.eye(3)).T
        self.T[:3, 3] = -self.T[:3, :3] @ CENTER  # things lie at the world's origin

    def body(self) -> Body:
        return Body(self.stamp, self.T, HOME)

    def frame(self) -> Frame | None:
        """A camera half a meter above, looking down, cast by walking along the rays."""
        if not self.shows:
            return None
        height, width, focal = 112, 112, 210.0
        v, u = np.indices((height, width))
        rays = np.stack([(u - 55.5) / focal, -(v - 55.5) / focal, -np.ones(u.shape)], axis=-1).reshape(-1, 3)
        origin, depth = np.array([0.0, 0.0, 0.5]), np.full(len(rays), 0.40 if self.shape is not None else 1.0)
        if self.shape is not None:
            inverse = rotations.conjugate(self.quat)
            for _ in range(40):
                at = rotations.rotate(inverse, origin + rays * depth[:, None] - self.pos)
                depth += np.minimum(distance(self.shape, at), 0.02) / 1.3
        depth = np.where(depth > 0.56, 0.56, depth)  # a plate below stands for palm and table
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = np.diag([1.0, -1.0, -1.0]), origin
        K = np.array([[focal, 0, 55.5], [0, focal, 55.5], [0, 0, 1.0]])
        return Frame(self.stamp, depth.reshape(height, width), np.zeros((height, width, 3), np.uint8), K, T)


class _NoHand:
    """A hand that is nowhere, but for the plate."""

    def distance(self, points: np.ndarray, q: np.ndarray) -> np.ndarray:
        del q
        return np.where((points - CENTER) @ UP > 0.045, 0.0, 1.0)


def _perception(stage: _Stage) -> PalmPerception:
    thing = SceneObject("lump", "letter", stage.pos, stage.quat, np.full(3, 0.08), 0.1, False)
    workspace = Box(-np.ones(3), np.ones(3))
    return PalmPerception(stage.frame, stage.body, thing, _field(), workspace, 0.0, _NoHand())  # type: ignore[arg-type]


def test_the_scene_follows_the_thing_and_says_why_it_is_not_there() -> None:
    stage = _Stage()
    eyes = _perception(stage)
    assert eyes.look().in_palm == "lump"
    for _ in range(4):
        stage.stamp += 0.05
        stage.quat = rotations.multiply(rotations.from_rotvec(np.array([0.0, 0.1, 0.12])), stage.quat)
        item = eyes.look().objects["lump"]
    off = rotations.to_rotvec(rotations.multiply(item.quat, rotations.conjugate(stage.quat)))
    assert np.linalg.norm(off) < 0.05 and np.linalg.norm(item.pos - stage.pos) < 0.003

    stage.stamp, stage.shows = stage.stamp + 0.05, False
    assert eyes.look().notes == (BLIND,) and not eyes.look().objects
    stage.stamp, stage.shows = stage.stamp + 0.05, True
    assert "lump" in eyes.look().objects
    stage.shape, notes = finish("cube", "test", False, [box([1, 1, 1])], 0.05), []
    for _ in range(16):
        stage.stamp += 0.05
        notes.append(eyes.look().notes)
    assert notes[-6:] == [(STRANGE,)] * 6
    stage.stamp, stage.shape = stage.stamp + 0.05, None
    assert eyes.look().notes == (GONE,)


def test_a_thing_that_falls_out_of_the_hand_is_not_followed_and_gone_within_a_fifth_of_a_second() -> None:
    stage = _Stage()
    eyes = _perception(stage)
    assert eyes.look().in_palm == "lump"
    left = None
    for step in range(1, 20):
        stage.stamp += 0.05
        stage.pos = np.array([0.02 + 1.5 * 0.05 * step, 0.0, 0.0])  # as fast as after 11 cm of falling
        scene = eyes.look()
        if left is None and np.linalg.norm(stage.pos) > LOST:
            left = stage.stamp
        if scene.notes == (GONE,):
            break
        assert left is None or scene.in_palm == ""
    assert left is not None and stage.stamp - left <= 0.2
