"""A live robot: stops from any thread, comes to rest with its grip, and goes on afterwards."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from toolwright.hardware.safety import EmergencyStopped
from toolwright.launch.eyes import Eyes
from toolwright.launch.live import PATIENCE, STILL, Live
from toolwright.launch.plain_text import clean
from toolwright.launch.session import open_session


class Motion(threading.Thread):
    """Calls something, and keeps what came of it."""

    def __init__(self, call) -> None:
        super().__init__(daemon=True)
        self._call, self.result, self.error = call, None, None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:
            self.error = error


def until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_a_stop_ends_the_motion_at_the_next_target_and_takes_no_further_one(moving):
    live = Live(moving.session(), speed=1.0)
    live.begin()
    motion = Motion(moving.home)
    until(lambda: moving.body.sent > 3)
    live.stop("enough")
    motion.join(5)
    sent = moving.body.sent
    assert isinstance(motion.error, KeyboardInterrupt) and str(motion.error) == "enough"
    assert sent < moving.seconds / moving.body.period and moving.body.stops
    with pytest.raises(KeyboardInterrupt):
        live.session.actions.home()
    assert moving.body.sent == sent


def test_the_stop_is_released_when_the_robot_stands(moving):
    live = Live(moving.session(), speed=1.0)
    motion = Motion(moving.home)
    until(lambda: moving.body.sent > 3)
    live.stop("enough")
    motion.join(5)
    assert live.latched and live.stopping
    assert live.settle() <= PATIENCE
    assert not live.latched and not live.stopping and np.abs(moving.body.dq).max() < STILL
    live.begin()
    live.speed = 0.0
    assert moving.home().success


def test_a_stop_that_comes_after_the_end_does_not_block_the_next_motion(moving):
    live = Live(moving.session())
    assert moving.home().success
    live.stop("too late")
    live.begin()
    assert moving.home().success and not live.latched


def test_a_latched_fault_stays_until_it_is_released(moving):
    live = Live(moving.session())
    live.latch("the bus is silent")
    live.begin()
    with pytest.raises(EmergencyStopped, match="the bus is silent"):
        moving.home()
    live.release()
    assert moving.home().success


def test_a_simulation_goes_no_faster_than_asked(moving):
    moving.seconds = 0.5
    live = Live(moving.session(), speed=2.0)
    live.begin()
    began = time.monotonic()
    moving.home()
    assert time.monotonic() - began > 0.18


def test_text_from_outside_keeps_no_orders_for_a_terminal():
    shown = clean("be\x1b[2Jad\u202e\r\x07\u200b\n[red]x\x9b31m")
    assert shown.isprintable() and "[red]x" in shown and "\x1b" not in shown and "\u202e" not in shown
    assert clean("ä ö 漢 😀") == "ä ö 漢 😀"
    assert clean("abcdef", 4) == "abc…"


@pytest.fixture(scope="module")
def simulated():
    with open_session("bead", 0, controller="closed_form") as session:
        yield Live(session)


@pytest.mark.parametrize("after", [0.5, 2.0, 3.5], ids=["on the way", "going down", "closing"])
def test_a_simulated_arm_stands_within_150_ms_of_a_stop_and_keeps_its_tool(simulated, after):
    live, start = simulated, simulated.state().stamp
    live.begin()
    pick = ("bead", 0.0157, 0.0057, 0.1)
    motion = Motion(lambda: live.actions.pick(*pick))
    until(lambda: live.state().stamp - start > after or not motion.is_alive())
    live.stop("enough")
    motion.join(10)
    assert isinstance(motion.error, KeyboardInterrupt)
    live.actions.stop("enough")
    stopped = live.state()
    live.settle()
    rest = live.state()
    # The grain of time is one period of 50 ms.
    assert rest.stamp - stopped.stamp <= 0.151 and np.abs(rest.dq).max() < STILL
    assert np.abs(rest.q - stopped.q)[:7].max() < 0.05
    assert live.perception.look().tool is not None
    live.actions.stop("again")  # harmless on a robot at rest


def test_it_can_still_do_the_task_after_the_stops(simulated):
    live = simulated
    live.begin()
    assert live.actions.pick("bead", 0.0157, 0.0057, 0.1).success
    assert live.actions.drop_in("bead", "cup", 0.02).success


def test_marks_in_a_picture_are_where_the_things_are(simulated):
    pytest.importorskip("mujoco")
    eyes = Eyes(simulated)
    simulated.perception.look()
    try:
        shot = eyes.picture("closeup", (640, 480)).result()
    except RuntimeError as error:
        pytest.skip(str(error))
    finally:
        eyes.close()
    u, v = (round(value) for value in shot.marks["cup"])
    red, green, blue = shot.rgb[v, u].astype(int)
    assert blue > red + 30 and blue > green + 20  # the cup is blue, and so little else
