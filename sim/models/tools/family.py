"""What every articulated tool declares: geometry as parameters, a joint, an opening, where fingers may hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import mujoco
import numpy as np

Part = Literal["train", "held_out"]
Rest = Literal["open", "shut", "free"]  # where the tool's spring drives it; free: it has none
# Shares of a tool's largest angle between which the hand works. At the stop the spring no longer holds the tool.
REACH = (0.02, 0.9)
SHUT_REACH = (0.1, 0.98)  # the same for a tool that is sprung shut: the stop is at the other end
GIVE = 0.03  # rad by which the spring moves a held tool's joint further than the fingers' kinematics say


@dataclass(frozen=True)
class Contact:
    """A place where a finger holds the tool, in the frame of the limb that it belongs to."""

    finger: str  # if, mf or th
    limb: int  # 0: limb A (thumb side), 1: limb B
    pos: tuple[float, float, float]  # m
    normal: tuple[float, float, float]  # unit, out of the limb
    slide: tuple[float, float, float] = (0.0, 0.0, 1.0)  # unit, along which the search may move it
    axis: tuple[float, float, float] | None = None  # unit, where the fingertip points, as in a loop; None: anywhere
    depth: float = 0.0  # m behind the end of the fingertip's core, where it touches


@dataclass(frozen=True)
class ToolFamily:
    """A parametric family of tools. One file makes one family; `tools/__init__.py` finds it.

    The tool frame has its origin at the joint and z along the limbs towards the tips. Limb A carries the free joint;
    limb B turns against it, or slides. Angle 0 is closed; at angle a the mid frame is limb A's turned by a/2 about y.
    Of a slide, "angle" is its travel [m], torques are forces [N], and the mid frame is limb A's.
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
    spring: Callable[[Any, Any], Any]  # (params, angle) -> N m with which the tool's spring opens it; shuts: negative
    joint: Literal["hinge", "slide"] = "hinge"
    rest: Rest = "open"
    measures: str = "between the tips"  # what the opening is
    reach: tuple[float, float] = REACH
    give: float = GIVE  # rad
    # (params, angles (k,)) -> N with which each finger presses; None: as the spring's torque at the contacts' levers
    forces: Callable[[Any, np.ndarray], Mapping[str, np.ndarray]] | None = None
    # How a grasp is searched: from places of the tool in the hand, or from postures of the hand that fit its contacts;
    # and in how many tests under hard randomization the best ones of a round are judged. Tweezers need none.
    search_from: Literal["places", "postures"] = "places"
    trials: int = 0
    load: float = 1.0  # of the torque that a task loads a joint with: what this tool's joint gets

    @property
    def turn(self) -> float:
        """Share of the angle by which the mid frame is turned against limb A, about y."""
        return 0.5 if self.joint == "hinge" else 0.0

    def anchors(self, params: Any) -> np.ndarray:
        """(3,) rad: the openings that a grasp is solved at."""
        low, high = self.reach
        return np.array([low, (low + high) / 2, high]) * params.max_angle

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
