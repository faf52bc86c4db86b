"""Physics that can be trusted: energy, grasps without fingers inside the tool, the same trajectory every time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import mujoco
import numpy as np
import pytest

from toolwright.sim.grasp import hand_and_tool
from toolwright.sim.grasp_bank import GraspBank, load
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.models.tools import TOOLS
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

SUNK = 0.001  # m, how deep a finger may be in a tool


# -- energy -----------------------------------------------------------------------------------------------------------


def _passive(timestep: float, damping: bool) -> mujoco.MjModel:
    """Hand and tool with gravity and inertia; no contact, motor, spring or friction."""
    model = hand_and_tool(TOOLS["tweezers"], TOOLS["tweezers"].nominal)
    bits = mujoco.mjtDisableBit
    model.opt.disableflags |= int(bits.mjDSBL_CONTACT) | int(bits.mjDSBL_ACTUATION) | int(bits.mjDSBL_LIMIT)
    model.opt.enableflags |= int(mujoco.mjtEnableBit.mjENBL_ENERGY)
    model.opt.timestep = timestep
    model.dof_frictionloss[:] = 0
    model.jnt_stiffness[:] = 0
    if not damping:
        model.dof_damping[:] = 0
    return model


def _energies(model: mujoco.MjModel, seconds: float) -> tuple[np.ndarray, float]:
    """Total energy [J] after each step, and how much of it was ever in motion."""
    rng = np.random.default_rng(0)
    data = mujoco.MjData(model)
    data.qpos[:16] = rng.uniform(*model.jnt_range[:16].T)
    data.qvel[:] = rng.normal(0, 2, model.nv)
    total, moving = [], 0.0
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)  # leaves the energies of the state that it began with
        total.append(data.energy.sum())
        moving = max(moving, data.energy[1])
    return np.array(total), float(moving)


def test_a_passive_hand_with_a_falling_tool_keeps_its_energy() -> None:
    total, moving = _energies(_passive(1e-4, damping=False), 0.5)
    assert moving > 0.3  # J: a pendulum motion worth speaking of
    assert np.abs(total - total[0]).max() < 2e-4 * moving


def test_the_energy_error_shrinks_with_the_time_step() -> None:
    runs = [_energies(_passive(timestep, damping=False), 0.2)[0] for timestep in (8e-4, 4e-4, 2e-4)]
    errors = [abs(total[-1] - total[0]) for total in runs]
    assert errors[1] < 0.7 * errors[0] and errors[2] < 0.7 * errors[1]


@pytest.mark.parametrize("timestep", [0.0005, 0.005])
def test_a_damped_hand_never_gains_energy(timestep: float) -> None:
    total, _ = _energies(_passive(timestep, damping=True), 0.5)
    assert np.diff(total).max() < 0
    assert total[0] - total[-1] > 0.01


# -- grasps -----------------------------------------------------------------------------------------------------------


@cache
def _bank() -> GraspBank:
    return load("tweezers")


def _finger_depth(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[float, set[str]]:
    """How deep the deepest finger is in the tool [m], and which bodies of the hand touch it."""
    mujoco.mj_forward(model, data)
    depth, touching = 0.0, set()
    for contact in data.contact:
        bodies = [model.body(model.geom_bodyid[g]).name for g in contact.geom]
        on_tool = [name.startswith("tool") for name in bodies]
        if any(on_tool) and not all(on_tool):
            depth = max(depth, -float(contact.dist))
            touching.add(bodies[on_tool.index(False)])
    return depth, touching


def test_the_bank_holds_both_parts_and_begins_with_the_nominal_tool() -> None:
    bank = _bank()
    assert bank.params[0] == bank.family.nominal
    assert len(bank.part("train")) >= 100 and len(bank.part("held_out")) >= 50
    assert sorted([*bank.part("train"), *bank.part("held_out")]) == list(range(len(bank.params)))
    for index, params in enumerate(bank.params):
        for name, bands in bank.family.held_out.items():
            inside = any(low <= getattr(params, name) <= high for low, high in bands)
            assert inside == bank.held_out[index] or index == 0, (index, name)


def test_openings_of_every_grasp_grow_from_anchor_to_anchor() -> None:
    assert (np.diff(_bank().openings, axis=1) > 0.01).all()


def test_fingers_of_settled_grasps_are_less_than_a_millimeter_in_the_tool() -> None:
    bank = _bank()
    for index in np.random.default_rng(0).choice(len(bank.params), 20, replace=False):
        model = hand_and_tool(bank.family, bank.params[index])
        data = mujoco.MjData(model)
        for anchor in range(bank.start.shape[1]):
            data.qpos[:] = bank.start[index, anchor]
            depth, touching = _finger_depth(model, data)
            assert depth < SUNK, (index, anchor)
            assert {name[:2] for name in touching} >= {"if", "mf", "th"}, (index, anchor)


def test_grasps_are_held_for_two_seconds_by_the_closed_form_controller() -> None:
    config = HeldToolConfig(level="nominal", changes=0.0)
    task = HeldToolTask(config, 24, np.random.default_rng(0), bank=_bank().rows(np.arange(12)))
    task.reset(np.arange(24))
    deepest = 0.0
    for step in range(40):
        task.act_closed_form()
        task.batch.step(nstep=SUBSTEPS)
        task.sense()
        measured = task.measure()
        assert (measured["moved"] < 0.01).all() and (measured["turned"] < 0.3).all(), step
        if step % 10 == 9:
            for i in range(task.n):
                deepest = max(deepest, _finger_depth(task.batch.get_model(i), task.batch.get_data(i))[0])
    assert np.abs(measured["opening"] - task.goal).max() < task.config.tolerance
    assert 0 < deepest < SUNK


def test_the_bank_survives_saving_and_loading(tmp_path: Path) -> None:
    bank = _bank().rows(np.arange(3))
    bank.save(tmp_path / "tweezers.npz")
    again = load("tweezers", tmp_path / "tweezers.npz")
    assert again.params == bank.params and again.family is bank.family
    for name in ("held_out", "pos", "quat", "angles", "openings", "q", "ctrl", "correction", "start", "down"):
        assert (getattr(again, name) == getattr(bank, name)).all(), name


def test_missing_grasps_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="toolwright grasp tweezers"):
        load("tweezers", tmp_path / "none.npz")


# -- determinism ------------------------------------------------------------------------------------------------------


def _trajectory(seed: int, threads: int) -> np.ndarray:
    """Coordinates of four hard worlds over a second, with random actions."""
    rng = np.random.default_rng(1)
    task = HeldToolTask(HeldToolConfig(), 4, np.random.default_rng(seed), threads, _bank().rows(np.arange(4)))
    task.reset(np.arange(4))
    states = []
    for _ in range(20):
        task.act(rng.uniform(-0.5, 0.5, (4, task.actions)))
        task.batch.step(nstep=SUBSTEPS)
        task.sense()
        states.append(np.concatenate([task.qpos, task.qvel, task.observe()["observation"]], axis=1))
    return np.stack(states)


def test_the_same_seed_gives_the_same_trajectory_bit_for_bit_on_any_number_of_threads() -> None:
    first = _trajectory(0, threads=1)
    assert (first == _trajectory(0, threads=1)).all()
    assert (first == _trajectory(0, threads=2)).all()
    assert (first != _trajectory(1, threads=1)).any(axis=(0, 2)).all()  # in every world
