"""What the palm-up hand does with a thing that lies loose in it: turn it to an orientation.

A planner tries motions of the fingers on a simulation of hand and thing, built from what is seen: shape as known, pose
as measured at every look. Contact alone moves the thing, and what became of it is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import process_time

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.reorient import CENTER, LOST, UP
from toolwright.hardware.robot import F64, JointTarget, Robot
from toolwright.perception.palm_scene import GONE, STRANGE, quaternion
from toolwright.perception.pose_tracker import Fit
from toolwright.perception.scene import Perception, Scene, SceneObject
from toolwright.policies.motion import ArmMotion
from toolwright.policies.outcome import Outcome
from toolwright.policies.palm.planner import Planner, PlannerConfig
from toolwright.policies.palm.stop import Memory, Stop, always_when_near
from toolwright.policies.palm.twin import PalmTwin
from toolwright.policies.tool.tool_loop import Trouble
from toolwright.sim.object_shapes import Shape
from toolwright.sim.tasks.reorient import ReorientConfig

QUICK = PlannerConfig(plans=48)  # half the usual: a robot waits for it


@dataclass(frozen=True)
class TurnSettings:
    """Times and limits of the skill."""

    tolerance: float = 0.4  # rad that may be left
    patience: float = 20.0  # s for one goal
    rest: float = 0.3  # s at rest that end it
    still: tuple[float, float] = (0.25, 0.6)  # rad/s of any joint and of the thing that count as rest
    blind: float = 0.15  # s without a look after which the hand holds still
    dark: float = 4.0  # s without a look after which the skill gives up
    gone: float = 0.3  # s without the thing in the hand after which it is dropped
    strange: float = 0.6  # s with something else in the hand
    seed: int = 0  # of the planner


class TurnUse:
    """The actions of turning. Quaternions are w, x, y, z in the world frame.

    Args:
        robot: arm and hand, connected, the palm facing up.
        perception: the only eyes.
        shapes: of the things that may lie in the hand, by name: what planning knows of them.
        T_world_base: (4, 4) where the arm stands; the world's origin by default.
        settings: times and limits.
        planner: how motions are searched.
        stop: when the hand is told to hold still.
    """

    def __init__(
        self,
        robot: Robot,
        perception: Perception,
        shapes: dict[str, Shape],
        T_world_base: F64 | None = None,
        settings: TurnSettings = TurnSettings(),
        planner: PlannerConfig | None = None,
        stop: Stop = always_when_near,
    ) -> None:
        self._robot, self._eyes, self._shapes = robot, perception, shapes
        self._settings, self._planner, self._stop = settings, planner or QUICK, stop
        self._arm, self._fingers = robot.joints.indices(FR3.names), robot.joints.indices(LEAP.names)
        self._motion = ArmMotion(T_world_base)
        self._expect = getattr(perception, "expect", None)

    def tap(self, robot: Callable[[Robot], Robot], eyes: Callable[[Perception], Perception], **_: object) -> None:
        """Puts something between the actions and the robot or the eyes, for a recording or a camera."""
        self._robot, self._eyes = robot(self._robot), eyes(self._eyes)
        self._expect = getattr(self._eyes, "expect", self._expect)

    def stop(self, reason: str) -> None:
        """Stops the robot where it is."""
        self._robot.stop(reason)

    def reorient(self, name: str, w: float, x: float, y: float, z: float) -> Outcome:
        """Turns what lies in the hand to an orientation."""
        start, began = self._robot.read().stamp, process_time()
        try:
            reason, measured = self._turn(name, np.array([w, x, y, z]))
            success = True
        except Trouble as trouble:
            self._robot.stop(str(trouble))
            success, reason, measured = False, str(trouble), {}
        seconds = self._robot.read().stamp - start
        if seconds > 0:
            measured = measured | {"computing_per_second": (process_time() - began) / seconds}
        return Outcome(success, reason, measured, seconds)

    def _turn(self, name: str, quat: F64) -> tuple[str, dict[str, float]]:
        length = float(np.linalg.norm(quat))
        if abs(length - 1) > 0.02:
            raise Trouble("no orientation", f"w, x, y, z must have length 1, theirs is {length:.3g}")
        scene = self._eyes.look()
        if name not in self._shapes:
            raise Trouble("unknown shape", f"{name} is nothing that I know the shape of")
        if scene.in_palm != name:
            raise Trouble("not in the hand", f"{name} does not lie in the hand")
        return _Turn(self, name, quat / length, scene).run()


class _Turn:
    """One call: its twin, its planner and its clocks."""

    def __init__(self, use: TurnUse, name: str, quat: F64, scene: Scene) -> None:
        self.robot, self.eyes, self.expect, self.name = use._robot, use._eyes, use._expect, name
        self.settings, self.decide = use._settings, use._stop
        self.arm, self.fingers = use._arm, use._fingers
        state = self.robot.read()
        self.T_world_palm = use._motion.palm(state.q[self.arm])
        self.palm_quat = quaternion(self.T_world_palm[:3, :3])
        down = self.T_world_palm[:3, :3].T @ np.array([0, 0, -1.0])
        if np.arccos(np.clip(down @ UP, -1, 1)) > 0.5:
            raise Trouble("palm not up", "things are turned in a palm that faces up")
        config = ReorientConfig(tolerance=self.settings.tolerance)
        self.twin = PalmTwin([use._shapes[name]], 1, config)
        self.twin.gravity[:] = down
        self.one = np.zeros(1, dtype=np.intp)
        self.planner = Planner(self.twin, use._planner, np.random.default_rng(self.settings.seed), 1)
        self.hold = state.q[self.arm].copy()
        pos, turned = self._in_palm(scene.objects[name])
        q = state.q[self.fingers]
        self.twin.begin(self.one, self.one, q[None], q[None], pos[None], turned[None])
        self.twin.aim(self.one, rotations.multiply(rotations.conjugate(self.palm_quat), quat)[None])
        self.q, self.dq = q, np.zeros(16)
        self.began = self.seen_at = state.stamp
        self.calm = 0.0  # s at rest within the tolerance
        self.memory = Memory.of(1)

    def run(self) -> tuple[str, dict[str, float]]:
        """Raises Trouble where it cannot go on."""
        s, period = self.settings, self.robot.period
        first = float(self.twin.error()[0])
        while True:
            now = self._look()
            if self.calm >= s.rest:
                left = float(self.twin.error()[0])
                text = f"{self.name} was turned by {np.rad2deg(first):.0f} degrees, {np.rad2deg(left):.0f} are left"
                return text, {"angle_left": left, "turned": first}
            if now - self.began > s.patience:
                left = np.rad2deg(float(self.twin.error()[0]))
                raise Trouble("not reached", f"{self.name} is {left:.0f} degrees from there after {s.patience:.0f} s")
            blind = now - self.seen_at > s.blind
            self.memory.see(self.one, self.twin, [self._fit()])
            stop = self.decide(self.twin, self.memory) | blind
            action = self.planner.act(~stop)
            asked = self.twin.interface.target(action, self.q[None], stop)[0]
            sent = self._send(asked)
            joints, _, spin = self.twin.speeds()
            at_rest = joints[0] < s.still[0] and spin[0] < s.still[1] and not blind
            self.calm = self.calm + period if stop[0] and at_rest else 0.0
            self.twin.foresee(self.one, sent[None])

    def _fit(self) -> Fit:
        """What the eyes say of their last look; where they measure otherwise than by fitting, it was a good one."""
        fit = getattr(self.eyes, "fit", None)
        if isinstance(fit, Fit):
            return fit
        return Fit(self.twin.qpos[0, 16:19], self.twin.qpos[0, 19:], True, 0, 0.0005, 0.0, 0.02)

    def _send(self, command: F64) -> F64:
        target = np.empty(len(self.robot.joints))
        target[self.arm], target[self.fingers] = self.hold, command
        return np.asarray(self.robot.send(JointTarget(target)).q[self.fingers])

    def _look(self) -> float:
        """Measures; returns the time [s]. Raises Trouble where the thing is gone."""
        s = self.settings
        if self.expect is not None:
            at = rotations.rotate(self.palm_quat, self.twin.qpos[0, 16:19]) + self.T_world_palm[:3, 3]
            self.expect(at, rotations.multiply(self.palm_quat, self.twin.qpos[0, 19:]))
        scene, state = self.eyes.look(), self.robot.read()
        now = state.stamp
        self.q, self.dq = state.q[self.fingers], state.dq[self.fingers]
        item = scene.objects.get(self.name)
        if item is None:
            unseen = now - self.seen_at
            if GONE in scene.notes and unseen >= s.gone:
                raise Trouble("dropped", f"{self.name} is no longer in the hand")
            if STRANGE in scene.notes and unseen >= s.strange:
                raise Trouble("something else", f"what lies in the hand does not look like {self.name}")
            if unseen >= s.dark:
                raise Trouble("not seen", f"{self.name} was not seen for {unseen:.1f} s")
            pos, turned = self.twin.qpos[0, 16:19].copy(), self.twin.qpos[0, 19:].copy()
        else:
            pos, turned = self._in_palm(item)
            if float(np.linalg.norm(pos - CENTER)) > LOST:
                raise Trouble("dropped", f"{self.name} left the hand {now - self.began:.1f} s after it began")
            self.seen_at = now
        self.twin.correct(self.one, self.q[None], self.dq[None], pos[None], turned[None])
        return now

    def _in_palm(self, item: SceneObject) -> tuple[F64, F64]:
        inverse = rotations.conjugate(self.palm_quat)
        return rotations.rotate(inverse, item.pos - self.T_world_palm[:3, 3]), rotations.multiply(inverse, item.quat)
