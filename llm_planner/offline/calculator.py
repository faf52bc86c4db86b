"""The calculator: symbols to numbers, worked out from the measured scene. No number here comes from a model.

Everything is rounded to 0.1 mm, a tenth of what a depth camera resolves.
"""

from __future__ import annotations

from toolwright.llm_planner.knowledge import geometry, hand_models
from toolwright.llm_planner.roles import Calculation, Derivation, NumberedStep, Plan, RoleError, Symbol
from toolwright.perception.scene import HeldTool, Scene, SceneObject

# Room for the tips' position error on both sides of the object.
CLEARANCE = 0.006  # m
# How far the commanded opening goes below the object's width, so that the tool's limbs press on it.
SQUEEZE = 0.004  # m
# High enough to carry over a cup, low enough for the arm to reach from anywhere in the workspace.
LIFT = 0.10  # m
# Above the rim by more than the tips' position error, low enough that nothing bounces out.
RELEASE_HEIGHT = 0.02  # m
# Over the top of an object that the tips move above.
HOVER = 0.05  # m
DIGITS = 4
HAND_QUANTITIES = ("x_aside", "y_aside", "x_within", "y_within", "x_onto", "y_onto", "dx_within")


def calculate(plan: Plan, scene: Scene) -> Calculation:
    """Replace every symbol of the plan by its number.

    Raises:
        RoleError: a symbol names an object that is not there, or no tool is held.
    """
    steps: list[NumberedStep] = []
    derivations: list[Derivation] = []
    for index, step in enumerate(plan.steps):
        arguments: dict[str, str | float] = {}
        for name, argument in step.arguments.items():
            if isinstance(argument, Symbol):
                value, how = evaluate(argument, scene)
                derivations.append(Derivation(step=index, argument=name, value=value, how=how))
                arguments[name] = value
            else:
                arguments[name] = argument
        steps.append(NumberedStep(skill=step.skill, arguments=arguments))
    return Calculation(steps=tuple(steps), derivations=tuple(derivations))


def evaluate(symbol: Symbol, scene: Scene) -> tuple[float, str]:
    """Value of a symbol [m] and how it came about.

    Raises:
        RoleError: a symbol names an object that is not there, or no tool is held.
    """
    value, how = _value(symbol, scene)
    if symbol.offset:
        return round(value + symbol.offset, DIGITS), f"{how} {symbol.offset:+g}"
    return round(value, DIGITS), how


def _value(symbol: Symbol, scene: Scene) -> tuple[float, str]:
    name = symbol.quantity
    if name in ("x_tips", "y_tips", "z_tips"):
        tips = _tool(scene).T_world_tip[:3, 3]
        return float(tips["xyz".index(name[0])]), f"{name[0]} of the tips"
    if name == "widest_opening":
        return _tool(scene).opening_max, "widest opening of the tool"
    if name == "half_opening":
        return _tool(scene).opening_max / 2, "half the widest opening of the tool"
    if name == "release_height":
        return RELEASE_HEIGHT, "above the rim"
    item = _object(symbol.object, scene)
    if name in HAND_QUANTITIES:
        try:
            return hand_models.value(name, scene, item.name, _object(symbol.moved or item.name, scene).name)
        except ValueError as error:
            raise RoleError(f"calculator: {name}: {error}") from error
    if name in ("x_of", "y_of", "z_of"):
        return float(item.pos["xyz".index(name[0])]), f"{name[0]} of {item.name}"
    if name == "opening_around":
        return _opening_around(item, _tool(scene))
    if name == "grip_on":
        width = geometry.width(item)
        return max(width - SQUEEZE, 0.0), f"width {width:.4f} - squeeze {SQUEEZE:g}"
    if name == "lift":
        room = max(float(scene.workspace.upper[2] - item.pos[2]), 0.0)
        return min(LIFT, room), "usual lift" if room >= LIFT else "up to the workspace's ceiling"
    if name == "z_above":
        return item.top + HOVER, f"top of {item.name} + {HOVER:g}"
    if name == "z_release":
        return item.top + RELEASE_HEIGHT, f"rim of {item.name} + {RELEASE_HEIGHT:g}"
    moved = _object(symbol.moved, scene)
    if symbol.side not in geometry.SIDES:
        raise RoleError(f"calculator: no side {symbol.side!r}; expected one of {list(geometry.SIDES)}")
    x, y = geometry.beside(scene, moved.name, item.name, symbol.side)
    return (x if name == "x_beside" else y), f"{symbol.side} of {item.name}, {moved.name}'s size apart"


def _opening_around(item: SceneObject, tool: HeldTool) -> tuple[float, str]:
    width = geometry.width(item)
    if width + CLEARANCE > tool.opening_max:
        return tool.opening_max, f"widest opening of the tool, for width {width:.4f}"
    return width + CLEARANCE, f"width {width:.4f} + clearance {CLEARANCE:g}"


def _object(name: str, scene: Scene) -> SceneObject:
    if name not in scene.objects:
        raise RoleError(f"calculator: no object {name!r} in the scene; it has {sorted(scene.objects)}")
    return scene.objects[name]


def _tool(scene: Scene) -> HeldTool:
    if scene.tool is None:
        raise RoleError("calculator: the hand holds no tool")
    return scene.tool
