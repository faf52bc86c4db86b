"""sim_node: the simulation in the place of arm, hand, camera and perception, on the very same topics.

Simulated time goes on by itself, a period at a step, at most at `rate` times real time. Where targets come regularly,
a step waits for them, so that a busy machine makes the simulation slower and not different.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import F64, JointOrderError, JointTarget, RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.arms import load_arm
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, parameter

if TYPE_CHECKING:
    from toolwright.policies.world import SimulatedWorld
    from toolwright.sim.camera import DepthCamera

ACTIVE = 3  # steps after which a device that gets no more targets is not waited for


@dataclass(frozen=True)
class SimParameters:
    """Of sim_node."""

    scene: str = parameter("bead", "name of a shipped scene, or path of a scene file")
    seed: int = parameter(0, "of the scene's randomization and of the noise of perception", 0, 2**31)
    rate: float = parameter(1.0, "times real time at most; 0: as fast as targets come", 0.0, 100.0)
    patience: float = parameter(1.0, "s of real time that a step waits for targets", 0.0, 10.0)
    scene_topic: bool = parameter(True, "publish scene from the simulation; otherwise scene_node sees it")
    camera_rate: float = parameter(0.0, "frames per simulated second; 0: no camera", 0.0, 20.0)


class SimNode:
    """The node; the simulation runs in a thread of its own.

    Raises:
        ParameterError: a parameter is wrong, or the scene cannot be built.
    """

    def __init__(self, node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("sim_node")
        self.parameters = p = declare(self.node, SimParameters)
        self.world = _build(p)
        self._robot = self.world.robot
        arm = load_arm("fr3")
        self._devices = {"arm": np.arange(len(FR3)), "hand": len(FR3) + np.arange(len(LEAP))}
        data = self.world.data
        self._target: F64 = self._robot.read().q
        self._target[self._devices["hand"]] = [data.actuator(name).ctrl[0] for name in LEAP.names]
        self._news = threading.Condition()
        self._asked_at = dict.fromkeys(self._devices, -ACTIVE - 1)  # steps
        self._steps = 0
        self._ending, self._trouble = False, ""
        self._publishers = {
            "arm": topics.publisher(self.node, topics.JOINT_STATES, arm.states),
            "hand": topics.publisher(self.node, topics.HAND_STATES),
        }
        self._scene = topics.publisher(self.node, topics.SCENE)
        self._clock = _clock_publisher(self.node)
        topics.subscribe(self.node, topics.TRAJECTORY, lambda m: self._hear("arm", m), arm.commands)
        topics.subscribe(self.node, topics.HAND_TRAJECTORY, lambda m: self._hear("hand", m))
        self._diagnostics = Diagnostics(self.node, self._diagnose)
        self._thread = threading.Thread(target=self._run, daemon=True, name="simulation")
        self._thread.start()

    def close(self) -> None:
        """Ends the simulation."""
        with self._news:
            self._ending = True
            self._news.notify_all()
        self._thread.join(timeout=5.0)

    def _hear(self, device: str, message: Any) -> None:
        where = self._devices[device]
        names = tuple(self._robot.joints.names[i] for i in where)
        try:
            given, q = messages.from_trajectory(message, whole=True)
            if given != names:
                raise JointOrderError(f"expected {list(names)}, got {list(given)}")
        except (messages.MessageRefused, JointOrderError) as error:
            self.node.get_logger().warning(f"refused: {error}")
            return
        with self._news:
            self._target[where], self._asked_at[device] = q, self._steps
            self._news.notify_all()

    def _run(self) -> None:
        try:
            self._simulate()
        except Exception as error:
            self._trouble = f"{type(error).__name__}: {error}"
            self.node.get_logger().error(f"the simulation ended: {self._trouble}")

    def _simulate(self) -> None:
        p = self.parameters
        camera = self._camera() if p.camera_rate else None
        due = time.monotonic()
        while True:
            with self._news:
                while (left := due - time.monotonic()) > 0 and not self._ending:
                    self._news.wait(left)
                self._news.wait_for(lambda: self._ending or not self._awaited(), timeout=p.patience)
                if self._ending:
                    break
                target = self._target.copy()
                self._steps += 1
            self._robot.send(JointTarget(target))
            self._publish()
            if camera is not None and camera.is_due(self.world.data.time):
                camera.publish()
            due = max(due + (self._robot.period / p.rate if p.rate else 0.0), time.monotonic())
        if camera is not None:
            camera.close()

    def _awaited(self) -> bool:
        """Whether a device that gets targets regularly has none for this step yet."""
        ages = [self._steps - at for at in self._asked_at.values()]
        return any(0 < age <= ACTIVE for age in ages)

    def _publish(self) -> None:
        from toolwright.launch.nodes.scene_message import to_json

        if self.parameters.scene_topic:
            self._scene.publish(topics.load(topics.SCENE.type)(data=to_json(self.world.perception.look())))
        state = self._robot.read()
        for device, where in self._devices.items():
            part = RobotState(state.stamp, state.q[where], state.dq[where], state.effort[where])
            names = tuple(self._robot.joints.names[i] for i in where)
            self._publishers[device].publish(messages.to_joint_state(part, names))
        self._clock(state.stamp)

    def _camera(self) -> _SimCamera:
        return _SimCamera(self.node, self.world, self.parameters)

    def _diagnose(self) -> tuple[int, str, dict[str, str]]:
        values = {"simulated time": f"{self.world.data.time:.2f} s"}
        return (2, self._trouble, values) if self._trouble else (0, "runs", values)


class _SimCamera:
    """The simulated depth camera on the topics of camera_node. Lives in the simulation's thread: so does its OpenGL."""

    def __init__(self, node: Any, world: SimulatedWorld, p: SimParameters) -> None:
        from toolwright.hardware.ros.camera_node import CameraTopics
        from toolwright.sim.camera import DepthCamera

        self._camera: DepthCamera = DepthCamera(world.model, world.data, rng=np.random.default_rng(p.seed))
        self._topics = CameraTopics(node, points=True, frame="camera_color_optical_frame", world="world")
        self._period, self._next = 1 / p.camera_rate, 0.0

    def is_due(self, at: float) -> bool:
        if at < self._next:
            return False
        self._next = at + self._period - 1e-6
        return True

    def publish(self) -> None:
        self._topics.publish(self._camera.read())

    def close(self) -> None:
        self._camera.close()


def _build(p: SimParameters) -> SimulatedWorld:
    from toolwright.policies.world import simulate
    from toolwright.sim.robot import RobotError
    from toolwright.sim.scene import SceneError, load_scene, sample

    rng = np.random.default_rng(p.seed)
    try:
        # Its own actions stay unused: task_node has others, over topics.
        return simulate(sample(load_scene(p.scene), rng), rng, "closed_form")
    except (SceneError, RobotError) as error:
        raise ParameterError(f"sim_node: parameter 'scene': {error}") from None


def _clock_publisher(node: Any) -> Any:
    from rosgraph_msgs.msg import Clock

    publisher = node.create_publisher(Clock, "/clock", 10)
    return lambda stamp: publisher.publish(Clock(clock=messages.to_time(stamp)))
