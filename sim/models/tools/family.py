"""What every articulated tool declares: geometry as parameters, a joint, an opening, where fingers may hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import mujoco
import numpy as np

Part = Literal["train", "held_out"]
# Shares of a tool's largest angle between which the hand works. At the stop the spring no longer holds the tool.
REACH = (0.02, 0.9)


@dataclass(frozen=True)
class Contact:
    """A place where a finger holds the tool, in the frame of the limb that it belongs to."""

    finger: str  # if, mf or th
    limb: int  # 0: limb A (thumb side), 1: limb B
    pos: tuple[float, float, float]  # m
    normal: tuple[float, float, float]  # unit, out of the limb


@dataclass(frozen=True)
class ToolFamily:
    """A parametric family of tools. One file makes one family; `tools/__init__.py` finds it.

    The tool frame has its origin at the joint and z along the limbs towards the tips. Limb A carries the free joint;
    limb B turns against it. Angle 0 is closed; at angle a the mid frame is limb A's turned by a/2 about y.
    """

    name: str
    summary: str
    job: str  # pinch, cut, hold or dispense
    nominal: Any  # frozen dataclass of parameters, SI units
    train: Mapping[str, tuple[float, float]]  # ranges of the train part
    held_out: Mapping[str, tuple[tuple[float, float], ...]]  # bands kept out of training, by parameter
    build: Callable[[mujoco.MjsBody, Any, str], None]
    opening: Callable[[Any, Any], Any]  # (params, angle [rad]) -> m between the working tips
    angle: Callable[[Any, Any], Any]  # (params, opening [m]) -> rad
    tip: Callable[[Any], np.ndarray]  # params -> (3,) m, point between the tips in the mid frame
    contacts: Callable[[Any], tuple[Contact, ...]]
    spring: Callable[[Any, Any], Any]  # (params, angle) -> N m with which the tool's spring opens it

    def sample(self, rng: np.random.Generator, part: Part = "train") -> Any:
        """Draws parameters. The held-out part has every parameter that declares bands inside one of them.

        Train draws that fall into a held-out band are drawn again, so the two parts never meet.
        """
        values = {name: float(rng.uniform(*bounds)) for name, bounds in self.train.items()}
        for name, bands in self.held_out.items():
            if part == "held_out":
                values[name] = float(rng.uniform(*bands[rng.integers(len(bands))]))
            else:
                while any(low <= values[name] <= high for low, high in bands):
                    values[name] = float(rng.uniform(*self.train[name]))
        return replace(self.nominal, **values)

    def params(self, **overrides: float) -> Any:
        """Nominal parameters with some replaced.

        Raises:
            ToolError: no such parameter.
        """
        known = [field.name for field in fields(self.nominal)]
        for name in overrides:
            if name not in known:
                raise ToolError(f"{self.name} has no parameter '{name}'; it has {', '.join(known)}")
        return replace(self.nominal, **overrides)


class ToolError(ValueError):
    """An unknown tool or parameter."""
