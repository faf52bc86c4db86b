"""Scenes: a YAML file becomes a checked description, a seed draws from its ranges, and MuJoCo gets a model.

    scene = load_scene("bead")                                # or a path to one's own file
    scene = sample(scene, numpy.random.default_rng(seed))     # only where the scene declares ranges
    model = build(scene).compile()

`scene_spec.py` is the schema, `scene_file.py` reads and complains, `scene_check.py` knows what cannot be built.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from pydantic import ValidationError

from toolwright.hardware.robot import F64
from toolwright.sim import liquid
from toolwright.sim.camera import d435_focal_length
from toolwright.sim.models import in_hand
from toolwright.sim.models.leap import HandSurface
from toolwright.sim.models.physics import new_spec, solve_thoroughly
from toolwright.sim.models.robot import add_robot
from toolwright.sim.models.tools import add_tool, family
from toolwright.sim.render import style
from toolwright.sim.scene_check import problems, region_corners
from toolwright.sim.scene_file import load_scene, shipped_scenes
from toolwright.sim.scene_objects import add_object, add_pedestal, add_table, gap
from toolwright.sim.scene_spec import ObjectRandomization, ObjectSpec, Randomization, SceneError, SceneSpec

__all__ = [
    "CAMERA",
    "CLOSEUP",
    "OVERVIEW",
    "SceneError",
    "SceneSpec",
    "build",
    "load_scene",
    "look_at",
    "sample",
    "shipped_scenes",
]

CAMERA = "camera"  # the depth camera of every scene
OVERVIEW = "overview"  # sees robot and table, for videos
CLOSEUP = "closeup"  # sees the workspace, for videos
IN_PALM = np.array([0.51, 0.03, 0.37])  # m from the arm's base, where things lie in its palm-up hand
_TRIES, _RESTARTS = 100, 20


def sample(scene: SceneSpec, rng: np.random.Generator) -> SceneSpec:
    """Draws what the scene declares as random. The same seed gives the same scene; the result declares no ranges.

    Args:
        scene: with its ranges.
        rng: the only source of randomness.

    Raises:
        SceneError: the objects do not fit with the separation asked for, or a draw makes an impossible object.
    """
    objects = dict(scene.objects)
    for name, drawn in scene.randomize.objects.items():
        try:
            objects[name] = _drawn(objects[name], drawn, rng)
        except ValidationError as error:
            raise SceneError(f"randomize.objects.{name}: a draw gives no {objects[name].shape}: {error}") from error
    moving = {name: drawn for name, drawn in scene.randomize.objects.items() if drawn.region is not None}
    for _ in range(_RESTARTS):
        placed = _place(scene, objects, moving, rng)
        if placed is not None:
            _follow(scene, placed)
            return scene.model_copy(update={"objects": placed, "randomize": Randomization()})
    raise SceneError(
        f"randomize: {', '.join(moving)} do not fit {scene.randomize.separation} m apart after {_RESTARTS} tries; "
        "enlarge the regions, or lower randomize.separation"
    )


def build(scene: SceneSpec, with_robot: bool = True) -> mujoco.MjSpec:
    """The scene as an uncompiled model: physics, look, table, objects, cameras, robot and held tool.

    Objects are bodies of their own name, with a free joint of the same name unless fixed. The held tool is a free body
    above the workspace: whoever sets the start state puts it into the hand.

    Args:
        scene: what to build; undrawn ranges are ignored.
        with_robot: False leaves out the robot and its tool.

    Raises:
        SceneError: the scene cannot be built; one line for each reason.
    """
    if found := problems(scene):
        raise SceneError("\n".join(f"{'.'.join(map(str, field))}: {message}" for field, message in found))
    spec = new_spec()
    solve_thoroughly(spec.option)
    spec.modelname = scene.name
    style(spec)
    if with_robot:
        _add_robot_and_tool(spec, scene)
    add_table(spec, scene.table)
    for name, obj in scene.objects.items():
        if spec.body(name) is not None or spec.joint(name) is not None:
            raise SceneError(f"objects.{name}: the robot or its tool has a part of this name; choose another")
        add_object(spec, name, obj, scene.table)
    _add_cameras(spec, scene)
    if with_robot:
        spec.nuserdata = liquid.states(scene)
    return spec


def look_at(pos: F64, lookat: F64) -> F64:
    """Orientation of a MuJoCo camera (x right, y up, looking along -z) that sees `lookat` upright.

    Args:
        pos: (3,) m, of the camera.
        lookat: (3,) m.

    Returns:
        (4,) unit quaternion w, x, y, z.
    """
    back = np.subtract(pos, lookat) / np.linalg.norm(np.subtract(pos, lookat))
    # Looking straight down there is no vertical; the robot's forward then points up in the image.
    up = np.array([0.0, 0.0, 1.0]) if abs(back[2]) < 0.999 else np.array([1.0, 0.0, 0.0])
    right = np.cross(up, back) / np.linalg.norm(np.cross(up, back))
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.column_stack([right, np.cross(back, right), back]).ravel())
    return quat


def _drawn(obj: ObjectSpec, drawn: ObjectRandomization, rng: np.random.Generator) -> ObjectSpec:
    changes: dict[str, Any] = {name: interval.draw(rng) for name, interval in drawn.ranges()}
    if "density" in changes:
        changes["mass"] = None
    elif "mass" in changes and "density" in type(obj).model_fields:
        changes["density"] = None
    return type(obj).model_validate({**obj.model_dump(), **changes})


def _place(
    scene: SceneSpec, objects: dict[str, ObjectSpec], moving: dict[str, ObjectRandomization], rng: np.random.Generator
) -> dict[str, ObjectSpec] | None:
    """Objects with positions drawn so that no outlines come too close; None where one found no room."""
    following = {name for name, drawn in scene.randomize.objects.items() if drawn.follows}
    placed = {name: obj for name, obj in objects.items() if name not in moving}
    for name, drawn in moving.items():
        assert drawn.region is not None
        lower, upper = region_corners(scene, drawn.region)
        for _ in range(_TRIES):
            xy = rng.uniform(lower, upper)
            candidate = objects[name].model_copy(update={"pos": (float(xy[0]), float(xy[1]))})
            others = (other for known, other in placed.items() if known not in following)
            if all(gap(candidate, other) >= scene.randomize.separation for other in others):
                placed[name] = candidate
                break
        else:
            return None
    return {name: placed[name] for name in objects}


def _follow(scene: SceneSpec, placed: dict[str, ObjectSpec]) -> None:
    """Shifts what follows other objects as those were shifted."""
    for name, drawn in scene.randomize.objects.items():
        if drawn.follows:
            shift = np.subtract(placed[drawn.follows].pos[:2], scene.objects[drawn.follows].pos[:2])
            pos = placed[name].pos
            at = (float(pos[0] + shift[0]), float(pos[1] + shift[1]), *pos[2:])
            placed[name] = placed[name].model_copy(update={"pos": at})


def _add_robot_and_tool(spec: mujoco.MjSpec, scene: SceneSpec) -> None:
    robot = scene.robot
    # Loose things in the hand are simulated as in the task that turns them, surface and contacts alike.
    surface = HandSurface() if scene.in_palm is None else in_hand.SURFACE
    palm = add_robot(spec, robot.arm, robot.hand, np.array(robot.pos), np.array(robot.rotation), surface)
    if scene.in_palm is not None:
        in_hand.soften(palm.find_all("geom"))
    if robot.arm is not None:
        add_pedestal(spec, np.array(robot.pos), scene.table)
    if scene.tool is not None and scene.tool_name is not None:
        tool = family(scene.tool.family)
        above = np.array(
            [*np.add(scene.workspace.lower, scene.workspace.upper)[:2] / 2, scene.workspace.upper[2] + 0.5]
        )
        add_tool(spec, tool, tool.params(**scene.tool.params), scene.tool_name, above)


def _add_cameras(spec: mujoco.MjSpec, scene: SceneSpec) -> None:
    camera = scene.camera
    width, height = camera.resolution
    spec.worldbody.add_camera(
        name=CAMERA,
        pos=camera.pos,
        quat=look_at(np.array(camera.pos), np.array(camera.lookat)),
        fovy=np.rad2deg(2 * np.arctan(height / 2 / d435_focal_length(width, height))),
        resolution=[width, height],
    )
    center = np.add(scene.workspace.lower, scene.workspace.upper) / 2
    target = np.array([center[0] - 0.12, center[1], scene.table.height + 0.34])
    _add_view(spec, OVERVIEW, target, target + [1.15, -1.1, 0.4])
    target = np.array([center[0], center[1], scene.table.height + 0.1])
    if scene.in_palm is not None:
        target = np.array(scene.robot.pos) + IN_PALM
        _add_view(spec, CLOSEUP, target, target + [0.3, -0.18, 0.34])
        return
    _add_view(spec, CLOSEUP, target, target + [0.5, -0.42, 0.3])


def _add_view(spec: mujoco.MjSpec, name: str, target: F64, pos: F64) -> None:
    spec.worldbody.add_camera(name=name, pos=pos, quat=look_at(pos, target), fovy=36, resolution=[1280, 720])
