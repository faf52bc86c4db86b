"""Scenes from a depth camera, against the truth of the simulation that the camera looked at."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

from toolwright.hardware.robot import Frame
from toolwright.perception import table_eye, tabletop
from toolwright.perception.camera_scene import CameraPerception, CameraSettings, SeenScene, shadow
from toolwright.perception.memory import Memory
from toolwright.perception.scene import Box, HeldTool
from toolwright.sim.camera import DepthCamera
from toolwright.sim.scene import build, load_scene, sample
from toolwright.sim.scene_spec import SceneSpec

TABLE = Box(np.array([0.17, -0.58, 0.0]), np.array([0.93, 0.58, 1.0]))
SETTINGS = CameraSettings(Box(np.array([0.35, -0.2, 0.0]), np.array([0.6, 0.2, 0.4])), TABLE)
SHOWN = np.zeros((480, 640), dtype=bool)


def bench(spec: SceneSpec, seed: int = 0) -> SimpleNamespace:
    """A table without a robot, its camera, and the truth."""
    model = build(spec, with_robot=False).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = DepthCamera(model, data, rng=np.random.default_rng(seed))
    it = SimpleNamespace(spec=spec, model=model, data=data, camera=camera)
    it.at = lambda name: data.body(name).xpos.copy()

    def move(name: str, to: tuple[float, float, float]) -> None:
        data.joint(name).qpos[:3] = to
        mujoco.mj_forward(model, data)

    it.move = move
    return it


@pytest.fixture
def bead():
    it = bench(load_scene("bead"))
    yield it
    it.camera.close()


def frame_of(points: float = 0.0, tilt: float = 0.0) -> Frame:
    """A bare table, seen straight from above, 0.5 m away; `points` of it at another height."""
    K = np.array([[386.0, 0, 319.5], [0, 386.0, 239.5], [0, 0, 1]])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.diag([1.0, -1, -1]), (0.5, 0.0, 0.5)
    u = np.arange(640)
    depth = np.tile(0.5 / (1 + tilt * (u - 319.5) / 386), (480, 1))  # z = tilt (x - 0.5)
    return Frame(1.0, depth, np.full((480, 640, 3), 200, np.uint8), K, T)


# -- single pictures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["beads", "sort"])
def test_things_of_drawn_scenes_are_found_where_they_are(scene):
    for seed in range(2):
        spec = sample(load_scene(scene), np.random.default_rng(seed))
        it = bench(spec, seed)
        seen = table_eye.look(it.camera.read(), TABLE)
        it.camera.close()
        assert len(seen) == len(spec.objects), f"{set(seen)} for {set(spec.objects)}"
        for name, thing in spec.objects.items():
            near = min(seen.values(), key=lambda item: np.linalg.norm(item.pos - it.at(name)))
            assert (near.shape, near.color) == (thing.shape, thing.color)
            within = 0.002 if thing.shape == "sphere" else 0.005  # a cup may be half behind another
            assert np.linalg.norm(near.pos - it.at(name)) < within
            if thing.shape == "sphere":
                assert abs(near.size[0] - 2 * thing.radius) < 0.0015
            else:
                assert abs(near.opening - thing.inner_diameter) < 0.003


def test_blocks_and_a_ball_are_told_apart():
    it = bench(load_scene("button"))
    seen = table_eye.look(it.camera.read(), TABLE)
    it.camera.close()
    for name in ("block_1", "block_2"):
        near = min(seen.values(), key=lambda item: np.linalg.norm(item.pos - it.at(name)))
        assert near.shape == "box"
        np.testing.assert_allclose(np.sort(near.size), [0.04, 0.04, 0.05], atol=0.003)
    ball = min(seen.values(), key=lambda item: np.linalg.norm(item.pos - it.at("ball")))
    assert ball.shape == "sphere" and abs(ball.size[0] - 0.06) < 0.002


@pytest.mark.parametrize(("noise", "light"), [(10.0, (1.0, 1.0, 1.0)), (5.0, (0.7, 0.7, 0.7)), (5.0, (1.0, 0.93, 0.8))])
def test_noisy_colors_dim_and_warm_light_change_little(noise, light):
    it = bench(sample(load_scene("beads"), np.random.default_rng(1)))
    frame, rng = it.camera.read(), np.random.default_rng(2)
    it.camera.close()
    rgb = frame.rgb * np.array(light) + rng.normal(0, noise, frame.rgb.shape)
    seen = table_eye.look(dataclasses.replace(frame, rgb=np.clip(rgb, 0, 255).astype(np.uint8)), TABLE)
    assert set(seen) == {"red_bead", "yellow_bead", "green_bead", "cup"}
    for name, item in seen.items():
        assert np.linalg.norm(item.pos - it.at(name)) < 0.003


@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_the_table_is_a_plane_that_may_be_tilted(tilt):
    plane = tabletop.view(frame_of(tilt=tilt), TABLE).plane
    np.testing.assert_allclose(plane.coefficients[:2], [tilt, 0], atol=1e-3)
    assert abs(plane.height(np.array([0.5, 0.0]))) < 5e-4


def test_no_table_is_said_with_what_to_look_for():
    frame = frame_of()
    raised = dataclasses.replace(frame, depth=frame.depth - 0.2)
    with pytest.raises(tabletop.NoTable, match="is the camera where its calibration says"):
        tabletop.view(raised, TABLE)


def test_an_empty_table_is_empty():
    assert table_eye.look(frame_of(), TABLE) == {}


def test_names_are_the_kind_alone_where_there_is_one():
    kinds = [("cup", "blue"), ("bead", "red"), ("bead", "blue"), ("bead", "red")]
    assert table_eye.names(kinds) == ["cup", "red_bead", "blue_bead", "red_bead_2"]
    assert table_eye.names([("cup", "red")], frozenset({"cup"})) == ["red_cup"]


def test_a_body_hides_the_pixels_around_its_points():
    frame = frame_of()
    mask = shadow(np.array([[0.5, 0.0, 0.1], [3.0, 3.0, 0.1]]), np.array([0.01, 0.01]), frame)
    v, u = np.nonzero(mask)
    assert abs(u.mean() - 319.5) < 1 and abs(v.mean() - 239.5) < 1
    assert 2 * np.sqrt(mask.sum() / np.pi) == pytest.approx(2 * 0.01 * 386 / 0.4, abs=3)


# -- over time --------------------------------------------------------------------------------------------------------


def look(it: SimpleNamespace, memory: Memory, hidden: np.ndarray = SHOWN, tool: HeldTool | None = None) -> dict:
    seen = tabletop.view(it.camera.read(), TABLE, hidden)
    memory.update(seen, tool)
    return memory.known(seen).now(tool)


def tweezers(tip: np.ndarray, opening: float) -> HeldTool:
    """A tool that points down with its tips there."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.diag([1.0, -1, -1]), tip
    return HeldTool("tweezers", "tweezers", opening, 0.038, np.zeros(3), np.array([1.0, 0, 0, 0]), T, 0.0)


def around(it: SimpleNamespace, name: str, reach: int = 40) -> np.ndarray:
    frame = it.camera.read()
    at = frame.T_world_cam[:3, :3].T @ (it.at(name) - frame.T_world_cam[:3, 3])
    u, v = (frame.K @ at)[:2] / at[2]
    rows, columns = np.mgrid[:480, :640]
    return (np.abs(columns - u) < reach) & (np.abs(rows - v) < reach)


def test_names_stay_while_things_move(bead):
    memory = Memory(TABLE)
    assert set(look(bead, memory)) == {"bead", "cup"}
    for x in (0.46, 0.44, 0.42):
        bead.move("bead", (x, -0.08, 0.005))
        seen = look(bead, memory)
        assert set(seen) == {"bead", "cup"}
        assert np.linalg.norm(seen["bead"].pos - bead.at("bead")) < 0.002


def test_what_the_robot_hides_stays_where_it_was(bead):
    memory = Memory(TABLE)
    before = look(bead, memory)["bead"].pos
    hidden = around(bead, "bead")
    for _ in range(8):
        seen = look(bead, memory, hidden)
    np.testing.assert_allclose(seen["bead"].pos, before, atol=1e-3)
    assert memory.notes() == ()


def test_what_was_taken_away_is_gone_and_the_notes_say_so(bead):
    memory = Memory(TABLE)
    look(bead, memory)
    bead.move("bead", (3.0, 0.0, 0.0))
    for _ in range(7):
        seen = look(bead, memory)
    assert set(seen) == {"cup"} and memory.notes() == ("bead is no longer seen",)
    bead.move("bead", (0.5, -0.02, 0.005))
    for _ in range(3):
        seen = look(bead, memory)
    assert np.linalg.norm(next(item for name, item in seen.items() if "bead" in name).pos - bead.at("bead")) < 0.002


def test_a_new_thing_is_believed_when_it_is_seen_twice(bead):
    bead.move("bead", (3.0, 0.0, 0.0))
    memory = Memory(TABLE)
    assert set(look(bead, memory)) == {"cup"}
    bead.move("bead", (0.5, -0.02, 0.005))
    assert set(look(bead, memory)) == {"cup"}
    assert set(look(bead, memory)) == {"cup", "bead"}


def test_a_bead_goes_with_the_tips_and_into_the_cup(bead):
    memory = Memory(TABLE)
    start, cup = look(bead, memory)["bead"].pos, bead.at("cup")
    over_cup = np.array([*cup[:2], 0.10])
    path = [start + share * (over_cup - start) + [0, 0, 0.12 * share * (1 - share) * 4] for share in (0, 0.3, 0.6, 1.0)]
    for at in path:
        bead.move("bead", tuple(at))
        seen = look(bead, memory, tool=tweezers(at - [0, 0, 0.006], 0.0095))
        assert np.linalg.norm(seen["bead"].pos - at) < 0.006
    held = memory.known(tabletop.view(bead.camera.read(), TABLE))
    moved = held.now(tweezers(over_cup + [0.01, 0, -0.006], 0.0095))
    assert moved["bead"].pos[0] - seen["bead"].pos[0] == pytest.approx(0.01, abs=1e-6), "between two frames, too"
    bead.move("bead", (cup[0] - 0.02, cup[1], 0.017))
    bead.move("bead", (3.0, 0.0, 0.0))  # where no camera sees it
    seen = look(bead, memory, tool=tweezers(over_cup, 0.02))
    assert np.linalg.norm(seen["bead"].pos[:2] - cup[:2]) < 0.03 and seen["bead"].pos[2] < 0.03
    assert memory.notes() == ("bead is not seen: it was let go over a cup, and is taken to be inside",)


def test_a_held_bead_is_not_taken_for_something_alike_that_the_tips_pass(bead):
    """Over a red thing, a piece of that looks like the red bead in the tips."""
    memory = Memory(TABLE)
    start = look(bead, memory)["bead"].pos
    hidden = SHOWN
    for at in (start, start + [0, 0.01, 0.03], start + [0, 0.03, 0.06]):
        bead.move("bead", tuple(at))
        tool = tweezers(at - [0, 0, 0.006], 0.0095)
        hidden = around(bead, "bead", 12)
        seen = look(bead, memory, hidden, tool)
    bead.move("bead", tuple(start))  # another red bead, as it were; the fingers still feel theirs
    for _ in range(2):
        seen = look(bead, memory, hidden, tool)
        assert np.linalg.norm(seen["bead"].pos - at) < 0.006
    for _ in range(4):  # seen there again and again, it has slipped after all
        seen = look(bead, memory, hidden, tool)
    assert np.linalg.norm(seen["bead"].pos - start) < 0.003


def test_a_frame_is_taken_once_a_period(bead):
    time = [0.0]
    frames = []

    def frame() -> Frame:
        frames.append(time[0])
        return dataclasses.replace(bead.camera.read(), stamp=time[0])

    eyes = CameraPerception(frame, lambda _: SHOWN, lambda: None, lambda _: None, lambda: time[0], SETTINGS)
    for k in range(9):
        time[0] = 0.05 * k
        scene = eyes.look()
        assert scene.stamp == time[0] and set(scene.objects) == {"bead", "cup"}
    assert frames == pytest.approx([0.0, 0.2, 0.4])
    assert abs(scene.table_height) < 1e-3


def test_before_the_first_frame_nothing_is_claimed():
    scene = SeenScene(SETTINGS).scene(1.0, None)
    assert scene.objects == {} and scene.notes == ("nothing was seen yet",)
