"""The articulated tools' own jobs in full contact physics, judged on the true state."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.policies.evaluation.scene_goals import draw, missed, truth
from toolwright.policies.tool import job_geometry
from toolwright.policies.tool.clipping import ClothespinUse
from toolwright.policies.tool.cutting import ScissorsUse
from toolwright.policies.tool.dispensing import SyringeUse
from toolwright.policies.tool.turning import PliersUse
from toolwright.policies.world import SimulatedWorld
from toolwright.sim.scene_spec import GoalSpec

SEED = 2_000_000


def _world(scene: str) -> SimulatedWorld:
    return draw(scene, SEED)


def test_a_volume_is_dispensed_and_no_more_than_there_is() -> None:
    world = _world("dose")
    assert isinstance(world.actions, SyringeUse)
    before = truth(world)
    too_much = world.actions.dispense("cup", 9.0)
    assert not too_much.success and too_much.reason.startswith("not enough")
    outcome = world.actions.dispense("cup", 0.5)
    assert outcome.success, outcome.reason
    assert outcome.measured["dispensed_ml"] == pytest.approx(0.5, abs=0.05)
    assert not missed(world, before)
    after = truth(world)
    assert after.tool is not None and before.tool is not None
    gone = (before.tool.opening - after.tool.opening) * job_geometry.ml_per_meter(before.tool)
    assert gone > 0.2  # the plunger went in, less the air that is drawn in after it


def test_a_nut_is_turned_by_the_jaws_alone() -> None:
    world = _world("nut")
    assert isinstance(world.actions, PliersUse)
    before = truth(world)
    ball = world.actions.turn("ball", 1.0)
    assert not ball.success and ball.reason.startswith("no nut")
    assert truth(world).objects["nut"].turn == pytest.approx(0.0, abs=1e-3)
    outcome = world.actions.turn("nut", np.pi / 2)
    assert outcome.success, outcome.reason
    assert not missed(world, before)
    assert outcome.measured["turned"] == pytest.approx(truth(world).objects["nut"].turn, abs=0.05)


def test_a_clothespin_stays_on_the_line_without_the_hand() -> None:
    world = _world("line")
    assert isinstance(world.actions, ClothespinUse)
    before = truth(world)
    assert "still in the hand" in missed(world, before)
    outcome = world.actions.clip_on("line")
    assert outcome.success, outcome.reason
    assert not missed(world, before)
    again = world.actions.clip_on("line")
    assert not again.success and again.reason.startswith("not held")
    home = world.actions.home()
    assert home.success, home.reason
    assert not missed(world, before)  # and it is still there


def test_a_strip_is_cut_where_it_was_asked_for() -> None:
    world = _world("strip")
    assert isinstance(world.actions, ScissorsUse)
    before = truth(world)
    beyond = world.actions.cut("strip", 0.2)
    assert not beyond.success and beyond.reason.startswith("no such cut")
    outcome = world.actions.cut("strip", 0.048)
    assert outcome.success, outcome.reason
    assert not missed(world, before)
    assert list(world.data.eq_active).count(0) >= 1 and world.data.body("strip_piece5").xpos[2] < 0.05


def test_goals_of_jobs_are_missed_where_nothing_was_done() -> None:
    dose, nut = _world("dose"), _world("nut")
    assert "got 0.00 ml instead of 0.50 ml" in missed(dose, truth(dose))
    assert "turned by 0 degrees instead of 90" in missed(nut, truth(nut))
    assert GoalSpec(turned=("nut", 90.0)).amount == 90.0
    with pytest.raises(ValueError, match="exactly one"):
        GoalSpec(turned=("nut", 90.0), clipped="line")
