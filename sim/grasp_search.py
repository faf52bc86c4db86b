"""Where in the hand a tool should sit, searched with the cross-entropy method.

Each candidate is solved, filtered for collisions and shaken in simulation. Families that ask for it are judged in
trials, too: the closed-form controller holds the tool under hard randomization, and who does that best wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from toolwright.hardware import rotations
from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import F64
from toolwright.sim.grasp import (
    ANCHORS,
    CHAINS,
    MIDDLE,
    Grasp,
    GraspSolver,
    fill_history,
    hand_and_tool,
    mid_pose,
    posed,
    solve_grasps,
    tip_targets,
)
from toolwright.sim.models.leap import HandMotors
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.models.tools import ToolFamily
from toolwright.sim.randomize import directions

_POSTURES = 24  # random postures for each one that is kept
_PRIOR = 6  # tests, half of them passed, that a candidate in trials begins with
_FINAL = 6  # times as many tests as in a round for those that are left at the end


@dataclass(frozen=True)
class SearchConfig:
    """Effort of the search over places in the hand."""

    rounds: int = 6
    first: int = 6000  # candidates in the first, wide round
    candidates: int = 768
    tested: int = 192  # of them shaken in simulation each round
    elites: int = 12
    step: float = 1.0  # of the usual one, by which candidates vary from one round to the next
    protrusion: float = 0.038  # m, how far the tips must stick out of the hand along the tool
    torque: float = 0.25  # N m, the most that a servo may need: weak ones have little more


def effort(family: ToolFamily) -> SearchConfig:
    """The usual effort for a family: less where trials choose and postures lead straight to places that fit."""
    if not family.trials:
        return SearchConfig()
    config = SearchConfig(rounds=4, candidates=384, tested=96, elites=10)
    # Fingers in loops leave little room: finer steps, more rounds. They press as hard as their servos can.
    looped = any(contact.axis is not None for contact in family.contacts(family.nominal))
    strongest = float(LEAP.effort.max())
    return replace(config, first=3 * config.first, rounds=5, step=0.4, torque=strongest) if looped else config


@dataclass(frozen=True)
class Candidate:
    """A place in the hand with its score."""

    score: float
    moved: float  # m
    turned: float  # rad
    tracked: float  # share of the opening range reached by feed-forward alone
    grasp: Grasp
    shift: F64  # (3,) m along the limbs, added to the family's contacts
    protrusion: float  # m
    tests: int = 0  # that the score comes from; 0: it was only shaken


Trial = Callable[[ToolFamily, list[Candidate], int, np.random.Generator], F64]  # (.., tests of each, ..) -> scores


def search(
    family: ToolFamily,
    rng: np.random.Generator,
    config: SearchConfig = SearchConfig(),
    trial: Trial | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Candidate]:
    """Places in the hand that hold the nominal tool, best first.

    Raises:
        RuntimeError: no candidate was reachable without collision.
    """
    params = family.nominal
    model = hand_and_tool(family, params)
    elites: list[Candidate] = []
    pos, quat, shift = _anywhere(family, rng, config.first)
    for r in range(config.rounds):
        reach = np.arange(len(pos))
        for angles in (family.anchors(params)[:1] - family.give, None):  # most are out of reach at the first already
            if not len(reach):
                break
            pos, quat, shift = pos[reach], quat[reach], shift[reach]
            at = None if angles is None else np.tile(angles, (len(pos), 1))
            grasps, residual = solve_grasps(family, [params] * len(pos), pos, quat, shift=shift, angles=at)
            reach = np.flatnonzero(residual < 1e-3)
        free, protrusion = _free_of_collision(model, family, params, [grasps[i] for i in reach])
        strong = np.array([_torque(grasps[i]) < config.torque for i in reach], dtype=bool)
        keep = reach[free & strong & (protrusion > config.protrusion)]
        sticks_out = dict(zip(reach, protrusion, strict=True))
        keep = rng.permutation(keep)[: config.tested]
        if len(keep):
            scored = _shake(model, family, params, [grasps[i] for i in keep], rng)
            fresh = [
                Candidate(*score, grasp=grasps[i], shift=shift[i], protrusion=float(sticks_out[i]))
                for i, score in zip(keep, scored, strict=True)
            ]
            if trial is not None and family.trials:
                fresh = sorted(fresh, key=lambda c: -c.score)[: config.elites]
                elites = _tried(family, elites + fresh, trial, family.trials, rng)
            else:
                elites = sorted(elites + fresh, key=lambda c: -c.score)
            elites = elites[: config.elites]
        best = f"best {elites[0].score:.3f}" if elites else "none yet"
        report(f"round {r + 1}/{config.rounds}: {len(reach)} reachable, {len(keep)} tested, {best}")
        if not elites:
            pos, quat, shift = _anywhere(family, rng, config.first)
            continue
        shrink = config.step * 0.7**r
        parents = [elites[i] for i in rng.integers(len(elites), size=config.candidates)]
        pos = np.stack([c.grasp.pos for c in parents]) + rng.normal(0, 0.008 * shrink, (config.candidates, 3))
        turn = rotations.from_rotvec(rng.normal(0, 0.25 * shrink, (config.candidates, 3)))
        quat = rotations.multiply(np.stack([c.grasp.quat for c in parents]), turn)
        shift = np.stack([c.shift for c in parents]) + rng.normal(0, 0.003 * shrink, (config.candidates, 3))
    if not elites:
        raise RuntimeError(f"no grasp found for {family.name}: its contacts are out of the fingers' reach")
    if trial is not None and family.trials:
        elites = _tried(family, elites, trial, _FINAL * family.trials, rng)
        report(f"best after {elites[0].tests} tests: {elites[0].score:.3f}")
    return elites


def _tried(
    family: ToolFamily, pool: list[Candidate], trial: Trial, tests: int, rng: np.random.Generator
) -> list[Candidate]:
    """Judges candidates in tests, those that survived earlier rounds again; best first."""
    scores = trial(family, pool, tests, rng)
    judged = []
    for c, score in zip(pool, scores, strict=True):
        # A luckless prior: who passed few tests must not beat who passed many.
        sum_before = (c.tests + _PRIOR) * c.score if c.tests else 0.5 * _PRIOR
        judged.append(
            replace(c, score=(sum_before + tests * score) / (c.tests + tests + _PRIOR), tests=c.tests + tests)
        )
    return sorted(judged, key=lambda c: -c.score)


def _anywhere(family: ToolFamily, rng: np.random.Generator, n: int) -> tuple[F64, F64, F64]:
    """Places (n, 3) [m] and turns (n, 4) of the mid frame in the palm, and shifts (n, 3) [m] of the contacts."""
    if family.search_from == "postures":
        return _from_postures(family, rng, n // 4)
    pos = rng.normal(np.array([-0.04, -0.03, -0.105]), np.array([0.04, 0.04, 0.03]), (n, 3))
    quat = rng.normal(size=(n, 4))
    quat /= np.linalg.norm(quat, axis=-1, keepdims=True)
    return pos, quat, rng.normal(0, 0.004, (n, 3))


def _from_postures(family: ToolFamily, rng: np.random.Generator, n: int) -> tuple[F64, F64, F64]:
    """The same, from the best of many random postures: those whose fingertips lie as the tool's contacts do."""
    contacts, params = family.contacts(family.nominal), family.nominal
    solver = GraspSolver(n, {c.finger: c.depth for c in contacts})
    lower, upper = solver.model.jnt_range[:, 0] + 0.05, solver.model.jnt_range[:, 1] - 0.05
    shift = rng.normal(0, 0.004, (_POSTURES, n, 3))
    found = []
    for drawn in shift:
        q = rng.uniform(lower, upper, (n, 16))
        # Index and middle finger do much the same.
        q[:, CHAINS["mf"]] = np.clip(q[:, CHAINS["if"]] + rng.normal(0, 0.3, (n, 4)), lower[:4], upper[:4])
        tips = np.stack([solver.point(c.finger, q) for c in contacts], axis=1)
        flat = np.zeros((n, 3)), np.tile([1.0, 0, 0, 0], (n, 1))
        middle = np.full(n, family.anchors(params)[MIDDLE])
        targets = tip_targets(family, [params], *flat, middle, drawn)[0]
        wanted = np.stack([targets[c.finger] for c in contacts], axis=1)
        turn, misfit = _align(wanted, tips)
        for c in contacts:
            if c.axis is not None:
                misfit = misfit + 0.03 * solver.askew(c.finger, turn @ np.array(c.axis), q)
        place = tips.mean(1) - np.einsum("nij,nj->ni", turn, wanted.mean(1))
        found.append((misfit, place, turn))
    misfit, pos, turn = (np.concatenate(parts) for parts in zip(*found, strict=True))
    best = np.argsort(misfit)[:n]
    quat = np.empty((len(best), 4))
    for row, matrix in zip(quat, turn[best], strict=True):
        mujoco.mju_mat2Quat(row, matrix.ravel())
    return pos[best], quat, shift.reshape(-1, 3)[best]


def _torque(grasp: Grasp) -> float:
    """The largest torque that a servo needs at any anchor [N m]."""
    return float(np.abs(grasp.ctrl - grasp.q).max()) * HandMotors().kp


def _align(points: F64, onto: F64) -> tuple[F64, F64]:
    """Rotations (n, 3, 3) that lay points (n, k, 3) onto others best (Kabsch), and the misfits (n,) [m] left."""
    a, b = points - points.mean(1, keepdims=True), onto - onto.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("nki,nkj->nij", b, a))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    turn = u @ vt
    return turn, np.linalg.norm(b - np.einsum("nij,nkj->nki", turn, a), axis=-1).max(1)


def _free_of_collision(
    model: mujoco.MjModel, family: ToolFamily, params: Any, grasps: list[Grasp]
) -> tuple[np.ndarray, F64]:
    """Which grasps touch nothing before the fingers press (n,), and how far the tips stick out of the hand (n,) [m]."""
    if not grasps:
        return np.zeros(0, bool), np.zeros(0)
    batch = Batch(model, len(grasps))
    qpos, ncon = batch.bind("qpos"), batch.bind("ncon")
    xpos, xmat = batch.bind("geom_xpos"), batch.bind("geom_xmat")
    free = np.ones(len(grasps), bool)
    for k in range(ANCHORS):
        qpos[:] = posed(family, grasps, k)
        batch.forward(stage=int(mujoco.mjtStage.mjSTAGE_POS))
        free &= ncon.reshape(-1) == 0
    axis = rotations.rotate(np.stack([g.quat for g in grasps]), np.array([0.0, 0, 1]))
    hand = np.flatnonzero([not model.body(b).name.startswith("tool") for b in model.geom_bodyid])
    mats = xmat[:, hand].reshape(len(grasps), len(hand), 3, 3)
    along = np.abs(np.einsum("ngij,ni->ngj", mats, axis))  # each geom's axes against the tool's
    sizes = model.geom_size[hand].copy()
    capsule = model.geom_type[hand] == int(mujoco.mjtGeom.mjGEOM_CAPSULE)
    extent = np.where(capsule, sizes[:, 0] + along[..., 2] * sizes[:, 1], (along * sizes).sum(-1))
    reach = np.einsum("ngi,ni->ng", xpos[:, hand] - np.stack([g.pos for g in grasps])[:, None], axis) + extent
    return free, family.tip(params)[2] - reach.max(axis=1)


def _shake(
    model: mujoco.MjModel, family: ToolFamily, params: Any, grasps: list[Grasp], rng: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """Closes and opens each grasp while gravity turns and forces push: (score, moved [m], turned [rad], share)."""
    n = len(grasps)
    batch = Batch(model, n)
    batch.expand("opt.gravity")[:] = directions(rng, n) * 9.81
    qpos, qvel, ctrl, push = batch.bind("qpos"), batch.bind("qvel"), batch.bind("ctrl"), batch.bind("xfrc_applied")
    table = np.stack([g.ctrl for g in grasps])
    start = np.stack([g.pos for g in grasps]), np.stack([g.quat for g in grasps])
    qpos[:] = posed(family, grasps, MIDDLE)
    ctrl[:] = table[:, MIDDLE]
    fill_history(batch)
    batch.forward()
    angle = family.anchors(params)
    sweep = [MIDDLE] * 15 + [0] * 25 + [2] * 25 + [MIDDLE] * 15
    reached = np.zeros((n, 2))
    moved, turned = np.zeros(n), np.zeros(n)
    body = model.body("tool").id
    for step, k in enumerate(sweep):
        ctrl[:] = table[:, k]
        push[:, body, :3] = directions(rng, n) * 0.8 if step % 8 < 3 and step > 10 else 0.0
        batch.step(nstep=SUBSTEPS)
        pos, quat = mid_pose(qpos[:, 16:], family.turn)
        moved = np.maximum(moved, np.linalg.norm(pos - start[0], axis=-1))
        turned = np.maximum(
            turned,
            np.linalg.norm(rotations.to_rotvec(rotations.multiply(quat, rotations.conjugate(start[1]))), axis=-1),
        )
        if step == 39:
            reached[:, 0] = qpos[:, -1]
        if step == 64:
            reached[:, 1] = qpos[:, -1]
    bad = ~np.isfinite(qpos).all(-1) | ~np.isfinite(qvel).all(-1) | (moved > 0.05)
    share = (reached[:, 1] - reached[:, 0]) / (angle[2] - angle[0])
    score = np.where(bad, -9.0, np.clip(share, 0, 1) - 20 * moved - turned)
    return [tuple(float(x) for x in row) for row in zip(score, moved, turned, share, strict=True)]  # type: ignore[misc]
