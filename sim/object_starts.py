"""Where the shapes lie at rest in the hand: the states that episodes start from.

Made by dropping each shape into the cradle of fingers in many orientations; the physics decides where it comes to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import mujoco
import numpy as np
from mujoco.batch import Batch

from toolwright.hardware.reorient import CENTER, HOME, UP
from toolwright.hardware.robot import F64
from toolwright.sim import grasp
from toolwright.sim.models import in_hand
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.object_shapes import Shape, ShapeError, scaled
from toolwright.sim.randomize_reorient import NOMINAL, SIZES

FILE = Path(__file__).parent / "shapes" / "starts.npz"
COUNT = 8  # starts of each shape
_SETTLE = 30  # control steps
_ROUNDS = 8
_CLEAR = 0.015  # m that a thing falls, beside half its own size
_SPREAD, _BENT = 0.01, 0.1  # m, rad: standard deviations of place and of the fingers' pose
_DROPS = 512  # at least in a round: awkward shapes stay in the hand in one of ten
_NEAR = 0.09  # m from there: further away it hangs on the rim
_SUNK = 0.0015  # m, deepest contact at rest: deeper is jammed between two plates of the shell
_REST = 3.0  # rad/s and tenfold m/s: slower counts as at rest, round things rock for long


def make(shapes: Sequence[Shape], rng: np.random.Generator, report: Callable[[str], None] = lambda line: None) -> F64:
    """(V, COUNT, 39): joints [rad], pose of the object [m], servo targets [rad], at rest, palm up, largest size.

    Raises:
        ShapeError: a shape that never stays in the hand.
    """
    scene = in_hand.build([scaled(shape, SIZES[-1]) for shape in shapes])
    half = np.array([SIZES[-1] * np.linalg.norm(shape.extent) / 2 for shape in shapes])
    found: list[list[F64]] = [[] for _ in shapes]
    for i in range(_ROUNDS):
        wanted = np.flatnonzero([len(rows) < COUNT for rows in found])
        if not len(wanted):
            break
        for v, state in zip(
            *_drop(scene, half, np.repeat(wanted, max(COUNT, _DROPS // len(wanted))), rng), strict=True
        ):
            found[v].append(state)
        report(f"round {i + 1}: {sum(len(rows) >= COUNT for rows in found)} of {len(shapes)} shapes lie in the hand")
    for shape, rows in zip(shapes, found, strict=True):
        if not rows:
            raise ShapeError(f"shape '{shape.name}' never came to rest in the hand in {_ROUNDS} rounds of drops")
    return np.stack([np.array([rows[i % len(rows)] for i in range(COUNT)]) for rows in found])


def _drop(
    scene: in_hand.InHandModel, half: F64, variant: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, F64]:
    """Which of the drops came to rest in the hand, as variants (k,) and states (k, 39)."""
    n = len(variant)
    height = np.maximum(half[variant] - 0.03, 0.0) + _CLEAR
    scene.model.opt.gravity[:] = 9.81 * UP
    batch = Batch(scene.model, n)
    field = {name: batch.expand(name) for name in scene.variants}
    scene.give(field, np.arange(n), variant, NOMINAL.mass[0])
    scene.set_const(batch, field["geom_rbound"], np.arange(n), variant)
    batch.reset(stage=0)
    qpos, qvel, ctrl = (batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
    ctrl[:] = HOME + _BENT * rng.normal(size=(n, 16))
    qpos[:, :16] = ctrl
    quat = rng.normal(size=(n, 4))
    qpos[:, 16:19] = CENTER - height[:, None] * UP + _SPREAD * rng.normal(size=(n, 3))
    qpos[:, 19:] = quat / np.linalg.norm(quat, axis=1, keepdims=True)
    grasp.fill_history(batch, np.arange(n))
    batch.forward()
    batch.step(nstep=_SETTLE * SUBSTEPS)
    speed = np.maximum(np.linalg.norm(qvel[:, 19:], axis=1), 10 * np.linalg.norm(qvel[:, 16:19], axis=1))
    kept = (speed < _REST) & (np.linalg.norm(qpos[:, 16:19] - CENTER, axis=1) < _NEAR)
    kept[kept] = [deepest(batch, i) < _SUNK for i in np.flatnonzero(kept).tolist()]
    return variant[kept], np.concatenate([qpos, ctrl], axis=1)[kept]


def deepest(batch: Batch, world: int) -> float:
    """m: depth of the deepest contact in a world of a batch, zero without one."""
    model, data = batch.get_model(world), batch.get_data(world)
    mujoco.mj_forward(model, data)
    return max(0.0, float(-data.contact.dist.min())) if data.ncon else 0.0


def save(shapes: Sequence[Shape], starts: F64, path: Path = FILE) -> None:
    """Writes one compressed file in single precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, name=[shape.name for shape in shapes], starts=starts.astype(np.float32))


def load(names: Sequence[str], path: Path = FILE) -> F64:
    """(len(names), COUNT, 39) starts of the shapes with these names.

    Raises:
        ShapeError: no file, or a shape without starts; says how to make them.
    """
    if not path.is_file():
        raise ShapeError(f"no starts at {path}: make them with `toolwright objects make`")
    with np.load(path) as file:
        row = {str(name): i for i, name in enumerate(file["name"])}
        if missing := [name for name in names if name not in row]:
            raise ShapeError(f"no starts of '{missing[0]}' in {path}: make them with `toolwright objects make`")
        starts = file["starts"][[row[name] for name in names]].astype(np.float64)
    starts[..., 19:23] /= np.linalg.norm(starts[..., 19:23], axis=-1, keepdims=True)
    return starts
