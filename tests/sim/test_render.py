"""Pictures and videos are made without a display, or the reason is said in a line."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import mujoco
import numpy as np
import pytest

from toolwright.sim import render
from toolwright.sim.render import RenderError, VideoWriter, gl_backend, snapshot
from toolwright.sim.scene import CLOSEUP, build, load_scene

SIZE = (160, 90)


@pytest.fixture(scope="module")
def world() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build(load_scene("beads"), with_robot=False).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_a_snapshot_shows_the_scene(world: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    picture = snapshot(*world, camera=CLOSEUP, size=SIZE)
    assert picture.shape == (90, 160, 3) and picture.dtype == np.uint8
    assert picture.std() > 10  # not one flat color
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 60
    assert blue.sum() > 50  # the cup


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_a_video_holds_every_frame_at_its_size(
    world: tuple[mujoco.MjModel, mujoco.MjData], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "new folder" / f"run.{kind}"
    with VideoWriter(path, fps=10, size=SIZE) as video:
        video.capture(*world)
        for gray in (200, 140, 80, 0):  # equal frames would be merged in a .gif
            video.write(np.full((90, 160, 3), gray, np.uint8))
    frames = imageio.mimread(path)
    assert len(frames) == video.frames == 5
    assert frames[0].shape[:2] == (90, 160)
    assert frames[-1][..., :3].mean() < 20 < frames[0][..., :3].mean()


def test_a_video_of_another_kind_or_an_odd_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a video is \.mp4 or \.gif"):
        VideoWriter(tmp_path / "run.avi")
    with pytest.raises(ValueError, match="must be even"):
        VideoWriter(tmp_path / "run.mp4", size=(161, 90))


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "run.mp4", size=SIZE) as video:
        video.write(np.zeros((90, 160, 3), np.uint8))
        with pytest.raises(ValueError, match="does not fit a video of 160x90"):
            video.write(np.zeros((80, 160, 3), np.uint8))


def test_osmesa_stands_in_where_egl_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render, "_loads", lambda library: "OSMesa" in library)
    assert gl_backend() == "osmesa"


def test_without_any_backend_the_error_says_in_one_line_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render, "_loads", lambda library: False)
    with pytest.raises(RenderError, match="install libegl1") as caught:
        gl_backend()
    assert "\n" not in str(caught.value)


def test_the_users_choice_of_backend_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert gl_backend() == "osmesa"
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(RenderError, match="forbids rendering"):
        gl_backend()
