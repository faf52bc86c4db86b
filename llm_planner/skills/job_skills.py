"""The skills of tools with a job of their own: syringe, pliers, clothespin, scissors. Lengths in m, angles in rad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol

from toolwright.llm_planner.skills.actions import Actions
from toolwright.llm_planner.skills.registry import Quantity, Registry
from toolwright.llm_planner.skills.tool_skills import FETCH, SKILLS, Name
from toolwright.policies.outcome import Outcome

Volume = Annotated[float, Quantity("ml", 0.01, 20.0)]
Length = Annotated[float, Quantity("m", 0.005, 0.5)]
Turn = Annotated[float, Quantity("rad", -12.6, 12.6)]


class SyringeActions(Actions, Protocol):
    def dispense(self, container: str, volume: float) -> Outcome: ...


class PliersActions(Actions, Protocol):
    def turn(self, name: str, angle: float) -> Outcome: ...


class ClothespinActions(Actions, Protocol):
    def clip_on(self, line: str) -> Outcome: ...


class ScissorsActions(Actions, Protocol):
    def cut(self, name: str, length: float) -> Outcome: ...


def dispense(actions: SyringeActions, container: Name, volume: Volume) -> Outcome:
    """Dispense a volume from the held syringe into a container.

    Brings the nozzle over the middle of the mouth and pushes the plunger, by as much travel as the barrel's bore asks
    for. Fails if the syringe does not hold as much, or the volume measured at the plunger, or in the container, is off
    by more than 0.05 ml and a tenth.

    Args:
        container: the cup to dispense into.
        volume: what shall leave the syringe [ml].
    """
    return actions.dispense(container, volume)


def turn(actions: PliersActions, name: Name, angle: Turn) -> Outcome:
    """Turn a nut on its bolt with the held pliers.

    Closes the jaws on two flats and turns them about the bolt; large angles take several bites. Fails if the nut does
    not fit between the jaws, is out of reach, or its measured turn is off by more than 10 degrees.

    Args:
        name: the bolt with the nut.
        angle: by how much to turn the nut [rad], counter-clockwise from above where positive.
    """
    return actions.turn(name, angle)


def clip_on(actions: ClothespinActions, line: Name) -> Outcome:
    """Clip the held clothespin on a line and leave it there.

    Opens the jaws, brings them over the line, lets the spring shut them, and draws the hand back: nothing is in the
    hand afterwards. Fails if the line is too thick or out of reach, or the clothespin does not stay there for 2 s.

    Args:
        line: the line.
    """
    return actions.clip_on(line)


def cut(actions: ScissorsActions, name: Name, length: Length) -> Outcome:
    """Cut a strip with the held scissors.

    Brings the open blades over the strip and shuts them; what is beyond the cut falls. Fails if the length that is
    measured afterwards is off by more than half a piece of the strip.

    Args:
        name: the strip.
        length: how much of it shall stay at its stand [m].
    """
    return actions.cut(name, length)


def _with(*functions: Callable[..., Outcome]) -> Registry:
    """A job's skills, and those that fit every held tool."""
    registry = Registry()
    for function in (*functions, *(SKILLS[name].function for name in ("set_opening", "move_tips", "home"))):
        registry.add(function)
    return registry


JOB_SKILLS: dict[str, Registry] = {
    "clothespin": _with(clip_on),
    "pliers": _with(turn, *(SKILLS[name].function for name in ("pick", "drop_in", "place_at"))),
    "scissors": _with(cut),
    "syringe": _with(dispense),
}


def skills_with(family: str) -> Registry:
    """The skills that make sense with a held tool of a family."""
    return JOB_SKILLS.get(family, SKILLS)


def with_fetching(family: str) -> Registry:
    """The same with a tool that is still to be fetched."""
    registry = Registry()
    for skills in (FETCH, skills_with(family)):
        for name in skills.names():
            registry.add(skills[name].function)
    return registry
