"""The gate: every call that skill code makes passes here before anything moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from toolwright.llm_planner.knowledge import skill_models
from toolwright.llm_planner.roles import Cause
from toolwright.llm_planner.skills.registry import Parameter, Registry, Skill
from toolwright.perception.scene import Scene
from toolwright.policies.outcome import Outcome

MAX_CALLS = 60  # three skills for each of twenty objects: more is a loop gone wrong
# Bounds hold for what was meant: numbers in skill code are written to 0.1 mm.
ROUNDING = 1e-4  # m
# Ceilings by unit, whatever range a skill declares: no faster and no harder than the motions of our own.
CEILINGS: dict[str, float] = {"m/s": 0.25, "N": 40.0, "N m": 2.0}
MAX_EDITS = 5

Value = str | float | int | bool


class CallRefused(Exception):
    """A call that the gate did not let through. `cause` says what kind of mistake it is."""

    def __init__(self, reason: str, cause: Cause = "logic", denied: Call | None = None) -> None:
        super().__init__(reason)
        self.cause, self.denied = cause, denied  # denied: the call that the user said no to


@dataclass(frozen=True)
class Call:
    """A skill call with named, checked arguments."""

    skill: Skill
    arguments: dict[str, Value]
    edited: bool = False  # by the user: no longer what the code said

    def __str__(self) -> str:
        return f"{self.skill.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


@dataclass(frozen=True)
class Decision:
    """What the user says to a call. `edited` replaces the arguments that it names; the gate checks them again."""

    allowed: bool
    reason: str = ""
    edited: Mapping[str, Value] | None = None


Approve = Callable[[Call], Decision]


class Gate:
    """Checks calls against the registry and the scene that was measured last.

    Args:
        registry: the skills that there are.
        scene: measured before the run; `see` brings a newer one.
        max_calls: of one run.
        approve: asked before every call that passed; None lets them through.
    """

    def __init__(
        self, registry: Registry, scene: Scene, max_calls: int = MAX_CALLS, approve: Approve | None = None
    ) -> None:
        self._registry = registry
        self._scene = scene
        self._left = max_calls
        self._max = max_calls
        self._approve = approve
        self.asked = 0.0  # s that the user took over the last call

    def see(self, scene: Scene) -> None:
        """Takes a newer look at the world."""
        self._scene = scene

    def admit(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Let a call through.

        Raises:
            CallRefused: unknown skill, wrong arguments, a number that is not finite or out of bounds, an object that
                is not in the scene, tips that would leave the workspace, more calls than one run may make, or a user
                who says no.
        """
        if name not in self._registry:
            raise CallRefused(f"{name[:80]!r} is no skill: the skills are {', '.join(self._registry.names())}")
        if self._left == 0:
            raise CallRefused(f"{name}: more than {self._max} calls in one run")
        self._left -= 1
        skill = self._registry[name]
        try:
            given = skill.bind(args, kwargs)
        except TypeError as error:
            raise CallRefused(f"{name}: {error}; expected {skill.signature}") from error
        return self._approved(self._checked(skill, given))

    def after(self, call: Call, outcome: Outcome) -> str:
        """What a skill measured that must not happen again; empty where all is within the ceilings."""
        for key, value in outcome.measured.items():
            unit = {"speed": "m/s", "force": "N", "torque": "N m"}.get(key.rsplit("_", 1)[-1], "")
            if unit and not abs(value) <= CEILINGS[unit]:
                return f"{call.skill.name}: measured {key} {value:.3g} {unit}, the gate's limit is {CEILINGS[unit]:g}"
        return ""

    def _checked(self, skill: Skill, given: Mapping[str, Any]) -> Call:
        arguments = {item.name: self._argument(skill.name, item, given[item.name]) for item in skill.parameters}
        outside = skill_models.leaves_workspace(skill.name, arguments, self._scene)
        if outside:
            raise CallRefused(f"{skill.name}: {outside}", "numbers")
        return Call(skill, arguments)

    def _approved(self, call: Call) -> Call:
        self.asked = 0.0
        for _ in range(MAX_EDITS if self._approve else 0):
            assert self._approve is not None
            began = perf_counter()
            decision = self._approve(call)
            self.asked += perf_counter() - began
            if not decision.allowed:
                raise CallRefused(decision.reason or f"{call.skill.name}: the user said no", denied=call)
            if not decision.edited:
                return call
            unknown = [name for name in decision.edited if name not in call.arguments]
            if unknown:
                raise CallRefused(f"{call.skill.name} has no argument {unknown[0]!r}: {call.skill.signature}")
            call = replace(self._checked(call.skill, {**call.arguments, **decision.edited}), edited=True)
        if self._approve:
            raise CallRefused(f"{call.skill.name}: edited {MAX_EDITS} times without a yes", denied=call)
        return call

    def _argument(self, skill: str, item: Parameter, value: Any) -> Value:
        where = f"{skill}: {item.name}"
        if item.type == "str":
            if not isinstance(value, str):
                raise CallRefused(f"{where} is {type(value).__name__}, expected str")
            if item.object_name and value not in self._scene.objects:
                known = ", ".join(self._scene.objects)
                raise CallRefused(f"{where}={value[:80]!r} is not in the scene: it has {known}")
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
            raise CallRefused(f"{where} is too large", "numbers") from error
        if not math.isfinite(number):
            raise CallRefused(f"{where} is {number}, expected a finite number", "numbers")
        lower, upper = self._bounds(item)
        if not lower - ROUNDING <= number <= upper + ROUNDING:
            raise CallRefused(f"{where}={number:g} is outside {lower:g} to {upper:g} {item.unit}".rstrip(), "numbers")
        return number if item.type == "float" else int(value)

    def _bounds(self, item: Parameter) -> tuple[float, float]:
        lower = -math.inf if item.lower is None else item.lower
        upper = math.inf if item.upper is None else item.upper
        if item.unit in CEILINGS:
            lower, upper = max(lower, -CEILINGS[item.unit]), min(upper, CEILINGS[item.unit])
        if item.within == "opening" and self._scene.tool is not None:
            upper = min(upper, self._scene.tool.opening_max)
        elif item.within in ("x", "y", "z"):
            axis = "xyz".index(item.within)
            lower = max(lower, float(self._scene.workspace.lower[axis]))
            upper = min(upper, float(self._scene.workspace.upper[axis]))
        return lower, upper
