"""Views of the board for the hand-eye calibration, on disk and from a rehearsal in simulation; fingertips' errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from toolwright.hardware.joints import FR3, FR3_HOME, LEAP
from toolwright.hardware.robot import F64, Camera, JointTarget, RobotState
from toolwright.perception.board import Board, BoardNotSeen, CalibrationError, find, picture
from toolwright.perception.hand_eye import View

SIM_VIEWS = 15
_SIM_K = np.array([[610.0, 0, 319.5], [0, 610.0, 239.5], [0, 0, 1]])  # px, about a D435's color camera
_BOARD = Board()
_AT_REST = 0.01  # rad/s
_SHARE = 0.1  # of the arm's speed, in the rehearsal as on the real arm

Report = Callable[[str], None]


@dataclass(frozen=True)
class Shot:
    """An image, and where the arm's hand was."""

    image: np.ndarray  # (H, W, 3) uint8
    T_base_hand: F64  # (4, 4)


def views_of(shots: list[Shot], K: F64, board: Board, report: Report) -> list[View]:
    """Finds the board in each image; images without it are told and left out.

    Raises:
        BoardNotSeen: it is in none.
    """
    views, reasons = [], []
    for i, shot in enumerate(shots):
        try:
            views.append(View(shot.T_base_hand, find(shot.image, K, board)))
        except CalibrationError as error:
            reasons.append(str(error))
            report(f"view {i}: {error}")
    if shots and not views:
        raise BoardNotSeen(f"the board is in none of the {len(shots)} images; the last one: {reasons[-1]}")
    return views


def save_shots(folder: Path, shots: list[Shot], K: F64, board: Board) -> None:
    """Writes images and a `views.json`, so that the calibration can be made again."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, shot in enumerate(shots):
        Image.fromarray(shot.image).save(folder / f"{i:03}.png")
        rows.append({"image": f"{i:03}.png", "T_base_hand": shot.T_base_hand.tolist()})
    text = json.dumps({"K": K.tolist(), "board": asdict(board), "views": rows}, indent=1)
    (folder / "views.json").write_text(text + "\n", encoding="utf-8")


def load_shots(folder: Path, board: Board | None = None) -> tuple[list[Shot], F64, Board]:
    """Reads what `save_shots` or another program wrote. A view may give the arm's joints "q" instead of the pose.

    Raises:
        CalibrationError: it is not there, or not whole; says what it should hold.
    """
    from PIL import Image

    file = folder / "views.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        K, motion = np.array(data["K"], dtype=np.float64).reshape(3, 3), None
        shots = []
        for row in data["views"]:
            if "T_base_hand" in row:
                T_base_hand = np.array(row["T_base_hand"], dtype=np.float64).reshape(4, 4)
            else:
                from toolwright.policies.motion import ArmMotion

                motion = motion or ArmMotion()
                T_base_hand = motion.palm(np.array(row["q"], dtype=np.float64).reshape(7))
            image = np.asarray(Image.open(folder / row["image"]).convert("RGB"))
            shots.append(Shot(image, T_base_hand))
        return shots, K, board or Board(**data.get("board", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CalibrationError(
            f'{file} cannot be used ({type(error).__name__}: {error}); it holds {{"K": 3x3 px, "views": [{{"image": '
            '"000.png", "q": 7 joint angles in rad}, ...]}'
        ) from error


def take(
    read: Callable[[], RobotState], camera: Camera, done: Callable[[], bool], report: Report
) -> tuple[list[Shot], F64]:
    """Takes a view each time somebody says so, the arm at rest.

    Args:
        read: the robot's state; its first seven joints are the arm's.
        camera: that is calibrated.
        done: waits; False for another view, True for the end.
        report: told what to do.

    Returns:
        The views, and K (3, 3) px.
    """
    from toolwright.policies.motion import ArmMotion

    motion, shots, K = ArmMotion(), [], np.eye(3)
    report("Move the arm by hand so that the camera sees the board; tilt it differently each time.")
    report("Enter takes a view, any other word and Enter ends. Six views are the least, fifteen are good.")
    while not done():
        frame, state = camera.read(), read()
        moving = float(np.abs(state.dq[: len(FR3)]).max())
        if moving > _AT_REST:
            report(f"the arm moves ({moving:.3f} rad/s): hold it still, then press Enter again")
            continue
        try:
            find(frame.rgb, frame.K)
        except BoardNotSeen as error:
            report(f"not taken: {error}")
            continue
        except CalibrationError:
            pass  # other sizes than the usual ones; they are looked at in the end
        shots.append(Shot(frame.rgb, motion.palm(state.q[: len(FR3)])))
        K = frame.K
        report(f"view {len(shots)} taken")
    return shots, K


@contextmanager
def real_arm() -> Iterator[Callable[[], RobotState]]:
    """Reads the robot behind a running robot_node.

    Raises:
        CalibrationError: no robot_node answers.
        ModuleNotFoundError: there is no ROS 2.
    """
    import rclpy

    from toolwright.hardware.joints import FR3_LEAP
    from toolwright.hardware.ros.node import spinning
    from toolwright.hardware.ros.robot import NoAnswer, RosRobot
    from toolwright.launch.graph import NAMESPACE

    rclpy.init()
    try:
        node = rclpy.create_node("calibrate", namespace=NAMESPACE)
        robot = RosRobot(node, FR3_LEAP)
        with spinning(node):
            try:
                robot.connect()
            except NoAnswer as error:
                raise CalibrationError(str(error)) from error
            yield robot.read
    finally:
        rclpy.try_shutdown()


@contextmanager
def real_camera(serial: str | None) -> Iterator[Camera]:
    """A RealSense camera.

    Raises:
        CameraError: none, or it does not work.
    """
    from toolwright.hardware.drivers.realsense import CameraSettings, RealSense

    camera = RealSense(serial, settings=CameraSettings(width=1280, height=720, temporal=False))
    camera.connect()
    try:
        yield camera
    finally:
        camera.close()


class SimRig:
    """A rehearsal: the simulated FR3 carries the board in front of a camera whose place is known, and so is the truth.

    The arm moves by physics through the safety gate; the images are drawn of where the board then is.

    Args:
        rng: of the camera's place, the poses and the images' noise.
        board: in the hand.
    """

    def __init__(self, rng: np.random.Generator, board: Board = _BOARD) -> None:
        import mujoco

        from toolwright.hardware.safety import SafetyGate
        from toolwright.policies.motion import ArmMotion
        from toolwright.sim.models.physics import new_spec
        from toolwright.sim.models.robot import add_robot
        from toolwright.sim.robot import SimRobot

        self.K, self.board, self._rng = _SIM_K, board, rng
        spec = new_spec()
        add_robot(spec, "fr3", None, np.zeros(3), np.array([1.0, 0, 0, 0]))
        model = spec.compile()
        data = mujoco.MjData(model)
        ready = FR3_HOME + np.array([0, 0, 0, -0.3, 0, 0.9, 0])
        for name, q in zip(FR3.names, ready, strict=True):
            data.joint(name).qpos[0] = q
        self.robot = SafetyGate(SimRobot(model, data, FR3), clock=lambda: float(data.time))
        self.robot.connect()
        self._motion, self._q, self._ready = ArmMotion(), ready, ready
        away = rng.uniform(-0.05, 0.05, 3)
        self.T_base_cam = _looking(np.array([1.25, 0.1, 0.55]) + away, np.array([0.55, 0.0, 0.45]))
        held = _pose(rng.normal(0, 0.1, 3), np.array([0, 0, 0.6]))
        self.T_hand_board = np.linalg.inv(self._motion.palm(ready)) @ self.T_base_cam @ held

    def shots(self, count: int = SIM_VIEWS) -> Iterator[Shot]:
        """Moves to `count` poses, and takes an image in each."""
        from toolwright.policies.motion import Unreachable, joint_path

        taken = 0
        while taken < count:
            turn, place = self._rng.normal(0, 0.35, 3), self._rng.uniform([-0.1, -0.06, 0.45], [0.1, 0.06, 0.7])
            T_cam_board = _pose(turn, place)
            try:
                goal = self._motion.solve(self.T_base_cam @ T_cam_board, self.T_hand_board, self._q, self._ready)
            except Unreachable:
                continue
            path = joint_path(self._q, goal, _SHARE)
            for i in range(1, int(np.ceil(path.duration / self.robot.period)) + 8):
                self.robot.read()
                self._q = self.robot.send(JointTarget(path.at(i * self.robot.period))).q
            hand = self._motion.palm(self.robot.read().q)
            seen = np.linalg.inv(self.T_base_cam) @ hand @ self.T_hand_board
            taken += 1
            yield Shot(picture(self.board, seen, self.K, rng=self._rng, samples=3), hand)


def tip_errors(q: F64, pose: F64) -> dict[str, float]:
    """How far each fingertip is [m] at joints q (16,) [rad] from where it is in a pose (16,) [rad]."""
    import mujoco

    from toolwright.sim.models.leap import TIPS, add_leap
    from toolwright.sim.models.physics import new_spec

    spec = new_spec()
    add_leap(spec, spec.worldbody, np.zeros(3), np.array([1.0, 0, 0, 0]))
    model = spec.compile()
    data, places = mujoco.MjData(model), []
    for angles in (q, pose):
        for name, angle in zip(LEAP.names, angles, strict=True):
            data.joint(name).qpos[0] = angle
        mujoco.mj_kinematics(model, data)
        places.append({tip: data.site(tip).xpos.copy() for tip in TIPS})
    return {tip: float(np.linalg.norm(places[0][tip] - places[1][tip])) for tip in TIPS}


def off(T: F64, truth: F64) -> tuple[float, float]:
    """Distance [m] and angle [rad] between two poses (4, 4)."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(truth[:3, :3].T @ T[:3, :3]).magnitude()
    return float(np.linalg.norm(T[:3, 3] - truth[:3, 3])), float(turn)


def _pose(turn: F64, place: F64) -> F64:
    from scipy.spatial.transform import Rotation

    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), place
    return T


def _looking(pos: F64, at: F64) -> F64:
    """Pose of a camera (x right, y down, z forward) that sees a point upright."""
    forward = (at - pos) / np.linalg.norm(at - pos)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.column_stack([right, np.cross(forward, right), forward]), pos
    return T
