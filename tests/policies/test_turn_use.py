"""The skill that turns what lies in the palm-up hand, on the simulated robot: small, true versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.hardware.joints import LEAP
from toolwright.hardware.robot import Robot
from toolwright.perception.palm_scene import BLIND, GONE, STRANGE
from toolwright.perception.scene import Scene
from toolwright.policies.evaluation.scene_goals import _facing
from toolwright.policies.outcome import Outcome
from toolwright.policies.palm.planner import PlanCosts, PlannerConfig
from toolwright.policies.palm.turn_use import TurnSettings, TurnUse
from toolwright.policies.world import SimulatedWorld, simulate
from toolwright.sim.robot import RobotError
from toolwright.sim.scene import SceneError, SceneSpec, load_scene, sample
from toolwright.sim.scene_spec import GoalSpec
from toolwright.sim.scene_turnables import FACES, pips, shape_of

SMALL = PlannerConfig(plans=24, level="nominal", costs=PlanCosts(effort=0.0))


def _world(name: str = "die", seed: int = 0) -> SimulatedWorld:
    rng = np.random.default_rng(seed)
    return simulate(sample(load_scene(name), rng), rng)


class _Noted:
    """A robot that keeps when and why it was stopped."""

    def __init__(self, robot: Robot) -> None:
        self._robot, self.stops = robot, list[tuple[float, str]]()

    def stop(self, reason: str) -> None:
        self.stops.append((self._robot.read().stamp, reason))
        self._robot.stop(reason)

    def __getattr__(self, name: str) -> object:
        return getattr(self._robot, name)


class _Eyes:
    """Perception with something between it and the hand: `change` gets the time since the first look and the scene."""

    def __init__(self, world: SimulatedWorld, change: Callable[[float, Scene], Scene]) -> None:
        self._world, self._change, self._begun = world, change, world.data.time

    def look(self) -> Scene:
        scene = self._world.perception.look()
        return self._change(scene.stamp - self._begun, scene)


def _same(t: float, scene: Scene) -> Scene:
    del t
    return scene


def _use(world: SimulatedWorld, change: Callable[[float, Scene], Scene] = _same, **more: object) -> TurnUse:
    assert isinstance(world.actions, TurnUse)
    settings = replace(TurnSettings(), **more)  # type: ignore[arg-type]
    shapes = world.actions._shapes
    return TurnUse(world.actions._robot, _Eyes(world, change), shapes, None, settings, SMALL)


def _turned(world: SimulatedWorld, by: float) -> list[float]:
    quat = world.perception.look().objects["die"].quat
    return rotations.multiply(rotations.from_rotvec(np.array([0, 0, by])), quat).tolist()


def test_a_die_is_turned_and_what_is_left_is_measured() -> None:
    world = _world()
    goal = _turned(world, 0.6)
    outcome = _use(world, patience=15.0).reorient("die", *goal)
    assert outcome.success, outcome.reason
    quat = world.data.joint("die").qpos[3:]
    left = 2 * np.arccos(min(1.0, abs(float(quat @ goal))))
    assert left < 0.4 and abs(outcome.measured["angle_left"] - left) < 0.1
    assert outcome.measured["computing_per_second"] > 0 and np.abs(world.data.joint("die").qvel).max() < 0.6


def _refused(outcome: Outcome, why: str, world: SimulatedWorld, before: float) -> None:
    assert not outcome.success and why in outcome.reason
    assert world.data.time == before


def test_what_does_not_lie_in_the_hand_is_not_turned_and_nothing_moves() -> None:
    world = _world()
    before = world.data.time
    _refused(_use(world).reorient("cup", 1, 0, 0, 0), "cup", world, before)
    _refused(_use(world).reorient("die", 1, 1, 0, 0), "length 1", world, before)
    gone = _use(world, lambda t, scene: replace(scene, in_palm=""))
    _refused(gone.reorient("die", 1, 0, 0, 0), "die does not lie in the hand", world, before)


def test_a_dropped_die_is_noticed_within_half_a_second_and_the_motion_stops() -> None:
    world, thrown = _world(), []

    def throw(t: float, scene: Scene) -> Scene:
        if t > 0.3 and not thrown:
            thrown.append(scene.stamp)
            world.data.joint("die").qvel[:3] = [0.3, 2.0, 1.0]
        return scene

    use = _use(world, throw)
    robot = _Noted(use._robot)
    use.tap(lambda _: robot, lambda eyes: eyes)  # type: ignore[arg-type, return-value]
    outcome = use.reorient("die", *_turned(world, 2.5))
    assert not outcome.success and outcome.reason.startswith("dropped: die left the hand")
    out = [0.12 / 2.0, 0.5]  # s: it takes so long to leave, and may be noticed so much later
    assert out[0] <= world.data.time - thrown[0] <= sum(out)
    assert robot.stops == [(world.data.time, outcome.reason)]  # at once, and nothing is sent after it


def test_without_pictures_the_hand_holds_still_and_goes_on_when_they_return() -> None:
    world, commands = _world(seed=1), {}  # with seed 0 the die leaves the hand meanwhile
    fingers = [world.model.actuator(name).id for name in LEAP.names]

    def dark(t: float, scene: Scene) -> Scene:
        commands[round(t, 2)] = world.data.ctrl[fingers].copy()
        return replace(scene, objects={}, notes=(BLIND,)) if 0.2 < t < 1.0 else scene

    _use(world, dark, patience=2.0).reorient("die", *_turned(world, 2.5))
    times = sorted(commands)
    moved = {t: np.abs(commands[t] - commands[s]).max() for s, t in zip(times, times[1:], strict=False)}
    assert max(move for t, move in moved.items() if 0.5 < t < 1.0) < 1e-9
    assert max(move for t, move in moved.items() if t > 1.1) > 0.01


def test_pictures_lost_now_and_then_do_not_keep_a_die_from_being_turned() -> None:
    world, rng, lost = _world(), np.random.default_rng(0), list[bool]()
    goal = _turned(world, 0.6)

    def flicker(t: float, scene: Scene) -> Scene:
        lost.append(t > 0.1 and rng.random() < 0.3)
        return replace(scene, objects={}, notes=(BLIND,)) if lost[-1] else scene

    outcome = _use(world, flicker, patience=15.0).reorient("die", *goal)
    assert outcome.success, outcome.reason
    left = 2 * np.arccos(min(1.0, abs(float(world.data.joint("die").qpos[3:] @ goal))))
    assert left < 0.4 and any(lost)


@pytest.mark.parametrize(
    ("note", "why", "within"),
    [(BLIND, "not seen", 1.2), (STRANGE, "something else: what lies", 0.9), (GONE, "dropped: die is no longer", 0.7)],
)
def test_a_thing_that_stays_out_of_sight_or_is_another_ends_the_skill(note: str, why: str, within: float) -> None:
    world = _world()

    def changed(t: float, scene: Scene) -> Scene:
        return replace(scene, objects={}, notes=(note,)) if t > 0.2 else scene

    outcome = _use(world, changed, dark=0.8).reorient("die", *_turned(world, 2.5))
    assert not outcome.success and outcome.reason.startswith(why) and outcome.seconds <= within


# -- scenes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["die", "screwdriver", "letter"])
def test_a_thing_begins_at_rest_in_the_hand_and_another_seed_lays_it_otherwise(name: str) -> None:
    first, second = _world(name, 1), _world(name, 2)
    assert first.perception.look().in_palm == name
    lies = [world.perception.look().objects[name].quat for world in (first, second)]
    assert abs(float(lies[0] @ lies[1])) < 0.99
    assert first.model.body(name).ipos == pytest.approx(np.zeros(3))


def test_a_die_has_its_points_where_its_sides_are() -> None:
    spec = load_scene("die")
    die = spec.objects["die"]
    count = {name: sum(normal @ side > 0.9 for _, normal, _ in pips(die)) for name, side in FACES.items()}  # type: ignore[arg-type]
    assert list(count.values()) == [1, 2, 3, 4, 5, 6]
    assert all(np.allclose(FACES[a], -FACES[b]) for a, b in (("one", "six"), ("two", "five"), ("three", "four")))
    assert shape_of(die).extent == pytest.approx([0.055] * 3)  # type: ignore[arg-type]


def test_a_goal_about_a_side_is_judged_by_where_it_points() -> None:
    world = _world()
    scene = world.perception.look()
    die = scene.objects["die"]
    up = {mark.name: float(rotations.rotate(die.quat, mark.direction)[2]) for mark in die.marks}
    best, worst = max(up, key=up.__getitem__), min(up, key=up.__getitem__)
    if up[best] > 0.95:
        assert not _facing(GoalSpec(up=("die", best)), scene)
    assert "degrees off" in _facing(GoalSpec(up=("die", worst)), scene)
    assert "not in the hand" in _facing(GoalSpec(up=("die", best)), replace(scene, in_palm=""))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"in_palm": "dice"}, "no object 'dice'; did you mean 'die'"),
        ({"tool": {"family": "tweezers"}}, "the hand holds tweezers already"),
        ({"goal": ({"up": ("die", "seven")},)}, "has no side 'seven'"),
    ],
)
def test_a_scene_that_cannot_be_is_refused(change: dict[str, object], why: str) -> None:
    from toolwright.sim.scene import build

    told = load_scene("die").model_dump() | change
    with pytest.raises((SceneError, RobotError, ValueError), match=why):
        build(SceneSpec.model_validate(told))
