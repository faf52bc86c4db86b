"""The depth camera sees where things are, and errs as the sensor does."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from toolwright.hardware.robot import Camera
from toolwright.perception.camera import deproject, project, transform
from toolwright.sim.camera import D435Noise, DepthCamera, add_noise, d435_focal_length
from toolwright.sim.scene import build, load_scene

K = np.array([[386.0, 0.0, 159.5], [0.0, 386.0, 119.5], [0.0, 0.0, 1.0]])
SHAPE = (240, 320)
BARE = replace(D435Noise(), edge_dropout=0.0, dropout=0.0, grazing_width=0.0, resolution=0.0, shadow=False)


@pytest.fixture(scope="module")
def world() -> tuple[mujoco.MjModel, mujoco.MjData]:
    spec = build(load_scene("beads"), with_robot=False)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("size", "focal"), [((640, 480), 385), ((848, 480), 425), ((1280, 720), 640)])
def test_the_focal_length_is_that_of_real_devices(size: tuple[int, int], focal: float) -> None:
    assert d435_focal_length(*size) == pytest.approx(focal, rel=0.01)


def test_known_objects_appear_at_their_pixels_with_their_depth(world: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    camera = DepthCamera(*world, noise=None)
    assert isinstance(camera, Camera)
    frame = camera.read()
    camera.close()
    assert frame.K[0, 0] == pytest.approx(d435_focal_length(640, 480), rel=1e-4)
    T_cam_world = np.linalg.inv(frame.T_world_cam)
    for name, radius in (("red_bead", 0.006), ("yellow_bead", 0.005), ("green_bead", 0.004)):
        center = transform(T_cam_world, world[1].body(name).xpos[None])
        u, v = project(center, frame.K)[0].round().astype(int)
        assert np.linalg.norm(center) - frame.depth[v, u] * np.linalg.norm(center) / center[0, 2] == pytest.approx(
            radius, abs=5e-4
        )
    red = project(transform(T_cam_world, world[1].body("red_bead").xpos[None]), frame.K)[0].round().astype(int)
    r, g, b = frame.rgb[red[1], red[0]].astype(int)
    assert r > 2 * max(g, b)


def test_deprojected_table_pixels_lie_on_the_table(world: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    camera = DepthCamera(*world, width=160, height=120, noise=None)
    frame = camera.read()
    camera.close()
    lower_half = frame.depth.copy()
    lower_half[:80] = 0
    points = transform(frame.T_world_cam, deproject(lower_half, frame.K))
    assert np.abs(points[:, 2]).max() < 5e-4


def test_a_frame_of_the_same_seed_is_the_same_and_carries_the_time(world: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    first, second = (DepthCamera(*world, width=160, height=120, rng=_rng()) for _ in range(2))
    a, b = first.read(), second.read()
    assert (a.depth == b.depth).all() and a.stamp == world[1].time
    assert (first.read().depth != a.depth).any()
    first.close()
    second.close()


def test_an_unknown_camera_and_noise_without_a_generator_are_refused(
    world: tuple[mujoco.MjModel, mujoco.MjData],
) -> None:
    with pytest.raises(ValueError, match="no camera 'wrist'; it has"):
        DepthCamera(*world, name="wrist", rng=_rng())
    with pytest.raises(ValueError, match="pass rng"):
        DepthCamera(*world)


@pytest.mark.parametrize("z", [0.4, 0.8, 1.6])
def test_the_error_grows_with_the_square_of_the_distance(z: float) -> None:
    error = add_noise(np.full(SHAPE, z), K, BARE, _rng()) - z
    assert error.std() == pytest.approx(z**2 * 0.08 / (386 * 0.05), rel=0.05)
    assert abs(error.mean()) < 0.1 * error.std() + 2e-4


def test_neighboring_errors_are_alike_and_distant_ones_are_not() -> None:
    error = add_noise(np.full(SHAPE, 0.5), K, BARE, _rng()) - 0.5
    near = np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1]
    far = np.corrcoef(error[:, 20:].ravel(), error[:, :-20].ravel())[0, 1]
    assert near > 0.5 and abs(far) < 0.05


def test_depths_come_in_millimeters() -> None:
    depth = add_noise(np.full(SHAPE, 0.5), K, replace(BARE, resolution=0.001), _rng())
    assert np.abs(depth * 1000 - np.round(depth * 1000)).max() < 1e-9


def test_what_is_too_near_too_far_or_absent_has_no_depth() -> None:
    for z, seen in ((0.0, False), (0.17, False), (0.19, True), (2.5, True), (3.5, False)):
        assert (add_noise(np.full(SHAPE, z), K, BARE, _rng()) > 0).all() == seen, z


def test_edges_lose_pixels_and_flat_ground_does_not() -> None:
    depth = np.full(SHAPE, 0.6)
    depth[:, 160:] = 0.5
    holes = add_noise(depth, K, replace(BARE, edge_dropout=0.5), _rng()) == 0
    assert 0.4 < holes[:, 159:161].mean() < 0.6
    assert not holes[:, :150].any() and not holes[:, 170:].any()


def test_the_near_side_of_an_object_casts_a_stereo_shadow_on_its_left() -> None:
    depth = np.full(SHAPE, 0.6)
    depth[:, 160:200] = 0.4
    holes = add_noise(depth, K, replace(BARE, shadow=True), _rng()) == 0
    width = 386 * 0.05 * (1 / 0.4 - 1 / 0.6)  # px, difference of the disparities
    assert holes[100, :160].sum() == pytest.approx(width, abs=1.5)
    assert holes[100, 160 - int(width) + 1 : 160].all() and not holes[100, 200:].any()


def test_surfaces_seen_at_a_grazing_angle_lose_pixels() -> None:
    rows = np.arange(SHAPE[0])[:, None] - K[1, 2]
    lost = {}
    for height in (0.05, 0.5):  # m above a floor that is looked along
        floor = np.where(rows > 4, height * K[0, 0] / np.maximum(rows, 1), 0.0) * np.ones(SHAPE)
        noise = replace(BARE, grazing_width=0.06, range_max=5.0, subpixel=0.0, disparity_max=1e3, edge_step=1.0)
        lost[height] = (add_noise(floor, K, noise, _rng()) == 0)[10 + 120 :].mean(axis=1)
    assert lost[0.5][:10].mean() > 0.9 and lost[0.5][-10:].mean() < 0.5
    wall = add_noise(np.full(SHAPE, 0.5), K, replace(BARE, grazing_width=0.06), _rng())
    assert (wall == 0).mean() < 0.001


def test_holes_by_chance_come_at_their_rate() -> None:
    depth = add_noise(np.full(SHAPE, 0.5), K, replace(BARE, dropout=0.02), _rng())
    assert (depth == 0).mean() == pytest.approx(0.02, rel=0.15)
