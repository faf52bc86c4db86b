"""The skills that skill code can call. Lengths in m, world frame: x forward from the robot, y to its left, z up."""

from __future__ import annotations

from typing import Annotated

from toolwright.llm_planner.skills.actions import Actions, FetchActions
from toolwright.llm_planner.skills.registry import ObjectName, Quantity, Registry
from toolwright.policies.outcome import Outcome

Name = Annotated[str, ObjectName()]
Opening = Annotated[float, Quantity("m", 0.0, 0.15, within="opening")]
Lift = Annotated[float, Quantity("m", 0.0, 0.5)]
Height = Annotated[float, Quantity("m", 0.0, 0.3)]
X = Annotated[float, Quantity("m", -2.0, 2.0, within="x")]
Y = Annotated[float, Quantity("m", -2.0, 2.0, within="y")]
Z = Annotated[float, Quantity("m", -0.5, 2.0, within="z")]

SKILLS = Registry()


@SKILLS.add
def pick(actions: Actions, name: Name, opening: Opening, grip: Opening, lift: Lift) -> Outcome:
    """Pick an object up with the held tool.

    Opens the tool, moves the tips around the object, closes on it and lifts. Fails if the object is out of reach, or
    is not between the tips and raised with them afterwards.

    Args:
        name: the object to pick.
        opening: distance between the tips on the way down [m].
        grip: commanded distance between the tips when closed [m], less than the object's width.
        lift: how far to raise the object [m].
    """
    return actions.pick(name, opening, grip, lift)


@SKILLS.add
def drop_in(actions: Actions, name: Name, container: Name, height: Height) -> Outcome:
    """Drop the held object into a container.

    Carries it over the middle of the mouth, lowers it and opens the tool. Fails if the object is not held, is lost on
    the way, or does not rest inside the container afterwards.

    Args:
        name: the object between the tips.
        container: the container to drop it into.
        height: height of the object above the rim when it is let go [m].
    """
    return actions.drop_in(name, container, height)


@SKILLS.add
def place_at(actions: Actions, name: Name, x: X, y: Y) -> Outcome:
    """Put the held object down on the table.

    Lowers it onto the table at (x, y) and opens the tool. Fails if the object is not held, is lost on the way, or ends
    far from the place.

    Args:
        name: the object between the tips.
        x: where to put its center [m], forward from the robot.
        y: where to put its center [m], to the left of the robot.
    """
    return actions.place_at(name, x, y)


@SKILLS.add
def set_opening(actions: Actions, opening: Opening) -> Outcome:
    """Open or close the held tool.

    A held object falls when the tool opens. Fails if the opening measured at the tips stays away from the goal.

    Args:
        opening: distance between the tips [m].
    """
    return actions.set_opening(opening)


@SKILLS.add
def move_tips(actions: Actions, x: X, y: Y, z: Z) -> Outcome:
    """Move the midpoint between the tips to a point, keeping the opening.

    Fails if the point is out of reach, or the tips measured afterwards are elsewhere.

    Args:
        x: forward from the robot [m].
        y: to the left of the robot [m].
        z: height above the world's origin [m].
    """
    return actions.move_tips(x, y, z)


@SKILLS.add
def home(actions: Actions) -> Outcome:
    """Move the arm back to its home pose, keeping the opening.

    Fails if the arm does not reach the pose.
    """
    return actions.home()


FETCH = Registry()


@FETCH.add
def fetch(actions: FetchActions, name: str) -> Outcome:
    """Take a tool out of its stand, as the first thing of all: the other skills need it in the hand.

    Comes around the tool with spread fingers, closes, lifts it 15 cm out of the stand, and checks that it is in its
    place in the hand and that its opening follows; puts it back and takes it anew where it is not. Fails if the tool is
    not in its stand, is knocked over, lost, or not held right after three attempts.

    Args:
        name: the tool in the stand.
    """
    return actions.fetch(name)
