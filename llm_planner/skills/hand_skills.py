"""The skills of the bare hand and of rigid tools in it. Lengths in m, world frame: x forward, y to the left, z up."""

from __future__ import annotations

from typing import Annotated, Protocol

from toolwright.llm_planner.skills.registry import ObjectName, Quantity, Registry
from toolwright.llm_planner.skills.tool_skills import Lift, Name, X, Y
from toolwright.policies.outcome import Outcome

FarX = Annotated[float, Quantity("m", -2.0, 2.0)]
FarY = Annotated[float, Quantity("m", -2.0, 2.0)]
Way = Annotated[float, Quantity("m", -0.6, 0.6)]
Tube = Annotated[str, ObjectName()]

HAND_SKILLS = Registry()


class HandActions(Protocol):
    """Motions of the arm and the bare hand; see `llm_planner.skills.actions.Actions`."""

    def grasp(self, name: str, lift: float) -> Outcome: ...
    def place(self, name: str, x: float, y: float) -> Outcome: ...
    def release(self) -> Outcome: ...
    def push(self, name: str, x: float, y: float) -> Outcome: ...
    def press(self, name: str) -> Outcome: ...
    def drag(self, name: str, dx: float) -> Outcome: ...
    def pull(self, name: str, x: float, y: float) -> Outcome: ...
    def attach(self, name: str) -> Outcome: ...
    def poke(self, name: str, tube: str) -> Outcome: ...
    def home(self) -> Outcome: ...
    def stop(self, reason: str) -> None: ...


@HAND_SKILLS.add
def grasp(actions: HandActions, name: Name, lift: Lift) -> Outcome:
    """Wrap the hand around an upright object, or around a tool's handle, and raise it.

    The hand has to be empty, and the object 36 to 68 mm wide and at least 85 mm high. A tool that was grasped is held
    until it is placed or released. Fails if the object is out of reach, slips, or does not rise with the hand.

    Args:
        name: the object to grasp.
        lift: how far to raise it [m].
    """
    return actions.grasp(name, lift)


@HAND_SKILLS.add
def place(actions: HandActions, name: Name, x: X, y: Y) -> Outcome:
    """Put the held object down on the table and open the hand.

    Fails if the object is not in the hand, is lost on the way, or ends far from the place.

    Args:
        name: the object in the hand.
        x: where to put its center, or a tool's handle [m].
        y: where to put its center, or a tool's handle [m].
    """
    return actions.place(name, x, y)


@HAND_SKILLS.add
def release(actions: HandActions) -> Outcome:
    """Lower what is held straight down to the table, open the hand and rise."""
    return actions.release()


@HAND_SKILLS.add
def push(actions: HandActions, name: Name, x: FarX, y: FarY) -> Outcome:
    """Push an object along the table in a straight line: with the thumb, or sideways with the bar of the held tool.

    A held bar reaches objects beyond the workspace. Fails if the object ends more than 3 cm from the place.

    Args:
        name: the object to push.
        x: where its center shall be [m].
        y: where its center shall be [m].
    """
    return actions.push(name, x, y)


@HAND_SKILLS.add
def pull(actions: HandActions, name: Name, x: X, y: Y) -> Outcome:
    """Hook the head of the held tool behind an object and draw the object to a place.

    The tool needs a head that reaches over most of the object's breadth, and enough length. Fails if no such tool is
    held, or the object ends more than 5 cm from the place.

    Args:
        name: the object to draw near.
        x: where its center shall be, or a tool's handle [m].
        y: where its center shall be, or a tool's handle [m].
    """
    return actions.pull(name, x, y)


@HAND_SKILLS.add
def drag(actions: HandActions, name: Name, dx: Way) -> Outcome:
    """Press the thumb on a flat object, such as a mat, and move it along x with all that stands on it.

    The hand has to be empty. Fails if the object does not come along.

    Args:
        name: the flat object.
        dx: how far, negative towards the robot [m].
    """
    return actions.drag(name, dx)


@HAND_SKILLS.add
def press(actions: HandActions, name: Name) -> Outcome:
    """Press a button: with the thumb, or with the far end of the held tool and what is attached to it.

    Ends while the button is pressed. Fails if the plate is out of reach or was not pressed by half of its travel.

    Args:
        name: the button.
    """
    return actions.press(name)


@HAND_SKILLS.add
def attach(actions: HandActions, name: Name) -> Outcome:
    """Touch a magnetic block with the magnetic far end of the held tool, so that it sticks and lengthens the tool.

    Fails if the held tool has no magnet, or the block does not come along.

    Args:
        name: the block.
    """
    return actions.attach(name)


@HAND_SKILLS.add
def poke(actions: HandActions, name: Name, tube: Tube) -> Outcome:
    """Push an object out of a tube with the far end of the held tool, away from the robot, and draw the tool back.

    Fails if the tool does not fit in, or the object is still inside afterwards.

    Args:
        name: what is stuck.
        tube: the tube it is stuck in.
    """
    return actions.poke(name, tube)


@HAND_SKILLS.add
def home(actions: HandActions) -> Outcome:
    """Move the arm back to its home pose, keeping what is held."""
    return actions.home()
