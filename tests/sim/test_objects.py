"""Objects rest, roll and hold beads as real ones do, down to a bead of 0.04 g."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.sim.models.objects import CUP_FLOOR, SOLIMP, SOLREF, MeshError, add_body, add_sphere, mesh_bounds
from toolwright.sim.models.physics import collide_as_thing, new_spec, solve_thoroughly
from toolwright.sim.scene_objects import add_object, add_table, bounds, footprint, lowest
from toolwright.sim.scene_spec import BoxObject, Capsule, Cup, Cylinder, Sphere, TableSpec

RADII = (0.002, 0.005, 0.008)  # m
TABLE = TableSpec()


def _bead(radius: float, height: float, speed: float = 0.0) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """A bead whose lowest point is `height` above the table, moving sideways."""
    spec = new_spec()
    add_table(spec, TABLE)
    add_object(spec, "bead", Sphere(shape="sphere", radius=radius, pos=(0.5, 0.0, radius + height)), TABLE)
    model = spec.compile()
    data = mujoco.MjData(model)
    data.qvel[1] = speed
    return model, data


def _advance(model: mujoco.MjModel, data: mujoco.MjData, seconds: float) -> None:
    end = data.time + seconds
    while data.time < end:
        mujoco.mj_step(model, data)


@pytest.mark.parametrize("radius", RADII)
def test_a_dropped_bead_rests_within_half_a_second_and_does_not_sink_in(radius: float) -> None:
    model, data = _bead(radius, height=0.02)
    _advance(model, data, 0.5)
    assert np.abs(data.qvel).max() < 1e-3
    assert -3e-4 < data.qpos[2] - radius < 1e-5


@pytest.mark.parametrize("radius", RADII)
def test_a_rolling_bead_stops_within_two_seconds_after_more_than_a_diameter(radius: float) -> None:
    model, data = _bead(radius, height=0.0, speed=0.05)
    _advance(model, data, 0.1)
    assert data.qvel[1] > 0.01  # it rolls: friction alone would have stopped it, a heavy spin would have slowed it
    assert abs(data.qvel[3]) * radius == pytest.approx(data.qvel[1], rel=0.1)
    _advance(model, data, 1.9)
    assert np.linalg.norm(data.qvel[:3]) < 1e-3
    assert 0.004 < data.qpos[1] < 0.05


def test_a_bead_has_the_mass_and_the_inertia_of_a_ball() -> None:
    model, _ = _bead(0.002, height=0.0)
    mass = 1200 * 4 / 3 * np.pi * 0.002**3
    assert model.body("bead").mass[0] == pytest.approx(mass)
    assert model.body("bead").inertia == pytest.approx([0.4 * mass * 0.002**2] * 3)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("force", [0.3, 1.0])
def test_a_bead_between_two_pads_is_held_and_not_crushed(radius: float, force: float) -> None:
    spec = new_spec()
    bead = add_body(spec, "bead", np.zeros(3), np.array([1.0, 0, 0, 0]))
    add_sphere(bead, radius, 1200 * 4 / 3 * np.pi * radius**3, 0.6, np.ones(4))
    for side in (-1, 1):
        pad = spec.worldbody.add_body(name=f"pad{side}", pos=[side * (radius + 0.002), 0, 0], gravcomp=1)
        pad.add_joint(type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[1, 0, 0], armature=0.1, damping=2.0)
        geom = pad.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.002, 0.006, 0.006], mass=0.01)
        geom.friction, geom.condim, geom.solref, geom.solimp = [1.2, 0.01, 1e-3], 6, SOLREF, SOLIMP
        collide_as_thing(geom)
    model = spec.compile()
    data = mujoco.MjData(model)
    model.opt.gravity[2] = 0.0
    data.qfrc_applied[6:] = force, -force
    _advance(model, data, 0.5)
    model.opt.gravity[2] = -9.81
    before = data.qpos[2]
    _advance(model, data, 1.0)
    assert before - data.qpos[2] < 2e-4
    sunk = (data.qpos[7] - data.qpos[8]) / 2  # m, each pad into the bead
    assert 0 < sunk < 6e-4


def test_a_cup_keeps_a_bead_that_falls_in_and_weighs_what_it_should() -> None:
    spec = new_spec()
    add_table(spec, TABLE)
    cup = Cup(shape="cup", pos=(0.5, 0.0), inner_diameter=0.06, height=0.05, mass=0.08)
    add_object(spec, "cup", cup, TABLE)
    add_object(spec, "bead", Sphere(shape="sphere", radius=0.004, pos=(0.515, 0.01, 0.09)), TABLE)
    model = spec.compile()
    data = mujoco.MjData(model)
    assert model.body("cup").mass[0] == pytest.approx(0.08)
    _advance(model, data, 1.5)
    offset = data.body("bead").xpos - data.body("cup").xpos
    assert np.hypot(*offset[:2]) < 0.03
    assert offset[2] == pytest.approx(-0.025 + CUP_FLOOR + 0.004, abs=3e-4)
    assert np.linalg.norm(data.body("cup").xpos[:2] - [0.5, 0.0]) < 1e-3
    assert data.site("cup_mouth").xpos[2] == pytest.approx(0.05, abs=3e-4)


@pytest.mark.parametrize("radius", [0.002, 0.003])
@pytest.mark.parametrize("height", [0.070, 0.073, 0.076])
def test_a_small_bead_dropped_in_from_above_the_rim_stays_in_the_cup(radius, height) -> None:
    spec = new_spec()
    solve_thoroughly(spec.option)
    add_table(spec, TABLE)
    add_object(spec, "cup", Cup(shape="cup", pos=(0.5, 0.0), inner_diameter=0.06, height=0.05, mass=0.08), TABLE)
    add_object(spec, "bead", Sphere(shape="sphere", radius=radius, pos=(0.5, 0.01, height)), TABLE)
    model = spec.compile()
    data = mujoco.MjData(model)
    _advance(model, data, 1.0)
    assert data.body("bead").xpos[2] == pytest.approx(CUP_FLOOR + radius, abs=5e-4)


def test_a_cup_is_free_inside_over_its_whole_diameter() -> None:
    spec = new_spec()
    cup = Cup(shape="cup", pos=(0.0, 0.0, 0.0), inner_diameter=0.06, height=0.05, fixed=True)
    add_object(spec, "cup", cup, TABLE)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for angle in np.linspace(0, 2 * np.pi, 37):
        ray = np.array([np.cos(angle), np.sin(angle), 0.0])
        distance = mujoco.mj_ray(model, data, np.zeros(3), ray, None, 1, -1, np.zeros(1, dtype=np.int32))
        assert 0.0299 < distance < 0.0306


def test_lowest_point_and_footprint_follow_the_orientation() -> None:
    lying = (float(np.sqrt(0.5)), float(np.sqrt(0.5)), 0.0, 0.0)
    can = Cylinder(shape="cylinder", pos=(0.5, 0.0), radius=0.02, height=0.1)
    assert lowest(can) == pytest.approx(-0.05)
    assert footprint(can) == pytest.approx(0.02)
    fallen = can.model_copy(update={"quat": lying})
    assert lowest(fallen) == pytest.approx(-0.02)
    assert footprint(fallen) >= 0.05
    pill = Capsule(shape="capsule", pos=(0.5, 0.0), radius=0.01, height=0.06, quat=lying)
    assert lowest(pill) == pytest.approx(-0.01)
    block = BoxObject(shape="box", pos=(0.5, 0.0), size=(0.02, 0.04, 0.06), quat=lying)
    assert lowest(block) == pytest.approx(-0.02)
    assert footprint(block) == pytest.approx(np.hypot(0.01, 0.03))
    assert bounds(block)[1] == pytest.approx([0.01, 0.02, 0.03])


def test_a_mesh_of_another_kind_is_refused() -> None:
    with pytest.raises(MeshError, match=r"is no \.obj or \.stl file"):
        mesh_bounds("thing.step", 1.0)
