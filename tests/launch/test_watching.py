"""A simulated robot that sees through its depth camera and feels its tool, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.launch import looking
from toolwright.launch.session import open_session
from toolwright.perception.camera_scene import CameraPerception


def test_nothing_of_the_simulation_but_camera_and_joints_is_read(monkeypatch):
    from toolwright.sim.perception import SimPerception

    def never(_: SimPerception) -> None:
        raise AssertionError("the simulation's own knowledge was asked")

    monkeypatch.setattr(SimPerception, "look", never)
    with open_session("bead", 0, controller="closed_form", perception="camera") as session:
        assert isinstance(session.perception, CameraPerception)
        scene = session.perception.look()
        session.actions._loop.begin()
    assert set(scene.objects) == {"bead", "cup"} and scene.tool is not None


def test_a_bead_is_picked_and_dropped_into_the_cup_by_camera_and_touch():
    with open_session("bead", 1, perception="camera") as session:
        width = float(session.perception.look().objects["bead"].size[0])
        picked = session.actions.pick("bead", opening=width + 0.006, grip=width - 0.004, lift=0.1)
        assert picked.success, picked.reason
        dropped = session.actions.drop_in("bead", "cup", 0.02)
        bead, cup = (session.robot.data.body(name).xpos for name in ("bead", "cup"))
        inside = np.linalg.norm((bead - cup)[:2]) < 0.03 and bead[2] < 0.05
    assert dropped.success, dropped.reason
    assert inside, "what it says is so"


def test_what_is_measured_over_scenes_counts_misses_and_inventions():
    from toolwright.perception.scene import SceneObject

    def thing(x: float, color: str = "red", shape: str = "sphere") -> SceneObject:
        return SceneObject("a", shape, np.array([x, 0.0, 0.0]), np.zeros(4), np.full(3, 0.01), 0.1, False, color=color)

    sight = looking.Sight(seconds=[1.0])
    sight.add("here", {"a": thing(0.0), "b": thing(0.5)}, {"c": thing(0.001, "blue"), "d": thing(0.9)})
    assert sight.detection_rate == 0.5
    assert sight.position["sphere"] == [pytest.approx(0.001)]
    assert [len(lines) for lines in (sight.missed, sight.invented, sight.mistaken)] == [1, 1, 1]
    assert sight.lines()[0].startswith("1 scenes, 2 things: 50.0 % found, 1 invented, 1 with another")
