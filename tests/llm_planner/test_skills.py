"""The registry: what is derived from a skill's signature and docstring."""

from __future__ import annotations

import ast

import pytest

from toolwright.llm_planner.skills.actions import Actions
from toolwright.llm_planner.skills.registry import Registry, SkillError
from toolwright.llm_planner.skills.tool_skills import SKILLS, Height, Name
from toolwright.policies.outcome import Outcome


def test_every_skill_has_a_manual_page_with_units_and_bounds():
    for skill in SKILLS.items():
        assert skill.summary.endswith(".") and "Fails if" in skill.description
        for item in skill.parameters:
            assert f"{item.name}:" in skill.description
            assert item.object_name or (item.unit == "m" and item.bounds)


def test_manual_page_serializes_without_the_function():
    page = SKILLS["pick"].model_dump(mode="json")
    assert page["signature"] == "pick(name: str, opening: float, grip: float, lift: float) -> Outcome"
    assert "function" not in page


def test_stubs_declare_every_skill_and_its_bounds():
    tree = ast.parse(SKILLS.stubs())
    assert [node.name for node in tree.body] == ["Outcome", *SKILLS.names()]
    assert "height: 0 to 0.3 m" in SKILLS.stubs()


def test_every_skill_calls_the_action_of_its_name(world):
    for skill in SKILLS:
        world.held = "bead"
        values = {
            p.name: "cup" if p.name == "container" else "bead" if p.object_name else 0.1 for p in skill.parameters
        }
        assert skill.function(world, **values).success
    assert world.calls == list(SKILLS.names())


def _shake(actions: Actions, name: Name, height: Height = 0.05) -> Outcome:
    """Shake it."""
    return Outcome(True, f"{name} {height}")


def test_a_users_skill_is_one_function():
    registry = Registry()
    registry.add(_shake)
    assert registry["_shake"].signature == "_shake(name: str, height: float = 0.05) -> Outcome"
    with pytest.raises(SkillError, match="twice"):
        registry.add(_shake)


def _no_doc(actions: Actions) -> Outcome:
    return Outcome(True, "")


def _no_actions(name: Name) -> Outcome:
    """Do."""
    return Outcome(True, name)


def _list(actions: Actions, names: list[str]) -> Outcome:
    """Do."""
    return Outcome(True, str(names))


@pytest.mark.parametrize(
    ("function", "mend"), [(_no_doc, "docstring"), (_no_actions, "actions"), (_list, "passes str")]
)
def test_a_function_that_cannot_be_a_skill_is_refused_with_the_mend(function, mend):
    with pytest.raises(SkillError, match=mend):
        Registry().add(function)
