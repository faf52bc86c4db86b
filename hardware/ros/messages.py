"""Between ROS messages and the values of `hardware/robot.py`."""

from __future__ import annotations

import array
from typing import Any

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64, Frame, JointOrderError, JointSpec, RobotState

BRAKING_POINTS = 4


class MessageRefused(ValueError):
    """A message that does not say what it should."""


def to_time(seconds: float) -> Any:
    """builtin_interfaces/Time of a time [s]."""
    from builtin_interfaces.msg import Time

    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def to_duration(seconds: float) -> Any:
    """builtin_interfaces/Duration of a time [s]."""
    from builtin_interfaces.msg import Duration

    nanoseconds = round(seconds * 1e9)
    return Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def seconds(stamp: Any) -> float:
    """s of a Time or Duration message."""
    return stamp.sec + stamp.nanosec * 1e-9


def to_joint_state(state: RobotState, names: tuple[str, ...]) -> Any:
    """sensor_msgs/JointState with the state's own stamp."""
    from sensor_msgs.msg import JointState

    message = JointState(name=list(names))
    message.header.stamp = to_time(state.stamp)
    message.position, message.velocity = state.q.tolist(), state.dq.tolist()
    message.effort = state.effort.tolist()
    return message


def from_joint_state(message: Any, joints: JointSpec, before: RobotState | None = None) -> RobotState:
    """The joints of `joints`, whatever else the message names, and in whatever order.

    Args:
        message: sensor_msgs/JointState. Without velocities they are differences to `before`; without efforts, zero.
        joints: wanted.
        before: the state that came before this one.

    Raises:
        JointOrderError: a joint is missing.
        MessageRefused: as many positions, velocities or efforts as names there are not.
    """
    index = {name: i for i, name in enumerate(message.name)}
    missing = [name for name in joints.names if name not in index]
    if missing:
        raise JointOrderError(f"joint states without {missing}; they have {list(message.name)[:30]}")
    for field in ("position", "velocity", "effort"):
        if len(getattr(message, field)) not in ((len(index),) if field == "position" else (0, len(index))):
            raise MessageRefused(f"{len(index)} joints with {len(getattr(message, field))} values of {field}")
    order = [index[name] for name in joints.names]
    stamp, q = seconds(message.header.stamp), np.array(message.position, dtype=np.float64)[order]
    if len(message.velocity):
        dq = np.array(message.velocity, dtype=np.float64)[order]
    else:
        known = before is not None and stamp > before.stamp
        dq = (q - before.q) / (stamp - before.stamp) if known and before is not None else np.zeros(len(order))
    effort = np.array(message.effort, dtype=np.float64)[order] if len(message.effort) else np.zeros(len(order))
    return RobotState(stamp, q, dq, effort)


def to_trajectory(q: F64, names: tuple[str, ...], reach: float, stamp: float = 0.0) -> Any:
    """trajectory_msgs/JointTrajectory of one point.

    Args:
        q: (n,) rad.
        names: of the joints.
        reach: s until the point is to be reached.
        stamp: s, when that time begins; 0 is on arrival.
    """
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    point = JointTrajectoryPoint(positions=q.tolist(), time_from_start=to_duration(reach))
    message = JointTrajectory(joint_names=list(names), points=[point])
    message.header.stamp = to_time(stamp)
    return message


def to_braking(q: F64, dq: F64, names: tuple[str, ...], seconds: float) -> Any:
    """trajectory_msgs/JointTrajectory that comes to rest evenly: positions and velocities, from now on.

    Args:
        q: (n,) rad, at the beginning.
        dq: (n,) rad/s, at the beginning.
        names: of the joints.
        seconds: s until the joints stand.
    """
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    points = []
    for share in np.arange(1, BRAKING_POINTS + 1) / BRAKING_POINTS:
        at = q + dq * seconds * share * (1 - share / 2)
        moving = dq * (1 - share)
        points.append(JointTrajectoryPoint(positions=at.tolist(), velocities=moving.tolist()))
        points[-1].time_from_start = to_duration(seconds * float(share))
    return JointTrajectory(joint_names=list(names), points=points)


def from_trajectory(message: Any, whole: bool = False) -> tuple[tuple[str, ...], F64]:
    """Names and positions (n,) [rad] of a trajectory with one point.

    Args:
        message: trajectory_msgs/JointTrajectory.
        whole: True takes several points, too, and returns the last.

    Raises:
        MessageRefused: another number of points, or of positions. Whole trajectories are for the arm's own controller.
    """
    names = tuple(message.joint_names)
    if len(message.points) != 1 and not (whole and message.points):
        raise MessageRefused(f"a target is one point, got {len(message.points)}: stream them one by one")
    q = np.array(message.points[-1].positions, dtype=np.float64)
    if len(q) != len(names) or not names:
        raise MessageRefused(f"{len(names)} joint names with {len(q)} positions")
    if len(set(names)) != len(names):
        raise MessageRefused(f"a joint is named twice in {list(names)}")
    return names, q


def to_images(frame: Frame, frame_id: str) -> tuple[Any, Any, Any]:
    """Colour image, depth image and camera info of a frame."""
    from sensor_msgs.msg import CameraInfo, Image

    height, width = frame.depth.shape
    stamp = to_time(frame.stamp)
    color = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    color.data = array.array("B", np.ascontiguousarray(frame.rgb).tobytes())
    depth = Image(height=height, width=width, encoding="32FC1", step=4 * width)
    depth.data = array.array("B", frame.depth.astype("<f4").tobytes())
    info = CameraInfo(height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k, info.r = frame.K.ravel().tolist(), np.eye(3).ravel().tolist()
    info.p = np.column_stack([frame.K, np.zeros(3)]).ravel().tolist()
    for message in (color, depth, info):
        message.header.stamp, message.header.frame_id = stamp, frame_id
    return color, depth, info


def from_images(color: Any, depth: Any, info: Any, pose: Any) -> Frame:
    """The frame of what `to_images` and `to_pose` made.

    Raises:
        MessageRefused: another encoding, sizes that differ, or rows with gaps.
    """
    height, width = depth.height, depth.width
    if (color.encoding, depth.encoding) != ("rgb8", "32FC1"):
        raise MessageRefused(f"images are rgb8 and 32FC1, got {color.encoding} and {depth.encoding}")
    if (color.height, color.width) != (height, width) or (color.step, depth.step) != (3 * width, 4 * width):
        raise MessageRefused(f"color {color.width}x{color.height} is not aligned with depth {width}x{height}")
    at, turn = pose.pose.position, pose.pose.orientation
    T = np.eye(4)
    T[:3, :3] = rotations.rotate(np.array([turn.w, turn.x, turn.y, turn.z]), np.eye(3)).T
    T[:3, 3] = at.x, at.y, at.z
    return Frame(
        stamp=seconds(depth.header.stamp),
        depth=np.frombuffer(depth.data, dtype="<f4").reshape(height, width).astype(np.float64),
        rgb=np.frombuffer(color.data, dtype=np.uint8).reshape(height, width, 3),
        K=np.array(info.k, dtype=np.float64).reshape(3, 3),
        T_world_cam=T,
    )


def to_cloud(frame: Frame, frame_id: str) -> Any:
    """sensor_msgs/PointCloud2 of the pixels that have a return, x, y, z [m] in the camera's frame, with colour."""
    from sensor_msgs.msg import PointCloud2, PointField

    v, u = np.nonzero(frame.depth > 0)
    z = frame.depth[v, u]
    rgb = frame.rgb[v, u].astype(np.uint32)
    cloud = np.empty(len(z), dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])
    cloud["x"] = (u - frame.K[0, 2]) * z / frame.K[0, 0]
    cloud["y"] = (v - frame.K[1, 2]) * z / frame.K[1, 1]
    cloud["z"], cloud["rgb"] = z, rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
    fields = [PointField(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate(("x", "y", "z", "rgb"))]
    message = PointCloud2(height=1, width=len(z), point_step=16, row_step=16 * len(z), is_dense=True, fields=fields)
    message.header.stamp, message.header.frame_id = to_time(frame.stamp), frame_id
    message.data = array.array("B", cloud.tobytes())
    return message


def to_pose(T: F64, stamp: float, frame_id: str) -> Any:
    """geometry_msgs/PoseStamped of a pose (4, 4)."""
    from geometry_msgs.msg import PoseStamped

    message = PoseStamped()
    message.header.stamp, message.header.frame_id = to_time(stamp), frame_id
    position, turn = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = (float(value) for value in T[:3, 3])
    turn.w, turn.x, turn.y, turn.z = (float(value) for value in _quaternion(T[:3, :3]))
    return message


def to_transform(T: F64, stamp: float, frame_id: str, child: str) -> Any:
    """geometry_msgs/TransformStamped of a pose (4, 4) of `child` in `frame_id`."""
    from geometry_msgs.msg import TransformStamped

    pose = to_pose(T, stamp, frame_id)
    message = TransformStamped(header=pose.header, child_frame_id=child)
    at, message.transform.rotation = pose.pose.position, pose.pose.orientation
    message.transform.translation.x, message.transform.translation.y, message.transform.translation.z = at.x, at.y, at.z
    return message


def _quaternion(R: F64) -> F64:
    """Unit quaternion (w, x, y, z) of a rotation matrix: the eigenvector that Bar-Itzhack's method (2000) gives."""
    (a, b, c), (d, e, f), (g, h, i) = R
    K = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    return np.asarray(np.linalg.eigh(K)[1][:, -1])
