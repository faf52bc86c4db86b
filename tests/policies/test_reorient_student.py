"""The student and its distillation: what it sees, what it learns from, that it goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.hardware.reorient import CENTER
from toolwright.policies.evaluation.reorient import evaluate
from toolwright.policies.evaluation.reorient_conditions import Condition
from toolwright.policies.palm.planner import PlannerConfig
from toolwright.policies.palm.student import POINT, SEEN, STATE, Student, StudentControl, goal_points, pair
from toolwright.policies.palm.surface import Surfaces
from toolwright.policies.training import reorient_data, train
from toolwright.policies.training.config import StudentConfig
from toolwright.policies.training.reorient_data import DataConfig
from toolwright.policies.training.student import StudentTraining
from toolwright.policies.training.student_data import StudentError, read, render
from toolwright.policies.weights import WeightsError
from toolwright.sim import object_shapes
from toolwright.sim.shape_distance import distance
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

SHAPES = [shape for shape in object_shapes.load() if shape.name == "cube" or shape.family == "letter"][:3]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    config = DataConfig(ReorientConfig(shapes="cube"), PlannerConfig(plans=4), worlds=3, steps=8, threads=1)
    reorient_data.generate(folder, 2, 3, config)
    return folder


def _training(labels: Path, folder: Path, show: object = None, **config: object) -> StudentTraining:
    settings = {"complete": 2, "rendered": 1, "worlds": 0, "sequences": 2} | config
    shown = show if callable(show) else lambda line: None
    return StudentTraining("student", StudentConfig(str(labels), **settings), folder, show=shown)  # type: ignore[arg-type]


def test_points_on_a_surface_lie_on_it_and_normals_point_out_of_it() -> None:
    surfaces = Surfaces.of(SHAPES)
    for shape, points, normals in zip(SHAPES, surfaces.points, surfaces.normals, strict=True):
        assert np.abs(distance(shape, points)).max() < 6e-4
        outside = distance(shape, points + 0.002 * normals)
        assert np.quantile(outside, 0.05) > 0.001
        # Evenly spread: no point of the surface is far from one of them.
        assert np.ptp(points, axis=0) == pytest.approx(shape.extent, abs=0.004)


def test_both_clouds_agree_where_the_thing_is_at_its_goal_and_only_there() -> None:
    surfaces, quat = Surfaces.of(SHAPES), np.array([[1.0, 0, 0, 0]])
    seen = surfaces.seen(np.array([1]), CENTER[None], quat)[:, :SEEN]

    def apart(angle: float) -> float:
        turned = rotations.from_rotvec(np.array([[0.0, 0.0, angle]]))
        goal = goal_points(surfaces, np.array([1]), turned, visible=False)
        points = pair(seen, goal)
        assert points.shape == (1, 2 * SEEN, POINT)
        return float(np.abs(points[..., 3:6]).mean())

    assert apart(0.0) < 1e-5 < 0.05 < apart(0.6)


def test_labels_become_sequences_whose_memory_begins_with_each_goal(labels: Path, tmp_path: Path) -> None:
    course = read(labels / "shard_00000.npz")
    assert course.known.shape == (4, 3, STATE) and course.fresh[0].all()
    with np.load(labels / "shard_00000.npz") as shard:
        goal = shard["goal"].reshape(4, 3, 4)
        assert np.array_equal(course.action[2, 1], shard["action"][2 * 3 + 1])
    changed = np.abs(goal[1:] - goal[:-1]).max(axis=2) > 1e-5
    assert np.array_equal(course.fresh[1:], changed)
    np.savez(tmp_path / "shard_00000.npz", observation=np.zeros((4, 9)), action=np.zeros((4, 16)))
    with pytest.raises(StudentError, match="make it anew"):
        read(tmp_path / "shard_00000.npz")


def test_a_rendered_cloud_is_of_the_thing_where_it_was(labels: Path) -> None:
    course = read(labels / "shard_00000.npz")
    points, count = render(course, np.random.default_rng(0))
    shapes = object_shapes.load()
    seen = 0
    for t, w in ((0, 0), (3, 2)):
        shape = shapes[course.shape[t, w]]
        cloud = points[t, w, : count[t, w]].astype(np.float64)
        local = rotations.rotate(rotations.conjugate(course.pose[t, w, 3:]), cloud - course.pose[t, w, :3])
        seen += len(local)
        assert np.median(np.abs(distance(shape, local))) < 0.004
    assert seen > 60


def test_a_stopped_distillation_goes_on_as_if_it_had_not_been(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    whole = _training(labels, tmp_path / "whole", lines.append)
    report = whole.run()
    assert report.steps == 3 and any("rendered clouds: R^2" in line for line in lines)
    assert {path.name for path in (tmp_path / "whole").iterdir()} >= {
        "complete",
        "curve.png",
        "rendered",
        "student.safetensors",
    }

    part = _training(labels, tmp_path / "part", lines.append)
    learn = part._train

    def stop(*args: object) -> None:
        if part.epoch == 1:
            raise KeyboardInterrupt
        learn(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(part, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        part.run()
    assert "go on with --resume" in lines[-1]
    from toolwright.policies.training import checkpoint

    state = checkpoint.load(tmp_path / "part")
    assert state["epoch"] == 1
    again = StudentTraining("student", state["config"], tmp_path / "part", state, show=lines.append)
    assert again.files == whole.files
    again.run()
    one, two = (Student.load(tmp_path / name).weights for name in ("whole", "part"))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_the_student_acts_without_torch_as_it_learned_with_it(labels: Path, tmp_path: Path) -> None:
    import torch

    training = _training(labels, tmp_path)
    course = read(labels / "shard_00000.npz")
    rng = np.random.default_rng(0)
    points = training.clouds.complete(course, 0.0, rng)
    with torch.no_grad():
        action, stop = training.net(*(torch.from_numpy(a) for a in (course.known, points, course.fresh)))
    student = training.student()
    memory = np.zeros((3, student.memory), np.float32)
    for t in range(len(points)):
        memory[course.fresh[t]] = 0
        mine, near, memory = student.step(course.known[t], points[t], memory)
        assert mine == pytest.approx(action[t].numpy(), abs=1e-5)
        assert near == pytest.approx(torch.sigmoid(stop[t]).numpy(), abs=1e-5)


def test_it_learns_what_the_labels_say_and_the_score_is_taken_elsewhere(labels: Path, tmp_path: Path) -> None:
    """Labels that follow from what is seen can be learned; the score is that of the shard kept aside."""
    for i in (0, 1):
        with np.load(labels / f"shard_0000{i}.npz") as shard:
            rows = (3 * np.arange(4)[:, None] + np.arange(60) % 3).ravel()
            known = [name for name in shard.files if shard[name].ndim]
            found = {name: shard[name][rows] for name in known}
        found["world"] = np.tile(np.arange(60), 4)
        found["observation"][:, :48] = np.random.default_rng(i).normal(size=(240, 48))
        found["action"] = 0.5 * np.tanh(found["observation"][:, :16])
        found["toward"] = found["goal"]
        np.savez(tmp_path / f"shard_0000{i}.npz", **found)
    training = _training(tmp_path, tmp_path / "run", complete=15, rendered=0, sequences=20, learning_rate=3e-3)
    training.run()
    assert training.held == [1]
    first, last = training.scores[0][2]["R^2 of actions"], training.scores[-1][2]["R^2 of actions"]
    assert last > first and last > 0.2


def test_a_hand_that_is_told_to_stop_holds_still_and_says_so() -> None:
    task = ReorientTask(
        ReorientConfig(shapes="cube", level="nominal", stop=0.0, renew=False), 2, np.random.default_rng(0), 1
    )
    task.reset(np.arange(2))
    told = {0: 0.9, 1: 0.1}

    class Sure(Student):
        def step(self, known: object, points: object, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return np.full((len(memory), 16), 0.5), np.array([told[0], told[1]]), memory

    student = Sure({"gru.weight_hh_l0": np.zeros((3, 4), np.float32)}, {})
    control = StudentControl(task, student, np.random.default_rng(1), by_camera=False)
    begun = task.interface.command.copy()
    for _ in range(30):
        action = control(task, np.ones(2, dtype=bool))
        assert not action[0].any() and action[1].any()
        task.act(action)
        task.batch.step(nstep=10)
        task.sense()
    assert np.array_equal(task.interface.command[0], begun[0]) and not np.array_equal(
        task.interface.command[1], begun[1]
    )
    assert control.declared.tolist() == [True, False]
    log = control.log.arrays()
    assert log["stop"].reshape(-1, 2).tolist() == [[True, False]] * 15 and np.isnan(log["turn"]).all()


@pytest.mark.parametrize("state", ["exact", "camera"])
def test_a_student_is_evaluated_by_camera_unless_asked_otherwise(labels: Path, tmp_path: Path, state: str) -> None:
    _training(labels, tmp_path / "run", complete=1, rendered=0).run()
    asked = {} if state == "camera" else {"state": state}
    report = evaluate(
        2,
        controller="student",
        weights=tmp_path / "run",
        shapes="cube",
        horizon=4,
        conditions=(Condition("nominal", "train", 0.4),),
        folder=tmp_path / "page",
        **asked,  # type: ignore[arg-type]
    )
    label = "student by camera" if state == "camera" else "student"
    assert report.n == 2 and report.groups[0].name == f"{label}, nominal, train, 0.4 rad"
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Stop predictor" in page and "Tracker" not in page
    assert f"--controller student --episodes 2 --seed 0 --state {state}" in page


def test_what_is_missing_is_said_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="toolwright train reorient_student"):
        Student.load(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudentError, match="toolwright plan-data"):
        train.main("reorient_student", [])
