"""Motion of the arm: inverse kinematics of the tool's tips, and paths in time that respect jerk.

The tip frame is where `HeldTool.T_world_tip` says: z out of the tips, x along the opening. The arm's model ends at the
palm; where the tips are in the palm is measured, so a tool that slipped in the hand is still brought to its target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toolwright.hardware.joints import FR3, FR3_HOME
from toolwright.hardware.robot import F64

if TYPE_CHECKING:
    import mujoco

ACCELERATION, JERK = 10.0, 5000.0  # rad/s^2, rad/s^3, of every joint: data sheet of the Franka Research 3
# What is used of the limits. Jerk gets the smallest share: only friction holds the tool in the hand.
SPEED_SHARE, JERK_SHARE = 0.35, 0.005
_POSITION_REACHED, _ANGLE_REACHED = 1e-5, 1e-4  # m, rad: where the iteration stops
_POSITION_TOLERANCE, _ANGLE_TOLERANCE = 5e-4, 5e-3  # m, rad: what counts as reached
_ITERATIONS = 60
_STEP = 0.4  # rad, largest change of a joint in one iteration
_LIMIT_MARGIN = 0.05  # rad kept from the joints' ends
_POSTURE_COST = 1e-3  # against costs of order one: decides only what the target leaves free


class Unreachable(RuntimeError):
    """The arm does not get there. `distance` [m] and `angle` [rad] say how much is left at its nearest."""

    def __init__(self, distance: float, angle: float) -> None:
        super().__init__(f"out of the arm's reach: {distance * 1e3:.1f} mm and {angle:.2f} rad are left")
        self.distance, self.angle = distance, angle


def pointing_down(pos: F64, yaw: float) -> F64:
    """Pose (4, 4) of a tip frame that points straight down, its opening along (cos yaw, sin yaw).

    Args:
        pos: (3,) m, world.
        yaw: rad about the vertical.
    """
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:3, :3] = np.array([[c, s, 0], [s, -c, 0], [0, 0, -1]])
    T[:3, 3] = pos
    return T


class ArmMotion:
    """Kinematics of the arm with the palm on its flange.

    Args:
        T_world_base: (4, 4) where the arm stands; the world's origin by default.
    """

    def __init__(self, T_world_base: F64 | None = None) -> None:
        import mink
        import mujoco

        from toolwright.sim.models.fr3 import add_fr3
        from toolwright.sim.models.physics import new_spec
        from toolwright.sim.models.robot import MOUNT_POS, MOUNT_QUAT

        base = np.eye(4) if T_world_base is None else T_world_base
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, base[:3, :3].ravel())
        spec = new_spec()
        palm = add_fr3(spec, spec.worldbody, base[:3, 3], quat).add_body(name="palm", pos=MOUNT_POS, quat=MOUNT_QUAT)
        palm.add_site(name="tip")
        model = spec.compile()
        model.jnt_range += np.array([_LIMIT_MARGIN, -_LIMIT_MARGIN])
        self._mat2quat = mujoco.mju_mat2Quat
        self._configuration = mink.Configuration(model)
        self._site = model.site("tip").id
        model.site_sameframe[self._site] = 0  # compiled at the palm, but it will be moved
        self._frame = mink.FrameTask("tip", "site", position_cost=1.0, orientation_cost=0.2)
        self._posture = mink.PostureTask(model, cost=_POSTURE_COST, gain=0.1)
        self._limits = [mink.ConfigurationLimit(model, gain=1.0)]
        self._lower, self._upper = model.jnt_range.T

    def palm(self, q: F64) -> F64:
        """Pose (4, 4) of the palm in the world at arm joints (7,) [rad]."""
        self._configuration.update(q)
        return self._configuration.get_transform_frame_to_world("palm", "body").as_matrix()

    def solve(self, T_world_tip: F64, T_palm_tip: F64, q: F64, posture: F64 = FR3_HOME) -> F64:
        """Arm joints that bring the tips to a pose.

        Args:
            T_world_tip: (4, 4) target.
            T_palm_tip: (4, 4) where the tips are in the palm, measured.
            q: (7,) rad, where the search starts; the nearest solution is found.
            posture: (7,) rad, preferred where the target leaves freedom.

        Returns:
            (7,) rad.

        Raises:
            Unreachable: no solution within tolerance.
        """
        import mink

        self._place_tip(T_palm_tip)
        # Nothing moves by this shift; the solver needs a start inside the limits.
        self._configuration.update(np.clip(q, self._lower, self._upper))
        self._frame.set_target(mink.SE3.from_matrix(T_world_tip))
        self._posture.set_target(posture)
        best = (np.inf, np.inf, q)
        for _ in range(_ITERATIONS):
            velocity = mink.solve_ik(
                self._configuration, [self._frame, self._posture], 1.0, "daqp", damping=1e-6, limits=self._limits
            )
            length = float(np.abs(velocity).max())
            self._configuration.integrate_inplace(velocity * min(1.0, _STEP / max(length, 1e-9)), 1.0)
            twist = self._frame.compute_error(self._configuration)
            distance, angle = float(np.linalg.norm(twist[:3])), float(np.linalg.norm(twist[3:]))
            if distance + 0.1 * angle < best[0] + 0.1 * best[1]:
                best = (distance, angle, self._configuration.q.copy())
            if (distance < _POSITION_REACHED and angle < _ANGLE_REACHED) or length < 1e-6:
                break
        if best[0] > _POSITION_TOLERANCE or best[1] > _ANGLE_TOLERANCE:
            raise Unreachable(best[0], best[1])
        return best[2]

    def _place_tip(self, T_palm_tip: F64) -> None:
        model: mujoco.MjModel = self._configuration.model
        model.site_pos[self._site] = T_palm_tip[:3, 3]
        self._mat2quat(model.site_quat[self._site], np.ascontiguousarray(T_palm_tip[:3, :3]).ravel())


@dataclass(frozen=True)
class JointPath:
    """Joint positions over time, from rest to rest."""

    duration: float  # s
    _trajectory: object

    def at(self, time: float) -> F64:
        """(7,) rad after `time` [s]; the end, after the end."""
        return np.array(self._trajectory.at_time(min(time, self.duration))[0])  # type: ignore[attr-defined]


def joint_path(start: F64, end: F64, share: float = SPEED_SHARE) -> JointPath:
    """The fastest jerk-limited path between two arm configurations at rest, all joints arriving together.

    Args:
        start: (7,) rad.
        end: (7,) rad.
        share: of the arm's velocity and acceleration limits.

    Raises:
        ValueError: no such path, because an end is outside the joints' limits.
    """
    import ruckig

    given = ruckig.InputParameter(len(FR3))
    given.current_position, given.target_position = list(start), list(end)
    given.max_velocity = list(share * FR3.velocity)
    given.max_acceleration = [share * ACCELERATION] * len(FR3)
    given.max_jerk = [JERK_SHARE * JERK] * len(FR3)
    if (start < FR3.lower).any() or (start > FR3.upper).any() or (end < FR3.lower).any() or (end > FR3.upper).any():
        raise ValueError(f"a path needs joints within their limits, got {np.round(start, 3)} and {np.round(end, 3)}")
    trajectory = ruckig.Trajectory(len(FR3))
    result = ruckig.Ruckig(len(FR3)).calculate(given, trajectory)
    if result not in (ruckig.Result.Working, ruckig.Result.Finished):
        raise ValueError(f"no path between {np.round(start, 3)} and {np.round(end, 3)}: {result}")
    return JointPath(trajectory.duration, trajectory)


@dataclass(frozen=True)
class TipLimits:
    """How fast the tips move along a straight line."""

    speed: float = 0.25  # m/s
    acceleration: float = 0.8  # m/s^2
    jerk: float = 8.0  # m/s^3
    turn: float = 1.0  # rad/s; its acceleration and jerk are in proportion to those above


class TipStream:
    """A straight, jerk-limited motion of the tips, one control period at a time, to a goal that may shift on the way.

    Args:
        period: s.
    """

    def __init__(self, period: float) -> None:
        import ruckig

        self._otg = ruckig.Ruckig(6, period)
        self._given, self._out = ruckig.InputParameter(6), ruckig.OutputParameter(6)
        self._given.synchronization = ruckig.Synchronization.Phase
        self._ok = (ruckig.Result.Working, ruckig.Result.Finished)
        self._finished = ruckig.Result.Finished
        self._goal = np.eye(4)
        self.done = True

    def start(self, T_now: F64, T_goal: F64, limits: TipLimits) -> None:
        """Begins at rest.

        Args:
            T_now: (4, 4) tips now.
            T_goal: (4, 4) where they should rest.
            limits: of this motion.
        """
        ratio = limits.turn / limits.speed
        for name, value in (("velocity", limits.speed), ("acceleration", limits.acceleration), ("jerk", limits.jerk)):
            setattr(self._given, f"max_{name}", [value] * 3 + [ratio * value] * 3)
        self._given.current_velocity = self._given.current_acceleration = [0.0] * 6
        self.retarget(T_now, T_goal)

    def retarget(self, T_now: F64, T_goal: F64) -> None:
        """Goes on with the present velocity towards another goal, or from a pose that was measured anew."""
        self._goal = T_goal.copy()
        turn = rotvec(T_goal[:3, :3].T @ T_now[:3, :3])
        self._given.current_position = [*T_now[:3, 3], *turn]
        self._given.target_position = [*T_goal[:3, 3], 0.0, 0.0, 0.0]
        self.done = False

    def next(self) -> F64:
        """Pose (4, 4) of the tips one period later. `done` tells whether it is the goal.

        Raises:
            RuntimeError: no motion exists, which is a mistake in the limits.
        """
        result = self._otg.update(self._given, self._out)
        if result not in self._ok:
            raise RuntimeError(f"no straight motion of the tips: {result}")
        self._out.pass_to_input(self._given)
        self.done = result == self._finished
        at = np.array(self._out.new_position)
        T = np.eye(4)
        T[:3, :3] = self._goal[:3, :3] @ _exp(at[3:])
        T[:3, 3] = at[:3]
        return T


def rotvec(R: F64) -> F64:
    """(3,) rad of a rotation (3, 3)."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(R).as_rotvec())


def _exp(r: F64) -> F64:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(r).as_matrix())
