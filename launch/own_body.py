"""The robot's own body for its camera: which pixels show it, and where its fingers feel the tool.

Kinematics of arm, hand and tool from the same models as the simulation; on the robot, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from toolwright.hardware.held_tool import WORKING
from toolwright.hardware.joints import FR3, FR3_LEAP
from toolwright.hardware.robot import F64, Frame
from toolwright.perception.camera_scene import shadow
from toolwright.perception.felt_tool import FeltTool, Fingertips, Hold
from toolwright.perception.scene import HeldTool
from toolwright.perception.seen_tool import Bar, Shift, find
from toolwright.perception.tabletop import Mask, View

if TYPE_CHECKING:
    from toolwright.sim.grasp_bank import GraspBank
    from toolwright.sim.scene_spec import SceneSpec

_SPACING, _SHARE = 0.008, 1 / 12  # m between points on a part, share of its size where that is more
_AROUND = 0.2  # m of the tool in which the hand counts
_BELIEF = 0.4  # share of what one frame says that counts
_OTHERWISE = 0.8  # rad of a working joint from every known hold
_SLIPPED = 0.008  # m that fingertips and tool do not fit together: the tool is not where it was
_FINGERS = ("if_tip", "mf_tip", "th_tip")


class OwnBody:
    """Arm, hand, and the tool that the hand holds.

    Args:
        spec: scene with the robot and its tool; what else is in it does not matter.
        q: gives the robot's joints (23,) [rad], the arm's first.
        bank: grasps of the tool; None for a bare hand.
        index: which tool of the bank.
        anchor: of the grasp, how far open the tool is now; by default the one that is most like the fingers.
    """

    def __init__(
        self,
        spec: SceneSpec,
        q: Callable[[], F64],
        bank: GraspBank | None = None,
        index: int = 0,
        anchor: int | None = None,
    ) -> None:
        import mujoco

        from toolwright.sim.models.tools import family
        from toolwright.sim.scene import build

        self._kinematics = mujoco.mj_kinematics
        self._q = q
        self._model = build(
            spec.model_copy(update={"objects": {}, "goal": (), "randomize": type(spec.randomize)()})
        ).compile()
        self._data = mujoco.MjData(self._model)
        self._joints = np.array([self._model.joint(name).qposadr[0] for name in FR3_LEAP.names])
        self._name = spec.tool_name or ""
        self._geoms, self._local, self._grow = self._surface()
        self._felt: FeltTool | None = None
        self._anchors = np.zeros((0, 16)) if bank is None else bank.start[index, :, :16]
        if bank is not None:
            assert spec.tool is not None
            self._family, self._params = family(spec.tool.family), bank.params[index]
            self._free = int(self._model.joint(f"{self._name}_free").qposadr[0])
            self._hinge = int(self._model.joint(f"{self._name}_hinge").qposadr[0])
            self._tips = np.array([self._model.geom(name).id for name in _FINGERS])
            self._limbs = [self._model.body(name).id for name in (self._name, f"{self._name}_b")]
            boxes = self._model.geom_type == mujoco.mjtGeom.mjGEOM_BOX
            self._bars = np.flatnonzero(np.isin(self._model.geom_bodyid, self._limbs) & boxes)
            start = self._nearest(q()) if anchor is None else anchor
            self._felt = FeltTool(self._hold(bank, index), self._other_limb, start)

    def hidden(self, frame: Frame) -> Mask:
        """Pixels (H, W) of a frame that show the robot or its tool."""
        self._place(self._q())
        return shadow(self._points(), self._grow, frame)

    def tool(self) -> HeldTool | None:
        """The tool as the fingers feel it; None where they hold none."""
        if self._felt is None:
            return None
        q = self._q()
        if np.abs(q[len(FR3) :] - self._anchors)[:, WORKING].max(axis=1).min() > _OTHERWISE:
            return None  # no hand that holds this tool looks like that
        rest = self._felt.feel(self._fingertips(q[len(FR3) :]))
        if rest > _SLIPPED:
            return None
        self._place(q)
        return self._held()

    def watch(self, seen: View) -> None:
        """Puts the felt tool right by what a frame shows of it."""
        if self._felt is None:
            return
        bars, hand = self.expected()
        shift = find(seen, bars, hand)
        if shift is not None:
            self.correct(shift)

    def expected(self) -> tuple[list[Bar], F64]:
        """The tool's bars and points (n, 3) [m] on the hand around it, where the fingers feel them."""
        if self._felt is None:
            return [], np.zeros((0, 3))
        self._place(self._q())
        data, model = self._data, self._model
        bars = [
            Bar(data.geom_xpos[geom].copy(), data.geom_xmat[geom].reshape(3, 3).copy(), model.geom_size[geom].copy())
            for geom in self._bars
        ]
        hand = self._points()[~np.isin(model.geom_bodyid[self._geoms], self._limbs)]
        return bars, hand[np.linalg.norm(hand - bars[0].pos, axis=1) < _AROUND]

    def correct(self, shift: Shift, q_then: F64 | None = None) -> None:
        """Takes a part of what a frame said.

        Args:
            shift: of the tool, in the world.
            q_then: (23,) rad, when the frame was taken; by default nothing has moved since.
        """
        if self._felt is None:
            return
        q = self._q()
        self._place(q if q_then is None else q_then)
        palm = np.eye(4)
        palm[:3, :3], palm[:3, 3] = self._data.body("palm").xmat.reshape(3, 3), self._data.body("palm").xpos
        pose = np.linalg.inv(palm) @ shift.applied(palm @ self._felt.pose, _BELIEF)
        self._felt.correct(self._fingertips(q[len(FR3) :]), pose)

    def _nearest(self, q: F64) -> int:
        return int(np.linalg.norm((q[len(FR3) :] - self._anchors)[:, WORKING], axis=1).argmin())

    # -- kinematics ---------------------------------------------------------------------------------------------------

    def _points(self) -> F64:
        """(n, 3) m, world."""
        mats = self._data.geom_xmat[self._geoms].reshape(-1, 3, 3)
        return self._data.geom_xpos[self._geoms] + np.einsum("nij,nj->ni", mats, self._local)

    def _place(self, q: F64) -> None:
        self._data.qpos[self._joints] = q
        self._kinematics(self._model, self._data)
        if self._felt is not None:
            palm = self._data.body("palm")
            R = palm.xmat.reshape(3, 3)
            self._data.qpos[self._free : self._free + 3] = palm.xpos + R @ self._felt.pose[:3, 3]
            self._data.qpos[self._free + 3 : self._free + 7] = _quat(R @ self._felt.pose[:3, :3])
            self._data.qpos[self._hinge] = self._felt.angle
            self._kinematics(self._model, self._data)

    def _fingertips(self, q_hand: F64) -> Fingertips:
        self._data.qpos[self._joints[len(FR3) :]] = q_hand
        self._kinematics(self._model, self._data)
        palm, data = self._data.body("palm"), self._data
        R = palm.xmat.reshape(3, 3)
        return Fingertips(
            (data.geom_xpos[self._tips] - palm.xpos) @ R,
            np.einsum("ji,njk->nik", R, data.geom_xmat[self._tips].reshape(-1, 3, 3)),
            self._model.geom_size[self._tips, 0].copy(),
        )

    def _other_limb(self, angle: float) -> F64:
        self._data.qpos[self._hinge] = angle
        self._kinematics(self._model, self._data)
        limb, other = self._data.body(self._name), self._data.body(f"{self._name}_b")
        T = np.eye(4)
        R = limb.xmat.reshape(3, 3)
        T[:3, :3], T[:3, 3] = R.T @ other.xmat.reshape(3, 3), R.T @ (other.xpos - limb.xpos)
        return T

    def _hold(self, bank: GraspBank, index: int) -> Hold:
        start = bank.start[index]
        by_finger = {contact.finger: contact.limb for contact in self._family.contacts(self._params)}
        return Hold(
            limb=tuple(by_finger[name.removesuffix("_tip")] for name in _FINGERS),
            pose=start[:, 16:23].copy(),
            angle=start[:, 23].copy(),
            tips=tuple(self._fingertips(row[:16]) for row in start),
        )

    def _held(self) -> HeldTool:
        """As `sim.models.tools.held_tool_state` says it of the true tool."""
        from toolwright.sim.models.tools import held_tool_state

        return held_tool_state(self._model, self._data, self._family, self._params, self._name)

    def _surface(self) -> tuple[np.ndarray, F64, F64]:
        """Geom, place in its frame (n, 3) [m] and reach (n,) [m] of points on everything that moves."""
        model = self._model
        geoms, local, grow = [], [], []
        for geom in np.flatnonzero((model.geom_bodyid > 0) & (model.geom_rgba[:, 3] > 0)):
            center, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
            step = max(_SPACING, _SHARE * 2 * float(half.max()))
            axes = [np.linspace(-h, h, 1 + int(np.ceil(2 * h / step))) if h > step / 4 else np.zeros(1) for h in half]
            grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
            outer = (np.abs(np.abs(grid) - half) < 1e-9).any(axis=1)
            grid = grid[outer] if outer.any() else grid
            geoms.append(np.full(len(grid), geom))
            local.append(grid + center)
            grow.append(np.full(len(grid), 0.75 * step))
        return np.concatenate(geoms), np.concatenate(local), np.concatenate(grow)


def _quat(R: F64) -> F64:
    import mujoco

    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(R).ravel())
    return quat
