"""Task: hold every tool with one policy, which is told the tool's shape.

The worlds of one `HeldToolTask` for each family, side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.sim import grasp_bank
from toolwright.sim.models.tools import TOOLS
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask


@dataclass
class HeldToolsConfig:
    """Everything that defines the task."""

    tools: tuple[str, ...] = field(default_factory=lambda: tuple(name for name in TOOLS if any(grasp_bank.count(name))))
    without: str = ""  # a family that is left out
    each: HeldToolConfig = field(default_factory=lambda: HeldToolConfig(shape=True))

    def families(self) -> tuple[str, ...]:
        """The families that take part."""
        return tuple(name for name in self.tools if name != self.without)


class HeldToolsTask:
    """N hands, a nearly equal number with each family."""

    def __init__(
        self,
        config: HeldToolsConfig,
        n: int,
        rng: np.random.Generator,
        nthread: int = 0,
        like: Any = None,
        backend: str = "cpu",
    ) -> None:
        """
        Args:
            config: of the task.
            n: worlds.
            rng: source of randomness.
            nthread: of the physics; 0: all cores.
            like: a task of the same families whose banks may be shared.
            backend: where the physics is computed, see `sim/batch.py`.
        """
        names = config.families()
        ends = np.linspace(0, n, len(names) + 1).round().astype(np.intp)
        banks = [part.bank for part in like.parts] if like else [grasp_bank.load(name) for name in names]
        self.config, self.n, self._ends, self._rng = config, n, ends, rng
        self.parts = [
            HeldToolTask(replace(config.each, tool=name), int(count), stream, nthread, bank, backend)
            for name, count, stream, bank in zip(names, np.diff(ends), rng.spawn(len(names)), banks, strict=True)
        ]
        first = self.parts[0]
        self.horizon, self.actions, self.goal_size = first.horizon, first.actions, first.goal_size
        self.observations, self.model = first.observations, first.model
        self.batch = SimpleNamespace(step=self._step)

    @property
    def rng(self) -> np.random.Generator:
        """The source of randomness that those of the parts were taken from."""
        return self._rng

    @rng.setter
    def rng(self, rng: np.random.Generator) -> None:
        self._rng = rng
        for part, stream in zip(self.parts, rng.spawn(len(self.parts)), strict=True):
            part.rng = stream

    def __getattr__(self, name: str) -> F64:
        """`qpos`, `qvel`, `goal`, `age`: a copy of those of all parts, one below the other."""
        if name not in ("qpos", "qvel", "goal", "age"):
            raise AttributeError(name)
        return np.concatenate([getattr(part, name) for part in self.parts])

    def _step(self, nstep: int) -> None:
        for part in self.parts:
            part.batch.step(nstep=nstep)

    def _split(self, rows: np.ndarray) -> list[np.ndarray]:
        return np.split(rows, self._ends[1:-1])

    def reset(self, ids: np.ndarray) -> None:
        """Starts new episodes in the worlds `ids`."""
        for part, start, end in zip(self.parts, self._ends, self._ends[1:], strict=False):
            mine = ids[(start <= ids) & (ids < end)]
            if len(mine):
                part.reset(mine - start)

    def act(self, action: F64) -> None:
        """Sends actions (N, a) in [-1, 1]."""
        for part, rows in zip(self.parts, self._split(action), strict=True):
            part.act(rows)

    def sense(self) -> None:
        """Takes this step's measurements."""
        for part in self.parts:
            part.sense()

    def achieved(self) -> F64:
        """(N,) m: what the reward compares with the goal."""
        return np.concatenate([part.achieved() for part in self.parts])

    def observe(self) -> dict[str, F64]:
        """As of one tool, (N, ...)."""
        return _stack([part.observe() for part in self.parts])

    def measure(self) -> dict[str, F64]:
        """As of one tool, each (N,)."""
        return _stack([part.measure() for part in self.parts])

    def reward(self, achieved: F64, desired: F64, info: dict[str, F64]) -> dict[str, F64]:
        """As of one tool: a reward does not depend on the family."""
        return self.parts[0].reward(achieved, desired, info)

    def failed(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool: the tool is out of the hand."""
        return self.parts[0].failed(info)

    def success(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool, judged at the end of an episode."""
        return self.parts[0].success(info)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {"parts": [part.state() for part in self.parts]}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to what `state` returned, for a task of the same configuration and size."""
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.restore(saved)


def _stack(rows: list[dict[str, F64]]) -> dict[str, F64]:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
