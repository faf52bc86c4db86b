"""Perception by privilege: the simulation's true state plus declared measurement noise, as a `Scene`.

It stands where camera and segmentation stand on the robot. Nothing of MuJoCo leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.reorient import lies_in_palm
from toolwright.hardware.robot import F64
from toolwright.perception.scene import Box, HeldTool, Mark, ObjectPart, Scene, SceneObject
from toolwright.sim import liquid
from toolwright.sim.models import tools
from toolwright.sim.scene_fixtures import Bolt, Strip
from toolwright.sim.scene_objects import bounds, opening, parts
from toolwright.sim.scene_spec import Bar, BoxObject, Button, ObjectSpec, SceneSpec, color_name
from toolwright.sim.scene_turnables import Die, Letter, Screwdriver, marks

_GAP = 1.5  # lengths of a piece between the middles of two: they are parted
_FALLEN = 0.02  # m below the table top


@dataclass(frozen=True)
class StateNoise:
    """Standard deviations of what perception measures, drawn anew at every look. Fixed objects are known exactly."""

    object_pos: float = 0.0005  # m on each axis
    object_turn: float = 0.01  # rad about each axis
    tool_pos: float = 0.0005  # m on each axis
    tool_turn: float = 0.01  # rad about each axis
    tool_opening: float = 0.0003  # m
    contents: float = 0.005  # ml, as a scale under a cup weighs it
    turn: float = 0.01  # rad
    # Drawn once, wrong in the same way at every look: where camera and hand were calibrated to be.
    tool_pos_bias: float = 0.0  # m on each axis
    tool_turn_bias: float = 0.0  # rad about each axis
    tool_opening_bias: float = 0.0  # m


def _marks(obj: ObjectSpec) -> tuple[Mark, ...]:
    return tuple(Mark(*mark) for mark in marks(obj).items()) if isinstance(obj, Die | Screwdriver | Letter) else ()


class SimPerception:
    """Looks at a simulation. Implements `perception.scene.Perception`.

    Args:
        model: built from `spec`.
        data: its state, read at every look.
        spec: the scene as it was built (drawn, where it has ranges).
        noise: None measures exactly.
        rng: for the noise.

    Raises:
        ValueError: noise without a generator, or the model lacks an object of the scene.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        spec: SceneSpec,
        noise: StateNoise | None = StateNoise(),
        rng: np.random.Generator | None = None,
    ) -> None:
        if noise is not None and rng is None:
            raise ValueError("noise needs a random generator: pass rng")
        self._model, self._data, self._spec = model, data, spec
        self._noise = noise or StateNoise(0, 0, 0, 0, 0, 0, 0)
        self._rng = rng or np.random.default_rng(0)  # multiplied by zeros where there is no noise
        self._bodies = {name: mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name) for name in spec.objects}
        if missing := [name for name, body in self._bodies.items() if body < 0]:
            raise ValueError(f"the model has no {missing}: it was built from another scene")
        self._cups = liquid.cups(spec)
        self._in_hand = spec.tool is not None and spec.tool.stand is None
        self._bias = self._draw_bias()
        workspace = spec.workspace
        self._workspace = Box(np.array(workspace.lower), np.array(workspace.upper))

    def look(self) -> Scene:
        """Measures everything once."""
        objects = {name: self._object(name, obj) for name, obj in self._spec.objects.items()}
        tool, held = self._tool(), self._held()
        fallen = [name for name, seen in objects.items() if seen.pos[2] < self._spec.table.height - _FALLEN]
        return Scene(
            stamp=float(self._data.time),
            objects=objects,
            tool=tool if held else None,
            loose=None if held else tool,
            workspace=self._workspace,
            table_height=self._spec.table.height,
            notes=tuple(f"{name} has fallen off the table" for name in fallen),
            in_palm=next((name for name in objects if self._lies_in_palm(objects[name])), ""),
        )

    def _lies_in_palm(self, item: SceneObject) -> bool:
        if self._spec.in_palm is None or item.fixed or not item.marks:
            return False
        palm = self._data.body("palm")
        return lies_in_palm(palm.xpos, palm.xquat, item.pos)

    def _object(self, name: str, obj: ObjectSpec) -> SceneObject:
        body = self._bodies[name]
        pos, quat = self._pose(body)
        if not obj.fixed:
            pos = pos + self._rng.normal(0, self._noise.object_pos, 3)
            quat = rotations.multiply(rotations.from_rotvec(self._rng.normal(0, self._noise.object_turn, 3)), quat)
        lower, upper = bounds(obj)
        return SceneObject(
            name=name,
            shape=obj.shape,
            pos=pos,
            quat=quat,
            size=upper - lower,
            mass=float(self._model.body_subtreemass[body]),
            fixed=obj.fixed,
            opening=opening(obj),
            color=color_name(obj.color) if obj.color else "",
            parts=tuple(ObjectPart(part.name, part.pos, part.size) for part in parts(obj)),
            travel=float(self._data.joint(f"{name}_travel").qpos[0]) if isinstance(obj, Button) else 0.0,
            travel_max=obj.travel if isinstance(obj, Button) else 0.0,
            magnetic=isinstance(obj, BoxObject | Bar) and obj.magnet > 0,
            contents=self._contents(name),
            length=self._length(name, obj) if isinstance(obj, Strip) else 0.0,
            turn=self._turn(name) if isinstance(obj, Bolt) else 0.0,
            marks=_marks(obj),
        )

    def _contents(self, name: str) -> float:
        if name not in self._cups:
            return 0.0
        return liquid.contents(self._data, self._spec, name) + float(self._rng.normal(0, self._noise.contents))

    def _length(self, name: str, obj: Strip) -> float:
        """How far the strip goes on from its stand: up to the first gap between two pieces."""
        middles = [self._data.joint(f"{name}_piece{i}").qpos[:3] for i in range(obj.pieces)]
        gaps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
        held = int(np.argmax(gaps > _GAP * obj.piece)) + 1 if (gaps > _GAP * obj.piece).any() else obj.pieces
        return held * obj.piece

    def _turn(self, name: str) -> float:
        return float(self._data.joint(f"{name}_turn").qpos[0] + self._rng.normal(0, self._noise.turn))

    def _pose(self, body: int) -> tuple[F64, F64]:
        """World pose of an object's body; of a free one from its joint, since body poses lag a step behind."""
        joint = self._model.body_jntadr[body]
        if joint < 0:
            return self._data.xpos[body].copy(), self._data.xquat[body].copy()
        start = self._model.jnt_qposadr[joint]
        return self._data.qpos[start : start + 3].copy(), self._data.qpos[start + 3 : start + 7].copy()

    def _draw_bias(self) -> tuple[F64, F64, float]:
        """Shift (3,) m, turn (4,) and opening m by which the tool is measured wrongly; none where none is declared."""
        n, rng = self._noise, self._rng
        if not (n.tool_pos_bias or n.tool_turn_bias or n.tool_opening_bias):
            return np.zeros(3), np.array([1.0, 0, 0, 0]), 0.0
        turn = rotations.from_rotvec(rng.normal(0, n.tool_turn_bias, 3))
        return rng.normal(0, n.tool_pos_bias, 3), turn, float(rng.normal(0, n.tool_opening_bias))

    def _held(self) -> bool:
        """Whether the hand alone bears the tool, or did until stand or table took it over from the hand."""
        if self._spec.tool is None or self._spec.tool.stand is None:
            return self._in_hand
        model, data = self._model, self._data
        tool = model.body(self._spec.tool_name).id
        robot = model.body_rootid[model.body("palm").id]
        roots = model.body_rootid[model.geom_bodyid[data.contact.geom]]
        others = {int(pair[pair != tool][0]) for pair in roots if (pair == tool).any() and (pair != tool).any()}
        if robot in others and len(others) == 1:
            self._in_hand = True
        elif others and robot not in others:
            self._in_hand = False
        return self._in_hand

    def _tool(self) -> HeldTool | None:
        if self._spec.tool is None or self._spec.tool_name is None:
            return None
        family = tools.family(self._spec.tool.family)
        params = family.params(**self._spec.tool.params)
        tool = tools.held_tool_state(self._model, self._data, family, params, self._spec.tool_name)
        turn = rotations.from_rotvec(self._rng.normal(0, self._noise.tool_turn, 3))
        shift = self._rng.normal(0, self._noise.tool_pos, 3)
        T_world_tip = tool.T_world_tip.copy()
        off, askew, wider = self._bias
        T_world_tip[:3, :3] = rotations.rotate(turn, T_world_tip[:3, :3].T).T @ rotations.rotate(askew, np.eye(3)).T
        T_world_tip[:3, 3] += shift + off
        return replace(
            tool,
            opening=tool.opening + float(self._rng.normal(0, self._noise.tool_opening)) + wider,
            pos_palm=tool.pos_palm + self._rng.normal(0, self._noise.tool_pos, 3) + off,
            quat_palm=rotations.multiply(rotations.multiply(tool.quat_palm, turn), askew),
            T_world_tip=T_world_tip,
        )
