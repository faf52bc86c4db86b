"""What each skill of the hand can do, from the measured scene: reach, size, length, cover, mass. Reasons, not scores.

A function that returns text returns the reason why it cannot be done, and the empty text where it can.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.robot import F64
from toolwright.llm_planner.knowledge import geometry
from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.hand import bar_geometry, hand_room
from toolwright.policies.hand.bar_geometry import Bar, bar_of

Mask = NDArray[np.bool_]
WIDEST, NARROWEST, LOWEST = 0.068, 0.036, 0.085  # m: what the wrap holds, see policies/hand/hand_shapes.py
HEAVIEST = 0.6  # kg that the wrap lifts by friction
HEAVIEST_PULLED = 1.0  # kg that a held bar moves along the table
FLAT = 0.012  # m: a lower thing can be stood upon and dragged
MARGIN = 0.015  # m kept from the workspace's sides
COMFORT_X = 0.38  # m: nearer to the base the arm folds up, and the handle of a bar must not go
EASY = np.array([0.50, 0.0])  # m: where the hand has most room
FINGER = 0.0115  # m, radius of the thumb's tip
GRIP = 0.035  # m, half the length of a bar's handle
LAID = 0.03  # m between a bar that is put down and everything else
_PULLS = np.arange(0.02, 0.5, 0.005)  # m, how far something may be drawn
DRAG_TO = 0.56  # m: x at which something that comes on a mat is easy to grasp


def is_bar(item: SceneObject) -> bool:
    return bar_of(item) is not None


def grip_point(item: SceneObject) -> F64:
    """(2,) m where the hand goes to grasp an object."""
    bar = bar_of(item)
    if bar is None:
        return item.pos[:2]
    return item.pos[:2] + geometry.rotation(item.quat)[:2, :2] @ bar.handle[:2]


def reachable(scene: Scene, point: F64) -> bool:
    """Whether the hand may go to a point (2,) [m]."""
    return geometry.reachable(scene, float(point[0]), float(point[1]))


def why_not_grasp(scene: Scene, item: SceneObject, anywhere: bool = False) -> str:
    """Args: anywhere: whether where it stands does not matter, because it will be brought."""
    if item.fixed:
        return f"{item.name} is fixed in place"
    bar = bar_of(item)
    width, height = (0.044, 0.14) if bar else (geometry.width(item), 2 * geometry.half_height(item))
    if not bar and not NARROWEST <= width <= WIDEST:
        room = f"{NARROWEST * 1e3:.0f} to {WIDEST * 1e3:.0f} mm"
        return f"{item.name} is {width * 1e3:.0f} mm wide; the hand holds no tool, and by itself it grasps {room}"
    if not bar and height < LOWEST:
        return f"{item.name} is {height * 1e3:.0f} mm high and the fingers need {LOWEST * 1e3:.0f} mm"
    if item.mass > HEAVIEST:
        return f"{item.name} weighs {item.mass:.2f} kg and the hand lifts {HEAVIEST:g} kg"
    point = grip_point(item)
    if not anywhere and not reachable(scene, point):
        return f"{item.name} is {_beyond(scene, point) * 1e3:.0f} mm outside the workspace"
    return ""


def pulled_to(scene: Scene, item: SceneObject, tool: SceneObject) -> F64 | None:
    """Where (2,) [m] a bar can draw an object so that the hand can then grasp it; None where it cannot.

    Near enough for the hand, far enough for the bar's handle, on a line on which the bar gets behind the object, and
    with room for the hand around the handle at both ends of it.
    """
    bar = bar_of(tool)
    if bar is None:
        return None
    at, others = grip_point(item), hand_room.standing(scene, (item.name, tool.name))

    def fits(handles: F64) -> Mask:
        return _inside(scene, handles) & (hand_room.clearance(handles, others) >= hand_room.HAND)

    for toward in _ways_in(item):
        shifts = _PULLS[:, None] * toward
        free = _inside(scene, at + shifts, MARGIN) & ~_crowded(scene, item, at + shifts)
        held = np.zeros(len(_PULLS), dtype=bool)
        for end, start in _hooks(item, bar, toward, at):
            if fits(start[None])[0]:
                held |= (end[0] + shifts[:, 0] >= COMFORT_X) & fits(end + shifts)
        if (free & held).any():
            return np.asarray(at + shifts[np.argmax(free & held)])
    return None


def aside(scene: Scene, tool: SceneObject, item: SceneObject) -> F64 | None:
    """Where (2,) [m] the handle of a bar that has drawn an object goes down, so that the hand then gets at the object.

    Where it lies, or the nearest place where its handle and its bar keep away from everything. None where there is
    none.
    """
    bar, lies, spot = bar_of(tool), grip_point(tool), pulled_to(scene, item, tool)
    if bar is None or spot is None:
        return lies
    without = (item.name, tool.name)
    standing, low = hand_room.standing(scene, without), hand_room.footprints(scene, without)
    along = (grip_point(item) - spot) / np.linalg.norm(grip_point(item) - spot)
    left = np.array([-along[1], along[0]])
    heads = [bar.length * along + side * out * left for side, out in bar.heads.items()]
    outline = np.array([*np.linspace(0.0, bar.length, 8)[:, None] * along, *heads])
    round_item = geometry.breadth(item) / 2

    def fits(handle: F64) -> bool:
        if not _inside(scene, handle, MARGIN) or np.linalg.norm(handle - spot) < hand_room.HAND + GRIP + round_item:
            return False
        if hand_room.around(handle, standing) < hand_room.HAND:
            return False
        points = handle + outline
        if np.linalg.norm(points - spot, axis=1).min() < LAID + round_item:
            return False
        return all(float(thing.distance(points).min()) > LAID for thing in low)

    x, y = (np.arange(scene.workspace.lower[i] + MARGIN, scene.workspace.upper[i] - MARGIN, 0.015) for i in (0, 1))
    places = np.stack(np.meshgrid(x[x >= COMFORT_X], y), axis=-1).reshape(-1, 2)
    places = places[np.argsort(np.linalg.norm(places - lies, axis=1), kind="stable")]
    return next((place for place in (lies, *places) if fits(place)), None)


def _ways_in(item: SceneObject) -> list[F64]:
    """Directions (2,) in which to draw an object, the best first."""
    at = grip_point(item)
    goals = (EASY, np.array([EASY[0], at[1] / 2]), np.array([EASY[0], at[1]]))
    return [(goal - at) / np.linalg.norm(goal - at) for goal in goals]


def _hooks(item: SceneObject, bar: Bar, toward: F64, point: F64) -> list[tuple[F64, F64]]:
    """For each side that covers an object: the handle when it is at a point, and when the head comes down behind it."""
    half, across = _half(item, toward), _half(item, np.array([-toward[1], toward[0]]))
    found = []
    if not bar_geometry.spans(bar, half):
        return []
    for side in bar.heads:
        if bar_geometry.covers(bar, side, across):
            start = bar_geometry.hooked(bar, side, grip_point(item), half, across, -toward)
            end = bar_geometry.hooked(bar, side, point, half, across, -toward)
            found.append((end, start - toward * bar_geometry.BEYOND))
    return found


def why_not_pull(scene: Scene, item: SceneObject, tool: SceneObject) -> str:
    """Why a tool, once in the hand, cannot draw an object into the workspace."""
    bar = bar_of(tool)
    if bar is None:
        return f"{tool.name} has no handle"
    if not bar.heads:
        return f"{tool.name} has no head to hook with"
    if item.mass > HEAVIEST_PULLED:
        return f"{item.name} weighs {item.mass:.2f} kg, too much to draw along"
    if not any(bar_geometry.spans(bar, _half(item, toward)) for toward in _ways_in(item)):
        return f"{tool.name} is so short that the fingers would touch {item.name}"
    starts = [start for toward in _ways_in(item) for _, start in _hooks(item, bar, toward, grip_point(item))]
    if not starts:
        return f"the head of {tool.name} sticks out {max(bar.heads.values()) * 1e3:.0f} mm, too little for {item.name}"
    short = min(_beyond(scene, start) for start in starts)
    if short > 0:
        return f"{tool.name} is {short * 1e3:.0f} mm too short for {item.name}"
    if pulled_to(scene, item, tool) is None:
        return f"there is no room to draw {item.name} to with {tool.name}"
    return ""


def why_not_push_onto(scene: Scene, item: SceneObject, mat: SceneObject, tool: SceneObject) -> str:
    """Why a held bar cannot push an object sideways onto a mat."""
    bar = bar_of(tool)
    if bar is None:
        return f"{tool.name} has no handle"
    spot = onto(item, mat)
    if spot is None:
        return f"{mat.name} does not lie beside {item.name}"
    push = (spot - item.pos[:2]) / np.linalg.norm(spot - item.pos[:2])
    along = np.array([push[1], -push[0]])
    along = along if along[0] >= 0 else -along
    for center in (item.pos[:2] - push * bar_geometry.BEYOND, spot):
        touching = bar_geometry.beside(bar, center, _half(item, push), push, along)
        if not reachable(scene, touching):
            return f"{tool.name} does not reach {item.name}: {_beyond(scene, touching) * 1e3:.0f} mm are missing"
    return ""


def onto(item: SceneObject, mat: SceneObject) -> F64 | None:
    """Where on a mat (2,) [m] an object comes to stand that is pushed along y; None where the mat is not beside it."""
    R = geometry.rotation(mat.quat)
    half = np.abs(R[:2, :2]) @ mat.size[:2] / 2
    if abs(item.pos[0] - mat.pos[0]) > half[0] - _half(item, np.array([1.0, 0.0])):
        return None
    return np.array([item.pos[0], mat.pos[1]])


def is_mat(item: SceneObject) -> bool:
    """Whether a thing is flat enough to stand upon, and broad."""
    return not item.fixed and geometry.thickness(item) <= FLAT and geometry.breadth(item) > 0.1


def stands_on(item: SceneObject, mat: SceneObject) -> bool:
    """Whether an object's middle is over a mat, and its bottom at the mat's height."""
    local = geometry.rotation(mat.quat).T @ (item.pos - mat.pos)
    low = float(item.pos[2] - mat.pos[2]) - geometry.half_height(item)
    return bool((np.abs(local[:2]) < mat.size[:2] / 2).all() and abs(low) < FLAT)


def why_not_drag(scene: Scene, mat: SceneObject, item: SceneObject) -> str:
    """Why the thumb cannot draw a mat so far that what stands on it comes into reach."""
    if mat.mass > 0.5:
        return f"{mat.name} weighs {mat.mass:.2f} kg"
    if mat.pos[0] - mat.size[0] / 2 > scene.workspace.upper[0] - 0.05:
        return f"{mat.name} is out of reach"
    return ""


def why_not_press(scene: Scene, button: SceneObject, length: float) -> str:
    """Why a button is not pressed by something that reaches `length` [m] ahead of the hand (0 for the thumb)."""
    inward = geometry.rotation(button.quat)[:2, 0]
    front = button.pos[:2] - inward * button.size[0] / 2
    hand = front + inward * button.travel_max - inward * (length or FINGER)
    return "" if reachable(scene, hand) else f"{_beyond(scene, hand) * 1e3:.0f} mm are missing to {button.name}"


def why_not_poke(scene: Scene, tube: SceneObject, tool: SceneObject) -> str:
    """Why a held bar does not push everything out of a tube."""
    bar = bar_of(tool)
    if bar is None:
        return f"{tool.name} has no handle"
    if bar.heads:
        return f"the head of {tool.name} does not go into {tube.name}"
    if max(bar.width, bar.height) + 0.004 > tube.opening:
        return f"{tool.name} is too thick for {tube.name}"
    axis = geometry.rotation(tube.quat)[:2, 0]
    axis = axis if axis[0] >= 0 else -axis
    near = tube.pos[:2] - axis * (tube.size[0] / 2 + bar.length + bar_geometry.BEYOND)
    through = tube.pos[:2] + axis * (tube.size[0] / 2 - bar.length)
    deepest = float((through - tube.pos[:2]) @ axis) + tube.size[0] / 2
    if deepest > -0.05:
        return f"{tool.name} is {(deepest + 0.05) * 1e3:.0f} mm too short for {tube.name}"
    for point in (near, through):
        if not reachable(scene, point):
            return (
                f"there is no room before {tube.name} for {tool.name}: {_beyond(scene, point) * 1e3:.0f} mm are missing"
            )
    return ""


def _half(item: SceneObject, along: F64) -> float:
    if item.shape in ("sphere", "cylinder", "cup", "capsule"):
        return float(item.size[0] / 2)
    named = [part.size for part in item.parts if part.name == "handle"]
    size = named[0] if named else item.size
    return float(np.abs(along @ geometry.rotation(item.quat)[:2, :2]) @ size[:2] / 2)


def _inside(scene: Scene, points: F64, margin: float = 0.0) -> Mask:
    """(...) whether points (..., 2) are in the workspace, away from its sides by a margin [m]."""
    lower, upper = scene.workspace.lower[:2] + margin, scene.workspace.upper[:2] - margin
    return np.asarray(((points >= lower) & (points <= upper)).all(axis=-1))


def _crowded(scene: Scene, item: SceneObject, points: F64) -> Mask:
    """(n,) whether something stands so close to points (n, 2) that the hand has no room around the item there."""
    crowded = np.zeros(len(points), dtype=bool)
    for other in scene.objects.values():
        if other.name != item.name and not is_bar(other) and not is_mat(other):
            round_both = (geometry.breadth(other) + geometry.breadth(item)) / 2
            crowded |= np.linalg.norm(other.pos[:2] - points, axis=1) < hand_room.HAND + round_both
    return crowded


def _beyond(scene: Scene, point: F64) -> float:
    """How far [m] a point (2,) is outside the workspace."""
    outside = np.maximum(0, np.maximum(scene.workspace.lower[:2] - point, point - scene.workspace.upper[:2]))
    return float(np.linalg.norm(outside))


def why_not_attach(scene: Scene, block: SceneObject, tool: SceneObject, length: float) -> str:
    """Why a held magnetic bar of some length [m] cannot pick up a block from the robot's side."""
    hand = block.pos[:2] - np.array([block.size[0] / 2 + length + 0.02, 0.0])
    if hand[0] < COMFORT_X - 0.03 or not reachable(scene, hand):
        return f"{block.name} is too near, or out of reach"
    if hand_room.around(hand, hand_room.standing(scene, (block.name, tool.name))) < hand_room.HAND:
        return f"there is no room for the hand before {block.name}"
    return ""


def value(quantity: str, scene: Scene, name: str, other: str) -> tuple[float, str]:
    """A number [m] that a step of the hand needs, and how it came about.

    Args:
        quantity: x_aside, y_aside, x_within, y_within, x_onto, y_onto or dx_within.
        name: the object that is moved.
        other: the tool or mat that moves it; what a tool that is put aside has moved.

    Raises:
        ValueError: there is no such place.
    """
    item = scene.objects[name]
    if quantity == "dx_within":
        return DRAG_TO - float(item.pos[0]), f"from x of {name} to {DRAG_TO:g}"
    if quantity in ("x_within", "y_within"):
        point = pulled_to(scene, item, scene.objects[other])
        how = f"where the hand reaches {name}, and {other} has room"
    elif quantity in ("x_aside", "y_aside"):
        point, how = aside(scene, item, scene.objects[other]), f"where {name} is not in the way of {other}"
        if point is None:
            raise ValueError(f"there is no free place for {name}")
    else:
        point, how = onto(item, scene.objects[other]), f"middle of {other}, beside {name}"
    if point is None:
        raise ValueError(f"{other} brings {name} nowhere")
    return float(point["xy".index(quantity[0])]), how
