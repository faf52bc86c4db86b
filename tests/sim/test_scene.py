"""Scenes load, draw, build, and rest."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from toolwright.sim.scene import CAMERA, CLOSEUP, OVERVIEW, SceneError, SceneSpec, build, load_scene, sample
from toolwright.sim.scene_file import shipped_scenes
from toolwright.sim.scene_objects import footprint

SHIPPED = ("bead", "beads", "empty")


def _settle(spec: mujoco.MjSpec, seconds: float = 1.0) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = spec.compile()
    data = mujoco.MjData(model)
    while data.time < seconds:
        mujoco.mj_step(model, data)
    return model, data


def _scene(**fields: object) -> SceneSpec:
    return SceneSpec.model_validate({"name": "test", **fields})


def test_the_shipped_scenes_are_the_ones_promised() -> None:
    assert set(shipped_scenes()) >= set(SHIPPED)
    assert all(shipped_scenes().values())


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shipped_scene_settles_without_sinking_in(name: str, seed: int) -> None:
    scene = sample(load_scene(name), np.random.default_rng(seed))
    _, data = _settle(build(scene, with_robot=False))
    assert np.abs(data.qvel).max(initial=0.0) < 1e-3
    assert min((contact.dist for contact in data.contact[: data.ncon]), default=0.0) > -5e-4


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scene_builds_with_robot_tool_and_cameras(name: str) -> None:
    model = build(load_scene(name)).compile()
    assert mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "palm") > 0
    assert mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "tweezers") > 0
    assert {CAMERA, OVERVIEW, CLOSEUP} <= {model.cam(i).name for i in range(model.ncam)}


def test_nothing_in_a_scene_is_welded_or_tied() -> None:
    assert build(load_scene("beads")).compile().neq == 0


def test_the_same_seed_draws_the_same_scene_and_another_seed_another() -> None:
    scene = load_scene("beads")
    first, again, other = (sample(scene, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_draws_stay_in_their_ranges_and_objects_stay_apart() -> None:
    scene = load_scene("bead")
    rng = np.random.default_rng(0)
    low, high = np.array(scene.workspace.lower), np.array(scene.workspace.upper)
    radii = []
    for _ in range(200):
        drawn = sample(scene, rng)
        bead, cup = drawn.objects["bead"], drawn.objects["cup"]
        radii.append(bead.radius)
        assert (np.array(bead.pos) >= low[:2]).all() and (np.array(bead.pos) <= high[:2]).all()
        gap = np.hypot(*np.subtract(bead.pos, cup.pos)) - footprint(bead) - footprint(cup)
        assert gap >= scene.randomize.separation
    assert 0.002 <= min(radii) < 0.0024 and 0.007 < max(radii) <= 0.008
    assert np.median(radii) == pytest.approx(0.004, abs=0.0006)  # uniform in the logarithm


def test_a_drawn_scene_draws_nothing_more() -> None:
    drawn = sample(load_scene("bead"), np.random.default_rng(3))
    assert sample(drawn, np.random.default_rng(4)) == drawn


def test_a_scene_that_cannot_be_placed_says_so() -> None:
    region = {"lower": (0.45, 0.0), "upper": (0.46, 0.01)}
    balls = {f"ball{i}": {"shape": "sphere", "pos": (0.4, 0.1 * i - 0.15), "radius": 0.02} for i in range(4)}
    scene = _scene(objects=balls, randomize={"objects": {name: {"region": region} for name in balls}})
    with pytest.raises(SceneError, match="do not fit 0.01 m apart"):
        sample(scene, np.random.default_rng(0))


def test_a_drawn_density_gives_a_mass_that_follows_the_size() -> None:
    ball = {"shape": "sphere", "pos": (0.45, 0.0), "radius": 0.01, "mass": 0.5}
    ranges = {"radius": (0.004, 0.012), "density": (1000.0, 1000.0)}
    scene = _scene(objects={"ball": ball}, randomize={"objects": {"ball": ranges}})
    drawn = sample(scene, np.random.default_rng(0))
    mass = build(drawn, with_robot=False).compile().body("ball").mass[0]
    assert mass == pytest.approx(1000 * 4 / 3 * np.pi * drawn.objects["ball"].radius ** 3)


def test_every_shape_settles_where_two_numbers_put_it() -> None:
    objects = {
        "ball": {"shape": "sphere", "pos": (0.40, -0.15), "radius": 0.01},
        "block": {"shape": "box", "pos": (0.40, -0.05), "size": (0.03, 0.04, 0.02), "yaw": 0.4},
        "can": {"shape": "cylinder", "pos": (0.40, 0.05), "radius": 0.02, "height": 0.05},
        "pill": {
            "shape": "capsule",
            "pos": (0.40, 0.15),
            "radius": 0.006,
            "height": 0.03,
            "quat": (0.6, 0.8, 0.0, 0.0),
        },
        "mug": {"shape": "cup", "pos": (0.52, 0.0), "inner_diameter": 0.05, "height": 0.06},
        "spare": {"shape": "tool", "pos": (0.50, -0.15), "family": "tweezers"},
        "rack": {"shape": "box", "pos": (0.80, 0.3), "size": (0.1, 0.1, 0.2), "fixed": True},
    }
    model, data = _settle(build(_scene(objects=objects), with_robot=False))
    for name in ("ball", "block", "can", "mug"):
        start = build(_scene(objects=objects), with_robot=False).body(name).pos
        assert data.body(name).xpos == pytest.approx(start, abs=2e-4), name
    assert data.body("pill").xpos[2] == pytest.approx(0.006, abs=1e-3)
    assert data.body("spare").xpos[2] < 0.02
    assert model.body("rack").dofnum[0] == 0


def test_build_refuses_a_name_that_the_robot_has() -> None:
    scene = _scene(objects={"if_mcp": {"shape": "sphere", "pos": (0.45, 0.0), "radius": 0.01}})
    with pytest.raises(SceneError, match="objects.if_mcp: the robot or its tool has a part of this name"):
        build(scene)


def test_objects_inside_one_another_are_refused_but_a_bead_in_a_cup_is_not() -> None:
    cup = {"shape": "cup", "pos": (0.45, 0.0), "inner_diameter": 0.06, "height": 0.05}
    inside = {"shape": "sphere", "pos": (0.45, 0.0, 0.018), "radius": 0.005}
    build(_scene(objects={"cup": cup, "bead": inside}), with_robot=False)
    wall = {"shape": "sphere", "pos": (0.481, 0.0, 0.03), "radius": 0.005}
    with pytest.raises(SceneError, match=r"objects\.bead\.pos: overlaps 'cup' by"):
        build(_scene(objects={"cup": cup, "bead": wall}), with_robot=False)


def test_the_schema_describes_every_field() -> None:
    schema = SceneSpec.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    fields = {(model["title"], name): field for model in models for name, field in model["properties"].items()}
    told = {"description", "$ref", "const"}  # a reference carries the description of what it refers to
    bare = [where for where, field in fields.items() if not told & field.keys()]
    assert not bare
