"""Making clouds, and training on them: truth that is true, shards and checkpoints that survive a stop."""

from __future__ import annotations

import json

import numpy as np
import pytest

from toolwright.perception import generate_affordance, generate_objects, generate_tools
from toolwright.perception.affordance.directions import TILTS, YAWS, closing
from toolwright.perception.affordance.tool_features import CHANNELS, FREE, HAND, NUMBERS
from toolwright.perception.camera import deproject, transform
from toolwright.perception.generate_shapes import HELD_OUT_ONLY, TRAIN, draw, resting
from toolwright.perception.generate_views import RESOLUTIONS, Eye, Stage, of_model
from toolwright.policies.training import checkpoint, encoder, encoder_data
from toolwright.policies.training.encoder_objects import turned_widths
from toolwright.sim import grasp_bank


@pytest.fixture(scope="module")
def stage():
    made = Stage()
    yield made
    made.close()


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(generate_affordance, "VIEWS", 6)


def test_shapes_reach_as_far_as_their_support_says():
    rng = np.random.default_rng(0)
    for i in range(60):
        shape = draw(rng, held_out=i % 2 == 1)
        directions = rng.normal(size=(8, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        inside = np.ptp(shape.outline() @ directions.T, axis=0)
        width = shape.width(directions)
        assert (inside <= width + 1e-9).all() and (inside > 0.85 * width).all(), shape.kind


def test_held_out_things_are_no_training_things():
    rng = np.random.default_rng(0)
    train = [draw(rng, held_out=False) for _ in range(300)]
    held_out = [draw(rng, held_out=True) for _ in range(300)]
    assert {shape.kind for shape in train} == set(TRAIN)
    assert {shape.kind for shape in held_out} == {*TRAIN, *HELD_OUT_ONLY}
    meshes = [{shape.mesh for shape in part if shape.mesh >= 0} for part in (train, held_out)]
    assert meshes[0] and meshes[1] and not meshes[0] & meshes[1]


def test_resting_things_touch_the_table_and_lie_stably():
    rng = np.random.default_rng(1)
    for _ in range(60):
        shape = draw(rng, held_out=False)
        rotation, height = resting(shape, rng, leaning=0.0)
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9) and np.linalg.det(rotation) > 0
        down = np.array([[0.0, 0.0, -1.0]]) @ rotation
        assert height == pytest.approx(float(shape.support(down)[0]))
        # Tipped a little to any side, its middle rises or stays: what lies on an edge would sink.
        for turn in np.linspace(0, 2 * np.pi, 8, endpoint=False):
            tipped = np.array([[0.06 * np.cos(turn), 0.06 * np.sin(turn), -1.0]]) @ rotation
            tipped /= np.linalg.norm(tipped)
            assert float(shape.support(tipped)[0]) > height - 0.12 * np.ptp(shape.outline(), axis=0).max()


def test_a_drawn_depth_is_where_the_thing_is(stage):
    import mujoco

    bank = grasp_bank.load("tweezers")
    model = bank.rows(np.array([0])).models[0]
    data = mujoco.MjData(model)
    data.qpos[:] = bank.start[0, 1]
    mujoco.mj_kinematics(model, data)
    geoms = of_model(model, data, np.full(model.ngeom, 1))
    eye = generate_tools.eye_around(
        np.array([0.0, 0.02, -0.1]), np.array([0, 0, 1.0]), generate_tools.ViewRange(), np.random.default_rng(3)
    )
    view = stage.view(geoms, eye, np.array([0.0, 0.02, -0.1]), 0.1, None, np.random.default_rng(0))
    points = transform(eye.T_world_cam, deproject(view.frame.depth, view.frame.K))
    start, geom = eye.T_world_cam[:3, 3], np.zeros(1, np.int32)
    off = []
    for point in points[:: len(points) // 80]:
        ray = (point - start) / np.linalg.norm(point - start)
        distance = mujoco.mj_ray(model, data, start, ray, None, 1, -1, geom)
        off.append(abs(distance - np.linalg.norm(point - start)))
    assert len(off) > 50 and np.percentile(off, 90) < 2e-4  # round things are drawn with flat faces


def test_intrinsics_are_those_of_a_d435():
    focal = [Eye(np.eye(4), size).K[0, 0] for size in RESOLUTIONS]
    assert np.allclose(focal, [386, 426, 643], atol=1)


def test_the_truth_of_a_view_fits_its_points(stage):
    """Points that the renderer calls tool lie near the tool as it was posed: the state and its picture are one."""
    rng = np.random.default_rng(0)
    wrist = generate_tools.robot()[1]
    state = next(generate_tools.states("tongs", "train", rng, worlds=2))
    for _ in range(8):
        view = generate_tools.look(stage, wrist, state, generate_tools.ViewRange(), rng, always=True)
        if view.tips_seen > 60:
            break
    tip = state.tip
    seen = np.where(view.view.labels == generate_tools.TOOL, view.view.frame.depth, 0.0)
    points = (transform(view.eye.T_world_cam, deproject(seen, view.view.frame.K)) - tip[:3, 3]) @ tip[:3, :3]
    near = points[np.abs(points[:, 2] + 0.01) < 0.01]
    assert len(near) > 10
    # Pads stand half an opening to each side; they are about a centimeter thick with their limbs.
    assert (np.abs(near[:, 0]) < state.opening / 2 + 0.02).mean() > 0.9
    assert (np.abs(near[:, 0]) > state.opening / 2 - 0.008).mean() > 0.9


def test_widths_turn_with_the_thing():
    rng = np.random.default_rng(0)
    for _ in range(20):
        shape = draw(rng, held_out=True)
        widths = shape.width(closing()).reshape(YAWS, len(TILTS))
        steps, mirrored = int(rng.integers(2 * YAWS)), bool(rng.integers(2))
        angle = steps * np.pi / YAWS
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        turn = turn @ np.diag([1, -1 if mirrored else 1, 1])
        true = shape.width(closing() @ turn).reshape(YAWS, len(TILTS))
        assert np.allclose(turned_widths(widths, steps, mirrored), true, atol=1e-12)


def test_objects_stand_on_the_table_in_their_views(stage):
    from toolwright.perception.generate_shapes import hulls

    rng = np.random.default_rng(2)
    wide = Stage([points for _, _, points in hulls()])
    waiting = generate_objects.Waiting.some(["tweezers"], rng, 1)
    errors = []
    for _ in range(12):
        view = generate_objects.look_at_object(wide, waiting, False, generate_tools.ViewRange(), rng)
        cloud = view.measured(generate_tools.ViewRange(), rng)
        if len(cloud) > 60:
            errors.append(np.linalg.norm((cloud.min(axis=0) + cloud.max(axis=0))[:2] / 2 - view.center[:2]))
            assert cloud[:, 2].max() < view.widths(np.array([[0.0, 0.0, 1.0]]))[0] + 0.004
    wide.close()
    assert len(errors) > 2 and np.median(errors) < 0.006


def test_data_goes_on_where_it_was_stopped(tmp_path, small, monkeypatch):
    kind = {"folder": tmp_path, "kind": "tools", "only": ["tweezers"]}
    lines: list[str] = []
    first = generate_affordance.generate(shards=1, report=lines.append, **kind)
    assert (first.shards, first.samples) == (1, 6) and "1/1 shards" in lines[-1] and "views/s" in lines[-1]
    made = (tmp_path / "tweezers_00000.npz").stat().st_mtime_ns
    with monkeypatch.context() as patched:

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(generate_affordance.np, "savez_compressed", die)
        with pytest.raises(KeyboardInterrupt):
            generate_affordance.generate(shards=2, **kind)
    assert [path.name for path in tmp_path.glob("*.npz")] == ["tweezers_00000.npz"]
    again = generate_affordance.generate(shards=2, **kind)
    assert again.samples == 12 and (tmp_path / "tweezers_00000.npz").stat().st_mtime_ns == made


def test_a_shard_depends_on_its_seed_alone(tmp_path, small):
    for name in ("a", "b"):
        generate_affordance.generate(tmp_path / name, 1, "tools", seed=5, only=["tongs"])
    with np.load(tmp_path / "a/tongs_00000.npz") as a, np.load(tmp_path / "b/tongs_00000.npz") as b:
        assert all((a[key] == b[key]).all() for key in a.files)


def test_a_row_tells_what_is_wrong_with_the_fit(stage):
    """Mended by what is stored, the fit is the truth; told of another tool, it is not to be mended but distrusted."""
    from toolwright.perception.affordance.hand import HandModel
    from toolwright.perception.generate_tool_model import of_bank

    rng, ranges = np.random.default_rng(0), generate_tools.ViewRange()
    hand, wrist = generate_tools.robot()
    state = next(generate_tools.states("tongs", "train", rng, worlds=2))
    view = generate_tools.look(stage, wrist, state, ranges, rng, always=True)
    row = generate_affordance.tool_row(view, state.known, HandModel.load(), ranges, rng)
    assert row["there"] and np.abs(row["opening_off"]) < 0.01 and np.linalg.norm(row["tip_off"]) < 0.02
    other = generate_affordance.tool_row(view, of_bank("syringe"), hand, ranges, rng)
    spoilt = generate_affordance.tool_row(view, state.known, hand, ranges, rng, spoilt=True)
    assert not other["there"] and not spoilt["there"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two made-up shards of each kind: training is tested, not rendering."""
    folder, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    n, v = 12, generate_affordance.VARIANTS
    for i in range(3):
        np.savez(
            folder / f"tongs_{i:05d}.npz",
            free=rng.normal(size=(n, generate_affordance.POOL, CHANNELS)).astype(np.float16),
            hand=rng.normal(size=(n, HAND, CHANNELS)).astype(np.float16),
            numbers=rng.normal(size=(n, NUMBERS)).astype(np.float32),
            opening_off=rng.normal(0, 0.001, n).astype(np.float32),
            tip_off=rng.normal(0, 0.001, (n, 3)).astype(np.float32),
            turn_off=rng.normal(0, 0.01, (n, 3)).astype(np.float32),
            there=rng.random(n) < 0.8,
            rejected=np.array(0),
        )
        np.savez(
            folder / f"objects_{i:05d}.npz",
            points=rng.integers(0, 1500, (n, v, 384, 3)).astype(np.int16),
            widths=rng.uniform(0.004, 0.02, (n, YAWS * len(TILTS))).astype(np.float32),
            center=rng.normal(0, 0.01, (n, 3)).astype(np.float32),
            seen=np.full(n, 500, np.int32),
            rejected=np.array(0),
        )
    return folder


@pytest.mark.parametrize("kind", encoder.KINDS)
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, shards, kind, monkeypatch):
    whole = encoder.train(kind, shards, tmp_path / "whole", steps=6)
    assert whole.steps == 6
    monkeypatch.setattr(encoder.EncoderConfig, "checkpoint_every", 0.0)
    said = []

    def stop(line: str) -> None:
        said.append(line)

    config = encoder.EncoderConfig(kind=kind, steps=6, checkpoint_every=0.0)
    part = encoder._Training(config, shards, tmp_path / "part", None, stop)
    step = part.optimizer.step

    def interrupted(*args: object, **kwargs: object) -> object:
        if part.step == 3:
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    part.optimizer.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        part.run()
    encoder.train(kind, shards, tmp_path / "part", resume=True)
    for part in ("net", "kept"):
        states = [checkpoint.load(tmp_path / name)[part] for name in ("whole", "part")]
        assert all((states[0][key] == states[1][key]).all() for key in states[0])


@pytest.mark.parametrize("kind", encoder.KINDS)
def test_the_export_says_what_the_network_says(tmp_path, shards, kind):
    import onnxruntime
    import torch

    encoder.train(kind, shards, tmp_path, steps=2)
    name = kind.removesuffix("s")
    net = encoder._Training(
        checkpoint.load(tmp_path)["config"], shards, tmp_path, checkpoint.load(tmp_path), print
    ).kept
    net.eval()
    rng = np.random.default_rng(0)
    size = (3, FREE + HAND, CHANNELS) if kind == "tools" else (3, 256, 3)
    inputs = {"points": rng.normal(size=size).astype(np.float32)}
    if kind == "tools":
        inputs["numbers"] = rng.normal(size=(3, NUMBERS)).astype(np.float32)
    session = onnxruntime.InferenceSession((tmp_path / f"{name}.onnx").read_bytes())
    with torch.no_grad():
        expected = net(*(torch.from_numpy(array) for array in inputs.values()))
    for got, wanted in zip(session.run(None, inputs), expected, strict=True):
        assert np.allclose(got, wanted.numpy(), atol=1e-5)
    card = json.loads((tmp_path / f"{name}.json").read_text())
    assert card["steps"] == 2 and card["outputs"] and card["kept_aside"]


def test_training_without_clouds_says_how_to_make_them(tmp_path):
    with pytest.raises(encoder_data.EncoderDataError, match="toolwright affordance data tools"):
        encoder.train("tools", tmp_path, tmp_path / "out", steps=1)


def test_clouds_of_an_older_version_are_named(tmp_path, shards):
    for path in shards.glob("tongs_*.npz"):
        with np.load(path) as file:
            np.savez(tmp_path / path.name, **{key: file[key] for key in file.files if key != "numbers"})
    with np.load(shards / "tongs_00000.npz") as file:
        np.savez(tmp_path / "tongs_00000.npz", **{key: file[key] for key in file.files})
    with pytest.raises(encoder_data.EncoderDataError, match="several versions"):
        encoder.train("tools", tmp_path, tmp_path / "out", steps=1)
