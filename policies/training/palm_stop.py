"""Learns when to hold still: from recorded looks at training shapes, with the truth that the hand does not have.

`python -m toolwright.policies.training.palm_stop --episodes 32` records, fits and writes the weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.palm.control import CameraControl
from toolwright.policies.palm.planner import PlannerConfig
from toolwright.policies.palm.stop import FEATURES, FILE, Learned, always_when_near
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

AHEAD = 4  # looks later that the thing still has to be there
HIDDEN, DECAY = 6, 1e-3
LEVELS = ("nominal", "moderate")
PLANNER = PlannerConfig(plans=24)  # half the usual: how the hand gets there matters less than where it is wrong
HORIZON = 120  # control steps


@dataclass(frozen=True)
class Recorded:
    """Recorded looks, rows in the order of time for each world."""

    features: F64  # (m, k)
    within: np.ndarray  # (m,) bool: within the tolerance now and `AHEAD` looks later
    world: np.ndarray  # (m,) which episode


def record(
    config: ReorientConfig,
    worlds: int,
    seed: int,
    planner: PlannerConfig | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Recorded:
    """Plays one goal in each of some worlds and keeps what was seen, and what was true.

    Args:
        config: of the task.
        worlds: how many.
        seed: of everything.
        planner: its configuration.
        report: called with a line of progress.
    """
    task = ReorientTask(config, worlds, np.random.default_rng([seed, 0]))
    task.reset(np.arange(worlds))
    control = CameraControl(task, planner or PLANNER, always_when_near, np.random.default_rng([seed, 1]))
    active = np.ones(worlds, dtype=bool)
    for step in range(task.horizon):
        task.act(control(task, active))
        task.batch.step(np.flatnonzero(active), nstep=SUBSTEPS)
        task.sense()
        info = task.measure()
        active &= ~(task.failed(info) | ~np.isfinite(info["error"]) | control.declared)
        if step % 20 == 19:
            report(f"  {(step + 1) / 20:.0f} s: {active.sum()} of {worlds} go on")
        if not active.any():
            break
    log = control.log.arrays()
    return Recorded(log["features"], _within(log["truth"] < config.tolerance, log["world"]), log["world"])


def _within(now: np.ndarray, world: np.ndarray) -> np.ndarray:
    later = now.copy()
    for w in np.unique(world):
        rows = np.flatnonzero(world == w)
        later[rows] = now[rows[np.minimum(np.arange(len(rows)) + AHEAD, len(rows) - 1)]]
    return now & later


def join(parts: list[Recorded]) -> Recorded:
    """Several recordings as one."""
    first = np.cumsum([0, *(int(part.world.max()) + 1 for part in parts)])
    return Recorded(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.within for part in parts]),
        np.concatenate([part.world + start for part, start in zip(parts, first, strict=False)]),
    )


def learn(looks: Recorded, seed: int = 0) -> Learned:
    """Fits the network by maximum likelihood, with a decay of the weights.

    Args:
        looks: that it learns from.
        seed: of the first weights.
    """
    from scipy.optimize import minimize

    mean, scale = looks.features.mean(axis=0), np.maximum(looks.features.std(axis=0), 1e-3)
    x = np.clip((looks.features - mean) / scale, -5, 5)
    k, rng = x.shape[1], np.random.default_rng(seed)
    with_one = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    y = looks.within.astype(np.float64)

    def loss(flat: F64) -> tuple[float, F64]:
        hidden, out = flat[: HIDDEN * (k + 1)].reshape(HIDDEN, k + 1), flat[HIDDEN * (k + 1) :]
        inner = np.tanh(with_one @ hidden.T)
        logit = inner @ out[:-1] + out[-1]
        value = np.mean(np.logaddexp(0, logit) - y * logit) + DECAY * float(flat @ flat)
        slope = (1 / (1 + np.exp(-logit)) - y) / len(y)
        d_out = np.append(slope @ inner, slope.sum())
        d_hidden = ((slope[:, None] * out[:-1]) * (1 - inner**2)).T @ with_one
        return value, np.concatenate([d_hidden.ravel(), d_out]) + 2 * DECAY * flat

    start = 0.3 * rng.normal(size=HIDDEN * (k + 1) + HIDDEN + 1)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 400}).x
    return Learned(mean, scale, best[: HIDDEN * (k + 1)].reshape(HIDDEN, k + 1), best[HIDDEN * (k + 1) :])


def confusion(within: np.ndarray, stopped: np.ndarray) -> dict[str, int]:
    """How often the hand was told to hold still, and whether it should."""
    return {
        "right to stop": int((within & stopped).sum()),
        "stopped wrongly": int((~within & stopped).sum()),
        "missed": int((within & ~stopped).sum()),
        "right to go on": int((~within & ~stopped).sum()),
    }


def save(stop: Learned, about: dict[str, object], path: Path = FILE) -> None:
    """Writes weights and where they come from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {name: np.round(getattr(stop, name), 6).tolist() for name in ("mean", "scale", "hidden", "out")}
    card = {"features": FEATURES, **numbers, "begin": stop.begin, "keep": stop.keep, **about}
    path.write_text(json.dumps(card, indent=1) + "\n")


def main() -> None:
    """Records, fits, says how good it is on shapes of training that it was not fitted on, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=32, help="recorded, half of them in moderate physics")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    half = args.episodes // 2
    parts = [
        record(ReorientConfig(level=level, stop=0.0, renew=False, horizon=HORIZON), half, args.seed + i, report=print)
        for i, level in enumerate(LEVELS)
    ]
    looks = join(parts)
    fresh = looks.world % 4 == 3  # a quarter of the episodes is not fitted on
    stop = learn(Recorded(looks.features[~fresh], looks.within[~fresh], looks.world[~fresh]))
    judged = confusion(looks.within[fresh], stop.probability(looks.features[fresh]) > stop.begin)
    print(f"{len(looks.within)} looks; on episodes of their own: {judged}")
    about = {"episodes": args.episodes, "seed": args.seed, "looks": len(looks.within), "judged": judged}
    save(learn(looks), about, args.out)


if __name__ == "__main__":
    main()
