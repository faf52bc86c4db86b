"""Grasp synthesis: how thumb, index and middle finger hold a tool so that one scalar opens and closes it.

A grasp is constructed, not found by luck. The family says where fingers may touch; inverse kinematics brings the three
fingertips there at several openings; the servo targets add the torque that balances the tool's spring,
`q + J^T f / kp`. Interpolated over the openings, these targets are a one-scalar synergy. Where in the hand the tool
should sit is searched in `grasp_search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim.models.leap import HandMotors, add_leap
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.tools import Contact, ToolFamily, add_tool

ANCHORS, MIDDLE = 3, 1  # how many a grasp has, and the one between
CHAINS = {"if": slice(0, 4), "mf": slice(4, 8), "th": slice(12, 16)}
REST = np.array(
    [0.9, -0.2, 0.6, 0.4] * 2 + [1.5, 0.0, 1.2, 0.8] + [0.8, 0.9, 0.4, 0.9]
)  # rad; the ring finger tucks in
TIP_RADIUS = 0.0115  # m
ASKEW = 0.35  # rad, largest angle between a fingertip and the axis of its loop
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


def limb_pose(pos: F64, quat: F64, angle: F64, turn: float = 0.5) -> F64:
    """Free-joint coordinates (..., 7) of limb A for a mid frame and an opening angle; `turn` is the family's."""
    return np.concatenate([pos, rotations.multiply(quat, rotations.about_y(-turn * np.asarray(angle)))], axis=-1)


def mid_pose(qpos_tool: F64, turn: float = 0.5) -> tuple[F64, F64]:
    """Mid frame (pos, quat) from the tool's eight coordinates (..., 8): the inverse of `limb_pose`."""
    return qpos_tool[..., :3], rotations.multiply(qpos_tool[..., 3:7], rotations.about_y(turn * qpos_tool[..., 7]))


def posed(family: ToolFamily, grasps: list[Grasp], k: int) -> F64:
    """Coordinates (n, 24) of hand and tool at anchor `k`, before the fingers press."""
    angle = [[g.angles[k]] for g in grasps]
    tool = [limb_pose(g.pos, g.quat, g.angles[k], family.turn) for g in grasps]
    return np.concatenate([np.stack([g.q[k] for g in grasps]), np.stack(tool), np.array(angle)], axis=1)


def fill_history(batch: Batch, rows: np.ndarray | slice = slice(None)) -> None:
    """Makes the servos' latency buffers hold the current targets, as if they had been sent for a while."""
    model, history = batch.get_model(0), batch.bind("history")
    samples = int(model.actuator_history[0, 0])
    # Each actuator's buffer holds two counters, then times, then values.
    buffers = history.reshape(len(history), -1, 2 + 2 * samples)
    buffers[rows, :, 2 + samples :] = batch.bind("ctrl")[rows, : buffers.shape[1], None]


class GraspSolver:
    """Batched inverse kinematics of the three working fingers.

    Args:
        n: hands.
        depth: finger -> m behind the end of its tip's core, where the point lies that is brought to a target.
    """

    def __init__(self, n: int, depth: Mapping[str, float] = {}) -> None:
        spec = new_spec()
        add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]))
        self.model = spec.compile()
        # Only poses are asked for.
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
        self.batch = Batch(self.model, n)
        self.sites, self.turns = self.batch.bind("site_xpos"), self.batch.bind("site_xmat")
        self.kp = HandMotors().kp
        self.depth = depth

    def solve(
        self, targets: dict[str, F64], q: F64, iterations: int = 40, axes: Mapping[str, F64] = {}
    ) -> tuple[F64, F64]:
        """Damped least squares towards tip positions, with a pull to the rest posture in the null space.

        Args:
            targets: finger -> (n, 3) m, where the core of its tip should be.
            q: (n, 16) rad, start.
            iterations: of all fingers.
            axes: finger -> (n, 3) unit, where its tip shall point; in the null space, too.

        Returns:
            q (n, 16) rad and the largest residual (n,) m.
        """
        q = q.copy()
        lower, upper = self.model.jnt_range[:, 0] + 0.02, self.model.jnt_range[:, 1] - 0.02
        for _ in range(iterations):
            residual = np.zeros(len(q))
            for finger, target in targets.items():
                self._pose(q)
                chain, error, jac = CHAINS[finger], *self._error(finger, target)
                residual = np.maximum(residual, np.linalg.norm(error, axis=-1))
                pull = 0.02 * (REST[chain] - q[:, chain])
                if finger in axes:
                    pull = pull + 0.5 * self._towards(finger, axes[finger])
                jjt = np.linalg.inv(jac @ jac.transpose(0, 2, 1) + 1e-6 * np.eye(3))
                pinv = jac.transpose(0, 2, 1) @ jjt
                null = np.eye(4) - pinv @ jac
                step = np.einsum("nij,nj->ni", pinv, error) + np.einsum("nij,nj->ni", null, pull)
                q[:, chain] += np.clip(step, -0.2, 0.2)
            q = np.clip(q, lower, upper)
        return q, residual

    def jacobian(self, finger: str, q: F64) -> F64:
        """(n, 3, 4) of the tip's core."""
        self._pose(q)
        return self._error(finger, np.zeros(3))[1]

    def point(self, finger: str, q: F64) -> F64:
        """(n, 3) m: the point of the tip's core that is brought to targets."""
        self._pose(q)
        return -self._error(finger, np.zeros(3))[0]

    def askew(self, finger: str, axis: F64, q: F64) -> F64:
        """(n,) rad between the fingertip and an axis (n, 3)."""
        self._pose(q)
        return np.arccos(np.clip(np.sum(self._pointing(finger) * axis, axis=-1), -1, 1))

    def _pose(self, q: F64) -> None:
        self.batch.bind("qpos")[:] = q
        self.batch.forward(stage=int(mujoco.mjtStage.mjSTAGE_POS))

    def _error(self, finger: str, target: F64) -> tuple[F64, F64]:
        site = self.model.site(f"{finger}_tip")
        point = self.sites[:, site.id]
        if self.depth.get(finger):
            point = point - self.depth[finger] * self._pointing(finger)
        jac = self.batch.jac(int(site.bodyid[0]), point)[0]
        return target - point, jac[:, :, CHAINS[finger]]

    def _pointing(self, finger: str) -> F64:
        """(n, 3) unit: where the fingertip points."""
        return -self.turns[:, self.model.site(f"{finger}_tip").id].reshape(-1, 3, 3)[:, :, 1]

    def _towards(self, finger: str, axis: F64) -> F64:
        """(n, 4) rad: joint motion that turns the fingertip towards an axis (n, 3)."""
        now = self._pointing(finger)
        site = self.model.site(f"{finger}_tip")
        jac = self.batch.jac(int(site.bodyid[0]), self.sites[:, site.id])[1][:, :, CHAINS[finger]]
        return np.einsum("nij,ni->nj", jac, np.cross(now, axis))


def finger_forces(family: ToolFamily, params: Any, angles: F64) -> dict[str, F64]:
    """Normal forces (k,) [N] that hold the spring at `angles` and cancel on the tool as a whole."""
    if family.forces is not None:
        return dict(family.forces(params, angles))
    lever = {c.finger: abs(c.pos[2]) for c in family.contacts(params)}
    torque = np.abs(family.spring(params, angles))
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
        shift: (n, 3) m by which the family's contacts slide, in its order.
        angles: (n, k) rad, where to solve; by default the anchors, less what tips and servos usually yield.

    Returns:
        n grasps and their residuals (n,) [m]; a residual above a millimetre means out of reach.
    """
    n = len(params)
    solver = GraspSolver(n, {c.finger: c.depth for c in family.contacts(params[0])})
    if angles is None:
        angles = np.stack([family.anchors(p) for p in params]) - family.give
    shift = np.zeros((n, 3)) if shift is None else shift
    q = np.tile(REST, (n, 1)) if q0 is None else q0
    qs, ctrls, worst = [], [], np.zeros(n)
    corrections = np.zeros((n, 16, 6))
    for k in range(angles.shape[1]):
        targets, normals, points, axes = tip_targets(family, params, pos, quat, angles[:, k], shift)
        q, residual = solver.solve(targets, q, iterations=60 if k == 0 else 30, axes=axes)
        worst = np.maximum(worst, residual)
        for finger, axis in axes.items():
            worst[solver.askew(finger, axis, q) > ASKEW] = np.inf
        ctrl = q.copy()
        forces = [finger_forces(family, p, a) for p, a in zip(params, angles[:, k], strict=True)]
        for finger, chain in CHAINS.items():
            jac = solver.jacobian(finger, q)
            force = -normals[finger] * np.array([f[finger] for f in forces])[:, None]
            ctrl[:, chain] += np.einsum("nij,ni->nj", jac, force) / solver.kp
            if k == MIDDLE:
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


def contact_shifts(family: ToolFamily, params: Any, grasp: Grasp) -> F64:
    """(3,) m: how far a solved grasp's contacts are slid from where the family has them, in its order."""
    contacts = family.contacts(params)
    solver = GraspSolver(1, {c.finger: c.depth for c in contacts})
    angle = grasp.angles[MIDDLE : MIDDLE + 1]
    targets = tip_targets(family, [params], grasp.pos[None], grasp.quat[None], angle, np.zeros((1, len(contacts))))[0]
    shift = np.zeros(len(contacts))
    for i, contact in enumerate(contacts):
        limb = limb_quat(family, contact, grasp.quat[None], angle)
        off = solver.point(contact.finger, grasp.q[MIDDLE][None]) - targets[contact.finger]
        shift[i] = (off * rotations.rotate(limb, np.array(contact.slide))).sum()
    return shift


def limb_quat(family: ToolFamily, contact: Contact, quat: F64, angle: F64) -> F64:
    """(n, 4): frames of the limb that a contact is on, for mid frames (n, 4) and openings (n,) [rad]."""
    if family.joint == "slide":
        return quat
    return rotations.multiply(quat, rotations.about_y(angle / 2 * (1 if contact.limb else -1)))


def tip_targets(
    family: ToolFamily, params: list[Any], pos: F64, quat: F64, angle: F64, shift: F64
) -> tuple[dict[str, F64], dict[str, F64], dict[str, F64], dict[str, F64]]:
    """Tip cores, outward normals, contact points and the axes of loops, by finger, each (n, 3), palm frame."""
    targets, normals, points, axes = {}, {}, {}, {}
    declared = [family.contacts(p) for p in params]
    for i, contact in enumerate(declared[0]):
        limb = limb_quat(family, contact, quat, angle)
        local = np.array([c[i].pos for c in declared]) + np.outer(shift[:, i], contact.slide)
        if family.joint == "slide" and contact.limb:
            local = local - np.outer(angle, [0.0, 0.0, 1.0])
        normals[contact.finger] = rotations.rotate(
            limb, np.array([c[i].normal for c in declared]) + np.zeros((len(quat), 3))
        )
        if contact.axis is not None:
            axes[contact.finger] = rotations.rotate(limb, np.tile(contact.axis, (len(quat), 1)))
        points[contact.finger] = pos + rotations.rotate(limb, local)
        targets[contact.finger] = points[contact.finger] + normals[contact.finger] * (TIP_RADIUS + _CLEARANCE)
    return targets, normals, points, axes
