"""The 24 objects to pick: what the table promises, how they lie, where tips close on them."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.sim.models import small_objects as things
from toolwright.sim.models.physics import new_spec

ALL = things.small_objects()


def _index(name: str) -> int:
    return [thing.name for thing in ALL].index(name)


def test_half_of_the_24_objects_are_held_out_and_no_two_share_a_name() -> None:
    assert len(ALL) == 24 and sum(thing.held_out for thing in ALL) == 12
    assert len({thing.name for thing in ALL}) == 24


def test_every_object_fits_between_the_tips_and_has_a_believable_mass() -> None:
    for thing in ALL:
        assert 0.0015 < min(thing.shape.extent) < 0.0165, thing.name
        assert 50 < thing.mass / thing.shape.volume < 20_000, thing.name
        assert 5e-5 < thing.mass < 0.01, thing.name


def test_a_compiled_object_weighs_what_the_table_says_and_turns_about_its_center() -> None:
    for index in (_index("peg"), _index("screw M5"), _index("shard")):
        spec = new_spec()
        things.add_meshes(spec)
        things.add_small_object(spec, index, "thing", np.array([0.3, 0.1, 0.2]))
        model = spec.compile()
        thing = ALL[index]
        assert model.body("thing").mass[0] == pytest.approx(thing.mass)
        assert np.abs(model.body("thing").ipos).max() < 2e-6
        moments = thing.shape.principal()[0] * thing.mass / thing.shape.volume
        assert np.sort(model.body("thing").inertia) == pytest.approx(np.sort(moments))


def test_dropped_objects_lie_still_on_the_table() -> None:
    quats, heights = things.resting()
    assert quats.shape[:2] == heights.shape and len(heights) == 24
    for i in range(24):
        lowest = things.rotations.rotate(quats[i][:, None], things.surface_points(i))[..., 2].min(axis=1) + heights[i]
        assert np.abs(lowest).max() < 4e-4, ALL[i].name  # on it: neither in the air nor sunk in
    assert heights[_index("washer M6")].min() == pytest.approx(0.0008, abs=1e-4)


def test_they_stay_as_they_lie() -> None:
    """Where a start is not at rest, a thing rolls away by itself."""
    quats, heights = things.resting()
    for name in ("grape", "soft gel", "washer M6", "washer M8", "screw M5"):
        i = _index(name)
        spec = new_spec()
        ground = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
        ground.friction = [0.6, 1e-5, 1e-7]
        things.collide_as_thing(ground)
        things.add_meshes(spec)
        things.add_small_object(spec, i, "thing", np.zeros(3), bore=False)
        model = spec.compile()
        data = mujoco.MjData(model)
        for quat, height in zip(quats[i], heights[i], strict=True):
            mujoco.mj_resetData(model, data)
            data.qpos[2], data.qpos[3:] = height, quat
            mujoco.mj_step(model, data, 200)  # a second
            assert np.linalg.norm(data.qpos[:2]) < 0.001, name
            assert abs(data.qpos[2] - height) < 5e-4, name


def test_tips_close_on_the_narrow_sides_of_a_rod_wherever_it_points() -> None:
    index = _index("square rod")
    flat = np.array([np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0])  # its length along x
    for yaw in (0.0, 0.7, 1.5):
        spin = np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        quat = things.rotations.multiply(spin, flat)[None]
        found, width, middle, top = things.sides(np.array([index]), quat, np.array([0.3]), 0.008)
        across = (found[0] - (yaw + np.pi / 2) + np.pi / 2) % np.pi - np.pi / 2
        assert abs(across) < 0.14  # one of the directions tried, at most
        assert width[0] == pytest.approx(0.006, abs=0.0012)
        assert abs(middle[0]) < 1e-3 and top[0] == pytest.approx(0.003, abs=1e-4)


def test_a_ball_is_gripped_without_turning_the_tool() -> None:
    index = _index("marble")
    found, width, _, _ = things.sides(np.array([index]), np.array([[1.0, 0, 0, 0]]), np.array([0.9]), 0.008)
    assert abs(found[0] - 0.9) < 0.3
    assert width[0] == pytest.approx(0.016, abs=5e-4)
