"""The gate: every call that skill code makes passes here before anything moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from toolwright.llm_planner.registry import Parameter, Registry, Skill
from toolwright.perception.scene import Scene

MAX_CALLS = 60  # three skills for each of twenty objects: more is a loop gone wrong
# Bounds hold for what was meant: numbers in skill code are written to 0.1 mm.
ROUNDING = 1e-4  # m


class CallRefused(Exception):
    """A call that the gate did not let through."""


@dataclass(frozen=True)
class Call:
    """A skill call with named, checked arguments."""

    skill: Skill
    arguments: dict[str, str | float | int | bool]


class Gate:
    """Checks calls against the registry and the scene that was measured before the run."""

    def __init__(self, registry: Registry, scene: Scene, max_calls: int = MAX_CALLS) -> None:
        self._registry = registry
        self._scene = scene
        self._left = max_calls
        self._max = max_calls

    def admit(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Let a call through.

        Raises:
            CallRefused: unknown skill, wrong arguments, a number that is not finite or out of bounds, an object that
                is not in the scene, or more calls than one run may make.
        """
        if name not in self._registry:
            raise CallRefused(f"{name!r} is no skill: the skills are {', '.join(self._registry.names())}")
        if self._left == 0:
            raise CallRefused(f"{name}: more than {self._max} calls in one run")
        self._left -= 1
        skill = self._registry[name]
        try:
            given = skill.bind(args, kwargs)
        except TypeError as error:
            raise CallRefused(f"{name}: {error}; expected {skill.signature}") from error
        arguments = {item.name: self._argument(name, item, given[item.name]) for item in skill.parameters}
        return Call(skill, arguments)

    def _argument(self, skill: str, item: Parameter, value: Any) -> str | float | int | bool:
        where = f"{skill}: {item.name}"
        if item.type == "str":
            if not isinstance(value, str):
                raise CallRefused(f"{where} is {type(value).__name__}, expected str")
            if item.object_name and value not in self._scene.objects:
                raise CallRefused(f"{where}={value!r} is not in the scene: it has {', '.join(self._scene.objects)}")
            return value
        if item.type == "bool":
            if not isinstance(value, bool):
                raise CallRefused(f"{where} is {type(value).__name__}, expected bool")
            return value
        if isinstance(value, bool) or not isinstance(value, int if item.type == "int" else (int, float)):
            raise CallRefused(f"{where} is {type(value).__name__}, expected {item.type}")
        return self._number(where, item, value)

    def _number(self, where: str, item: Parameter, value: int | float) -> float | int:
        try:
            number = float(value)
        except OverflowError as error:
            raise CallRefused(f"{where} is too large") from error
        if not math.isfinite(number):
            raise CallRefused(f"{where} is {number}, expected a finite number")
        lower, upper = self._bounds(item)
        if not lower - ROUNDING <= number <= upper + ROUNDING:
            raise CallRefused(f"{where}={number:g} is outside {lower:g} to {upper:g} {item.unit}".rstrip())
        return number if item.type == "float" else int(value)

    def _bounds(self, item: Parameter) -> tuple[float, float]:
        lower = -math.inf if item.lower is None else item.lower
        upper = math.inf if item.upper is None else item.upper
        if item.within == "opening" and self._scene.tool is not None:
            upper = min(upper, self._scene.tool.opening_max)
        elif item.within in ("x", "y", "z"):
            axis = "xyz".index(item.within)
            lower = max(lower, float(self._scene.workspace.lower[axis]))
            upper = min(upper, float(self._scene.workspace.upper[axis]))
        return lower, upper
