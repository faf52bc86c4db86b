"""Batched rotations agree with scipy's and undo each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from toolwright.hardware import rotations

RNG = np.random.default_rng(0)
TURNS = Rotation.random(50, rng=RNG)


def _quat(rotation: Rotation) -> np.ndarray:
    return rotation.as_quat(scalar_first=True)


def _same(a: np.ndarray, b: np.ndarray) -> None:
    """Quaternions stand for the same rotation: q and -q do."""
    assert np.abs((a * b).sum(-1)) == pytest.approx(1.0, abs=1e-12)


def test_products_agree_with_scipy() -> None:
    other = Rotation.random(50, rng=RNG)
    _same(rotations.multiply(_quat(TURNS), _quat(other)), _quat(TURNS * other))


def test_products_broadcast() -> None:
    product = rotations.multiply(_quat(TURNS)[:, None], _quat(TURNS[:3])[None])
    assert product.shape == (50, 3, 4)
    _same(product[7, 2], _quat(TURNS[7] * TURNS[2]))


def test_the_conjugate_is_the_inverse() -> None:
    _same(rotations.conjugate(_quat(TURNS)), _quat(TURNS.inv()))


def test_turned_vectors_agree_with_scipy() -> None:
    vectors = RNG.normal(size=(50, 3))
    assert rotations.rotate(_quat(TURNS), vectors) == pytest.approx(TURNS.apply(vectors), abs=1e-12)


def test_rotation_vectors_agree_with_scipy() -> None:
    vectors = TURNS.as_rotvec()
    _same(rotations.from_rotvec(vectors), _quat(TURNS))
    assert rotations.to_rotvec(_quat(TURNS)) == pytest.approx(vectors, abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 1.0, 3.14])
def test_matrices_agree_with_scipy(angle: float) -> None:
    vector = angle * np.array([2.0, -1.0, 2.0]) / 3
    assert rotations.matrix(vector) == pytest.approx(Rotation.from_rotvec(vector).as_matrix(), abs=1e-12)


def test_the_shorter_of_two_ways_round_is_taken() -> None:
    assert rotations.to_rotvec(-_quat(TURNS)) == pytest.approx(TURNS.as_rotvec(), abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 1.0, 3.14])
def test_rotation_vectors_come_back_even_when_tiny(angle: float) -> None:
    vector = angle * np.array([2.0, -1.0, 2.0]) / 3
    assert rotations.to_rotvec(rotations.from_rotvec(vector)) == pytest.approx(vector, rel=1e-9, abs=1e-18)


def test_turns_about_y_agree_with_scipy() -> None:
    angles = np.linspace(-3, 3, 13)
    _same(rotations.about_y(angles), _quat(Rotation.from_rotvec(angles[:, None] * [0, 1, 0])))
