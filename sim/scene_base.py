"""What the models of a scene file have in common: strictness, colors, where a thing stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from rapidfuzz import process

COLORS: dict[str, str] = {
    "red": "#d43a2f",
    "orange": "#ee8a2c",
    "yellow": "#f2c53d",
    "green": "#3f9e54",
    "blue": "#2f6fd0",
    "purple": "#7c4fb8",
    "pink": "#e47aa5",
    "brown": "#8a5a3b",
    "white": "#f1efea",
    "gray": "#9a9da3",
    "black": "#2b2d31",
}


class SceneError(ValueError):
    """A scene that cannot be used: one line for each problem, with file, line, column and field where known."""


def suggestion(word: object, known: list[str]) -> str:
    """The end of a sentence: `; did you mean 'x'?` where one of `known` is close to `word`, else a full stop."""
    match = process.extractOne(str(word), known, score_cutoff=60)
    return f"; did you mean '{match[0]}'?" if match else "."


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_fields(cls, data: Any) -> Any:
        known = list(cls.model_fields)
        for key in data if isinstance(data, Mapping) else ():
            if key not in known:
                message = f"unknown field{suggestion(key, known)} Known: {', '.join(known)}"
                raise PydanticCustomError("unknown_field", "{message}", {"key": str(key), "message": message})
        return data


def _color(value: str) -> str:
    if value not in COLORS and not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ValueError(
            f"'{value}' is not a color{suggestion(value, list(COLORS))} Known: {', '.join(COLORS)}, #rrggbb"
        )
    return value


def _two_or_three(value: tuple[float, ...]) -> tuple[float, ...]:
    if len(value) not in (2, 3):
        raise ValueError(f"must be [x, y] to rest on the table or [x, y, z], has {len(value)} numbers")
    return value


def _unit(value: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if abs(np.linalg.norm(value) - 1) > 1e-3:
        raise ValueError(f"must be a unit quaternion [w, x, y, z], its length is {np.linalg.norm(value):.4g}")
    return value


Vec2: TypeAlias = tuple[float, float]
Vec3: TypeAlias = tuple[float, float, float]
Quat: TypeAlias = Annotated[tuple[float, float, float, float], AfterValidator(_unit)]
Color: TypeAlias = Annotated[str, AfterValidator(_color)]
Length: TypeAlias = Annotated[float, Field(gt=0, le=2)]
Friction: TypeAlias = Annotated[float, Field(ge=0, le=5)]


class Posed(Strict):
    yaw: float | None = Field(None, description="Turn about the vertical [rad]. Give yaw or quat, not both.")
    quat: Quat | None = Field(None, description="Orientation as a unit quaternion [w, x, y, z].")

    @model_validator(mode="after")
    def _one_orientation(self) -> Posed:
        if self.yaw is not None and self.quat is not None:
            raise ValueError("has both yaw and quat; give one")
        return self

    @property
    def rotation(self) -> tuple[float, float, float, float]:
        """Orientation as a unit quaternion w, x, y, z."""
        if self.quat is not None:
            return self.quat
        half = (self.yaw or 0.0) / 2
        return (float(np.cos(half)), 0.0, 0.0, float(np.sin(half)))


class SceneThing(Posed):
    """What every object has."""

    pos: Annotated[tuple[float, ...], AfterValidator(_two_or_three)] = Field(
        description="[x, y] to rest on the table, or [x, y, z] of the center, world frame [m]."
    )
    beyond: bool = Field(False, description="True: may stand outside the workspace, where only a tool gets to.")
