"""The camera's place from rendered images of the board, with the truth known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'toolwright[hardware]'")

from toolwright.hardware.robot import F64
from toolwright.perception.board import Board, BoardNotSeen, CalibrationError, Sighting, find, picture, project
from toolwright.perception.hand_eye import (
    DegenerateMotion,
    InconsistentViews,
    TooFewViews,
    View,
    check,
    solve,
)

BOARD = Board()
K = np.array([[610.0, 0, 319.5], [0, 610.0, 239.5], [0, 0, 1]])


def pose(turn, place) -> F64:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), place
    return T


class Cell:
    """A camera and an arm with a board in its hand; the arm says where it is to within its repeatability."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.T_base_cam = pose(self.rng.normal(0, 1, 3), [1.0, -0.2, 0.6])
        self.T_hand_board = pose(self.rng.normal(0, 1, 3), [0.02, 0.03, 0.1])

    def seen(self, turn: float = 0.35) -> F64:
        return pose(self.rng.normal(0, turn, 3), self.rng.uniform([-0.1, -0.06, 0.4], [0.1, 0.06, 0.65]))

    def hand(self, T_cam_board: F64) -> F64:
        wobble = pose(self.rng.normal(0, 3e-4, 3), self.rng.normal(0, 1e-4, 3))
        return self.T_base_cam @ T_cam_board @ np.linalg.inv(self.T_hand_board) @ wobble

    def view(self, T_cam_board: F64) -> View:
        """Without an image: the corners with the error that detection has."""
        points = BOARD.corners().reshape(-1, 3)
        pixels = project(points, T_cam_board, K) + self.rng.normal(0, 0.25, (len(points), 2))
        near = T_cam_board @ pose(self.rng.normal(0, 2e-3, 3), self.rng.normal(0, 5e-4, 3))
        return View(self.hand(T_cam_board), Sighting(points, pixels, near, 0.25))

    def views(self, count: int = 12, turn: float = 0.35) -> list[View]:
        return [self.view(self.seen(turn)) for _ in range(count)]

    def off(self, T_base_cam: F64) -> tuple[float, float]:
        turn = Rotation.from_matrix(self.T_base_cam[:3, :3].T @ T_base_cam[:3, :3]).magnitude()
        return float(np.linalg.norm(T_base_cam[:3, 3] - self.T_base_cam[:3, 3])), float(np.rad2deg(turn))


@pytest.mark.parametrize("seed", range(2))
def test_from_images_the_camera_is_found_within_2_mm_and_half_a_degree(seed):
    cell = Cell(seed)
    views = []
    for _ in range(12):
        seen = cell.seen()
        views.append(View(cell.hand(seen), find(picture(BOARD, seen, K, rng=cell.rng, samples=2), K, BOARD)))
    found = solve(views, K)
    distance, angle = cell.off(found.T_base_cam)
    assert distance < 0.002 and angle < 0.5
    assert distance < 4 * found.position_std  # and it does not claim to know better than it does
    assert not found.left_out and found.pixels < 1


@pytest.mark.parametrize("seed", range(8))
def test_it_knows_how_well_it_knows(seed):
    cell = Cell(100 + seed)
    found = solve(cell.views(), K)
    distance, angle = cell.off(found.T_base_cam)
    assert distance < 0.002 and angle < 0.5
    assert distance < 4 * found.position_std < 0.008


def test_a_board_is_placed_from_one_image_to_a_millimeter():
    T = pose([0.2, -0.3, 0.4], [0.03, -0.02, 0.5])
    sighting = find(picture(BOARD, T, K, rng=np.random.default_rng(0)), K)
    assert len(sighting.points) == 4 * 20
    assert np.linalg.norm(sighting.T_cam_board[:3, 3] - T[:3, 3]) < 1e-3
    assert sighting.error < 0.5


def test_a_half_covered_board_still_counts_and_an_empty_table_does_not():
    image = picture(BOARD, pose([0.1, 0.2, 0], [0, 0, 0.5]), K, rng=np.random.default_rng(0), samples=2)
    covered = image.copy()
    covered[:, :320] = 60
    assert 16 <= len(find(covered, K).points) < 80
    covered[:, :380] = 60
    with pytest.raises(BoardNotSeen, match=r"\d of 20 tags seen, at least 4 .*whole board into the image"):
        find(covered[:, :420], K)
    with pytest.raises(BoardNotSeen, match="0 of 20 tags seen"):
        find(np.full((480, 640, 3), 128, np.uint8), K)


def test_another_arrangement_of_tags_is_told_from_this_board():
    image = picture(BOARD, pose([0.1, 0.2, 0], [0, 0, 0.5]), K, samples=2)
    with pytest.raises(CalibrationError, match="do not fit the board.*printed sizes"):
        find(image, K, replace(BOARD, gap=0.02))


def test_the_drawing_has_its_true_size(tmp_path):
    from PIL import Image

    BOARD.save(tmp_path / "board.png")
    with Image.open(tmp_path / "board.png") as image:
        dots = image.info["dpi"][0]
        assert image.width / dots * 0.0254 == pytest.approx(BOARD.size[0], rel=1e-3)
    assert BOARD.size[0] < 0.297 and BOARD.size[1] < 0.21


def test_too_few_views_are_named():
    with pytest.raises(TooFewViews, match="5 views of the board, at least 6"):
        solve(Cell(0).views(5), K)


def test_a_hand_that_only_shifts_is_degenerate():
    cell = Cell(0)
    with pytest.raises(DegenerateMotion, match="hardly turned.*tilt it by 30 degrees"):
        solve(cell.views(12, turn=0.01), K)


def test_a_hand_that_turns_about_one_axis_only_is_degenerate():
    cell = Cell(1)
    views = [cell.view(pose([0, 0, angle], [0, 0, 0.5])) for angle in np.linspace(-0.8, 0.8, 12)]
    with pytest.raises(DegenerateMotion, match="about one axis only"):
        solve(views, K)


def test_one_view_with_the_arm_elsewhere_is_left_out():
    cell = Cell(2)
    views = cell.views(14)
    views[5] = replace(views[5], T_base_hand=views[5].T_base_hand @ pose([0, 0, 0], [0.05, 0, 0]))
    found = solve(views, K)
    assert found.left_out == [5]
    assert cell.off(found.T_base_cam)[0] < 0.002


def test_a_camera_that_moved_between_the_views_is_told():
    cell = Cell(3)
    before = cell.views(7)
    cell.T_base_cam = cell.T_base_cam @ pose([0, 0.05, 0], [0.06, 0, 0])
    with pytest.raises(InconsistentViews, match="do not fit together.*fixed"):
        solve(before + cell.views(7), K)


def test_the_check_says_by_how_much_it_is_off():
    cell = Cell(4)
    found = solve(cell.views(14), K)
    assert check(found, cell.views(5)).mean() < 0.002
    cell.T_base_cam = cell.T_base_cam @ pose([0, 0, 0], [0.01, 0, 0])  # somebody bumped into the camera
    assert check(found, cell.views(5)).mean() == pytest.approx(0.01, abs=0.0015)
