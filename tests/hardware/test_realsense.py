"""The RealSense driver over the vendor's own library: its software device, filters, alignment, recorder, playback."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyrealsense2", reason="pyrealsense2 is not installed: pip install 'toolwright[hardware]'")

import pyrealsense2 as rs

from toolwright.hardware.drivers.realsense import (
    CameraError,
    CameraLost,
    CameraMissing,
    CameraSettings,
    RealSense,
    RecordingEnded,
)
from toolwright.hardware.fake.realsense_device import SoftwareCamera
from toolwright.hardware.robot import Camera

W, H = 64, 48
PLAIN = CameraSettings(width=W, height=H, spatial=False, temporal=False, timeout=0.5)
BOX = (slice(16, 32), slice(20, 40))  # rows and columns in the depth image
FAR, NEAR = 1000, 500  # mm


def images(i: int) -> tuple[np.ndarray, np.ndarray]:
    """A box in front of a wall; the color says which image it is."""
    depth = np.full((H, W), FAR, np.uint16)
    depth[BOX] = NEAR
    color = np.full((H, W, 3), (i % 250, 100, 30), np.uint8)
    return depth, color


@pytest.fixture
def fake() -> SoftwareCamera:
    return SoftwareCamera((W, H))


@pytest.fixture
def camera(fake):
    driver = RealSense(settings=PLAIN, find=fake.find)
    yield driver
    driver.close()


def test_it_is_a_camera_with_the_device_s_own_intrinsics(fake, camera):
    with fake.running(images):
        frame = camera.read()
    assert isinstance(camera, Camera)
    assert frame.K == pytest.approx(np.array([[58, 0, 31.5], [0, 58, 23.5], [0, 0, 1]]))
    assert frame.rgb.shape == (H, W, 3) and (frame.rgb[..., 1:] == (100, 30)).all()
    assert frame.depth.shape == (H, W) and frame.depth.dtype == np.float64
    assert set(np.unique(frame.depth.round(3))) <= {0.0, 0.5, 1.0}
    assert "D435" in camera.name and "0001" in camera.name


def test_depth_is_aligned_to_color(fake, camera):
    """The box appears where a pinhole model sees it from the color camera, 15 mm beside."""
    with fake.running(images):
        frame = camera.read()
    columns = np.flatnonzero((frame.depth[24] > 0.4) & (frame.depth[24] < 0.6))
    left, right = ((u - 31.5) / 60 * 0.5 for u in (20, 39))  # m, in the depth camera
    expected = [(x + 0.015) / 0.5 * 58 + 31.5 for x in (left, right)]
    assert columns[[0, -1]] == pytest.approx(expected, abs=1.0)


def test_filters_smooth_and_cut_the_range(fake):
    rng = np.random.default_rng(0)

    def noisy(i: int) -> tuple[np.ndarray, np.ndarray]:
        depth = (FAR + rng.normal(0, 8, (H, W))).astype(np.uint16)
        depth[:, :8] = 3500
        return depth, images(i)[1]

    spread = {}
    for smooth in (False, True):
        settings = CameraSettings(width=W, height=H, spatial=smooth, temporal=smooth)
        fake = SoftwareCamera((W, H))
        camera = RealSense(settings=settings, find=fake.find)
        with fake.running(noisy):
            depth = [camera.read() for _ in range(8)][-1].depth
        camera.close()
        assert not depth[:, :6].any()  # over 3 m
        spread[smooth] = depth[10:40, 15:55][depth[10:40, 15:55] > 0].std()
    assert spread[True] < 0.5 * spread[False]


def test_frames_are_new_each_time_and_stamped_by_the_camera_s_clock(fake, camera):
    with fake.running(images):
        camera.read()
        frames, arrivals = [], []
        for _ in range(12):
            frames.append(camera.read())
            arrivals.append(time.monotonic())
    steps = np.diff([frame.stamp for frame in frames])
    numbers = np.diff([int(frame.rgb[0, 0, 0]) for frame in frames])
    assert (numbers > 0).all()
    assert steps == pytest.approx(numbers / 30, abs=0.02)  # the offset of the clocks may still be learned
    ages = np.array(arrivals) - [frame.stamp for frame in frames]
    assert (ages >= 0).all() and ages.max() < 0.5


def test_stamps_do_not_jitter_with_the_delay_of_arrival(fake, camera):
    camera.connect()
    start, stamps, arrivals = time.monotonic(), [], []
    for i in range(40):
        late = (0.0, 0.015, 0.009, 0.021)[i % 4]  # s on its way
        time.sleep(max(start + i / 30 + late - time.monotonic(), 0))
        fake.send(*images(i))
        stamps.append(camera.read().stamp)
        arrivals.append(time.monotonic())
    assert np.diff(arrivals).std() > 0.01
    assert np.diff(stamps[20:]) == pytest.approx(1 / 30, abs=6e-3)


def test_a_camera_that_was_unplugged_is_lost_and_found_again(fake, camera):
    with fake.running(images):
        camera.read()
        fake.plugged_in = False
        with pytest.raises(CameraLost, match=r"sent no (depth|color) image for 0.5 s.*USB 3"):
            for _ in range(3):
                camera.read()
        with pytest.raises(CameraMissing):
            camera.read()
        fake.plugged_in = True
        assert camera.read().depth.any()


def test_a_loss_is_told_within_the_timeout(fake):
    camera = RealSense(settings=CameraSettings(width=W, height=H, timeout=0.2), find=fake.find)
    camera.connect()
    start = time.monotonic()
    with pytest.raises(CameraLost):
        camera.read()
    assert time.monotonic() - start < 1.0


def test_a_size_that_the_camera_lacks_is_named_with_those_it_has(fake):
    with pytest.raises(CameraError, match="no depth stream of 640x480 at 30/s; it has 64x48 at 30/s.*USB 3"):
        RealSense(find=fake.find).connect()


def test_an_option_that_there_is_not_is_named(fake):
    settings = CameraSettings(width=W, height=H, options={"lazer_power": 1.0})
    with pytest.raises(CameraError, match="no option 'lazer_power'"):
        RealSense(settings=settings, find=fake.find).connect()


def test_no_camera_says_how_to_plug_it_in():
    with pytest.raises(CameraMissing, match="USB 3"):
        RealSense(serial="999999999999").connect()


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images, written by the vendor's recorder."""
    path = tmp_path_factory.mktemp("realsense") / "box.db3"
    fake = SoftwareCamera((W, H))
    recorder = rs.recorder(str(path), fake.device)
    camera = RealSense(settings=PLAIN, find=fake.find)
    camera.connect()
    for i in range(40):
        fake.send(*images(i))
        time.sleep(1 / 30)
    camera.close()
    del recorder
    return path


def test_a_recorded_file_is_played_with_its_stamps_until_it_ends(file):
    camera = RealSense(file=file)
    frames = []
    with pytest.raises(RecordingEnded, match="no more"):
        while True:
            frames.append(camera.read())
    assert len(frames) > 20
    numbers = np.array([int(frame.rgb[0, 0, 0]) for frame in frames])
    assert (np.diff(numbers) > 0).all()
    assert [frame.stamp for frame in frames] == pytest.approx(5.0 + numbers / 30, abs=1e-4)
    assert frames[0].K[0, 0] == pytest.approx(58)
    assert np.isclose(frames[5].depth[24, 32], 0.5, atol=2e-3)


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(CameraMissing, match="no such recording"):
        RealSense(file=tmp_path / "nothing.db3").connect()
    (tmp_path / "text.db3").write_text("hello")
    with pytest.raises(CameraError, match="no recording of this library"):
        RealSense(file=tmp_path / "text.db3").connect()
