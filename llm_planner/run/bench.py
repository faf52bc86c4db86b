"""What sandbox and gate cost: the time from the end of one skill to the start of the next, without any motion."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from toolwright.llm_planner.run import sandbox
from toolwright.llm_planner.run.gate import Gate
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.perception.scene import Box, HeldTool, Scene, SceneObject
from toolwright.policies.outcome import Outcome

CODE = """\
for i in range({calls}):
    result = pick("bead", opening=0.016, grip=0.006, lift=0.05 + 0.0001 * (i % 10))
    if result.measured["opening"] < 0.0:
        home()
"""
MOST = sandbox.MAX_SUSPENSIONS - 1


@dataclass(frozen=True)
class Overhead:
    """Times per skill call [s]."""

    calls: int
    p10: float  # what it takes where nothing else runs on the machine
    mean: float
    median: float
    p95: float
    longest: float
    start: float  # until the first call: a worker process at hand, code read


def overhead(calls: int = 2000) -> Overhead:
    """Measures it over many calls of one run.

    Args:
        calls: at most `MOST`.
    """
    gate, times = Gate(SKILLS, _scene(), max_calls=calls), np.zeros(calls)
    outcome = Outcome(True, "nothing has moved", {"opening": 0.01, "tips_x": 0.4, "tips_y": 0.0, "tips_z": 0.1}, 1.0)
    sandbox.run("home()", lambda *call: outcome)  # the worker process starts at first use
    resumed, done = perf_counter(), 0

    def call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
        nonlocal resumed, done
        gate.admit(name, args, kwargs)
        times[done] = perf_counter() - resumed
        done += 1
        resumed = perf_counter()
        return outcome

    resumed = perf_counter()
    sandbox.run(CODE.format(calls=calls), call)
    between = times[1:]
    return Overhead(
        calls=calls,
        p10=float(np.quantile(between, 0.1)),
        mean=float(between.mean()),
        median=float(np.median(between)),
        p95=float(np.quantile(between, 0.95)),
        longest=float(between.max()),
        start=float(times[0]),
    )


def _scene() -> Scene:
    """Twenty beads and a tool over them: as many names as a gate has to know."""
    upright = np.array([1.0, 0, 0, 0])
    objects = {
        name: SceneObject(
            name, "sphere", np.array([0.4 + 0.005 * i, 0, 0.005]), upright, np.full(3, 0.01), 0.002, fixed=False
        )
        for i, name in enumerate(["bead", *(f"bead_{i}" for i in range(1, 20))])
    }
    T_world_tip = np.eye(4)
    T_world_tip[:3, 3] = [0.4, 0.0, 0.3]
    tool = HeldTool("tweezers", "tweezers", 0.01, 0.03, np.zeros(3), upright, T_world_tip, 0.1)
    return Scene(0.0, objects, tool, Box(np.array([0.2, -0.3, 0.0]), np.array([0.7, 0.3, 0.5])), 0.0)
