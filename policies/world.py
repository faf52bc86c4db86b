"""A simulated world with everything that an action needs: scene, robot with the tool in its hand, eyes, actions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import mujoco
import numpy as np

from toolwright.hardware.joints import FR3, FR3_HOME, FR3_LEAP, LEAP
from toolwright.hardware.robot import F64, JointTarget
from toolwright.hardware.safety import SafetyGate
from toolwright.policies.hand import hand_shapes
from toolwright.policies.hand.bar_use import BarUse
from toolwright.policies.palm.start import lay_in_palm
from toolwright.policies.palm.turn_use import TurnUse
from toolwright.policies.tool.jobs import use_of
from toolwright.policies.tool.tool_use import ToolUse
from toolwright.sim import grasp_bank, liquid, severing
from toolwright.sim.models.implements import switch_on_magnets
from toolwright.sim.models.stand import place_in_stand
from toolwright.sim.models.tools import family
from toolwright.sim.perception import SimPerception, StateNoise
from toolwright.sim.robot import RobotError, SimRobot, place_in_hand
from toolwright.sim.scene import SceneSpec, build
from toolwright.sim.scene_fixtures import Stand
from toolwright.sim.scene_turnables import Die, Letter, Screwdriver, shape_of

ANCHOR = 1  # of the grasp: half open
SETTLE = 0.5  # s that a tool has in its stand before anything moves
SENSOR = StateNoise()


@dataclass(frozen=True)
class SimulatedWorld:
    """One world. `actions` moves it; `model` and `data` are for pictures and for judging, not for acting."""

    spec: SceneSpec
    model: mujoco.MjModel
    data: mujoco.MjData
    robot: SimRobot
    perception: SimPerception
    actions: ToolUse | BarUse | TurnUse


def simulate(
    spec: SceneSpec,
    rng: np.random.Generator,
    controller: Literal["learned", "closed_form"] = "learned",
    noise: StateNoise | None = SENSOR,
) -> SimulatedWorld:
    """Builds a scene, puts its tool into the hand, and connects. Without a tool the hand starts open and empty.

    Args:
        spec: drawn, where it has ranges.
        rng: of perception's noise.
        controller: of the hand.
        noise: of perception; None measures exactly.

    Raises:
        SceneError: the scene cannot be built.
        RobotError: it lacks arm or hand.
        FileNotFoundError: no grasps for the tool.
        WeightsError: the learned controller has no weights.
    """
    if spec.robot.arm is None or spec.robot.hand is None:
        raise RobotError(f"scene '{spec.name}' has no arm or no hand, and actions need both")
    if spec.in_palm is not None:
        return _palm_up(spec, spec.in_palm, rng, noise)
    if spec.tool is None:
        return _bare_handed(spec, rng, noise)
    bank = grasp_bank.load(spec.tool.family)
    index = nearest(bank, bank.family.params(**spec.tool.params))
    model = build(spec).compile()
    data = mujoco.MjData(model)
    for joint, q in zip(FR3.names, FR3_HOME, strict=True):
        data.joint(joint).qpos[0] = q
    if spec.tool.stand is None:
        place_in_hand(model, data, bank, index, ANCHOR, spec.tool_name)
    else:
        _stand_up(model, data, spec)
    happens = (liquid.flow(model, data, spec), severing.severing(model, data, spec))
    robot = SimRobot(model, data, FR3_LEAP, processes=[step for step in happens if step])
    if spec.tool.stand is not None:
        _let_settle(robot)
    gate = SafetyGate(robot, clock=lambda: float(data.time))
    gate.connect()
    perception = SimPerception(model, data, spec, noise, rng)
    actions = use_of(spec.tool.family)(gate, perception, bank, index, controller, base_of(spec))
    return SimulatedWorld(spec, model, data, robot, perception, actions)


def _stand_up(model: mujoco.MjModel, data: mujoco.MjData, spec: SceneSpec) -> None:
    """The hand open and empty, the tool in its stand."""
    assert spec.tool is not None and spec.tool.stand is not None and spec.tool_name is not None
    for joint, q in zip(LEAP.names, hand_shapes.OPEN, strict=True):
        data.joint(joint).qpos[0] = q
        data.actuator(joint).ctrl[0] = q
    stand = spec.objects[spec.tool.stand]
    assert isinstance(stand, Stand)
    tool = family(spec.tool.family)
    params = tool.params(**spec.tool.params)
    place_in_stand(model, data, tool, params, spec.tool_name, spec.tool.stand, stand.depth)


def _let_settle(robot: SimRobot) -> None:
    """The robot at rest until the tool stands still."""
    robot.connect()
    for _ in range(round(SETTLE / robot.period)):
        robot.send(JointTarget(np.array([*FR3_HOME, *hand_shapes.OPEN])))


def _bare_handed(spec: SceneSpec, rng: np.random.Generator, noise: StateNoise | None) -> SimulatedWorld:
    model = build(spec).compile()
    data = mujoco.MjData(model)
    for joint, q in zip(FR3.names + LEAP.names, [*FR3_HOME, *hand_shapes.OPEN], strict=True):
        data.joint(joint).qpos[0] = q
        data.actuator(joint).ctrl[0] = q
    switch_on_magnets(model, data)
    mujoco.mj_forward(model, data)
    robot = SimRobot(model, data, FR3_LEAP)
    gate = SafetyGate(robot, clock=lambda: float(data.time))
    gate.connect()
    perception = SimPerception(model, data, spec, noise, rng)
    return SimulatedWorld(spec, model, data, robot, perception, BarUse(gate, perception, base_of(spec)))


def _palm_up(spec: SceneSpec, name: str, rng: np.random.Generator, noise: StateNoise | None) -> SimulatedWorld:
    model = build(spec).compile()
    data = mujoco.MjData(model)
    shapes = {key: shape_of(obj) for key, obj in spec.objects.items() if isinstance(obj, Die | Screwdriver | Letter)}
    robot = lay_in_palm(model, data, name, shapes[name], rng)
    gate = SafetyGate(robot, clock=lambda: float(data.time))
    gate.connect()
    perception = SimPerception(model, data, spec, noise, rng)
    return SimulatedWorld(spec, model, data, robot, perception, TurnUse(gate, perception, shapes, base_of(spec)))


def nearest(bank: grasp_bank.GraspBank, params: Any) -> int:
    """Index of the bank's tool that is most like this one: itself where it is there, for instance the nominal tool.

    Args:
        bank: grasps of the family.
        params: of the tool.
    """
    spans = {name: high - low for name, (low, high) in bank.family.train.items()}
    wanted = asdict(params)

    def unlike(index: int) -> float:
        known = asdict(bank.params[index])
        return sum(((known[name] - wanted[name]) / spans.get(name, abs(wanted[name]) or 1.0)) ** 2 for name in known)

    return min(range(len(bank.params)), key=unlike)


def base_of(spec: SceneSpec) -> F64:
    """(4, 4): where a scene's robot stands."""
    T_world_base = np.eye(4)
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.array(spec.robot.rotation))
    T_world_base[:3, :3], T_world_base[:3, 3] = matrix.reshape(3, 3), spec.robot.pos
    return T_world_base
