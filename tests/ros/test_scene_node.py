"""scene_node between a simulated camera, joint states and whoever reads the scene."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock")

from toolwright.hardware.joints import FR3_LEAP
from toolwright.hardware.robot import RobotState
from toolwright.hardware.ros import messages, topics
from toolwright.hardware.ros.camera_node import CameraTopics
from toolwright.hardware.ros.node import ParameterError
from toolwright.launch.nodes.scene_message import from_json
from toolwright.launch.nodes.scene_node import SceneNode
from toolwright.policies.world import simulate
from toolwright.sim.camera import DepthCamera
from toolwright.sim.models.tools import held_tool_state
from toolwright.sim.scene import load_scene, sample


@pytest.fixture
def table(make_node, spin, until):
    """A simulated world that stands still, its frames and joint states, and a tester."""
    rng = np.random.default_rng(0)
    world = simulate(sample(load_scene("bead"), rng), rng, "closed_form", noise=None)
    camera = DepthCamera(world.model, world.data, rng=rng)
    frame, state = camera.read(), world.robot.read()
    camera.close()
    it = SimpleNamespace(world=world, scenes=[], time=100.0)
    it.node = SceneNode(make_node("scene_node", frames=30.0))
    tester = make_node("tester")
    topics.subscribe(tester, topics.SCENE, lambda m: it.scenes.append(from_json(m.data)))
    out = CameraTopics(tester, points=False, frame="camera", world="world")
    joints = topics.publisher(tester, topics.JOINT_STATES)

    def tick(frames: bool = True) -> None:
        it.time += 0.05
        now = RobotState(it.time, state.q, state.dq, state.effort)
        joints.publish(messages.to_joint_state(now, FR3_LEAP.names))
        if frames:
            out.publish(dataclasses.replace(frame, stamp=it.time))

    it.tick = tick
    spin(it.node.node)
    spin(tester)
    until(lambda: joints.get_subscription_count() and out._pose.get_subscription_count())
    yield it
    it.node.close()


def test_the_scene_has_the_things_of_the_frame_and_the_tool_of_the_joints(table, until):
    def seen() -> bool:
        table.tick()
        return bool(table.scenes)

    until(seen, 60.0, "a scene")
    scene, truth = table.scenes[-1], table.world.perception.look()
    assert set(scene.objects) == {"bead", "cup"}
    for name, item in truth.objects.items():
        assert np.linalg.norm(scene.objects[name].pos - item.pos) < 0.004
    world = table.world
    assert scene.tool is not None
    tool = held_tool_state(world.model, world.data, *_tool(world), "tweezers")
    assert scene.tool.opening == pytest.approx(tool.opening, abs=1e-3)
    np.testing.assert_allclose(scene.tool.T_world_tip[:3, 3], tool.T_world_tip[:3, 3], atol=2e-3)


def test_between_frames_the_scene_goes_on_with_the_joints(table, until):
    def seen() -> bool:
        table.tick()
        return bool(table.scenes)

    until(seen, 60.0, "a scene")
    n = len(table.scenes)

    def another() -> bool:
        table.tick(frames=False)
        return len(table.scenes) >= n + 3

    until(another, 30.0, "scenes without frames")
    stamps = np.diff([scene.stamp for scene in table.scenes])
    assert (stamps > 0.04).all(), "one a period, not one a joint state"


def test_without_frames_no_scene_is_claimed(table, until):
    for _ in range(10):
        table.tick(frames=False)
    until(lambda: table.node._q, 10.0)
    assert table.scenes == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tool": "tweezer"}, "no grasps for 'tweezer'; choose .*tweezers.*none"),
        ({"table": "0 0 0 1 1"}, "'table' is x y z of two corners"),
        ({"workspace": "1 0 0 0 1 1"}, "'workspace' is x y z of two corners"),
        ({"frames": 0.0}, "'frames' is from 0.2 to 30"),
    ],
)
def test_a_wrong_parameter_is_named_with_the_mend(make_node, parameters, message):
    with pytest.raises(ParameterError, match=message):
        SceneNode(make_node("scene_node", **parameters))


def _tool(world):
    from toolwright.sim.models.tools import family

    tool = family("tweezers")
    return tool, tool.params(**world.spec.tool.params)
