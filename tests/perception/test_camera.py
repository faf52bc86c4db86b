"""Pinhole geometry."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.perception.camera import deproject, project, transform

K = np.array([[386.0, 0.0, 31.5], [0.0, 380.0, 23.5], [0.0, 0.0, 1.0]])


def test_deprojected_pixels_project_back_onto_themselves() -> None:
    depth = np.random.default_rng(0).uniform(0.2, 2.0, (48, 64))
    v, u = np.indices(depth.shape)
    assert project(deproject(depth, K), K) == pytest.approx(np.column_stack([u.ravel(), v.ravel()]), abs=1e-9)


def test_deproject_leaves_out_pixels_without_return() -> None:
    depth = np.zeros((48, 64))
    depth[10, 20] = 0.5
    assert deproject(depth, K) == pytest.approx(np.array([[(20 - 31.5) / 772, (10 - 23.5) / 760, 0.5]]))
    assert deproject(np.zeros((48, 64)), K).shape == (0, 3)


def test_a_point_right_of_and_below_the_axis_appears_right_and_below() -> None:
    u, v = project(np.array([[0.1, 0.05, 1.0]]), K)[0]
    assert u > K[0, 2] and v > K[1, 2]


def test_a_point_behind_the_camera_has_no_pixel() -> None:
    assert np.isnan(project(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), K)).all()


def test_transform_turns_then_shifts() -> None:
    T = np.eye(4)
    T[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    T[:3, 3] = [1, 2, 3]
    assert transform(T, np.array([[1.0, 0.0, 0.0]])) == pytest.approx(np.array([[1.0, 3.0, 3.0]]))
