"""Shapes to turn in the hand: what is promised about them, and their mass properties against formulas."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from toolwright.sim import object_shapes, object_starts, shape_families
from toolwright.sim.models import in_hand
from toolwright.sim.object_shapes import PARTS, ShapeError, box, cylinder, ellipsoid, finish, hull, scaled

SHAPES = object_shapes.load()


def test_there_are_enough_shapes_of_every_family_in_both_parts() -> None:
    held = [shape for shape in SHAPES if shape.held_out]
    assert len(SHAPES) - len(held) >= 150 and len(held) >= 30
    for part in (True, False):
        assert {s.family for s in SHAPES if s.held_out == part} == set(shape_families.FAMILIES)
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_shapes_are_five_to_nine_centimeters_and_not_too_thin() -> None:
    extents = np.array([shape.extent for shape in SHAPES])
    assert extents.max(axis=1).min() > 0.0499 and extents.max(axis=1).max() < 0.0901
    assert extents.min() > 0.012


def test_held_out_letters_and_tools_are_other_kinds_than_those_of_training() -> None:
    for family in ("letter", "tool"):
        kinds = [
            {s.name.split("_")[1] for s in SHAPES if s.family == family and s.held_out == h} for h in (True, False)
        ]
        assert kinds[0] and not kinds[0] & kinds[1]


def test_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in object_shapes.FILE.parent.iterdir()) < 3_000_000


@pytest.mark.parametrize(
    ("part", "volume", "moments"),
    [
        (box([0.5, 0.4, 0.3]), 0.48, [0.48 * (0.64 + 0.36) / 12, 0.48 * (1 + 0.36) / 12, 0.48 * (1 + 0.64) / 12]),
        (cylinder(0.5, 0.4), np.pi * 0.2, np.pi * 0.2 * np.array([0.25 / 4 + 0.64 / 12] * 2 + [0.125])),
        (ellipsoid([0.5, 0.4, 0.3]), 4 / 3 * np.pi * 0.06, 4 / 15 * np.pi * 0.06 * np.array([0.25, 0.34, 0.41])),
    ],
    ids=["box", "cylinder", "ellipsoid"],
)
def test_mass_properties_agree_with_the_formulas(part, volume, moments) -> None:
    shape = finish("part", "convex", False, [part], 1.0)
    assert shape.volume == pytest.approx(volume, rel=0.03)
    assert np.diag(shape.inertia) == pytest.approx(moments, rel=0.04)


def test_overlapping_parts_count_once_and_the_center_of_mass_is_the_origin() -> None:
    once = finish("a", "convex", False, [box([0.5, 0.5, 0.5])], 1.0)
    twice = finish("b", "convex", False, [box([0.5, 0.5, 0.5]), box([0.5, 0.5, 0.2])], 1.0)
    assert twice.volume == pytest.approx(once.volume)
    lopsided = finish(
        "c", "convex", False, [box([0.5, 0.1, 0.1], [0.5, 0, 0]), box([0.1, 0.5, 0.1], [0, 0.5, 0])], 0.08
    )
    centers = np.array([part.pos for part in lopsided.parts])
    volumes = np.array([0.2, 0.2])
    assert np.abs((volumes[:, None] * centers).sum(axis=0) / volumes.sum()).max() < 0.002


def test_a_larger_shape_has_the_mass_and_inertia_of_its_size() -> None:
    shape, larger = SHAPES[0], scaled(SHAPES[0], 1.1)
    again = finish("x", "convex", False, larger.parts, float(larger.extent.max()))
    assert larger.volume == pytest.approx(again.volume, rel=1e-6)
    assert larger.inertia == pytest.approx(again.inertia, rel=1e-6)
    assert larger.extent == pytest.approx(1.1 * shape.extent)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    chosen = [SHAPES[i] for i in (0, 5, 40, 100)]
    object_shapes.save(chosen, tmp_path / "shapes.npz")
    for before, after in zip(chosen, object_shapes.load(tmp_path / "shapes.npz"), strict=True):
        assert (before.name, before.held_out, len(before.parts)) == (after.name, after.held_out, len(after.parts))
        for a, b in zip(before.parts, after.parts, strict=True):
            assert a.outline() == pytest.approx(b.outline(), abs=1e-7)


def test_impossible_shapes_and_missing_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="not in one plane"):
        hull(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]))
    with pytest.raises(ShapeError, match="'many' has 9"):
        finish("many", "convex", False, [box([1, 1, 1])] * (PARTS + 1), 0.05)
    with pytest.raises(ShapeError, match="toolwright objects make"):
        object_shapes.load(tmp_path / "none.npz")
    with pytest.raises(ShapeError, match="no starts of 'nobody'"):
        object_starts.load(["nobody"])


def test_every_world_gets_the_geometry_of_its_own_shape() -> None:
    """Rays into a batch of different shapes meet what they meet in a model compiled for one shape."""
    chosen = [next(s for s in SHAPES if s.family == family) for family in shape_families.FAMILIES]
    scene = in_hand.build(chosen)
    for v, shape in enumerate(chosen):
        spec = mujoco.MjSpec()
        body = in_hand.add_shape(spec, "alone", shape, np.zeros(3), np.ones(4))
        for geom in body.geoms:
            geom.contype = geom.conaffinity = 1
        alone = spec.compile()
        mine = scene.single(v, 0.1)
        data, other = mujoco.MjData(mine), mujoco.MjData(alone)
        data.qpos[16:] = [0, 0, -1.0, 1, 0, 0, 0]
        mujoco.mj_forward(mine, data)
        mujoco.mj_forward(alone, other)
        for direction in ([1, 0.2, 0.1], [0.1, 1, -0.3], [-0.2, 0.3, 1]):
            vector, geom = np.array(direction, float), np.zeros(1, np.int32)
            near = mujoco.mj_ray(mine, data, np.array([0, 0, -1.0]) - 0.3 * vector, vector, None, 1, -1, geom)
            assert near == pytest.approx(
                mujoco.mj_ray(alone, other, -0.3 * vector, vector, None, 1, -1, geom), abs=1e-6
            ), shape.name
        assert mine.body_mass[scene.body] == pytest.approx(0.1)
