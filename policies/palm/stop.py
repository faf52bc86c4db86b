"""When the hand holds still: whether the thing in it is where it shall be, as far as can be known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.pose_tracker import Fit
from toolwright.policies.palm.twin import PalmTwin
from toolwright.policies.weights import WeightsError

FILE = Path(__file__).parents[1] / "weights" / "reorient" / "stop.json"
HISTORY = 4  # looks
FEATURES = (
    "angle left, in tolerances",
    "its change over two looks",
    "its change over four looks",
    "fastest joint",
    "spin of the thing",
    "speed of the thing",
    "residual of the fit",
    "points that are not near the surface",
    "least known turn",
    "looks in a row without a fit",
)


@dataclass
class Memory:
    """A short history of N hands."""

    error: F64  # (n, HISTORY) rad, newest first
    stopped: np.ndarray  # (n,) bool, told to hold still in the last step
    residual: F64  # (n,) m, of the last fit
    outside: F64  # (n,) share of the points, likewise
    loose: F64  # (n,) rad, likewise
    lost: F64  # (n,) looks in a row without a fit

    @classmethod
    def of(cls, n: int) -> Memory:
        """A history that holds nothing yet."""
        return cls(np.full((n, HISTORY + 1), np.pi), np.zeros(n, dtype=bool), *np.zeros((4, n)))

    def see(self, ids: np.ndarray, twin: PalmTwin, fits: Sequence[Fit]) -> None:
        """Takes in a look at the hands `ids`; the twin has it already."""
        self.error[ids, 1:] = self.error[ids, :-1].copy()
        self.error[ids, 0] = twin.error()[ids]
        for i, fit in zip(ids.tolist(), fits, strict=True):
            self.lost[i] = 0 if fit.good else self.lost[i] + 1
            self.residual[i] = min(fit.residual, 0.01)
            self.outside[i], self.loose[i] = fit.outside, min(fit.loose, 1.0)

    def features(self, twin: PalmTwin) -> F64:
        """(n, len(FEATURES)), each of order one."""
        joints, speed, spin = twin.speeds()
        scale, error = twin.config.tolerance, self.error
        return np.stack(
            [
                np.minimum(error[:, 0] / scale, 4),
                np.clip((error[:, 0] - error[:, 2]) / scale, -2, 2),
                np.clip((error[:, 0] - error[:, 4]) / scale, -2, 2),
                np.minimum(joints, 4),
                np.minimum(spin, 8) / 2,
                np.minimum(10 * speed, 4),
                500 * self.residual,
                2 * self.outside,
                5 * self.loose,
                np.minimum(self.lost, 5) / 2,
            ],
            axis=1,
        )


class Stop(Protocol):
    """Says which hands shall hold still."""

    def __call__(self, twin: PalmTwin, memory: Memory) -> np.ndarray: ...


class WhenNear:
    """Stops within a share of the tolerance, as believed: what is right where the state is known."""

    def __call__(self, twin: PalmTwin, memory: Memory) -> np.ndarray:
        memory.stopped = twin.error() < twin.config.stop * twin.config.tolerance
        return memory.stopped


@dataclass(frozen=True)
class Learned:
    """A small network's probability that the thing is within the tolerance and will be, if the hand holds still now.

    Fitted on training shapes by `policies/training/palm_stop.py`. A hand that holds still goes on doing so down to a
    lower probability than the one at which it began.
    """

    mean: F64  # (k,) of the features
    scale: F64  # (k,)
    hidden: F64  # (h, k + 1), the last column is the bias
    out: F64  # (h + 1,)
    begin: float = 0.6
    keep: float = 0.4

    @classmethod
    def load(cls, path: Path = FILE) -> Learned:
        """The one in a file.

        Raises:
            WeightsError: there is none, or it is damaged.
        """
        try:
            card = json.loads(path.read_text())
            arrays = {name: np.array(card[name], dtype=np.float64) for name in ("mean", "scale", "hidden", "out")}
            return cls(**arrays, begin=float(card["begin"]), keep=float(card["keep"]))
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(f"no stop predictor in {path}: {error}") from error

    def probability(self, features: F64) -> F64:
        """(n,) for features (n, k)."""
        x = np.clip((features - self.mean) / self.scale, -5, 5)
        inner = np.tanh(x @ self.hidden[:, :-1].T + self.hidden[:, -1])
        return np.asarray(1 / (1 + np.exp(-(inner @ self.out[:-1] + self.out[-1]))))

    def __call__(self, twin: PalmTwin, memory: Memory) -> np.ndarray:
        likely = self.probability(memory.features(twin))
        memory.stopped = likely > np.where(memory.stopped, self.keep, self.begin)
        return memory.stopped


always_when_near = WhenNear()
