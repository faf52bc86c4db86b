"""What is wrong with a scene beyond the types of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator

import mujoco
import numpy as np
from pydantic import ValidationError

from toolwright.sim.models.objects import MeshError
from toolwright.sim.models.physics import new_spec
from toolwright.sim.models.tools import ToolError, family
from toolwright.sim.scene_fixtures import Stand
from toolwright.sim.scene_objects import add_object, add_table, bounds, lowest, position
from toolwright.sim.scene_spec import (
    MAX_OBJECTS,
    RESERVED_NAMES,
    ObjectRandomization,
    ObjectSpec,
    Region,
    SceneSpec,
    suggestion,
)
from toolwright.sim.scene_turnables import Die, Letter, Screwdriver, marks

Path = tuple[str | int, ...]  # of a field, for instance ("objects", "bead", "radius")
Problem = tuple[Path, str]

_SUNK = 0.0005  # m below the table top that is still called resting on it
_OVERLAP = 0.001  # m


def problems(scene: SceneSpec) -> list[Problem]:
    """Everything that keeps a scene from being built, as field and reason. Empty for a good scene.

    Args:
        scene: what to check.
    """
    found = [*_held_tool(scene), *_in_palm(scene), *_robot(scene), *_names(scene)]
    for name, obj in scene.objects.items():
        try:
            bounds(obj)
        except MeshError as error:
            found.append((("objects", name, "file"), str(error)))
        except ToolError as error:
            found.append((("objects", name), str(error)))
        else:
            found += _placement(scene, name, obj)
    found += _randomization(scene)
    found += _goals(scene)
    return found or list(_overlaps(scene))


def _held_tool(scene: SceneSpec) -> Iterator[Problem]:
    if scene.tool is None:
        return
    try:
        family(scene.tool.family).params(**scene.tool.params)
    except ToolError as error:
        yield ("tool",), str(error)
    if scene.robot.hand is None:
        yield ("tool",), "needs a hand that holds it, and robot.hand is null"
    if scene.tool.stand is not None and not isinstance(scene.objects.get(scene.tool.stand), Stand):
        stands = [name for name, obj in scene.objects.items() if isinstance(obj, Stand)]
        yield ("tool", "stand"), f"there is no stand '{scene.tool.stand}'{suggestion(scene.tool.stand, stands)}"


def _in_palm(scene: SceneSpec) -> Iterator[Problem]:
    name = scene.in_palm
    if name is None:
        return
    if name not in scene.objects:
        yield ("in_palm",), f"there is no object '{name}'{suggestion(name, list(scene.objects))}"
    elif not isinstance(scene.objects[name], Die | Screwdriver | Letter):
        yield ("in_palm",), f"'{name}' is a {scene.objects[name].shape}; a die, a screwdriver or a letter can lie there"
    if scene.tool is not None:
        yield ("in_palm",), f"the hand holds {scene.tool.family} already; remove tool or in_palm"
    if scene.robot.hand is None or scene.robot.arm is None:
        yield ("in_palm",), "needs an arm and a hand"


def _robot(scene: SceneSpec) -> Iterator[Problem]:
    if scene.robot.arm is None and scene.robot.hand is None:
        yield ("robot",), "has neither arm nor hand"


def _names(scene: SceneSpec) -> Iterator[Problem]:
    if len(scene.objects) > MAX_OBJECTS:
        yield ("objects",), f"has {len(scene.objects)} objects; at most {MAX_OBJECTS} are possible"
    for name in scene.objects:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            yield ("objects", name), "a name has only letters, digits, _ and -"
        elif name in RESERVED_NAMES or name == scene.tool_name:
            yield ("objects", name), f"the name '{name}' is taken; choose another"


def _placement(scene: SceneSpec, name: str, obj: ObjectSpec) -> Iterator[Problem]:
    field = ("objects", name, "pos")
    pos = position(obj, scene.table)
    if not _on_table(scene, pos[:2]) and len(obj.pos) == 2:
        yield field, f"{list(obj.pos)} is beside the table, so the object cannot rest on it"
    elif _on_table(scene, pos[:2]) and pos[2] + lowest(obj) < scene.table.height - _SUNK:
        yield (
            field,
            (
                f"under the table: its lowest point is at z = {pos[2] + lowest(obj):.4f} m, "
                f"the table top at {scene.table.height:.4f} m; leave z out to rest it on the table"
            ),
        )
    elif not obj.fixed and not obj.beyond and not _in_workspace(scene, pos):
        low, high = np.array(scene.workspace.lower), np.array(scene.workspace.upper)
        yield field, f"{pos.round(4).tolist()} is outside the workspace {low.tolist()} to {high.tolist()}"


def _in_workspace(scene: SceneSpec, pos: np.ndarray) -> bool:
    low, high = np.array(scene.workspace.lower), np.array(scene.workspace.upper)
    return bool((pos >= low - _SUNK).all() and (pos <= high).all())


def _on_table(scene: SceneSpec, xy: np.ndarray) -> bool:
    return bool((np.abs(xy - np.array(scene.table.center)) <= np.array(scene.table.size) / 2).all())


def _goals(scene: SceneSpec) -> Iterator[Problem]:
    for i, goal in enumerate(scene.goal):
        for kind, pair in (("up", goal.up), ("down", goal.down)):
            thing = scene.objects.get(pair[0]) if pair else None
            if pair and thing is not None:
                sides = marks(thing) if isinstance(thing, Die | Screwdriver | Letter) else {}
                if pair[1] not in sides:
                    yield ("goal", i, kind), f"'{pair[0]}' has no side '{pair[1]}'{suggestion(pair[1], list(sides))}"
        for kind, names in goal.kinds().items():
            for name in names:
                if name not in scene.objects:
                    yield ("goal", i, kind), f"there is no object '{name}'{suggestion(name, list(scene.objects))}"


def _randomization(scene: SceneSpec) -> Iterator[Problem]:
    for name, drawn in scene.randomize.objects.items():
        field: Path = ("randomize", "objects", name)
        if name not in scene.objects:
            known = list(scene.objects)
            yield field, f"there is no object '{name}'{suggestion(name, known)} Objects: {', '.join(known) or 'none'}"
            continue
        obj = scene.objects[name]
        if drawn.mass is not None and drawn.density is not None:
            yield field, "draws both mass and density; give one"
        if drawn.yaw is not None and obj.quat is not None:
            yield (*field, "yaw"), "the object has a quat; remove one of the two"
        yield from _drawn_values(obj, drawn, field)
        if drawn.follows is not None:
            leader = scene.randomize.objects.get(drawn.follows)
            if leader is None or leader.region is None or drawn.region is not None:
                yield (*field, "follows"), f"'{drawn.follows}' must have a region, and '{name}' none of its own"
        if drawn.region is not None:
            yield from _region(scene, drawn.region, (*field, "region"), obj.beyond or obj.fixed)


def _drawn_values(obj: ObjectSpec, drawn: ObjectRandomization, field: Path) -> Iterator[Problem]:
    kept = obj.model_dump(exclude={"mass", "density", "yaw", "quat"})
    for name, interval in drawn.ranges():
        if name not in type(obj).model_fields:
            yield (*field, name), f"a {obj.shape} has no {name} to draw"
            continue
        for end, value in (("low", interval.low), ("high", interval.high)):
            try:
                type(obj).model_validate({**kept, name: value})
            except ValidationError as error:
                yield (*field, name, end), f"{value:g} makes a bad {obj.shape}: {error.errors()[0]['msg']}"


def _region(scene: SceneSpec, region: Region | str, field: Path, beyond: bool) -> Iterator[Problem]:
    lower, upper = region_corners(scene, region)
    low, high = np.array(scene.workspace.lower[:2]), np.array(scene.workspace.upper[:2])
    if not beyond and ((lower < low - 1e-9).any() or (upper > high + 1e-9).any()):
        yield field, f"reaches outside the workspace {low.tolist()} to {high.tolist()}"
    elif not (_on_table(scene, lower) and _on_table(scene, upper)):
        yield field, "reaches beyond the table"


def region_corners(scene: SceneSpec, region: Region | str) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner (2,) [m] of a randomization region."""
    box = scene.workspace if isinstance(region, str) else region
    return np.array(box.lower[:2]), np.array(box.upper[:2])


def _overlaps(scene: SceneSpec) -> Iterator[Problem]:
    """Objects that begin inside one another: the solver would throw them apart."""
    spec = new_spec()
    add_table(spec, scene.table)
    for name, obj in scene.objects.items():
        if name not in scene.randomize.objects or scene.randomize.objects[name].region is None:
            add_object(spec, name, obj, scene.table)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    worst: dict[tuple[str, str], float] = {}
    for contact in data.contact[: data.ncon]:
        roots = sorted(model.body_rootid[model.geom_bodyid[contact.geom]])  # in the order of the file
        pair = (model.body(roots[0]).name, model.body(roots[1]).name)
        if "world" not in pair and roots[0] != roots[1]:
            worst[pair] = min(worst.get(pair, 0.0), float(contact.dist))
    for (first, second), dist in worst.items():
        if dist < -_OVERLAP:
            yield ("objects", second, "pos"), f"overlaps '{first}' by {-dist * 1000:.1f} mm; move them apart"
