"""Trials of grasps: the closed-form controller holds tools with them under hard randomization."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.sim import grasp_bank
from toolwright.sim.grasp_search import Candidate
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.models.tools import ToolFamily
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask

_TOOLS = 3  # that each candidate must hold: the nominal one and some of the train part


def trial(family: ToolFamily, candidates: list[Candidate], tests: int, rng: np.random.Generator) -> F64:
    """Scores (n,): 1 where every test succeeds, less than 0 where the tool is mostly lost.

    Args:
        family: of the tools.
        candidates: n of them.
        tests: of each candidate, on average.
        rng: source of tools and tests.
    """
    tools = [family.nominal, *(family.sample(rng) for _ in range(_TOOLS - 1))]
    pairs = [(i, params) for i in range(len(candidates)) for params in tools]
    fitted = grasp_bank.fit(family, [p for _, p in pairs], [candidates[i] for i, _ in pairs])
    if not fitted:
        return np.full(len(candidates), -1.0)
    held = list(fitted)
    bank = grasp_bank.collect(family, list(fitted.values()))
    config = HeldToolConfig(tool=family.name, level="hard")
    task = HeldToolTask(config, round(tests * len(held) / _TOOLS), rng, bank=bank)
    of = np.array([pairs[h][0] for h in held])
    values = _play(task)
    candidate = of[task.tool]
    n = len(candidates)
    # A tool that was not held when it settled counts as lost tests.
    lost = (_TOOLS - np.bincount(of, minlength=n)) * tests / _TOOLS
    counted = np.bincount(candidate, minlength=n) + lost
    total = np.bincount(candidate, weights=values, minlength=n) - lost
    return np.where(counted > 0, total / np.maximum(counted, 1), 0.0)


def _play(task: HeldToolTask) -> F64:
    """One episode in every world under the closed-form controller: what each is worth (N,)."""
    everyone = np.arange(task.n)
    task.reset(everyone)
    start, dropped = task.qpos.copy(), np.zeros(task.n, dtype=bool)
    for _ in range(task.horizon):
        task.act_closed_form()
        task.batch.step(nstep=SUBSTEPS)
        dropped |= task.failed(task.measure())
        task.qpos[dropped], task.qvel[dropped] = start[dropped], 0.0
        task.sense()
    measured = task.measure()
    success = task.success(measured) & ~dropped
    c = task.config
    strain = np.minimum(measured["moved"] / c.moved, 1.0) + np.minimum(measured["turned"] / c.turned, 1.0)
    return np.where(dropped, -0.5, np.where(success, 1.0, 0.2) - 0.2 * strain)
