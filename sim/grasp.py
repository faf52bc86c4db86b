"""Grasp synthesis: how thumb, index and middle finger hold a tool so that one scalar opens and closes it.

A grasp is constructed, not found by luck. The family says where fingers may touch; inverse kinematics brings the three
fingertips there at several openings; the servo targets add the torque that balances the tool's spring,
`q + J^T f / kp`. Interpolated over the openings, these targets are a one-scalar synergy. Where in the hand the tool
should sit is searched with the cross-entropy method: each candidate is solved, filtered for collisions and shaken in
simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.models.leap import HandMotors, add_leap
from toolwright.sim.models.physics import SUBSTEPS, new_spec
from toolwright.sim.models.tools import ToolFamily, add_tool
from toolwright.sim.models.tools.family import REACH
from toolwright.sim.randomize import directions

ANGLE_SHARES = np.array([REACH[0], sum(REACH) / 2, REACH[1]])  # of the tool's largest angle: the anchors
CHAINS = {"if": slice(0, 4), "mf": slice(4, 8), "th": slice(12, 16)}
REST = np.array(
    [0.9, -0.2, 0.6, 0.4] * 2 + [1.5, 0.0, 1.2, 0.8] + [0.8, 0.9, 0.4, 0.9]
)  # rad; the ring finger tucks in
TIP_RADIUS = 0.0115  # m
YIELD = 0.03  # rad by which the spring opens a held tool further than the fingers' kinematics say
_CLEARANCE = 2e-4  # m between tip and limb when candidates are tested for other contacts


@dataclass(frozen=True)
class Grasp:
    """One grasp of one tool: anchors of the synergy."""

    pos: F64  # (3,) m, mid frame of the tool in the palm frame
    quat: F64  # (4,)
    angles: F64  # (k,) rad, where the fingers were solved
    openings: F64  # (k,) m, the same at the tips
    q: F64  # (k, 16) rad, joints at contact without force
    ctrl: F64  # (k, 16) rad, servo targets
    correction: F64  # (16, 6) joint change per displacement (m, rad) of the tool in the palm frame, that undoes it


def hand_and_tool(family: ToolFamily, params: Any, motors: HandMotors | None = None) -> mujoco.MjModel:
    """A hand with its palm at the origin and a free tool; gravity stands for the direction of the palm."""
    spec = new_spec()
    spec.compiler.boundinertia = 2e-6
    add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]), motors or HandMotors())
    add_tool(spec, family, params, "tool")
    return spec.compile()


def limb_pose(pos: F64, quat: F64, angle: F64) -> F64:
    """Free-joint coordinates (..., 7) of limb A for a mid frame and an opening angle."""
    return np.concatenate([pos, rotations.multiply(quat, rotations.about_y(-np.asarray(angle) / 2))], axis=-1)


def mid_pose(qpos_tool: F64) -> tuple[F64, F64]:
    """Mid frame (pos, quat) from the tool's eight coordinates (..., 8): the inverse of `limb_pose`."""
    return qpos_tool[..., :3], rotations.multiply(qpos_tool[..., 3:7], rotations.about_y(qpos_tool[..., 7] / 2))


def fill_history(batch: Batch, rows: np.ndarray | slice = slice(None)) -> None:
    """Makes the servos' latency buffers hold the current targets, as if they had been sent for a while."""
    model, history = batch.get_model(0), batch.bind("history")
    samples = int(model.actuator_history[0, 0])
    # Each actuator's buffer holds two counters, then times, then values.
    buffers = history.reshape(len(history), -1, 2 + 2 * samples)
    buffers[rows, :, 2 + samples :] = batch.bind("ctrl")[rows, : buffers.shape[1], None]


class GraspSolver:
    """Batched inverse kinematics of the three working fingers."""

    def __init__(self, n: int) -> None:
        spec = new_spec()
        add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]))
        self.model = spec.compile()
        self.batch = Batch(self.model, n)
        self.sites = self.batch.bind("site_xpos")
        self.kp = HandMotors().kp

    def solve(self, targets: dict[str, F64], q: F64, iterations: int = 40) -> tuple[F64, F64]:
        """Damped least squares towards tip positions, with a pull to the rest posture in the null space.

        Args:
            targets: finger -> (n, 3) m, where the core of its tip should be.
            q: (n, 16) rad, start.

        Returns:
            q (n, 16) rad and the largest residual (n,) m.
        """
        q = q.copy()
        lower, upper = self.model.jnt_range[:, 0] + 0.02, self.model.jnt_range[:, 1] - 0.02
        for _ in range(iterations):
            residual = np.zeros(len(q))
            for finger, target in targets.items():
                chain, error, jac = CHAINS[finger], *self._error(finger, target, q)
                residual = np.maximum(residual, np.linalg.norm(error, axis=-1))
                pull = 0.02 * (REST[chain] - q[:, chain])
                jjt = np.linalg.inv(jac @ jac.transpose(0, 2, 1) + 1e-6 * np.eye(3))
                pinv = jac.transpose(0, 2, 1) @ jjt
                null = np.eye(4) - pinv @ jac
                step = np.einsum("nij,nj->ni", pinv, error) + np.einsum("nij,nj->ni", null, pull)
                q[:, chain] += np.clip(step, -0.2, 0.2)
            q = np.clip(q, lower, upper)
        return q, residual

    def jacobian(self, finger: str, q: F64) -> F64:
        """(n, 3, 4) of the tip's core."""
        return self._error(finger, np.zeros(3), q)[1]

    def _error(self, finger: str, target: F64, q: F64) -> tuple[F64, F64]:
        self.batch.bind("qpos")[:] = q
        self.batch.forward(stage=int(mujoco.mjtStage.mjSTAGE_POS))
        site = self.model.site(f"{finger}_tip")
        point = self.sites[:, site.id]
        jac = self.batch.jac(int(site.bodyid[0]), point)[0]
        return target - point, jac[:, :, CHAINS[finger]]


def anchors(params: list[Any]) -> F64:
    """(n, k) rad: the openings that a synergy is made of."""
    return np.stack([ANGLE_SHARES * p.max_angle for p in params])


def finger_forces(family: ToolFamily, params: Any, angles: F64) -> dict[str, F64]:
    """Normal forces (k,) [N] that hold the spring at `angles` and cancel on the tool as a whole."""
    lever = {c.finger: c.pos[2] for c in family.contacts(params)}
    torque = family.spring(params, angles)
    thumb = torque / lever["th"]
    index = (torque - thumb * lever["mf"]) / (lever["if"] - lever["mf"])
    return {"th": thumb, "if": index, "mf": thumb - index}


def solve_grasps(
    family: ToolFamily,
    params: list[Any],
    pos: F64,
    quat: F64,
    q0: F64 | None = None,
    shift: F64 | None = None,
    angles: F64 | None = None,
) -> tuple[list[Grasp], F64]:
    """Fingers, servo targets and pose correction for n tools at n places in the hand.

    Args:
        family: the tool.
        params: n parameter sets.
        pos: (n, 3) m, mid frame in the palm.
        quat: (n, 4).
        q0: (n, 16) rad, where the search starts; the rest posture by default.
        shift: (n, 3) m along the limbs, added to the family's contacts in its order.
        angles: (n, k) rad, where to solve; by default the anchors, less what tips and servos usually yield.

    Returns:
        n grasps and their residuals (n,) [m]; a residual above a millimetre means out of reach.
    """
    n = len(params)
    solver = GraspSolver(n)
    if angles is None:
        angles = anchors(params) - YIELD
    shift = np.zeros((n, 3)) if shift is None else shift
    q = np.tile(REST, (n, 1)) if q0 is None else q0
    qs, ctrls, worst = [], [], np.zeros(n)
    corrections = np.zeros((n, 16, 6))
    for k in range(angles.shape[1]):
        targets, normals, points = _tip_targets(family, params, pos, quat, angles[:, k], shift)
        q, residual = solver.solve(targets, q, iterations=60 if k == 0 else 30)
        worst = np.maximum(worst, residual)
        ctrl = q.copy()
        forces = [finger_forces(family, p, a) for p, a in zip(params, angles[:, k], strict=True)]
        for finger, chain in CHAINS.items():
            jac = solver.jacobian(finger, q)
            force = -normals[finger] * np.array([f[finger] for f in forces])[:, None]
            ctrl[:, chain] += np.einsum("nij,ni->nj", jac, force) / solver.kp
            if k == angles.shape[1] // 2:
                pinv = np.linalg.pinv(jac, rcond=1e-2)
                arm = points[finger] - pos
                skew = -np.cross(arm[:, None, :], np.eye(3)[None], axis=-1).transpose(0, 2, 1)
                # Fingertip motion that undoes (dp, dr): -(dp + dr x arm).
                corrections[:, chain] = -pinv @ np.concatenate([np.tile(np.eye(3), (n, 1, 1)), skew], axis=-1)
        qs.append(q)
        ctrls.append(ctrl)
    grasps = [
        Grasp(
            pos[i],
            quat[i],
            angles[i],
            family.opening(params[i], angles[i]),
            np.stack([a[i] for a in qs]),
            np.stack([a[i] for a in ctrls]),
            corrections[i],
        )
        for i in range(n)
    ]
    return grasps, worst


def _tip_targets(
    family: ToolFamily, params: list[Any], pos: F64, quat: F64, angle: F64, shift: F64
) -> tuple[dict[str, F64], dict[str, F64], dict[str, F64]]:
    """Where tip cores, outward normals and contact points are in the palm frame, by finger, each (n, 3)."""
    targets, normals, points = {}, {}, {}
    declared = [family.contacts(p) for p in params]
    for i, contact in enumerate(declared[0]):
        limb = rotations.multiply(quat, rotations.about_y(angle / 2 * (1 if contact.limb else -1)))
        local = np.array([c[i].pos for c in declared]) + np.outer(shift[:, i], [0, 0, 1])
        normals[contact.finger] = rotations.rotate(limb, np.tile(contact.normal, (len(params), 1)))
        points[contact.finger] = pos + rotations.rotate(limb, local)
        targets[contact.finger] = points[contact.finger] + normals[contact.finger] * (TIP_RADIUS + _CLEARANCE)
    return targets, normals, points


# -- search -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SearchConfig:
    """Effort of the search over places in the hand."""

    rounds: int = 6
    first: int = 6000  # candidates in the first, wide round
    candidates: int = 768
    tested: int = 192  # of them shaken in simulation each round
    elites: int = 12
    protrusion: float = 0.038  # m, how far the tips must stick out of the hand along the tool


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


def search(
    family: ToolFamily,
    rng: np.random.Generator,
    config: SearchConfig = SearchConfig(),
    report: Callable[[str], None] = lambda line: None,
) -> list[Candidate]:
    """Places in the hand that hold the nominal tool, best first.

    Raises:
        RuntimeError: no candidate was reachable without collision.
    """
    params = family.nominal
    model = hand_and_tool(family, params)
    mean, spread = np.array([-0.04, -0.03, -0.105]), np.array([0.04, 0.04, 0.03])
    pos = rng.normal(mean, spread, (config.first, 3))
    quat = rng.normal(size=(config.first, 4))
    quat /= np.linalg.norm(quat, axis=-1, keepdims=True)
    shift = rng.normal(0, 0.004, (config.first, 3))
    elites: list[Candidate] = []
    for r in range(config.rounds):
        grasps, residual = solve_grasps(family, [params] * len(pos), pos, quat, shift=shift)
        reach = np.flatnonzero(residual < 1e-3)
        free, protrusion = _free_of_collision(model, family, params, [grasps[i] for i in reach])
        keep = reach[free & (protrusion > config.protrusion)]
        sticks_out = dict(zip(reach, protrusion, strict=True))
        keep = rng.permutation(keep)[: config.tested]
        if len(keep):
            scored = _shake(model, family, params, [grasps[i] for i in keep], rng)
            elites += [
                Candidate(*score, grasp=grasps[i], shift=shift[i], protrusion=float(sticks_out[i]))
                for i, score in zip(keep, scored, strict=True)
            ]
            elites = sorted(elites, key=lambda c: -c.score)[: config.elites]
        best = f"best {elites[0].score:.3f}" if elites else "none yet"
        report(f"round {r + 1}/{config.rounds}: {len(reach)} reachable, {len(keep)} tested, {best}")
        if not elites:
            continue
        shrink = 0.7**r
        parents = [elites[i] for i in rng.integers(len(elites), size=config.candidates)]
        pos = np.stack([c.grasp.pos for c in parents]) + rng.normal(0, 0.008 * shrink, (config.candidates, 3))
        turn = rotations.from_rotvec(rng.normal(0, 0.25 * shrink, (config.candidates, 3)))
        quat = rotations.multiply(np.stack([c.grasp.quat for c in parents]), turn)
        shift = np.stack([c.shift for c in parents]) + rng.normal(0, 0.003 * shrink, (config.candidates, 3))
    if not elites:
        raise RuntimeError(f"no grasp found for {family.name}: its contacts are out of the fingers' reach")
    return elites


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
    for k in range(len(ANGLE_SHARES)):
        qpos[:] = np.stack(
            [np.concatenate([g.q[k], limb_pose(g.pos, g.quat, g.angles[k]), [g.angles[k]]]) for g in grasps]
        )
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
    middle = len(ANGLE_SHARES) // 2
    start = np.stack([g.pos for g in grasps]), np.stack([g.quat for g in grasps])
    qpos[:] = np.stack(
        [np.concatenate([g.q[middle], limb_pose(g.pos, g.quat, g.angles[middle]), [g.angles[middle]]]) for g in grasps]
    )
    ctrl[:] = table[:, middle]
    fill_history(batch)
    batch.forward()
    angle = anchors([params])[0]
    sweep = [middle] * 15 + [0] * 25 + [2] * 25 + [middle] * 15
    reached = np.zeros((n, 2))
    moved, turned = np.zeros(n), np.zeros(n)
    body = model.body("tool").id
    for step, k in enumerate(sweep):
        ctrl[:] = table[:, k]
        push[:, body, :3] = directions(rng, n) * 0.8 if step % 8 < 3 and step > 10 else 0.0
        batch.step(nstep=SUBSTEPS)
        pos, quat = mid_pose(qpos[:, 16:])
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
