"""The skill registry: everything that others need to know about a skill, derived from its signature and docstring.

A skill is a function whose first parameter is `actions: Actions`; the rest is what the skill code passes. From it come
the stub that a model and the type checker see, the bounds that the gate enforces, and the manual page.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field

from toolwright.policies.outcome import Outcome

Limit = Literal["", "opening", "x", "y", "z"]


@dataclass(frozen=True)
class Quantity:
    """A number's unit and range. `within` names the limit of the scene that holds besides: the tool's widest opening,
    or the workspace along an axis."""

    unit: str
    lower: float
    upper: float
    within: Limit = ""


@dataclass(frozen=True)
class ObjectName:
    """Marks a string that has to name an object of the scene."""


class SkillError(TypeError):
    """A function that cannot be a skill as it is written."""


class Parameter(BaseModel):
    """One argument of a skill."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: Literal["str", "float", "int", "bool"]
    unit: str = ""
    lower: float | None = None
    upper: float | None = None
    within: Limit = ""
    object_name: bool = False

    @property
    def bounds(self) -> str:
        """The range in words, empty where there is none."""
        if self.object_name:
            return "an object of the scene"
        if self.lower is None or self.upper is None:
            return ""
        place = {"": "", "opening": ", at most the tool's widest"}.get(self.within, ", inside the workspace")
        return f"{self.lower:g} to {self.upper:g} {self.unit}{place}"


class Skill(BaseModel):
    """A skill's manual page, and the function behind it."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    signature: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    function: Callable[..., Outcome] = Field(exclude=True, repr=False)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Name the arguments of a call.

        Raises:
            TypeError: arguments are missing, unknown or given twice.
        """
        signature = inspect.signature(self.function)
        bound = signature.replace(parameters=list(signature.parameters.values())[1:]).bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)


class Registry:
    """The skills by name, in the order in which they were added."""

    def __init__(self) -> None:
        self._skills: dict[str, Skill] = {}

    def add(self, function: Callable[..., Outcome]) -> Callable[..., Outcome]:
        """Register `function` as a skill; also works as a decorator.

        Raises:
            SkillError: no docstring, no `actions` first, an argument type that skill code cannot pass, a name twice.
        """
        skill = _skill(function)
        if skill.name in self._skills:
            raise SkillError(f"skill {skill.name!r} is registered twice: rename one of them")
        self._skills[skill.name] = skill
        return function

    def items(self) -> tuple[Skill, ...]:
        return tuple(self._skills.values())

    def names(self) -> tuple[str, ...]:
        return tuple(self._skills)

    def __getitem__(self, name: str) -> Skill:
        return self._skills[name]

    def __contains__(self, name: object) -> bool:
        return name in self._skills

    def __iter__(self) -> Iterator[Skill]:
        return iter(self._skills.values())

    def stubs(self) -> str:
        """Declarations of `Outcome` and of every skill, as a model and the type checker read them."""
        fields = "\n".join(f"    {field.name}: {field.type}" for field in dataclasses.fields(Outcome))
        outcome = (
            f'class Outcome:\n    """What a skill measured. A skill without success ends the run."""\n\n{fields}\n'
        )
        return "\n\n".join([outcome, *(_stub(skill) for skill in self)])


def _skill(function: Callable[..., Outcome]) -> Skill:
    name = function.__name__
    doc = inspect.getdoc(function)
    if not doc:
        raise SkillError(f"skill {name!r} has no docstring: say what it does, its units, and when it fails")
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    first, *rest = signature.parameters
    if first != "actions":
        raise SkillError(f"skill {name!r} takes {first!r} first: expected 'actions: Actions'")
    parameters = tuple(_parameter(name, key, hints.get(key)) for key in rest)
    arguments = ", ".join(f"{p.name}: {p.type}{_default(signature.parameters[p.name])}" for p in parameters)
    return Skill(
        name=name,
        signature=f"{name}({arguments}) -> Outcome",
        summary=doc.splitlines()[0],
        description=doc,
        parameters=parameters,
        function=function,
    )


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"


def _parameter(skill: str, name: str, hint: Any) -> Parameter:
    base, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if base not in (str, float, int, bool):
        raise SkillError(f"skill {skill!r}: argument {name!r} is {base!r}: skill code passes str, float, int or bool")
    quantity = next((item for item in metadata if isinstance(item, Quantity)), None)
    return Parameter(
        name=name,
        type=base.__name__,
        object_name=any(isinstance(item, ObjectName) for item in metadata),
        **(dataclasses.asdict(quantity) if quantity else {}),
    )


def _stub(skill: Skill) -> str:
    bounds = "\n".join(f"    {p.name}: {p.bounds}" for p in skill.parameters if p.bounds)
    text = f"{skill.description}\n\nBounds:\n{bounds}" if bounds else skill.description
    module = ast.parse(f"def {skill.signature}: ...")
    body = module.body[0]
    assert isinstance(body, ast.FunctionDef)
    body.body.insert(0, ast.Expr(ast.Constant(text.replace("\n", "\n    ") + "\n    ")))
    lines = ast.unparse(ast.fix_missing_locations(module)).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"
