"""Where objects are turned in the hand for an evaluation: physics, shapes, tolerance, direction of the palm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolwright.sim.tasks.reorient import ReorientConfig

# Cone of gravity's directions [rad], and whether it is about facing down: a little off, so that swings go all ways.
PALMS: dict[str, tuple[float, bool]] = {"up": (0.0, False), "any": (np.pi, False), "down": (0.05, True)}


class ConditionError(ValueError):
    """Conditions or shapes that are not there, or a controller that cannot do what is asked."""


@dataclass(frozen=True)
class Condition:
    """Where episodes take place."""

    level: str  # of randomization; the nominal one has none
    part: str  # train or held_out
    tolerance: float  # rad
    palm: str = "up"  # of PALMS

    @property
    def title(self) -> str:
        palm = "" if self.palm == "up" else f", palm {self.palm}"
        return f"{self.level}, {self.part.replace('_', '-')}, {self.tolerance:g} rad{palm}"

    @property
    def slug(self) -> str:
        """The title as a name of a folder."""
        return self.title.replace(", ", "_").replace(" ", "_")

    def config(self, shapes: str, horizon: int, says: bool) -> ReorientConfig:
        """The task. A controller that `says` itself when to stop, for it sees by camera, keeps its goal."""
        cone, down = PALMS[self.palm]
        return ReorientConfig(
            part=self.part,
            shapes=shapes,
            level=self.level,
            horizon=horizon,
            tolerance=self.tolerance,
            palm=(cone, cone),
            down=down,
            stop=0.0 if says else ReorientConfig.stop,
            renew=not says,
        )


CONDITIONS = (
    *(Condition(level, part, 0.4) for part in ("held_out", "train") for level in ("nominal", "moderate")),
    *(Condition(level, "held_out", 0.1) for level in ("nominal", "moderate")),
)
