"""Values to messages and back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import FR3, LEAP
from toolwright.hardware.robot import Frame, JointOrderError, RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.rotations import from_rotvec, rotate

Q = np.linspace(-0.1, 0.5, 7)


@pytest.mark.parametrize("stamp", [0.0, 0.05, 1_795_241_399.936072612, 12.999_999_999_9])
def test_time_survives(stamp):
    assert messages.seconds(messages.to_time(stamp)) == pytest.approx(stamp, abs=1e-6)
    assert 0 <= messages.to_time(stamp).nanosec < 10**9


def test_joint_states_are_sorted_into_our_order_and_others_ignored():
    message = messages.to_joint_state(RobotState(3.0, Q, 2 * Q, 3 * Q), FR3.names)
    order = [3, 1, 0, 2, 6, 5, 4]
    message.name = ["gripper", *(message.name[i] for i in order)]
    for field in ("position", "velocity", "effort"):
        setattr(message, field, [9.0, *(getattr(message, field)[i] for i in order)])
    state = messages.from_joint_state(message, FR3)
    np.testing.assert_array_equal([state.q, state.dq, state.effort], [Q, 2 * Q, 3 * Q])
    assert state.stamp == 3.0


def test_velocities_that_are_not_there_are_differences_and_efforts_zero():
    before = RobotState(1.0, Q, 0 * Q, 0 * Q)
    message = messages.to_joint_state(RobotState(1.5, Q + 0.2, Q, Q), FR3.names)
    message.velocity, message.effort = [], []
    state = messages.from_joint_state(message, FR3, before)
    np.testing.assert_allclose(state.dq, 0.4)
    np.testing.assert_array_equal(state.effort, 0)


def test_joint_states_without_one_of_ours_are_refused():
    with pytest.raises(JointOrderError, match="if_mcp"):
        messages.from_joint_state(messages.to_joint_state(RobotState(0, Q, Q, Q), FR3.names), LEAP)


def test_joint_states_with_a_value_too_few_are_refused():
    message = messages.to_joint_state(RobotState(0, Q, Q, Q), FR3.names)
    message.velocity = [0.0]
    with pytest.raises(messages.MessageRefused, match="7 joints with 1 values of velocity"):
        messages.from_joint_state(message, FR3)


def test_trajectory_survives():
    names, q = messages.from_trajectory(messages.to_trajectory(Q, FR3.names, 0.05))
    assert names == FR3.names
    np.testing.assert_array_equal(q, Q)


def test_a_whole_trajectory_is_no_target():
    message = messages.to_trajectory(Q, FR3.names, 0.05)
    message.points = list(message.points) * 2
    with pytest.raises(messages.MessageRefused, match="one point"):
        messages.from_trajectory(message)


@pytest.fixture
def frame() -> Frame:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.3, 1.0, (4, 6))
    depth[0, 0] = 0.0
    T = np.eye(4)
    T[:3, :3] = np.column_stack([rotate(from_rotvec(np.array([2.0, -1.0, 0.5])), axis) for axis in np.eye(3)])
    T[:3, 3] = 1, 2, 3
    K = np.array([[5.0, 0, 2.5], [0, 5.0, 1.5], [0, 0, 1]])
    return Frame(7.25, depth, rng.integers(0, 255, (4, 6, 3), dtype=np.uint8), K, T)


def test_images_hold_the_frame(frame):
    color, depth, info = messages.to_images(frame, "cam")
    np.testing.assert_array_equal(np.frombuffer(color.data, np.uint8).reshape(4, 6, 3), frame.rgb)
    np.testing.assert_allclose(np.frombuffer(depth.data, "<f4").reshape(4, 6), frame.depth, rtol=1e-6)
    assert (depth.encoding, depth.step, info.width, info.height) == ("32FC1", 24, 6, 4)
    np.testing.assert_array_equal(np.reshape(info.k, (3, 3)), frame.K)
    assert {m.header.frame_id for m in (color, depth, info)} == {"cam"}
    assert messages.seconds(info.header.stamp) == 7.25


def test_points_are_where_the_pixels_are(frame):
    from toolwright.perception.camera import deproject

    cloud = messages.to_cloud(frame, "cam")
    raw = np.frombuffer(cloud.data, dtype=[("p", "<f4", 3), ("rgb", "<u4")])
    np.testing.assert_allclose(raw["p"], deproject(frame.depth, frame.K), rtol=1e-5)
    assert len(raw) == 23 == cloud.width, "a pixel without return is no point"
    r, g, b = (int(value) for value in frame.rgb[0, 1])
    assert raw["rgb"][0] == r << 16 | g << 8 | b


def test_pose_and_transform_hold_the_place(frame):
    pose = messages.to_pose(frame.T_world_cam, 1.0, "world").pose
    o = pose.orientation
    turned = np.column_stack([rotate(np.array([o.w, o.x, o.y, o.z]), axis) for axis in np.eye(3)])
    np.testing.assert_allclose(turned, frame.T_world_cam[:3, :3], atol=1e-12)
    transform = messages.to_transform(frame.T_world_cam, 1.0, "world", "cam")
    assert (transform.header.frame_id, transform.child_frame_id) == ("world", "cam")
    assert transform.transform.translation.z == 3.0 and transform.transform.rotation == o


def test_every_topic_and_service_of_the_table_has_a_type_and_a_profile():
    assert len(topics.TOPICS) > 15
    for topic in topics.TOPICS:
        assert topics.load(topic.type)
        assert topics.profile(topic.quality, True).depth == topics.profile(topic.quality, False).depth
    assert all(topics.load(service.type, "srv") for service in topics.SERVICES)


def test_scene_survives():
    from toolwright.launch.nodes.scene_message import from_json, to_json
    from toolwright.perception.scene import Box, HeldTool, Scene, SceneObject

    item = SceneObject("bead", "sphere", Q[:3], np.array([1.0, 0, 0, 0]), Q[:3] + 1, 0.01, False, color="red")
    tool = HeldTool("tweezers", "tweezers", 0.01, 0.03, Q[:3], np.array([1.0, 0, 0, 0]), np.eye(4), 0.1)
    scene = Scene(1.5, {"bead": item}, tool, Box(Q[:3], Q[:3] + 1), 0.02, ("fallen",))
    again = from_json(to_json(scene))
    assert (again.stamp, again.notes, again.objects["bead"].color) == (1.5, ("fallen",), "red")
    np.testing.assert_array_equal(again.tool.T_world_tip, np.eye(4))
    np.testing.assert_array_equal(again.objects["bead"].size, item.size)
    for wrong in ("{}", "no JSON", "[]", '{"stamp": 1, "objects": {"a": {}}, "tool": null}'):
        with pytest.raises(ValueError, match="no scene"):
            from_json(wrong)


def test_a_frame_comes_back_from_its_images():
    from toolwright.hardware.robot import Frame

    rng = np.random.default_rng(0)
    T = np.eye(4)
    T[:3, :3] = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    T[:3, 3] = 0.1, 0.2, 0.3
    depth = rng.uniform(0.2, 1.0, (4, 6)).astype(np.float32).astype(np.float64)
    sent = Frame(12.5, depth, rng.integers(0, 255, (4, 6, 3)).astype(np.uint8), np.diag([300.0, 300, 1]), T)
    images = messages.to_images(sent, "camera")
    got = messages.from_images(*images, messages.to_pose(T, 12.5, "world"))
    assert got.stamp == 12.5
    for field in ("depth", "rgb", "K", "T_world_cam"):
        np.testing.assert_allclose(getattr(got, field), getattr(sent, field), atol=1e-12)


def test_a_depth_image_that_is_not_aligned_is_refused():
    from toolwright.hardware.robot import Frame

    sent = Frame(1.0, np.ones((4, 6)), np.zeros((4, 6, 3), np.uint8), np.eye(3), np.eye(4))
    color, depth, info = messages.to_images(sent, "camera")
    depth.width, depth.step = 3, 12
    with pytest.raises(messages.MessageRefused, match="not aligned"):
        messages.from_images(color, depth, info, messages.to_pose(np.eye(4), 1.0, "world"))


def test_braking_ends_at_rest_after_half_the_way_of_going_on():
    dq = np.linspace(-1.0, 1.0, 7)
    points = messages.to_braking(Q, dq, FR3.names, 0.1).points
    np.testing.assert_allclose(points[-1].positions, Q + dq * 0.05)
    np.testing.assert_array_equal(points[-1].velocities, 0 * dq)
    assert messages.seconds(points[-1].time_from_start) == pytest.approx(0.1)
