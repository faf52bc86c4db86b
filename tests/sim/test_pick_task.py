"""The batched pick task: what the reward may read, what counts as held, what hides from a camera."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.hardware.pick import CLOSE_RATE, EVERY, OPEN_RATE, SPAN, STEP
from toolwright.sim.pick_errors import BLIND
from toolwright.sim.tasks.pick import PERIOD, PickConfig, PickTask

N = 3


@pytest.fixture(scope="module")
def task() -> PickTask:
    made = PickTask(PickConfig(part="seen", state="exact"), N, np.random.default_rng(0), 1)
    made.reset(np.arange(N))
    return made


def _begin(task: PickTask, things: list[int]) -> None:
    task.assigned = np.array(things)
    task.reset(np.arange(N))


def test_episodes_begin_with_the_tool_held_and_the_objects_at_rest(task: PickTask) -> None:
    _begin(task, [0, 5, 10])
    start = task.object_pos().copy()
    task.act(np.zeros((N, task.actions)))
    task.advance()
    task.sense()
    found = task.measure()
    assert not task.failed(found).any()
    assert found["moved"].max() < 0.01
    assert np.linalg.norm(task.object_pos() - start, axis=1).max() < 2e-3
    assert set(task.thing) <= set(task.choices)


def test_the_reward_is_a_pure_function_of_place_and_goal(task: PickTask) -> None:
    achieved = np.array([[0.4, 0.0, 0.1], [0.4, 0.0, 0.1]])
    desired = achieved + [[0.0, 0.0, 0.029], [0.0, 0.031, 0.0]]
    assert task.compute_reward(achieved, desired, [{}, {}]).tolist() == [1.0, 0.0]
    assert task.reward(achieved, desired, {})["at_goal"].tolist() == [1.0, 0.0]
    one = task.compute_reward(achieved[0], desired[0], [{}])
    assert float(one) == 1.0


def test_the_goal_moves_so_that_the_arm_must(task: PickTask) -> None:
    _begin(task, [0, 1, 2])
    before = task.goal.copy()
    task.age += 5
    task._move_goal()
    way = np.linalg.norm(task.goal - before, axis=1)
    assert (way > 0.02).all() and (task.goal[:, 2] > 0.12).all()


def _lift(task: PickTask, steps: int, height: float, speed: float) -> None:
    """Counts steps with the objects at a height and tips that move, without physics."""
    for _ in range(steps):
        task.qpos[:, task._thing + 2] = task._rest + height
        task.interface.tips.pos[:, 0] += speed * PERIOD
        task._count()


def test_only_two_seconds_in_a_row_with_an_arm_that_moves_count(task: PickTask) -> None:
    enough = round(task.config.held / PERIOD) + 1
    for steps, height, speed, counts in (
        (enough, 0.101, 0.05, True),
        (enough - 1, 0.101, 0.05, False),
        (enough, 0.099, 0.05, False),
        (enough, 0.101, 0.0, False),
    ):
        _begin(task, [0, 1, 2])
        _lift(task, steps, height, speed)
        assert task.success(task.measure()).all() == counts, (steps, height, speed)
    _begin(task, [0, 1, 2])
    for height in (0.101, 0.05, 0.101):  # dropped in between
        _lift(task, enough // 2 + 1, height, 0.05)
    assert not task.success(task.measure()).any()


def test_an_action_moves_goals_by_its_share_and_the_opening_at_its_rate(task: PickTask) -> None:
    _begin(task, [0, 1, 2])
    i = task.interface
    before, opening = i.goal_pos.copy(), i.opening.copy()
    i.steer(np.array([[0.5, 0, 0, 0, 1.0], [0, -1, 0, 0, -1.0], [0, 0, 0, 1, 0]]))
    assert i.goal_pos - before == pytest.approx(np.array([[STEP / 2, 0, 0], [0, -STEP, 0], [0, 0, 0]]), abs=1e-9)
    assert i.final_goal[0] == pytest.approx(min(opening[0] + SPAN, i.widest[0]))
    goal = i.goal.copy()
    i.tick()
    assert i.goal[0] - goal[0] == pytest.approx(OPEN_RATE * i.period)
    assert i.goal[1] - goal[1] == pytest.approx(-CLOSE_RATE * i.period)
    assert EVERY * i.period == pytest.approx(PERIOD)


def test_goals_cannot_run_away_from_the_tips(task: PickTask) -> None:
    _begin(task, [0, 1, 2])
    i = task.interface
    for _ in range(20):
        i.steer(np.array([[1.0, 1.0, -1.0, 1.0, 0.0]] * N))
    assert np.linalg.norm(i.goal_pos - i.tips.pos, axis=1).max() < 0.0601
    assert (i.goal_pos[:, 2] > -0.002).all() and (np.abs(i.aim - i.yaw_home) < 1.91).all()


def test_a_camera_does_not_see_what_the_tips_hide() -> None:
    task = PickTask(PickConfig(part="all", state="assumed"), 2, np.random.default_rng(1), 1)
    task.reset(np.arange(2))
    seen = task._seen.center.copy()
    task.qpos[:, task._thing] += 0.01
    task.interface.tips.pos[0] = task.object_pos()[0] + [0, 0, BLIND[1] / 2]
    task.interface.tips.pos[1] = task.object_pos()[1] + [0, 0, 0.1]
    task.sense()
    moved = np.linalg.norm(task._seen.center - seen, axis=1)
    assert moved[0] == 0 and moved[1] > 0.005


def test_a_restored_task_goes_on_as_if_it_had_not_stopped(task: PickTask) -> None:
    _begin(task, [3, 4, 5])
    action = np.full((N, task.actions), 0.2)
    task.act(action)
    task.advance()
    task.sense()
    kept = task.state()

    def two() -> np.ndarray:
        for _ in range(2):
            task.act(action)
            task.advance()
            task.sense()
        return np.concatenate([task.qpos.ravel(), task.observe()["observation"].ravel()])

    first = two()
    task.restore(kept)
    assert (two() == first).all()
