"""The pick task seen through a simulated depth camera and the encoder."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.perception.affordance import Affordance
from toolwright.policies.high_level.camera_eyes import CameraEyes
from toolwright.sim.models.small_objects import small_objects
from toolwright.sim.tasks.pick import PickConfig, PickTask

THINGS = ("wooden bead", "die", "nut M8", "brick")


@pytest.fixture(scope="module")
def task() -> PickTask:
    made = PickTask(PickConfig(part="all", state="camera"), len(THINGS), np.random.default_rng(0), 1)
    names = [thing.name for thing in small_objects()]
    made.assigned = np.array([names.index(name) for name in THINGS])
    made.eyes = CameraEyes(made, Affordance.load(), np.random.default_rng(1))
    made.reset(np.arange(made.n))
    return made


def _wrong(eyes: CameraEyes, found: bool) -> float:
    """m by which the cameras' places are off at the hand, on average."""
    off = []
    for world in eyes._worlds:
        assert world is not None
        T = world.camera @ world.camera_found if found else world.camera
        off.append(np.linalg.norm((T @ [0.0, 0, 0.4, 1])[:3] - [0.0, 0, 0.4]))
    return float(np.mean(off))


def test_things_and_the_tool_are_seen_to_a_few_millimeters(task: PickTask) -> None:
    assert isinstance(task.eyes, CameraEyes)
    everyone, hidden = np.arange(task.n), np.zeros(task.n, dtype=bool)
    for _ in range(6):
        task.eyes.look(everyone, hidden)
    seen = task.eyes.objects(everyone)
    assert np.median(np.linalg.norm((seen.center - task.object_pos())[:, :2], axis=1)) < 0.003
    tips, opening, pose = task.eyes.tool(everyone)
    assert np.median(np.abs(opening - task.opening())) < 0.002
    assert tips.pos.shape == (task.n, 3) and pose.shape == (task.n, 7)
    assert np.allclose(np.linalg.norm(pose[:, 3:], axis=1), 1)


def test_the_hand_in_the_picture_puts_the_camera_right(task: PickTask) -> None:
    assert isinstance(task.eyes, CameraEyes)
    assert _wrong(task.eyes, found=True) < 0.7 * _wrong(task.eyes, found=False)


def test_what_the_tips_hide_is_remembered_where_it_was(task: PickTask) -> None:
    assert task.eyes is not None
    everyone = np.arange(task.n)
    before = task.eyes.objects(everyone).center.copy()
    task.qpos[:, task._thing] += 0.01
    task.eyes.look(everyone, np.ones(task.n, dtype=bool))
    assert (task.eyes.objects(everyone).center == before).all()
    in_sight = np.zeros(task.n, dtype=bool)
    task.eyes.look(everyone, in_sight)
    assert np.median(np.abs(task.eyes.objects(everyone).center - before)) < 0.001  # one look may show a ghost
    for _ in range(7):
        task.eyes.look(everyone, in_sight)
    moved = task.eyes.objects(everyone).center[:, 0] - before[:, 0]
    task.qpos[:, task._thing] -= 0.01
    assert np.median(moved) > 0.005


def test_a_thing_is_seen_where_it_lies_and_not_where_it_was_taken_away(task: PickTask) -> None:
    assert task.eyes is not None
    everyone, in_sight = np.arange(task.n), np.zeros(task.n, dtype=bool)
    for _ in range(8):
        task.eyes.look(everyone, in_sight)
    assert task.eyes.objects(everyone).seen.all()
    task.qpos[:, task._thing + 2] += 0.3
    for _ in range(3):
        task.eyes.look(everyone, in_sight)
    assert not task.eyes.objects(everyone).seen.any()
    task.qpos[:, task._thing + 2] -= 0.3


def test_between_two_images_the_fingers_feel_the_tool_open(task: PickTask) -> None:
    """The joints go to where they held the tool wider: without a new image the believed opening follows."""
    assert task.eyes is not None
    everyone, bank = np.arange(task.n), task.world.bank
    before = task.eyes.tool(everyone)[1]
    kept = task.qpos[:, task._fingers].copy()
    task.qpos[:, task._fingers] += bank.start[0, 2, :16] - bank.start[0, 1, :16]
    after = task.eyes.tool(everyone)[1]
    task.qpos[:, task._fingers] = kept
    step = bank.openings[0, 2] - bank.openings[0, 1]
    assert np.median(after - before) == pytest.approx(step, abs=0.004)


def test_a_camera_without_eyes_is_named() -> None:
    blind = PickTask(PickConfig(state="camera"), 1, np.random.default_rng(0), 1)
    with pytest.raises(ValueError, match="needs eyes"):
        blind.reset(np.arange(1))


def test_a_believed_pose_is_a_rotation(task: PickTask) -> None:
    assert task.eyes is not None
    pose = task.eyes.tool(np.arange(task.n))[2]
    turn = rotations.rotate(pose[:, None, 3:], np.eye(3)[None])
    assert np.allclose(turn @ turn.transpose(0, 2, 1), np.eye(3), atol=1e-6)
