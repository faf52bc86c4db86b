"""Objects on the table, built from primitives (and a user's meshes). The body frame is the center of the bounding box.

Contacts of light things need care in MuJoCo: how far a squeezed body sinks in grows with its acceleration, force over
mass, times (1 - d) / d, where d is the impedance `solimp`. A bead of 0.04 g between sprung pads sinks by its whole
radius at the default d of 0.9; with the values below it gives a few tenths of a millimeter. A flat d of 0.9999 lets
rolling beads jump. Inertias are the true ones: a floor under them makes small beads slide where they should roll.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import mujoco
import numpy as np

from toolwright.sim.models.physics import collide_as_thing

SOLREF = (0.01, 1.0)  # s, damping ratio: twice the timestep, the shortest that MuJoCo allows
SOLIMP = (0.998, 0.9999, 0.0005, 0.5, 2.0)
# Against geoms of equal priority the values above decide, not their mean with the other's softer ones.
SOLMIX = 100.0
ROLLING = 0.01  # rolling friction over radius: a bead at 5 cm/s stops in about half a second
_WALLS = 20  # boxes around a cup
CUP_FLOOR = 0.012  # m: a bead dropped in goes 6 mm in one physics step, straight through a thin floor
_FOOT = 0.0005  # m that a cup's floor stands above the table, so that only four corners touch it


class MeshError(ValueError):
    """A mesh file that is missing or cannot be read."""


def add_body(spec: mujoco.MjSpec, name: str, pos: np.ndarray, quat: np.ndarray, fixed: bool = False) -> mujoco.MjsBody:
    """A body in the world, with a free joint of the same name unless `fixed`.

    Args:
        spec: the model to extend.
        name: of body and joint.
        pos: (3,) m, world frame.
        quat: (4,) w, x, y, z.
        fixed: without a joint.
    """
    body = spec.worldbody.add_body(name=name, pos=pos, quat=quat)
    if not fixed:
        body.add_freejoint(name=name)
    return body


def add_spot(body: mujoco.MjsBody, pos: np.ndarray, normal: np.ndarray, radius: float) -> None:
    """A black disc painted on a surface: to be seen, without mass or contact.

    Args:
        body: gets the geom.
        pos: (3,) m, its middle.
        normal: (3,) of the surface.
        radius: m.
    """
    spot = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[radius, 4e-4, 0], pos=pos, mass=0)
    spot.alt.zaxis = normal
    spot.contype = spot.conaffinity = 0
    spot.rgba = [0.08, 0.08, 0.09, 1.0]


def add_sphere(body: mujoco.MjsBody, radius: float, mass: float, friction: float, rgba: np.ndarray) -> None:
    """A ball.

    Args:
        body: gets the geom.
        radius: m.
        mass: kg.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.
    """
    geom = body.add_geom(name=body.name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], mass=mass)
    surface(geom, friction, rgba, rolling=ROLLING * radius)


def add_box(body: mujoco.MjsBody, size: np.ndarray, mass: float, friction: float, rgba: np.ndarray) -> None:
    """A cuboid.

    Args:
        body: gets the geom.
        size: (3,) m, full edges.
        mass: kg.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.
    """
    geom = body.add_geom(name=body.name, type=mujoco.mjtGeom.mjGEOM_BOX, size=np.asarray(size) / 2, mass=mass)
    surface(geom, friction, rgba)


def add_cylinder(
    body: mujoco.MjsBody, radius: float, height: float, mass: float, friction: float, rgba: np.ndarray
) -> None:
    """A cylinder along z.

    Args:
        body: gets the geom.
        radius: m.
        height: m, full.
        mass: kg.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.
    """
    geom = body.add_geom(name=body.name, type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[radius, height / 2, 0], mass=mass)
    surface(geom, friction, rgba, rolling=ROLLING * radius)


def add_capsule(
    body: mujoco.MjsBody, radius: float, height: float, mass: float, friction: float, rgba: np.ndarray
) -> None:
    """A cylinder along z with round caps.

    Args:
        body: gets the geom.
        radius: m.
        height: m, full, caps included.
        mass: kg.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.
    """
    geom = body.add_geom(
        name=body.name, type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[radius, height / 2 - radius, 0], mass=mass
    )
    surface(geom, friction, rgba, rolling=ROLLING * radius)


def cup_volume(inner_diameter: float, height: float, wall: float) -> float:
    """Volume of a cup's material [m^3]; all lengths in m."""
    inner, outer = inner_diameter / 2, inner_diameter / 2 + wall
    return float(np.pi * (outer**2 * height - inner**2 * (height - CUP_FLOOR)))


def add_cup(
    body: mujoco.MjsBody,
    inner_diameter: float,
    height: float,
    wall: float,
    mass: float,
    friction: float,
    rgba: np.ndarray,
) -> None:
    """An open container: a thick floor, and boxes in a ring as its wall; site `<body>_mouth` at the center of the rim.

    Args:
        body: gets the geoms.
        inner_diameter: m, free width between opposite walls.
        height: m, full.
        wall: m, thickness of the wall.
        mass: kg, in all.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.
    """
    middle = inner_diameter / 2 + wall / 2
    wall_height = height - 2 * _FOOT
    half_width = (inner_diameter / 2 + wall) * np.tan(np.pi / _WALLS)
    floor_size = [inner_diameter / 2 + wall / 2, (CUP_FLOOR - _FOOT) / 2, 0]
    foot_half = (inner_diameter / 2) / np.sqrt(2)
    geoms = [
        body.add_geom(
            name=f"{body.name}_floor",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=floor_size,
            pos=[0, 0, -height / 2 + (CUP_FLOOR + _FOOT) / 2],
        ),
        body.add_geom(
            name=f"{body.name}_foot",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[foot_half, foot_half, wall / 4],
            pos=[0, 0, -height / 2 + wall / 4],
        ),
    ]
    for i in range(_WALLS):
        angle = 2 * np.pi * i / _WALLS
        geoms.append(
            body.add_geom(
                name=f"{body.name}_wall{i}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[wall / 2, half_width, wall_height / 2],
                pos=[middle * np.cos(angle), middle * np.sin(angle), _FOOT],
                quat=[np.cos(angle / 2), 0, 0, np.sin(angle / 2)],
            )
        )
    volumes = [_volume(geom) for geom in geoms]
    for geom, volume in zip(geoms, volumes, strict=True):
        geom.mass = mass * volume / sum(volumes)
        surface(geom, friction, rgba)
    body.add_site(name=f"{body.name}_mouth", pos=[0, 0, height / 2], size=[0.002, 0, 0], group=4)


def add_mesh(
    spec: mujoco.MjSpec,
    body: mujoco.MjsBody,
    file: str,
    scale: float,
    density: float | None,
    mass: float | None,
    friction: float,
    rgba: np.ndarray,
) -> None:
    """A mesh that collides as its convex hull, moved so that its bounding box is centered on the body.

    Args:
        spec: the model that gets the mesh.
        body: gets the geom.
        file: path of an .obj or .stl file.
        scale: factor from the file's unit to m.
        density: kg/m^3, where no mass is given.
        mass: kg.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.

    Raises:
        MeshError: the file is missing or cannot be read.
    """
    lower, upper = mesh_bounds(file, scale)
    mesh = spec.add_mesh(name=body.name, file=str(Path(file).resolve()), scale=[scale] * 3)
    # Thin or unclosed user meshes have no volume to integrate; their hull has.
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    geom = body.add_geom(name=body.name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=body.name, pos=-(lower + upper) / 2)
    if mass is not None:
        geom.mass = mass
    else:
        geom.density = density
    surface(geom, friction, rgba)


@cache
def mesh_bounds(file: str, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner (3,) [m] of a mesh's bounding box, in the axes and origin of its file.

    Raises:
        MeshError: the file is missing or cannot be read.
    """
    path = Path(file)
    if path.suffix.lower() not in (".obj", ".stl"):
        raise MeshError(f"'{file}' is no .obj or .stl file")
    if not path.is_file():
        raise MeshError(f"there is no file '{file}'")
    spec = mujoco.MjSpec()
    mesh = spec.add_mesh(name="mesh", file=str(path.resolve()), scale=[scale] * 3)
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    spec.worldbody.add_geom(name="mesh", type=mujoco.mjtGeom.mjGEOM_MESH, meshname="mesh")
    try:
        model = spec.compile()
    except (ValueError, mujoco.FatalError) as error:
        raise MeshError(f"cannot read '{file}': {str(error).splitlines()[0]}") from error
    # The compiler moves vertices into the mesh's inertial frame, and the geom by the inverse.
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[0])
    vertices = model.mesh_vert @ rotation.reshape(3, 3).T + model.geom_pos[0]
    return vertices.min(axis=0), vertices.max(axis=0)


def _volume(geom: mujoco.MjsGeom) -> float:
    if int(geom.type) == int(mujoco.mjtGeom.mjGEOM_CYLINDER):
        return float(2 * np.pi * geom.size[0] ** 2 * geom.size[1])
    return float(8 * np.prod(geom.size))


def surface(geom: mujoco.MjsGeom, friction: float, rgba: np.ndarray, rolling: float | None = None) -> None:
    """Contact, color and collision bits of a thing.

    Args:
        geom: to be set.
        friction: sliding coefficient.
        rgba: (4,) in 0..1.
        rolling: coefficient [m] of a round thing; None for one that does not roll.
    """
    geom.condim = 4 if rolling is None else 6
    geom.friction = [friction, 0.002 if rolling is None else 10 * rolling, rolling or 0.0]
    geom.solref, geom.solimp, geom.solmix = SOLREF, SOLIMP, SOLMIX
    geom.rgba = rgba
    collide_as_thing(geom)
