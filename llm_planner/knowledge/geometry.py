"""What the measured scene says: widths, what is held, what lies inside what. Used to plan and to judge."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.scene import Scene, SceneObject

# The wide end of what a depth camera leaves uncertain about where a small object lies between the tips.
TIP_TOLERANCE = 0.01  # m
# Clear of the table by more than perception's noise on a height.
RAISED = 0.01  # m
# A free strip wide enough for the tips on either side of a placed object.
BESIDE_GAP = 0.03  # m
SIDES: dict[str, tuple[float, float]] = {"left": (0, 1), "right": (0, -1), "front": (-1, 0), "behind": (1, 0)}


def rotation(quat: F64) -> F64:
    """Rotation matrix (3, 3) of a quaternion w, x, y, z of any length."""
    w, x, y, z = np.asarray(quat, dtype=np.float64) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _horizontal(item: SceneObject) -> F64:
    """Extents along the object's own axes that lie flat [m]; a sphere has every one."""
    if item.shape == "sphere":
        return item.size
    tilt = np.abs(rotation(item.quat)[2])
    # Of three orthogonal axes one at least is flatter than asin(1 / sqrt(3)).
    return item.size[tilt <= 1 / np.sqrt(3) + 1e-9]


def width(item: SceneObject) -> float:
    """Smallest horizontal extent [m]: what the tips close on."""
    return float(_horizontal(item).min())


def breadth(item: SceneObject) -> float:
    """Largest horizontal extent [m]: what a mouth has to let through."""
    return float(_horizontal(item).max())


def half_height(item: SceneObject) -> float:
    """Half of the vertical extent of the object's bounding box [m]."""
    if item.shape == "sphere":
        return float(item.size[2] / 2)
    return float(np.abs(rotation(item.quat)[2]) @ item.size / 2)


def thickness(item: SceneObject) -> float:
    """Extent along the object's own most upright axis [m]: of a broad flat thing its height, however it is measured to
    be tilted."""
    return float(item.size[np.abs(rotation(item.quat)[2]).argmax()])


def between_tips(item: SceneObject, scene: Scene) -> bool:
    """Whether the object's center lies between the working tips."""
    if scene.tool is None:
        return False
    T_world_tip = scene.tool.T_world_tip
    across, aside, along = T_world_tip[:3, :3].T @ (item.pos - T_world_tip[:3, 3])
    in_opening = abs(across) <= scene.tool.opening / 2 + TIP_TOLERANCE / 2
    return bool(in_opening and np.hypot(aside, along) <= TIP_TOLERANCE + width(item) / 2)


def raised(item: SceneObject, scene: Scene) -> bool:
    """Whether the object is clear of the table."""
    return bool(item.pos[2] - half_height(item) - scene.table_height >= RAISED)


def inside(item: SceneObject, container: SceneObject) -> bool:
    """Whether the object's center lies inside the container: within its mouth's radius, above its bottom and below
    its rim, and the container still stands upright."""
    R_world_container = rotation(container.quat)
    x, y, z = R_world_container.T @ (item.pos - container.pos)
    upright = R_world_container[2, 2] > 0.7
    return bool(upright and np.hypot(x, y) <= container.opening / 2 and abs(z) <= container.size[2] / 2)


def held_object(scene: Scene) -> str:
    """Name of the object between the tips and off the table; empty where nothing is held."""
    names = [
        name
        for name, item in scene.objects.items()
        if between_tips(item, scene)
        and raised(item, scene)
        and not any(other.opening and inside(item, other) for other in scene.objects.values() if other is not item)
    ]
    return names[0] if names else ""


def blocker(scene: Scene, name: str, x: float, y: float) -> str:
    """Name of an object that stands where `name` would be put down; empty where the place is free."""
    radius = breadth(scene.objects[name]) / 2
    for other in scene.objects.values():
        if other.name != name and np.hypot(other.pos[0] - x, other.pos[1] - y) < radius + breadth(other) / 2:
            return other.name
    return ""


def beside(scene: Scene, name: str, reference: str, side: str) -> tuple[float, float]:
    """Where to put `name` next to `reference`.

    Args:
        side: left, right, front or behind, as the robot sees it.

    Returns:
        x, y [m].
    """
    anchor = scene.objects[reference]
    distance = breadth(anchor) / 2 + breadth(scene.objects[name]) / 2 + BESIDE_GAP
    dx, dy = SIDES[side]
    return float(anchor.pos[0] + dx * distance), float(anchor.pos[1] + dy * distance)


def free_side(scene: Scene, name: str, reference: str) -> str:
    """The first side of `reference` where `name` can be put; the first of all where none is free."""
    for side in SIDES:
        x, y = beside(scene, name, reference, side)
        if reachable(scene, x, y) and not blocker(scene, name, x, y):
            return side
    return next(iter(SIDES))


def reachable(scene: Scene, x: float, y: float, z: float | None = None) -> bool:
    """Whether the tips may go to (x, y), at height z where it is given [m]."""
    lower, upper = scene.workspace.lower, scene.workspace.upper
    # A small thing's center lies a few millimeters off the workspace's floor, and is measured with noise.
    heights = z is None or lower[2] - TIP_TOLERANCE <= z <= upper[2]
    return bool(lower[0] <= x <= upper[0] and lower[1] <= y <= upper[1] and heights)
