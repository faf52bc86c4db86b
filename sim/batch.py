"""Where the physics of a batch of worlds is computed. Tasks ask here: one file of a task serves every backend."""

from __future__ import annotations

import mujoco
from mujoco.batch import Batch

BACKENDS = {
    "cpu": "MuJoCo on the processor's cores",
    "gpu": "MuJoCo Warp on a CUDA device",
    "warp-cpu": "MuJoCo Warp without a GPU, many times slower than cpu: to try the other physics",
}


class BackendError(ValueError):
    """A backend that there is not, that this machine lacks, or that cannot run a model."""


def make(model: mujoco.MjModel, n: int, nthread: int = 0, backend: str = "cpu") -> Batch:
    """A batch of worlds.

    Args:
        model: of every world, until fields of it are expanded.
        n: worlds.
        nthread: of what runs on the CPU; 0: all cores.
        backend: one of `BACKENDS`.

    Raises:
        BackendError: an unknown backend, no CUDA device.
        ModuleNotFoundError: MuJoCo Warp is not installed.
    """
    if backend not in BACKENDS:
        known = "; ".join(f"{name} ({what})" for name, what in BACKENDS.items())
        raise BackendError(f"unknown backend '{backend}'; backends: {known}")
    if backend == "cpu":
        return Batch(model, n, nthread)
    from toolwright.sim.warp_batch import WarpBatch

    return WarpBatch(model, n, nthread, device="cuda" if backend == "gpu" else "cpu")
