"""Teleoperation: robots that can be jogged, and the loop between keys, gamepad and robot."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.barriers import Barrier, workspace
from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.mcap_log import Recorder
from toolwright.hardware.recorded import RecordedRobot
from toolwright.hardware.robot import F64, Robot
from toolwright.hardware.safety import EmergencyStopped, GateReport, SafetyGate, StateRefused
from toolwright.launch.jog import FreeFingers, HeldToolFingers, Jogger, Keys, Source, Wish
from toolwright.launch.keyboard import STOP_KEY, Keyboard
from toolwright.launch.recording import RecordedPerception, RecordedPolicy, describe
from toolwright.policies.low_level import HandPolicy
from toolwright.policies.motion import ArmMotion
from toolwright.sim import grasp_bank

if TYPE_CHECKING:
    from toolwright.sim.render import VideoWriter

_TABLE = 0.003  # m that the tips stay above the workspace's floor


@dataclass
class Rig:
    """What is jogged."""

    gate: SafetyGate
    jogger: Jogger
    recorder: Recorder | None = None
    video: VideoWriter | None = None
    faults: tuple[type[Exception], ...] = ()  # of the device: the gate latches them, and clearing tries to mend them
    mend: Callable[[], None] = lambda: None  # lets the device go on after a fault
    refusal: str = ""  # why it could not be cleared

    def close(self) -> None:
        """Stops the robot and finishes the files."""
        self.gate.close()
        for end in (self.video, self.recorder):
            if end is not None:
                end.close()


def simulated(
    scene: str,
    seed: int,
    speed: float,
    record: str | None = None,
    video: str | None = None,
    controller: str = "learned",
) -> Rig:
    """The simulated arm and hand in a scene, with the tool in the hand where the scene has one.

    Raises:
        SceneError: no such scene.
        RobotError: it has no arm or no hand.
        RecordingError: a recording is asked for and cannot be made.
    """
    from toolwright.launch.session import _film
    from toolwright.policies.world import nearest, simulate
    from toolwright.sim.scene import load_scene, sample

    rng = np.random.default_rng(seed)
    spec = sample(load_scene(scene), rng)
    world = simulate(spec, rng, controller)  # type: ignore[arg-type]
    base = np.eye(4)
    base[:3, :3] = rotations.rotate(np.array(spec.robot.rotation), np.eye(3)).T
    base[:3, 3] = spec.robot.pos
    motion = ArmMotion(base)
    state = world.robot.read()
    arm, fingers = world.robot.joints.indices(FR3.names), world.robot.joints.indices(LEAP.names)
    T_palm_tip = np.eye(4)
    if (tool := world.perception.look().tool) is not None:
        T_palm_tip = np.linalg.inv(motion.palm(state.q[arm])) @ tool.T_world_tip
    lower, upper = np.array(spec.workspace.lower), np.array(spec.workspace.upper)
    lower[2] += _TABLE
    start = (motion.palm(state.q[arm]) @ T_palm_tip)[:3, 3]
    lower, upper = np.minimum(lower, start), np.maximum(upper, start)
    barriers = (_walls(ArmMotion(base), T_palm_tip, arm, lower, upper),)
    gate = SafetyGate(world.robot, barriers, clock=lambda: float(world.data.time))
    gate.connect()
    about = {"robot": "sim", "scene": scene, "seed": seed, "controller": controller, "kind": "demonstration"}
    recorder = Recorder(record, describe(gate, about)) if record else None
    robot: Robot = gate
    eyes: Any = world.perception
    if recorder is not None:
        robot, eyes = RecordedRobot(gate, recorder), RecordedPerception(eyes, recorder)
    if spec.tool is not None:
        bank = grasp_bank.load(spec.tool.family)
        index = nearest(bank, bank.family.params(**spec.tool.params))
        policy = HandPolicy(bank, index, controller)  # type: ignore[arg-type]
        if recorder is not None:
            policy = RecordedPolicy(policy, recorder, spec.tool.family)
        hand: Any = HeldToolFingers(policy, eyes, fingers)
    else:
        hand = _free_fingers(fingers)
    writer = _film(world.robot, video) if video else None
    return Rig(gate, Jogger(robot, motion, hand, speed), recorder, writer)


def leap_hand(port: str, speed: float, record: str | None, clear: bool = False) -> Rig:
    """The LEAP hand alone, on its serial adapter, with its own zeros; `clear` first restarts motors with a fault.

    Raises:
        HandError, PortLost: the driver's.
    """
    from toolwright.hardware.calibration import leap_motors
    from toolwright.hardware.drivers.dynamixel import BusError
    from toolwright.hardware.drivers.leap_hand import HandError, LeapHand

    hand = LeapHand(port, motors=leap_motors())
    if clear:
        hand.clear_faults()
    gate = SafetyGate(hand)
    gate.connect()
    recorder = Recorder(record, describe(gate, {"robot": "leap", "kind": "demonstration"})) if record else None
    robot: Robot = gate if recorder is None else RecordedRobot(gate, recorder)
    jogger = Jogger(robot, None, _free_fingers(robot.joints.indices(LEAP.names)), speed)
    return Rig(gate, jogger, recorder, faults=(HandError, BusError), mend=hand.clear_faults)


def fr3_arm(host: str, speed: float, record: str | None, clear: bool = False) -> Rig:
    """The FR3 alone, without ROS. The arm's own limits are at the share `speed`, too; `clear` first lets it recover.

    Raises:
        Fr3Error: no arm there, or it does not do what it is told.
        ModuleNotFoundError: its library is not installed.
    """
    from toolwright.hardware.drivers.fr3 import Fr3Arm, Fr3Error, Fr3Settings

    arm = Fr3Arm(host, settings=Fr3Settings(speed=max(speed, 0.05)))
    if clear:
        arm.connect()
        arm.clear()
    gate = SafetyGate(arm)
    gate.connect()
    recorder = Recorder(record, describe(gate, {"robot": "fr3", "kind": "demonstration"})) if record else None
    robot: Robot = gate if recorder is None else RecordedRobot(gate, recorder)
    return Rig(gate, Jogger(robot, ArmMotion(), None, speed), recorder, faults=(Fr3Error,), mend=arm.clear)


@contextmanager
def over_ros(speed: float, record: str | None) -> Iterator[Rig]:
    """The arm behind a running robot_node, whose own gate is behind the one here. The hand is left to policy_node:
    from here nobody knows the targets that hold its tool.

    Raises:
        NoAnswer: no robot_node.
        ModuleNotFoundError: there is no ROS 2.
    """
    import rclpy

    from toolwright.hardware.joints import FR3_LEAP
    from toolwright.hardware.ros.node import spinning
    from toolwright.hardware.ros.robot import RosRobot
    from toolwright.launch.graph import NAMESPACE

    rclpy.init()
    try:
        node = rclpy.create_node("teleop", namespace=NAMESPACE)
        with spinning(node):
            beyond = RosRobot(node, FR3_LEAP, commands=FR3.names)
            # The states' own time, which may be a simulation's: how old they are is robot_node's to watch.
            gate = SafetyGate(beyond, clock=lambda: beyond.read().stamp)
            gate.connect()
            recorder = Recorder(record, describe(gate, {"robot": "ros", "kind": "demonstration"})) if record else None
            robot: Robot = gate if recorder is None else RecordedRobot(gate, recorder)
            yield Rig(gate, Jogger(robot, ArmMotion(), None, speed), recorder)
    finally:
        rclpy.try_shutdown()


def _free_fingers(fingers: Any) -> FreeFingers:
    from toolwright.hardware.held_tool import Synergy

    bank = grasp_bank.load("tweezers")
    synergy = Synergy(bank.openings[:1], bank.ctrl[:1], bank.correction[:1])
    return FreeFingers(synergy, (float(bank.openings[0, 0]), float(bank.openings[0, -1])), fingers)


def _walls(motion: ArmMotion, T_palm_tip: F64, arm: Any, lower: F64, upper: F64) -> Barrier:
    """Keeps the tips in a box."""
    return workspace(lambda q: (motion.palm(q[arm]) @ T_palm_tip)[:3, 3], lower, upper, FR3.names)


@dataclass(frozen=True)
class Ended:
    """How a teleoperation ended."""

    seconds: float  # s
    ticks: int
    stops: int  # emergency stops
    late: int  # periods that came more than a half too late


def drive(
    rig: Rig, keyboard: Keyboard | None, others: list[Source], show: Callable[[str], None], realtime: bool = True
) -> Ended:
    """Jogs until somebody quits.

    Args:
        rig: connected.
        keyboard: open; None to go by the others alone.
        others: for instance a gamepad.
        show: gets a line about the state a few times a second.
        realtime: False goes on at once, for tests.

    Raises:
        Exception: what robot, eyes or a gamepad raise, and is none of `rig.faults`. The robot was told to stop.
    """
    keys, jogger, period = Keys(), rig.jogger, rig.jogger.robot.period
    start = due = time.monotonic()
    ticks = stops = late = 0
    try:
        while True:
            now = time.monotonic()
            if keyboard is not None and not _listen(keyboard, keys, rig, due if realtime else now):
                break
            wish = _joined([keys.wish(time.monotonic()), *(source.wish(time.monotonic()) for source in others)])
            for order in wish.orders:
                stops += order == "stop"
                _obey(order, rig)
            if "quit" in wish.orders:
                break
            if not rig.gate.stopped:
                try:
                    jogger.tick(wish.axes)
                except EmergencyStopped:  # by another thread, in this moment
                    pass
                except rig.faults:
                    stops += 1
            ticks += 1
            if ticks % 4 == 0:
                show(_line(rig))
            late += time.monotonic() - due > 1.5 * period
            due = max(due + period, time.monotonic() - period)
            if realtime and keyboard is None:
                time.sleep(max(due - time.monotonic(), 0.0))
    except BaseException as error:
        rig.gate.emergency_stop(f"teleoperation ended: {type(error).__name__}: {error}")
        raise
    rig.gate.stop("teleoperation ended")
    return Ended(time.monotonic() - start, ticks, stops, late)


def _listen(keyboard: Keyboard, keys: Keys, rig: Rig, due: float) -> bool:
    """Takes keys until the next period is due; False where the terminal is gone. The stop key acts at once."""
    while True:
        pressed = keyboard.keys(max(due - time.monotonic(), 0.0))
        if pressed is None:
            return False
        if STOP_KEY in pressed:
            rig.gate.emergency_stop("space bar")
        for key in pressed:
            keys.press(key, time.monotonic())
        if time.monotonic() >= due:
            return True


def _obey(order: str, rig: Rig) -> None:
    jogger, step = rig.jogger, {"faster": 1, "slower": -1, "next": 1, "previous": -1}.get(order, 0)
    if order == "stop":
        if not rig.gate.stopped:
            rig.gate.emergency_stop("the operator")
        if isinstance(jogger.robot, RecordedRobot):
            jogger.robot.note()
    elif order == "clear" and rig.gate.stopped:
        expected: tuple[type[Exception], ...] = (StateRefused, *rig.faults)
        try:
            rig.mend()
            rig.gate.clear()
            rig.refusal = ""
        except expected as error:
            rig.refusal = str(error)
            return
        jogger.start()
    elif order in ("faster", "slower"):
        jogger.faster(step)
    elif order in ("next", "previous"):
        jogger.choose(step)


def _joined(wishes: list[Wish]) -> Wish:
    axes = np.clip(sum((wish.axes for wish in wishes), np.zeros(8)), -1, 1)
    return Wish(axes, tuple(order for wish in wishes for order in wish.orders))


def _line(rig: Rig) -> str:
    jogger = rig.jogger
    parts = []
    if jogger.tips is not None:
        parts.append("tips " + " ".join(f"{value:+.3f}" for value in jogger.tips) + " m")
    if jogger.opening is not None:
        parts.append(f"opening {1e3 * jogger.opening:.1f} mm")
    parts += [f"joint {jogger.joint}", f"speed {100 * jogger.speed:.0f} %"]
    if rig.gate.stopped:
        parts = [f"STOPPED ({rig.refusal or rig.gate.stopped}): c clears, q quits"]
    elif jogger.message:
        parts.append(jogger.message)
    elif rig.gate.last_report.acted:
        parts.append("gate: " + ", ".join(_told(rig.gate.last_report)))
    return "  ".join(parts)


def _told(report: GateReport) -> list[str]:
    return list(report.limits)


def on_terminal(line: str) -> None:
    """Writes a line over the one before."""
    sys.stdout.write(f"\r\x1b[K{line}")
    sys.stdout.flush()
