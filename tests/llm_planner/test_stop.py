"""A stop halts the arm within 100 ms, at any point of a run: measured joint speeds, in contact physics."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest

from toolwright.hardware.joints import FR3
from toolwright.hardware.robot import JointTarget
from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.policies.world import simulate
from toolwright.sim.scene import load_scene, sample

SENTENCE = "pick up the bead with the tweezers and drop it in the cup"
SEED = 3
HALTED = 0.02  # rad/s: a hundredth of what the joints may do
HALT_SECONDS = 0.1
ROBOT_SECONDS = 8.0  # the run lasts a little longer
ARM = slice(0, len(FR3))


def _world():
    drawn = sample(load_scene("bead"), np.random.default_rng(SEED))
    return simulate(drawn, np.random.default_rng((SEED, 1)), "closed_form")


@pytest.fixture
def world():
    return _world()


def _run(world):
    return run_sentence(
        SENTENCE, world.actions, world.perception, OfflineModel(), lambda event: None, options=Options(copy=None)
    )


def _speed(world):
    return float(np.abs(world.robot.read().dq[ARM]).max())


def _let_time_pass(world):
    """What the robot's own controller does when nobody sends anything more: it holds."""
    for _ in range(round(HALT_SECONDS / world.robot.period)):
        world.robot.send(JointTarget(world.robot._target))


def _moments(seed, n):
    return [float(moment) for moment in np.random.default_rng(seed).uniform(0.05, ROBOT_SECONDS, n)]


def _check_halted(world, record, at_stop):
    assert record.status == "stopped" and not record.success
    q = world.robot.read().q[ARM]
    _let_time_pass(world)
    moved = np.abs(world.robot.read().q[ARM] - q).max()
    assert _speed(world) < HALTED, f"{_speed(world):.3f} rad/s {HALT_SECONDS} s after a stop at {at_stop:.3f} rad/s"
    assert moved < 0.05
    rest = world.robot.read().q[ARM]
    _let_time_pass(world)
    assert np.abs(world.robot.read().q[ARM] - rest).max() < 0.002


def test_an_interrupt_in_the_middle_of_a_physics_step_halts_the_arm_at_any_moment():
    speeds = []
    for moment in _moments(0, 8):
        world, at_stop = _world(), []

        def interrupt(data, world=world, at_stop=at_stop, moment=moment):
            if data.time >= moment and not at_stop:
                at_stop.append(_speed(world))
                signal.raise_signal(signal.SIGINT)

        world.robot.on_step = interrupt
        record = _run(world)
        assert world.data.time >= moment
        speeds += at_stop
        _check_halted(world, record, at_stop[0])
    # The arm was moving at most of these moments, and fast at some.
    assert np.mean(np.array(speeds) > HALTED) > 0.5 and max(speeds) > 5 * HALTED, speeds


@pytest.mark.parametrize("moment", _moments(1, 4))
def test_an_emergency_stop_from_another_thread_halts_the_arm(world, moment):
    """From the call to rest it is less than 100 ms of robot time, the period under way included."""
    called, spread = threading.Event(), []

    def watch():
        called.wait(60)
        world.actions._robot.emergency_stop("the red button")

    def call(data):
        if data.time >= moment and not called.is_set():
            spread.append(float(data.time))
            called.set()
            time.sleep(0.01)  # lets the other thread come in, in the middle of a period

    thread = threading.Thread(target=watch)
    thread.start()
    world.robot.on_step = call
    record = _run(world)
    thread.join()
    assert record.status == "stopped" and "the red button" in record.reason
    assert world.data.time - spread[0] <= world.robot.period + 1e-9
    world.robot.on_step = None
    while world.data.time < spread[0] + HALT_SECONDS - 1e-9:
        world.robot.send(JointTarget(world.robot._target))
    assert _speed(world) < HALTED


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_signal_at_any_time_of_the_clock_halts_the_arm(world, share):
    """Ctrl-C as it comes: in planning, in the sandbox, between two skills, in motion."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        world.robot.on_step = lambda data: time.sleep(0.005)  # on a fast machine, too, the run lasts longer than that
        signal.setitimer(signal.ITIMER_REAL, 0.02 + 0.9 * share)
        record = _run(world)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    world.robot.on_step = None
    _check_halted(world, record, _speed(world))


def test_a_second_interrupt_does_not_keep_the_robot_from_stopping(world):
    stop, presses = world.actions.stop, []

    def impatient(reason):
        presses.append(reason)
        if len(presses) == 1:
            raise KeyboardInterrupt
        stop(reason)

    world.actions.stop = impatient

    def interrupt(data):
        if data.time >= 1.0 and not presses:
            raise KeyboardInterrupt

    world.robot.on_step = interrupt
    record = _run(world)
    assert len(presses) == 2
    _check_halted(world, record, _speed(world))
