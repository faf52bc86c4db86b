"""Which skills a scene calls for."""

from __future__ import annotations

from toolwright.llm_planner.skills.actions import Actions
from toolwright.llm_planner.skills.hand_skills import HAND_SKILLS, HandActions
from toolwright.llm_planner.skills.job_skills import skills_with, with_fetching
from toolwright.llm_planner.skills.registry import Registry
from toolwright.llm_planner.skills.turn_skills import TURN_SKILLS, TurnActions
from toolwright.perception.scene import Scene

AnyActions = Actions | HandActions | TurnActions


def skills_for(scene: Scene) -> Registry:
    """The skills for what the hand holds at the start: something loose in the palm, an articulated tool, one that is
    to be fetched, or nothing."""
    if scene.in_palm:
        return TURN_SKILLS
    if scene.tool is None and scene.loose is not None:
        return with_fetching(scene.loose.family)
    return skills_with(scene.tool.family) if scene.tool is not None else HAND_SKILLS
