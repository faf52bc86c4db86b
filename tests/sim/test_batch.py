"""Backends of the physics by name, and the layout of objects that a GPU needs: the same object, in other geoms."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from mujoco.batch import Batch

from toolwright.launch import errors
from toolwright.sim import batch, grasp, object_starts
from toolwright.sim.batch import BackendError
from toolwright.sim.models import in_hand
from toolwright.sim.object_shapes import Shape, load
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask


def test_an_unknown_backend_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BackendError, match="'cuda'.*cpu .*gpu .*warp-cpu"):
        ReorientTask(ReorientConfig(shapes="cube"), 1, np.random.default_rng(0), 1, "cuda")
    assert errors.is_expected(BackendError(), [])


def test_without_the_package_the_gpu_is_refused_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        HeldToolTask(HeldToolConfig(), 1, np.random.default_rng(0), 1, backend="gpu")
    assert errors.is_expected(caught.value, [])
    assert errors.message(caught.value).endswith("pip install -e '.[gpu]'")


def test_the_cpu_is_mujocos_own_batch() -> None:
    task = ReorientTask(ReorientConfig(shapes="cube"), 2, np.random.default_rng(0), 1)
    assert type(task.batch) is Batch and batch.make(task.model, 3, 1).nsim == 3


# -- one kind for each geom -------------------------------------------------------------------------------------------


def _one_of_each_build() -> list[Shape]:
    """Shapes of every combination of kinds that there is."""
    builds = {tuple(part.kind for part in shape.parts): shape for shape in load()}
    assert len(builds) > 20
    return list(builds.values())


def _rolled(fixed_kinds: bool, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates after some steps from rest, and whether there was a contact: one world for each shape."""
    shapes = _one_of_each_build()
    scene = in_hand.build(shapes, fixed_kinds)
    worlds, ids = Batch(scene.model, len(shapes), 1), np.arange(len(shapes))
    field = {name: worlds.expand(name) for name in scene.variants}
    scene.give(field, ids, ids, np.full(len(ids), 0.1))
    scene.set_const(worlds, field["geom_rbound"], ids, ids)
    start = object_starts.load([shape.name for shape in shapes])[:, 0]
    worlds.bind("qpos")[:], worlds.bind("ctrl")[:] = start[:, :23], start[:, 23:] + 0.1
    grasp.fill_history(worlds)
    touching = np.zeros(len(ids), dtype=bool)
    for _ in range(steps):
        worlds.step()
        touching |= worlds.bind("ncon") > 0
    return worlds.bind("qpos").copy(), touching


def test_an_object_of_fixed_kinds_moves_as_the_same_object_of_any_kinds() -> None:
    expected, touching = _rolled(False, 40)
    q, same = _rolled(True, 40)
    assert touching.mean() > 0.9 and np.array_equal(same, touching)
    assert np.abs(q - expected).max() < 1e-6


def test_with_fixed_kinds_no_field_differs_between_worlds_that_a_gpu_holds_once() -> None:
    shapes = _one_of_each_build()
    free, fixed = in_hand.build(shapes), in_hand.build(shapes, fixed_kinds=True)
    gone = {"geom_type", "geom_contype", "geom_conaffinity"}
    assert set(free.variants) - set(fixed.variants) == gone
    for shape, types in zip(shapes, free.variants["geom_type"], strict=True):
        missing = list(types[: len(shape.parts)])
        for kind in fixed.model.geom_type[fixed.geoms]:
            if kind in missing:
                missing.remove(kind)
        assert not missing, shape.name
