"""The gate: what it lets through and what not."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Annotated

import pytest

from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.run import bench
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.run.gate import CallRefused, Decision, Gate
from toolwright.llm_planner.skills.actions import Actions
from toolwright.llm_planner.skills.registry import Quantity, Registry
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.policies.outcome import Outcome

Speed = Annotated[float, Quantity("m/s", -9.0, 9.0)]
Force = Annotated[float, Quantity("N", 0.0, 999.0)]

GOOD = {"name": "bead", "opening": 0.016, "grip": 0.006, "lift": 0.1}


def _gate(world, **rest):
    return Gate(SKILLS, world.look(), **rest)


def test_a_good_call_passes_with_named_arguments(world):
    call = _gate(world).admit("pick", ("bead", 0.016), {"grip": 0, "lift": 0.1})
    assert call.arguments == {"name": "bead", "opening": 0.016, "grip": 0.0, "lift": 0.1}


@pytest.mark.parametrize(
    ("skill", "arguments", "reason"),
    [
        ("eval", {}, "no skill"),
        ("__import__", {}, "no skill"),
        ("stop", {}, "no skill"),
        ("pick", {"name": "bead"}, "missing a required argument"),
        ("pick", {**GOOD, "force": 1.0}, "unexpected keyword"),
        ("pick", {**GOOD, "name": "ghost"}, "not in the scene"),
        ("pick", {**GOOD, "name": 3}, "expected str"),
        ("pick", {**GOOD, "opening": "0.01"}, "expected float"),
        ("pick", {**GOOD, "opening": True}, "expected float"),
        ("pick", {**GOOD, "opening": None}, "expected float"),
        ("pick", {**GOOD, "opening": [0.01]}, "expected float"),
        ("pick", {**GOOD, "opening": math.nan}, "finite"),
        ("pick", {**GOOD, "lift": math.inf}, "finite"),
        ("pick", {**GOOD, "lift": 10**400}, "too large"),
        ("pick", {**GOOD, "lift": -0.1}, "outside 0 to 0.5"),
        ("pick", {**GOOD, "opening": 0.05}, "outside 0 to 0.03 m"),
        ("drop_in", {"name": "bead", "container": "bowl", "height": 0.02}, "not in the scene"),
        ("move_tips", {"x": 0.9, "y": 0.0, "z": 0.2}, "outside 0.2 to 0.7"),
        ("move_tips", {"x": 0.4, "y": 0.0, "z": -0.2}, "outside 0 to 0.5"),
        ("place_at", {"name": "bead", "x": 0.4, "y": 1.0}, "outside -0.3 to 0.3"),
    ],
)
def test_a_bad_call_is_refused_with_the_reason(world, skill, arguments, reason):
    with pytest.raises(CallRefused, match=reason):
        _gate(world).admit(skill, (), arguments)


def test_the_call_budget_ends(world):
    gate = _gate(world, max_calls=2)
    gate.admit("home", (), {})
    gate.admit("home", (), {})
    with pytest.raises(CallRefused, match="more than 2 calls"):
        gate.admit("home", (), {})


def test_what_is_fast_or_strong_has_a_ceiling_whatever_a_skill_declares(world):
    registry = Registry()

    @registry.add
    def shove(actions: Actions, speed: Speed, force: Force) -> Outcome:
        """Shove."""
        return actions.home()

    gate = Gate(registry, world.look())
    assert gate.admit("shove", (), {"speed": 0.2, "force": 30.0}).arguments["speed"] == 0.2
    with pytest.raises(CallRefused, match="outside -0.25 to 0.25 m/s"):
        gate.admit("shove", (), {"speed": 0.3, "force": 30.0})
    with pytest.raises(CallRefused, match="outside 0 to 40 N"):
        gate.admit("shove", (), {"speed": 0.1, "force": 60.0})


def test_what_was_measured_too_fast_or_too_strong_stops_the_run(world):
    gate = _gate(world)
    call = gate.admit("home", (), {})
    assert gate.after(call, Outcome(True, "", {"tip_speed": 0.2, "force": 3.0, "opening": 99.0})) == ""
    assert "measured force -60 N, the gate's limit is 40" in gate.after(call, Outcome(True, "", {"force": -60.0}))
    assert "limit is 0.25" in gate.after(call, Outcome(True, "", {"tip_speed": math.nan}))
    world.fails = {"pick": Outcome(True, "strong", {"force": 60.0})}
    record = run_sentence("pick up the bead", world, world, OfflineModel(), lambda event: None)
    assert record.status == "failed" and "the gate's limit is 40" in record.reason
    assert world.calls == ["pick"] and len(world.stopped) == 1


@pytest.mark.parametrize(
    ("skill", "arguments"),
    [
        ("pick", {"name": "far", "opening": 0.016, "grip": 0.006, "lift": 0.1}),
        ("pick", {**GOOD, "lift": 0.5, "name": "high"}),
        ("drop_in", {"name": "bead", "container": "away", "height": 0.02}),
    ],
)
def test_the_tips_are_not_taken_out_of_the_workspace_by_an_object(make_world, crafted, skill, arguments):
    high = crafted("high", 0.5, 0.1)
    away = replace(crafted("away", 0.45, 0.35), opening=0.05)
    world = make_world(crafted("bead", 0.45, 0.05), crafted("far", 0.9, 0.1), replace(high, pos=high.pos + 0.1), away)
    with pytest.raises(CallRefused, match="outside of the workspace") as refusal:
        _gate(world).admit(skill, (), arguments)
    assert refusal.value.cause == "numbers"


def test_the_gate_knows_the_world_as_it_was_seen_last(world):
    gate = _gate(world)
    gate.admit("pick", (), GOOD)
    del world.objects["bead"]
    gate.see(world.look())
    with pytest.raises(CallRefused, match="not in the scene"):
        gate.admit("pick", (), GOOD)


class User:
    """Answers as it was told to, and remembers the questions."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, call):
        self.asked.append(str(call))
        return self.answers.pop(0)


def test_every_call_waits_for_the_user(world):
    user = User(Decision(True), Decision(True))
    gate = _gate(world, approve=user)
    gate.admit("pick", (), GOOD)
    gate.admit("home", (), {})
    assert user.asked == ["pick(name='bead', opening=0.016, grip=0.006, lift=0.1)", "home()"]


def test_a_call_that_breaks_a_bound_is_refused_without_asking(world):
    user = User()
    with pytest.raises(CallRefused, match="outside"):
        _gate(world, approve=user).admit("pick", (), {**GOOD, "opening": 5.0})
    assert user.asked == []


def test_a_no_ends_the_run_and_nothing_has_moved(world):
    user = User(Decision(False, "the user said no"))
    options = Options(approve=user)
    record = run_sentence("pick up the bead", world, world, OfflineModel(), lambda event: None, options=options)
    assert record.status == "stopped" and record.reason == "the user said no"
    assert world.calls == [] and record.repairs == [] and record.skills[0].refused
    assert record.skills[0].arguments == GOOD


def test_edited_arguments_pass_the_same_bounds_and_are_shown_again(world):
    user = User(Decision(True, edited={"lift": 0.05}), Decision(True))
    call = _gate(world, approve=user).admit("pick", (), GOOD)
    assert call.arguments == {**GOOD, "lift": 0.05} and call.edited
    assert user.asked[1].endswith("lift=0.05)")
    for edited in ({"lift": 9.0}, {"name": "ghost"}, {"force": 1.0}, {"lift": "high"}):
        with pytest.raises(CallRefused):
            _gate(world, approve=User(Decision(True, edited=edited))).admit("pick", (), GOOD)
    endless = User(*[Decision(True, edited={"lift": 0.05})] * 99)
    with pytest.raises(CallRefused, match="without a yes"):
        _gate(world, approve=endless).admit("pick", (), GOOD)
    assert len(endless.asked) < 10


def test_the_users_thinking_is_not_the_gates_time(world):
    def slow(call):
        time.sleep(1.0)
        return Decision(True)

    options = Options(approve=slow)
    record = run_sentence("pick up the bead", world, world, OfflineModel(), lambda event: None, options=options)
    assert record.success and record.skills[0].overhead < 0.9


def test_sandbox_and_gate_cost_little_per_call():
    measured = bench.overhead(500)
    assert measured.calls == 500
    assert measured.p10 < 0.002  # s; the mean holds what else the machine does
