"""Symbolic numbers over the measured scene: a model writes them, and they are evaluated here.

An expression is arithmetic over measurements, for instance `top("cup") + 0.02`. Nothing else is read: no names but
those of `MEASURES`, `VALUES` and `FUNCTIONS`, no attribute, no keyword, no power.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

from toolwright.llm_planner.knowledge import geometry
from toolwright.perception.scene import HeldTool, Scene, SceneObject

MAX_LENGTH = 300  # characters
DIGITS = 4  # 0.1 mm, a tenth of what a depth camera resolves

MEASURES: dict[str, tuple[str, Callable[[SceneObject], float]]] = {
    "x": ("x of the center", lambda item: float(item.pos[0])),
    "y": ("y of the center", lambda item: float(item.pos[1])),
    "z": ("z of the center", lambda item: float(item.pos[2])),
    "top": ("z of the highest point", lambda item: float(item.pos[2]) + geometry.half_height(item)),
    "bottom": ("z of the lowest point", lambda item: float(item.pos[2]) - geometry.half_height(item)),
    "height": ("vertical extent", lambda item: 2 * geometry.half_height(item)),
    "width": ("smallest horizontal extent", geometry.width),
    "breadth": ("largest horizontal extent", geometry.breadth),
    "mouth": ("inner diameter of a container's mouth", lambda item: item.opening),
    "mass": ("mass in kg", lambda item: item.mass),
}
VALUES: dict[str, tuple[str, Callable[[Scene], float]]] = {
    "x_tips": ("x between the tool's tips", lambda scene: float(_tool(scene).T_world_tip[0, 3])),
    "y_tips": ("y between the tool's tips", lambda scene: float(_tool(scene).T_world_tip[1, 3])),
    "z_tips": ("z between the tool's tips", lambda scene: float(_tool(scene).T_world_tip[2, 3])),
    "opening": ("the tool's opening now", lambda scene: _tool(scene).opening),
    "opening_max": ("the tool's widest opening", lambda scene: _tool(scene).opening_max),
    "x_min": ("workspace", lambda scene: float(scene.workspace.lower[0])),
    "x_max": ("workspace", lambda scene: float(scene.workspace.upper[0])),
    "y_min": ("workspace", lambda scene: float(scene.workspace.lower[1])),
    "y_max": ("workspace", lambda scene: float(scene.workspace.upper[1])),
    "z_min": ("workspace", lambda scene: float(scene.workspace.lower[2])),
    "z_max": ("workspace", lambda scene: float(scene.workspace.upper[2])),
    "table": ("z of the table", lambda scene: scene.table_height),
    "pi": ("3.14159", lambda scene: math.pi),
}
FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "sqrt": math.sqrt,
    "hypot": math.hypot,
    "sin": math.sin,
    "cos": math.cos,
    "atan2": math.atan2,
}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class ExpressionError(ValueError):
    """An expression that cannot be evaluated; the message says why, and what could stand there."""


def manual() -> str:
    """What an expression may hold, for the model's prompt."""
    measures = "; ".join(f"{name}: {meaning}" for name, (meaning, _) in MEASURES.items())
    values = "; ".join(f"{name}: {meaning}" for name, (meaning, _) in VALUES.items())
    return (
        f'Measurements of an object, called with its name in quotes, such as width("NAME"): {measures}.\n'
        f"Values: {values}.\n"
        f"Functions: {', '.join(FUNCTIONS)}. Operators: + - * / and parentheses. Lengths in m."
    )


def evaluate(text: str, scene: Scene) -> float:
    """The value of an expression in a measured scene, rounded to 0.1 mm.

    Raises:
        ExpressionError: it is no arithmetic over the scene, names what is not there, or has no finite value.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {MAX_LENGTH} characters, this one has {len(text)}")
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body, scene)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"{text!r} is no arithmetic expression") from error
    except (ArithmeticError, ValueError, TypeError) as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"{text!r} has no value: {error}") from error
    if not math.isfinite(value):
        raise ExpressionError(f"{text!r} has no finite value")
    return round(value, DIGITS)


def _value(node: ast.expr, scene: Scene) -> float:
    match node:
        case ast.Constant(value=int(value) | float(value)) if not isinstance(value, bool):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, scene)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, scene)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, scene), _value(right, scene))
        case ast.Name(id=name) if name in VALUES:
            return VALUES[name][1](scene)
        case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(what))], keywords=[]) if name in MEASURES:
            if what not in scene.objects:
                raise ExpressionError(f"no object {what[:80]!r} in the scene: it has {', '.join(scene.objects)}")
            return float(MEASURES[name][1](scene.objects[what]))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return float(FUNCTIONS[name](*(_value(argument, scene) for argument in args)))
        case ast.Call(func=ast.Name(id=name)) if name in MEASURES:
            raise ExpressionError(f'{name} takes one object\'s name in quotes: {name}("NAME")')
        case ast.Name(id=name) if name in MEASURES:
            raise ExpressionError(f'{name} is measured on an object: write {name}("NAME")')
    raise ExpressionError(f"{ast.unparse(node)[:80]!r} cannot stand in an expression: use measurements and arithmetic")


def _tool(scene: Scene) -> HeldTool:
    if scene.tool is None:
        raise ExpressionError("the hand holds no tool")
    return scene.tool
