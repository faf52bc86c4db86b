"""How the hand comes around a tool that stands upright: fingers spread from where they will hold it, and a free way.

The place of the tool in the hand is the one of its grasp. Kinematics alone: a copy of hand, tool and stand, no physics.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64

if TYPE_CHECKING:
    import mujoco

    from toolwright.sim.grasp_bank import GraspBank
    from toolwright.sim.models.stand import Seat

SPREADS = (0.015, 0.009, 0.022)  # m that the fingertips keep off the tool on the way, the first that leaves room
RINGS = ((1.9, 0.0, 1.6, 1.2), (0.3, 0.0, 0.2, 0.2))  # rad, other places of the idle ring finger: tucked in, stretched
FAR, HIGH = 0.08, 0.14  # m from which the hand comes, and above its place at the tool when it arrives through the air
NARROW = -0.0005  # m, least room of the hand on its way: a touch as light as that moves no tool
ENOUGH = 0.004  # m, room with which the search ends, and between whose ways the most welcome one is taken
_STEPS = 9  # of the way, that are looked at
_MISSED = 0.0015  # m that a spread fingertip may be off its target
_MIDDLE = 1  # anchor of the grasp, half open
# Where the hand may come from, in the tool's frame (z towards the tips), the most welcome first: above, then the sides.
_WAYS = np.array([[0, 0, -1], [0, -1, 0], [0, 1, 0], [0, -1, -1], [0, 1, -1], [-1, 0, 0], [1, 0, 0]], dtype=float)


class NoGrasp(RuntimeError):
    """The hand does not come around the tool: the reason, in words."""


@dataclass(frozen=True)
class TakePlan:
    """How to take one tool."""

    spread: F64  # (16,) rad, the hand on its way
    T_palm_tool: F64  # (4, 4) where the tool's mid frame will be in the palm
    ways: tuple[F64, ...]  # (3,) unit each, tool frame: from where the hand may come, the best first
    room: float  # m, of the hand on the best way


def plan(bank: GraspBank, index: int, depth: float) -> TakePlan:
    """A plan for a tool of a bank in a stand.

    Args:
        bank: grasps of the tool's family.
        index: which tool of the bank.
        depth: m, of the stand's pocket.

    Raises:
        NoGrasp: no spread of the fingers leaves a way to the tool.
    """
    from toolwright.sim.models.stand import seat

    seated = seat(bank.family, bank.params[index], depth)
    pos, quat = place(bank, index)
    copy = _Copy(bank, index, seated, depth)
    most, best, rooms = -np.inf, np.zeros(16), [0.0]
    for q in _shapes(bank, index, seated.angle):
        # A way that is no better than the best so far need not be looked at to its end.
        found = [copy.room(q, pos, quat, way / np.linalg.norm(way)) for way in _WAYS]
        if max(found) > most:
            most, best, rooms = max(found), q, found
        if most >= ENOUGH:
            break
    order = sorted(range(len(rooms)), key=lambda i: -min(rooms[i], ENOUGH))
    ways = [_WAYS[i] / np.linalg.norm(_WAYS[i]) for i in order if rooms[i] > NARROW]
    if not ways:
        left = f"{most * 1e3:.1f} mm are left on the best way"
        raise NoGrasp(f"the open hand does not come around the {bank.family.name}: {left}")
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotations.rotate(quat, np.eye(3)).T, pos
    return TakePlan(best, T, tuple(ways), most)


def over(way: F64) -> float:
    """How far [m] above the start of a way (3,), tool frame, the hand comes from: high enough to pass over the tool."""
    return HIGH + FAR * float(way[2])


def place(bank: GraspBank, index: int) -> tuple[F64, F64]:
    """Where the held tool's mid frame is in the palm, half open: position (3,) [m] and quaternion (4,)."""
    from toolwright.sim.grasp import mid_pose

    return mid_pose(bank.start[index, _MIDDLE, 16:], bank.family.turn)


def _shapes(bank: GraspBank, index: int, angle: float) -> Iterator[F64]:
    """Joints (16,) [rad] of the hand on its way, the widest first: fingertips off the places where they hold the tool,
    each as far as it gets, and the idle ring finger as in the grasp, tucked in or stretched."""
    grip = _Spread(bank, index, angle)
    for most, rested in itertools.product(SPREADS, (True, False)):
        q = grip.joints(most, rested)
        for ring in (None, *RINGS):
            if ring is not None:
                q = q.copy()
                q[8:12] = ring
            yield q


class _Spread:
    """Inverse kinematics of the fingertips off a tool."""

    def __init__(self, bank: GraspBank, index: int, angle: float) -> None:
        from toolwright.sim import grasp

        tool, params = bank.family, bank.params[index]
        names = ("pos", "quat", "angles", "openings", "q", "ctrl", "correction")
        held = grasp.Grasp(*(getattr(bank, name)[index] for name in names))
        self._solver = grasp.GraspSolver(1, {c.finger: c.depth for c in tool.contacts(params)})
        pos, quat = place(bank, index)
        shift = grasp.contact_shifts(tool, params, held)[None]
        self._tips, normals, points, self._axes = grasp.tip_targets(
            tool, [params], pos[None], quat[None], np.array([angle]), shift
        )
        along, aside = rotations.rotate(quat, np.array([0.0, 0, 1])), rotations.rotate(quat, np.array([1.0, 0, 0]))
        self._away = {}
        for finger, normal in normals.items():
            # A finger that pushes along the tool also keeps clear of what stands up beside it.
            lies = float((points[finger][0] - pos) @ aside)
            pushes_along = abs(float(normal[0] @ along)) > 0.9 and abs(lies) > 0.005
            beside = 0.5 * np.sign(lies) * aside if pushes_along else np.zeros(3)
            self._away[finger] = -self._axes[finger] if finger in self._axes else normal + beside
        self._start = bank.q[index, int(np.abs(bank.angles[index] - angle).argmin())]

    def joints(self, most: float, rested: bool) -> F64:
        """Joints (16,) [rad] with each fingertip as far off as it gets, at most so far [m].

        Args:
            most: m.
            rested: with the fingers as much at rest as that leaves free; else with as little motion as it takes.
        """
        from toolwright.sim.grasp import CHAINS

        q = self._start.copy()
        for finger, tip in self._tips.items():
            for spread in (share * most for share in (1.0, 0.75, 0.5, 0.25, 0.0)):
                target = tip + spread * self._away[finger]
                solved, missed = self._solve(finger, target, q) if rested else self._move(finger, target, q)
                if missed < _MISSED:
                    q[CHAINS[finger]] = solved[CHAINS[finger]]
                    break
        return q

    def _solve(self, finger: str, target: F64, q: F64) -> tuple[F64, float]:
        axes = {finger: self._axes[finger]} if finger in self._axes else {}
        solved, missed = self._solver.solve({finger: target}, q[None], 60, axes)
        return solved[0], float(missed[0])

    def _move(self, finger: str, target: F64, q: F64) -> tuple[F64, float]:
        from toolwright.sim.grasp import CHAINS

        q, chain = q[None].copy(), CHAINS[finger]
        lower, upper = self._solver.model.jnt_range[chain].T + np.array([[0.02], [-0.02]])
        for _ in range(15):
            left = target - self._solver.point(finger, q)
            step = np.einsum("nij,nj->ni", np.linalg.pinv(self._solver.jacobian(finger, q), rcond=1e-2), left)
            q[:, chain] = np.clip(q[:, chain] + np.clip(step, -0.2, 0.2), lower, upper)
        return q[0], float(np.linalg.norm(target - self._solver.point(finger, q)))


class _Copy:
    """Hand, and before it a tool in its stand, for distances."""

    def __init__(self, bank: GraspBank, index: int, seated: Seat, depth: float) -> None:
        import mujoco

        from toolwright.sim.models.leap import add_leap
        from toolwright.sim.models.physics import new_spec
        from toolwright.sim.models.stand import FLOOR, add_stand, stand_parts

        tool = bank.family
        spec = new_spec()
        add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]))
        mid = spec.worldbody.add_body(name="mid")
        mid.add_joint(name="mid", type=mujoco.mjtJoint.mjJNT_FREE)
        down = np.array([0.0, 1.0, 0.0, 0.0])
        stand = mid.add_body(name="stand", pos=[0, 0, seated.below - depth + (FLOOR + depth) / 2], quat=down)
        add_stand(stand, stand_parts(seated.inner, depth), 0.3, np.array([0.2, 0.2, 0.2, 1.0]))
        table = mid.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.3, 0.3, 0.02])
        table.pos = [0, 0, seated.below + FLOOR + 0.02]
        limb = mid.add_body(name="tool", quat=rotations.about_y(-tool.turn * np.asarray(seated.angle)))
        tool.build(limb, bank.params[index], "tool")
        self._model: mujoco.MjModel = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._data.joint("tool_hinge").qpos[0] = seated.angle
        first = self._model.body("mid").id
        solid = self._model.geom_contype > 0
        mine = self._model.geom_bodyid >= first
        self._hand, self._things = np.flatnonzero(solid & ~mine), np.flatnonzero(solid & mine)

    def room(self, q: F64, pos: F64, quat: F64, way: F64) -> float:
        """Least distance [m] of the hand from tool, stand and table while it comes from over the tool to the start of
        a `way` (3,), tool frame, and along it."""
        import mujoco

        model, data = self._model, self._data
        least = 2 * ENOUGH
        away = [way * far for far in np.linspace(0.0, FAR, _STEPS)]
        away += [way * FAR + np.array([0.0, 0.0, -up]) for up in np.linspace(0.0, over(way), _STEPS)[1:]]
        for at in away:
            data.qpos[:16] = q
            data.joint("mid").qpos[:] = [*(pos - rotations.rotate(quat, at)), *quat]
            mujoco.mj_kinematics(model, data)
            apart = self._apart()
            for pair in np.argsort(apart, axis=None):
                hand, thing = np.unravel_index(pair, apart.shape)
                if apart[hand, thing] > least:
                    break
                a, b = int(self._hand[hand]), int(self._things[thing])
                least = min(least, mujoco.mj_geomDistance(model, data, a, b, least + 1e-6, None))
            if least < NARROW:
                break
        return least

    def _apart(self) -> F64:
        """(hands, things) m: the least that their geoms can be apart, taken as balls and as boxes."""
        model, data = self._model, self._data
        turn = data.geom_xmat[self._things].reshape(-1, 3, 3)
        local = np.einsum("tij,hti->htj", turn, data.geom_xpos[self._hand][:, None] - data.geom_xpos[self._things])
        center, half = model.geom_aabb[self._things, :3], model.geom_aabb[self._things, 3:]
        outside = np.maximum(np.abs(local - center) - half, 0.0)
        return np.asarray(np.linalg.norm(outside, axis=-1) - model.geom_rbound[self._hand][:, None])
