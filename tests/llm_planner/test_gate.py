"""The gate: what it lets through and what not."""

from __future__ import annotations

import math

import pytest

from toolwright.llm_planner.gate import CallRefused, Gate
from toolwright.llm_planner.skills import SKILLS

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
