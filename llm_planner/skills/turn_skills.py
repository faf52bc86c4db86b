"""The skill of the palm-up hand: turning what lies loose in it."""

from __future__ import annotations

from typing import Annotated, Protocol

from toolwright.llm_planner.skills.registry import Quantity, Registry
from toolwright.llm_planner.skills.tool_skills import Name
from toolwright.policies.outcome import Outcome

Component = Annotated[float, Quantity("", -1.0, 1.0)]

TURN_SKILLS = Registry()


class TurnActions(Protocol):
    """Motions of the fingers; the arm holds the palm up and still."""

    def reorient(self, name: str, w: float, x: float, y: float, z: float) -> Outcome: ...
    def stop(self, reason: str) -> None: ...


@TURN_SKILLS.add
def reorient(actions: TurnActions, name: Name, w: Component, x: Component, y: Component, z: Component) -> Outcome:
    """Turn the thing that lies in the palm-up hand to an orientation, with the fingers.

    The orientation is a unit quaternion of the thing's own frame in the world frame. Fails if the thing does not lie in
    the hand, falls out of it, is out of sight for long, or is more than 0.4 rad away from the orientation after 20 s.

    Args:
        name: what lies in the hand.
        w: of the quaternion.
        x: of the quaternion.
        y: of the quaternion.
        z: of the quaternion.
    """
    return actions.reorient(name, w, x, y, z)
