"""The simulated robot: a `Robot` over one MuJoCo model and its data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import F64, JointSpec, JointTarget, RobotState
from toolwright.sim.grasp_bank import GraspBank
from toolwright.sim.models.physics import CONTROL_PERIOD, solve_thoroughly

FRAME_RATE = 25  # 1/s, how often `on_step` is called: a whole number of physics steps apart
STIFFNESS, DAMPING = 6400.0, 128.0  # 1/s^2, 1/s of the arm's error: 80 rad/s, damping ratio 0.8
GRAVITY = np.array([0.0, 0.0, -9.81])  # m/s^2

log = logging.getLogger(__name__)


class RobotError(RuntimeError):
    """A command that this robot cannot take."""


class SimulationDiverged(RuntimeError):
    """The physics lost a finite state; nothing that it says after that means anything."""


@dataclass(frozen=True)
class Payload:
    """What hangs on the flange, as one tells it to the arm's controller."""

    mass: float  # kg
    com: F64  # (3,) m, in the frame of the arm's last link


class SimRobot:
    """Arm, hand, or both. Implements `hardware.robot.Robot`.

    The hand's servos get their targets as they are sent, once a period, as in training. The arm's controller does what
    a real one does between two commands: it interpolates them smoothly, follows them by computed torque, and carries
    the declared payload, all within the motors' limits. For that the arm's position servos become motors.

    Args:
        model: contains joints and actuators named as in `joints`.
        data: its state, advanced by `send` and by nothing else.
        joints: the robot's joints.
        period: s of simulated time that one `send` takes.
        on_step: called with `data` `FRAME_RATE` times a simulated second, for videos.
        processes: each called after every step, for what physics does beyond motion: liquid that flows.
        payload: of the arm; by default all that is fixed to its flange, weighed in the present configuration.

    Raises:
        RobotError: the model lacks a joint or actuator, or `period` is no whole number of physics steps.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        joints: JointSpec,
        period: float = CONTROL_PERIOD,
        on_step: Callable[[mujoco.MjData], None] | None = None,
        payload: Payload | None = None,
        processes: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.processes = processes
        self.model, self.data, self.joints, self.period, self.on_step = model, data, joints, period, on_step
        self._substeps = round(period / model.opt.timestep)
        if self._substeps < 1 or abs(self._substeps * model.opt.timestep - period) > 1e-9:
            raise RobotError(f"a period of {period} s is no whole number of {model.opt.timestep} s physics steps")
        self._steps_a_frame = max(1, round(1 / (FRAME_RATE * model.opt.timestep)))
        self._steps = 0
        named = {kind: [mujoco.mj_name2id(model, kind, name) for name in joints.names] for kind in _NEEDED}
        if missing := [name for ids in named.values() for name, i in zip(joints.names, ids, strict=True) if i < 0]:
            raise RobotError(f"the model has no joint with an actuator for {sorted(set(missing))}")
        ids, self._actuators = (np.array(named[kind]) for kind in _NEEDED)
        self._qpos, self._dofs = model.jnt_qposadr[ids], model.jnt_dofadr[ids]
        self._arm = np.flatnonzero([name in FR3.names for name in joints.names])
        self._last_link = int(model.jnt_bodyid[ids[self._arm[-1]]]) if len(self._arm) else -1
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        if len(self._arm):
            solve_thoroughly(model.opt)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        self.payload = payload or self._weigh()
        self._inertia = np.zeros((model.nv, model.nv))
        # A stiff servo damps implicitly: the arm then moves less than the contact solver expects, and each acceleration
        # of the arm pushes the tool a few millimeters through the fingers. Torques from outside are what they are.
        motors = self._actuators[self._arm]
        model.actuator_gainprm[motors, 0], model.actuator_biasprm[motors] = 1.0, 0.0
        self._before = self._target = self._in_force()

    def connect(self) -> None:
        """Takes over: the arm holds where it is, the hand keeps the servo targets in force, and with them its grip."""
        self._before = self._target = self._in_force()

    def read(self) -> RobotState:
        return RobotState(
            stamp=float(self.data.time),
            q=self.data.qpos[self._qpos].copy(),
            dq=self.data.qvel[self._dofs].copy(),
            effort=self.data.actuator_force[self._actuators].copy(),
        )

    def send(self, target: JointTarget) -> JointTarget:
        """Moves for one period.

        Args:
            target: for every joint; clipped to the joints' range, and to what their velocity limits allow in a period.

        Returns:
            What was sent.

        Raises:
            RobotError: wrong length, or not finite.
            SimulationDiverged: the physics blew up.
        """
        q = np.asarray(target.q, dtype=np.float64)
        if q.shape != (len(self.joints),) or not np.isfinite(q).all():
            raise RobotError(f"a target has {len(self.joints)} finite numbers, got {q}")
        reach = self.joints.velocity * self.period
        sent = np.clip(q, self._target - reach, self._target + reach)
        sent = np.clip(sent, self.joints.lower, self.joints.upper)
        self._advance(sent)
        return JointTarget(sent.copy())

    def stop(self, reason: str) -> None:
        """Holds the arm at its measured position. The hand keeps its targets: letting go would drop the tool."""
        log.warning("robot stopped: %s", reason)
        self.connect()
        at_rest = np.zeros(len(self._arm))
        self._drive_arm(self._target[self._arm], at_rest, at_rest, self._payload_torque())

    def close(self) -> None:
        """Nothing to release."""

    def _in_force(self) -> F64:
        target = self.data.ctrl[self._actuators].copy()
        target[self._arm] = self.data.qpos[self._qpos[self._arm]]
        return target

    def _advance(self, sent: F64) -> None:
        data, arm = self.data, self._arm
        data.ctrl[self._actuators] = sent
        carry = self._payload_torque()
        for i in range(self._substeps):
            path = _blend(self._before[arm], self._target[arm], sent[arm], self.period, i / self._substeps)
            self._drive_arm(*path, carry)
            mujoco.mj_step(self.model, data)
            for process in self.processes:
                process()
            self._steps += 1
            if self.on_step is not None and self._steps % self._steps_a_frame == 0:
                self.on_step(data)
        if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
            raise SimulationDiverged(f"the simulation lost its finite state at {data.time:.3f} s")
        mujoco.mj_kinematics(self.model, data)  # a step leaves poses one step behind the joints
        self._before, self._target = self._target, sent.copy()

    def _drive_arm(self, at: F64, moving: F64, pushed: F64, carry: F64) -> None:
        """Computed torque: follows positions, velocities and accelerations (n_arm,), with a torque [N m] on top."""
        if not len(self._arm):
            return
        dofs = self._dofs[self._arm]
        q, dq = self.data.qpos[self._qpos[self._arm]], self.data.qvel[dofs]
        mujoco.mj_fullM(self.model, self.data, self._inertia)
        wanted = pushed + STIFFNESS * (at - q) + DAMPING * (moving - dq)
        self.data.ctrl[self._actuators[self._arm]] = self._inertia[np.ix_(dofs, dofs)] @ wanted + carry

    def _weigh(self) -> Payload:
        """All that is fixed to the last link, without the link itself."""
        if self._last_link < 0:
            return Payload(0.0, np.zeros(3))
        m, d, link = self.model, self.data, self._last_link
        mass = float(m.body_subtreemass[link] - m.body_mass[link])
        if mass <= 0:
            return Payload(0.0, np.zeros(3))
        moment = m.body_subtreemass[link] * d.subtree_com[link] - m.body_mass[link] * d.xipos[link]
        inverse = rotations.conjugate(d.xquat[link])
        return Payload(mass, rotations.rotate(inverse, moment / mass - d.xpos[link]))

    def _payload_torque(self) -> F64:
        """Torque (n_arm,) [N m] that carries the payload: -J^T m g at its center of mass."""
        if self.payload.mass == 0:
            return np.zeros(len(self._arm))
        point = self.data.xpos[self._last_link] + rotations.rotate(self.data.xquat[self._last_link], self.payload.com)
        jacobian = np.zeros((3, self.model.nv))
        mujoco.mj_jac(self.model, self.data, jacobian, None, point, self._last_link)
        return -jacobian[:, self._dofs[self._arm]].T @ (self.payload.mass * GRAVITY)


_NEEDED = (mujoco.mjtObj.mjOBJ_JOINT, mujoco.mjtObj.mjOBJ_ACTUATOR)


def _blend(before: F64, start: F64, end: F64, period: float, share: float) -> tuple[F64, F64, F64]:
    """Position, velocity and acceleration on the quadratic B-spline through three targets, at a share of the period.

    It goes from the middle of the first two to the middle of the last two: half a period late, never outside of what
    was asked, and with the acceleration of the targets themselves.
    """
    at = 0.5 * (1 - share) ** 2 * before + (0.5 + share * (1 - share)) * start + 0.5 * share**2 * end
    moving = ((1 - share) * (start - before) + share * (end - start)) / period
    return at, moving, (end - 2 * start + before) / period**2


def place_in_hand(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    bank: GraspBank,
    index: int = 0,
    anchor: int = 1,
    name: str | None = None,
) -> None:
    """Starts a world with the tool in the hand: a settled grasp of the bank, at the palm's present pose.

    An initial condition, for a world that has not begun to move. Arm joints stay where they are in `data`.

    Args:
        model: with the hand, and the tool as a free body.
        data: at time zero; its arm joints say where the palm is.
        bank: grasps of the tool's family.
        index: which tool of the bank.
        anchor: which of its openings.
        name: of the tool's body; the family's name by default.

    Raises:
        RobotError: the world has begun to move, or has no such tool.
    """
    name = name or bank.family.name
    if data.time > 0:
        raise RobotError(f"'{name}' cannot be put into the hand at {data.time:.2f} s: the world has begun to move")
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, f"{name}_hinge") < 0:
        raise RobotError(f"there is no tool '{name}' in this world")
    hand, tool = bank.start[index, anchor, :16], bank.start[index, anchor, 16:]
    for i, joint in enumerate(LEAP.names):
        data.joint(joint).qpos[0] = hand[i]
        data.actuator(joint).ctrl[0] = bank.ctrl[index, anchor, i]
    mujoco.mj_kinematics(model, data)
    palm = data.body("palm")
    data.joint(f"{name}_free").qpos[:3] = palm.xpos + rotations.rotate(palm.xquat, tool[:3])
    data.joint(f"{name}_free").qpos[3:] = rotations.multiply(palm.xquat, tool[3:7])
    data.joint(f"{name}_hinge").qpos[0] = tool[7]
    for i in range(model.nu):
        if (samples := int(model.actuator_history[i, 0])) > 0:
            # A servo's buffer holds two counters, then times, then values: as if the target had stood for a while.
            values = int(model.actuator_historyadr[i]) + 2 + samples
            data.history[values : values + samples] = data.ctrl[i]
    mujoco.mj_forward(model, data)
