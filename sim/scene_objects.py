"""From an object's description to its geometry and its bodies in a model."""

from __future__ import annotations

from functools import cache

import mujoco
import numpy as np

from toolwright.hardware.robot import F64
from toolwright.sim.models import fixtures, implements, in_hand, objects, stand
from toolwright.sim.models.implements import Part
from toolwright.sim.models.physics import collide_as_thing, new_spec
from toolwright.sim.models.tools import add_tool, family
from toolwright.sim.scene_fixtures import Bolt, Line, Stand, Strip
from toolwright.sim.scene_spec import (
    DEFAULT_DENSITY,
    Bar,
    BoxObject,
    Button,
    Capsule,
    Cup,
    Cylinder,
    Mesh,
    ObjectSpec,
    Sphere,
    TableSpec,
    ToolObject,
    Tube,
    rgb,
)
from toolwright.sim.scene_turnables import Die, Letter, Screwdriver, pips, shape_of

TABLE_THICKNESS = 0.04  # m
TABLE_ABOVE_FLOOR = 0.72  # m
_UNFITTED = (0.02, 0.02)  # m, pocket of a stand that no tool belongs to


def rotation_matrix(obj: ObjectSpec) -> F64:
    """(3, 3) orientation of an object in the world."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.array(obj.rotation))
    return matrix.reshape(3, 3)


def bounds(obj: ObjectSpec) -> tuple[F64, F64]:
    """Lower and upper corner (3,) [m] of an object's bounding box, in its own axes.

    Raises:
        MeshError: its mesh cannot be read.
        ToolError: an unknown tool family or parameter.
    """
    match obj:
        case Sphere():
            half = np.full(3, obj.radius)
        case BoxObject():
            half = np.array(obj.size) / 2
        case Cylinder() | Capsule():
            half = np.array([obj.radius, obj.radius, obj.height / 2])
        case Cup():
            outer = obj.inner_diameter / 2 + obj.wall
            half = np.array([outer, outer, obj.height / 2])
        case Bar() | Tube() | Line() | Bolt() | Strip() | Stand():
            half = implements.box_around(parts(obj)) / 2
        case Button():
            half = implements.button_size(obj.plate, obj.travel) / 2
        case Mesh():
            lower, upper = objects.mesh_bounds(obj.file, obj.scale)
            half = (upper - lower) / 2
        case Die() | Screwdriver() | Letter():
            corners = np.concatenate([part.outline() for part in shape_of(obj).parts])
            return corners.min(axis=0), corners.max(axis=0)
        case ToolObject():
            return _tool_bounds(obj.family, tuple(sorted(obj.params.items())))
    return -half, half


def parts(obj: ObjectSpec) -> tuple[Part, ...]:
    """The cuboids that bars, tubes, lines and bolts are made of, in their own frame; none for what is of one piece."""
    match obj:
        case Bar():
            return implements.bar_parts(obj.length, obj.width, obj.height, obj.handle, obj.head, obj.side)
        case Tube():
            return implements.tube_parts(obj.inner, obj.length, obj.wall)
        case Line():
            return fixtures.line_parts(obj.length, obj.height, obj.radius)
        case Bolt():
            return fixtures.bolt_parts(obj.flats, obj.nut_height, obj.stand)
        case Strip():
            return fixtures.strip_parts(obj.pieces, obj.piece, obj.width, obj.thickness, obj.height)
        case Stand():
            return stand.stand_parts(obj.inner or _UNFITTED, obj.depth)
        case _:
            return ()


def lowest(obj: ObjectSpec) -> float:
    """Height of an object's lowest point against its `pos` [m], negative; for meshes and tools, of the bounding box."""
    up = rotation_matrix(obj)[2]  # the world's vertical in the object's axes
    match obj:
        case Sphere():
            return -obj.radius
        case Cylinder() | Cup():
            half = bounds(obj)[1]
            return float(-(abs(up[2]) * half[2] + half[0] * np.sqrt(max(0.0, 1 - up[2] ** 2))))
        case Capsule():
            return float(-(abs(up[2]) * (obj.height / 2 - obj.radius) + obj.radius))
        case _:
            lower, upper = bounds(obj)
            return float(np.minimum(up * lower, up * upper).sum())


def footprint(obj: ObjectSpec) -> float:
    """Radius [m] of a vertical cylinder around `pos` that holds the object."""
    lower, upper = bounds(obj)
    corners = np.array(np.meshgrid(*zip(lower, upper, strict=True))).reshape(3, -1).T @ rotation_matrix(obj).T
    radius = float(np.linalg.norm(corners[:, :2], axis=1).max())
    round_and_upright = isinstance(obj, Cylinder | Capsule | Cup) and abs(rotation_matrix(obj)[2, 2]) > 0.999
    return float(upper[0]) if isinstance(obj, Sphere) or round_and_upright else radius


def gap(first: ObjectSpec, second: ObjectSpec) -> float:
    """Clear level distance [m] between two objects at their `pos`; negative where their outlines overlap.

    Round things count as circles, upright cuboids and their parts as rectangles, everything else as its circle.
    """
    pairs = ((a, b) for a in _outlines(first) for b in _outlines(second))
    return min(_between(a, b) for a, b in pairs)


_Outline = tuple[F64, F64, float]  # center (2,), corners (n, 2) about it (none for a circle), radius of a circle


def _outlines(obj: ObjectSpec) -> list[_Outline]:
    center, matrix = np.array(obj.pos[:2]), rotation_matrix(obj)
    if not isinstance(obj, BoxObject | Bar | Tube | Button | Line | Bolt | Strip | Stand) or abs(matrix[2, 2]) < 0.999:
        return [(center, np.zeros((0, 2)), footprint(obj))]
    pieces = parts(obj) or (Part("", np.zeros(3), 2 * bounds(obj)[1]),)
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    return [(center + (matrix @ piece.pos)[:2], signs * piece.size[:2] / 2 @ matrix[:2, :2].T, 0.0) for piece in pieces]


def _between(first: _Outline, second: _Outline) -> float:
    """Distance of two convex outlines: the largest gap along any of their edges' normals, or between their corners."""
    (c1, k1, r1), (c2, k2, r2) = first, second
    if not len(k1) and not len(k2):
        return float(np.linalg.norm(c1 - c2) - r1 - r2)
    p1, p2 = c1 + (k1 if len(k1) else np.zeros((1, 2))), c2 + (k2 if len(k2) else np.zeros((1, 2)))
    edges = [points[[1, 2]] - points[[0, 1]] for points in (p1, p2) if len(points) > 1]
    normals = np.concatenate(edges) / np.linalg.norm(np.concatenate(edges), axis=1, keepdims=True)
    along = [max((p2 @ n).min() - (p1 @ n).max(), (p1 @ n).min() - (p2 @ n).max()) for n in normals]
    corners = np.linalg.norm(p1[:, None] - p2[None], axis=-1).min()
    apart = max(along)
    outside = min(corners, _to_edges(p1, p2), _to_edges(p2, p1)) if apart > 0 else apart
    return float(outside - r1 - r2)


def _to_edges(points: F64, polygon: F64) -> float:
    """Smallest distance of points (n, 2) from the sides of a polygon (m, 2)."""
    if len(polygon) < 2:
        return float("inf")
    start, side = polygon, np.roll(polygon, -1, axis=0) - polygon
    share = np.clip(((points[:, None] - start) * side).sum(-1) / (side**2).sum(-1), 0, 1)
    return float(np.linalg.norm(points[:, None] - start - share[..., None] * side, axis=-1).min())


def position(obj: ObjectSpec, table: TableSpec) -> F64:
    """(3,) m, the object's `pos` in the world; on the table where the description has no height."""
    z = obj.pos[2] if len(obj.pos) == 3 else table.height - lowest(obj)
    return np.array([obj.pos[0], obj.pos[1], z])


def opening(obj: ObjectSpec) -> float:
    """Inner diameter of a container's mouth or of a tube [m], 0 where it holds nothing."""
    match obj:
        case Cup():
            return obj.inner_diameter
        case Tube():
            return obj.inner
        case _:
            return 0.0


def add_object(spec: mujoco.MjSpec, name: str, obj: ObjectSpec, table: TableSpec) -> mujoco.MjsBody:
    """Adds one object to the world.

    Args:
        spec: the model to extend.
        name: of its body, and of its free joint unless it is fixed.
        obj: its description.
        table: the table on which it may rest.
    """
    pos, quat = position(obj, table), np.array(obj.rotation)
    if isinstance(obj, ToolObject):
        tool = family(obj.family)
        return add_tool(spec, tool, tool.params(**obj.params), name, pos, quat)
    body = objects.add_body(spec, name, pos, quat, obj.fixed)
    rgba = np.array([*rgb(obj.color), 1.0])
    if isinstance(obj, Button):
        implements.add_button(body, obj.plate, obj.travel, obj.force, rgba)
        return body
    if isinstance(obj, Line):
        fixtures.add_line(body, parts(obj), rgba)
        return body
    if isinstance(obj, Die | Screwdriver | Letter):
        in_hand.add_parts(spec, body, name, shape_of(obj), obj.mass, rgba)
        for pos_pip, normal, radius in pips(obj):
            objects.add_spot(body, pos_pip, normal, radius)
        return body
    if isinstance(obj, Strip):
        fixtures.add_strip(spec, body, parts(obj), rgba)
        return body
    if isinstance(obj, Bolt):
        fixtures.add_bolt(spec, body, parts(obj), obj.torque, rgba)
        return body
    if isinstance(obj, Stand):
        stand.add_stand(body, parts(obj), obj.friction, rgba)
        return body
    density = obj.density or DEFAULT_DENSITY
    match obj:
        case Sphere():
            mass = obj.mass or density * 4 / 3 * np.pi * obj.radius**3
            objects.add_sphere(body, obj.radius, mass, obj.friction, rgba)
        case BoxObject():
            mass = obj.mass or density * float(np.prod(obj.size))
            objects.add_box(body, np.array(obj.size), mass, obj.friction, rgba)
            if obj.magnet:
                implements.add_magnets(spec, body, np.array(obj.size), obj.magnet)
        case Bar() | Tube():
            pieces = parts(obj)
            mass = obj.mass or density * float(sum(np.prod(piece.size) for piece in pieces))
            implements.add_parts(body, pieces, mass, obj.friction, rgba)
            if isinstance(obj, Bar) and obj.magnet:
                end = pieces[-1]
                implements.add_magnets(spec, body, end.size, obj.magnet, end.pos, sides=1)
        case Cylinder():
            mass = obj.mass or density * np.pi * obj.radius**2 * obj.height
            objects.add_cylinder(body, obj.radius, obj.height, mass, obj.friction, rgba)
        case Capsule():
            mass = obj.mass or density * np.pi * obj.radius**2 * (obj.height - 2 / 3 * obj.radius)
            objects.add_capsule(body, obj.radius, obj.height, mass, obj.friction, rgba)
        case Cup():
            mass = obj.mass or density * objects.cup_volume(obj.inner_diameter, obj.height, obj.wall)
            objects.add_cup(body, obj.inner_diameter, obj.height, obj.wall, mass, obj.friction, rgba)
        case Mesh():
            objects.add_mesh(spec, body, obj.file, obj.scale, density, obj.mass, obj.friction, rgba)
    return body


def add_table(spec: mujoco.MjSpec, table: TableSpec) -> None:
    """Adds the table, its legs and the floor below.

    Args:
        spec: the model to extend.
        table: its description.
    """
    box, rgba = mujoco.mjtGeom.mjGEOM_BOX, [*rgb(table.color), 1.0]
    half = np.array([*table.size, TABLE_THICKNESS]) / 2
    center = np.array([*table.center, table.height - half[2]])
    top = spec.worldbody.add_geom(name="table", type=box, size=half, pos=center, rgba=rgba)
    # The greater friction of two geoms counts: torsion and rolling are the objects' own.
    top.friction = [table.friction, 1e-5, 1e-7]
    top.solref, top.solimp = objects.SOLREF, objects.SOLIMP
    floor = spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    floor.pos = [0, 0, table.height - TABLE_ABOVE_FLOOR]
    floor.material = "floor" if spec.material("floor") is not None else ""
    for geom in (top, floor):
        collide_as_thing(geom)
    leg_half = np.array([0.02, 0.02, (TABLE_ABOVE_FLOOR - TABLE_THICKNESS) / 2])
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        at = center + [x * (half[0] - 0.05), y * (half[1] - 0.05), -half[2] - leg_half[2]]
        leg = spec.worldbody.add_geom(type=box, size=leg_half, pos=at, rgba=[0.3, 0.31, 0.33, 1.0])
        leg.contype = leg.conaffinity = 0


def add_pedestal(spec: mujoco.MjSpec, pos: F64, table: TableSpec) -> None:
    """Adds what an arm's base is seen to stand on. Nothing collides with it.

    Args:
        spec: the model to extend.
        pos: (3,) m, of the base.
        table: gives the floor's height.
    """
    floor = table.height - TABLE_ABOVE_FLOOR
    half = np.array([0.11, 0.11, (pos[2] - floor) / 2])
    if half[2] > 0:
        box = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, rgba=[0.3, 0.31, 0.33, 1.0])
        box.pos = np.array([pos[0] - 0.02, pos[1], floor + half[2] - 0.001])
        box.contype = box.conaffinity = 0


@cache
def _tool_bounds(name: str, params: tuple[tuple[str, float], ...]) -> tuple[F64, F64]:
    spec = new_spec()
    tool = family(name)
    add_tool(spec, tool, tool.params(**dict(params)), "tool")
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    lower, upper = np.full(3, np.inf), np.full(3, -np.inf)
    for geom in range(model.ngeom):
        center, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
        matrix = data.geom_xmat[geom].reshape(3, 3)
        middle, reach = data.geom_xpos[geom] + matrix @ center, np.abs(matrix) @ half
        lower, upper = np.minimum(lower, middle - reach), np.maximum(upper, middle + reach)
    return lower, upper
