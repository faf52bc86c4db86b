"""Evaluation of fetching: the tool starts in its stand, and has to end up in the hand so that it can be used.

An episode draws a tool of the family (train and held-out parts in turn), the stand's place, direction and friction. It
succeeds if the tool was up by `LIFTED` over the stand, within the held-tool task's limits of its place in the hand, for
`HELD` seconds while the arm moved on, is there at the end, and if its opening followed two commands to the task's
tolerance. All of this is judged on the simulation's true state; the robot itself acts on noisy measurements.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.joints import FR3_HOME
from toolwright.policies.evaluation import source
from toolwright.policies.evaluation.report import EvalReport, Failure, Group
from toolwright.policies.motion import ArmMotion
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool.take_plan import place
from toolwright.policies.tool.tool_use import ToolUse
from toolwright.policies.world import SimulatedWorld, simulate
from toolwright.sim import grasp_bank
from toolwright.sim.grasp import mid_pose
from toolwright.sim.models.stand import FLOOR
from toolwright.sim.models.tools import TOOLS, family
from toolwright.sim.perception import StateNoise
from toolwright.sim.robot import SimulationDiverged
from toolwright.sim.scene_fixtures import Stand
from toolwright.sim.scene_spec import SceneSpec
from toolwright.sim.tasks.held_tool import HeldToolConfig

TARGET, JUDGED = 0.80, ("tweezers", "tongs")  # success rate, and the families that have to reach it
LIFTED, HELD = 0.10, 2.0  # m that the tips are above the stand, s
FIRST_SEED, SEEDS_APART = 2_000_000, 100_000
PLACES = ((0.40, -0.15), (0.55, 0.15))  # m, corners of where the stand may be
YAW = 0.9  # rad to each side that the stand is turned against a tool in the hand at home
FRICTION = (0.15, 0.6)  # of the stand
ASIDE = (0.06, 0.04)  # m along x and y that the arm carries the tool
SHARES = ((0.15, 0.45), (0.55, 0.85))  # of the grasp's range: between which the two openings are drawn
ROOT = Path("runs/eval/fetch")
_STAND = "stand"
# Code and weights that an episode depends on: where these change, it is run anew.
_DEPENDS = (
    "hardware/held_tool.py",
    "policies/evaluation/fetch.py",
    "policies/hand/hand_loop.py",
    "policies/low_level.py",
    "policies/motion.py",
    "policies/tool/fetch_loop.py",
    "policies/tool/fetching.py",
    "policies/tool/take_plan.py",
    "policies/tool/tool_loop.py",
    "policies/tool/tool_use.py",
    "policies/world.py",
    "sim/models/leap.py",
    "sim/models/stand.py",
    "sim/perception.py",
    "sim/robot.py",
)

Controller = Literal["learned", "closed_form"]
State = Literal["privileged", "assumed", "exact"]
# What is wrong with what is measured. Assumed for a camera: the tool is seen off its place in the same way all along.
STATES: dict[State, StateNoise | None] = {
    "exact": None,
    "privileged": StateNoise(),
    "assumed": StateNoise(
        tool_pos=0.0007,
        tool_turn=0.015,
        tool_opening=0.0006,
        tool_pos_bias=0.001,
        tool_turn_bias=0.015,
        tool_opening_bias=0.0006,
    ),
}


@dataclass(frozen=True)
class Episode:
    """One run, judged."""

    tool: str
    seed: int
    held_out: bool
    success: bool
    cause: str  # empty where it succeeded
    measured: dict[str, float]


def evaluate(
    episodes: int = 200,
    seed: int = 0,
    target: float = TARGET,
    tool: str | None = None,
    controller: Controller = "learned",
    state: State = "privileged",
    processes: int = 2,
    folder: Path = ROOT,
    report: Callable[[str], None] = lambda line: None,
) -> EvalReport:
    """Runs and counts. Each episode is written down as it ends: the same call goes on after an interruption.

    Args:
        episodes: of each family.
        seed: the same seed gives the same episodes, one by one, whatever `processes`.
        target: success rate that tweezers and tongs have to reach; the other families are reported.
        tool: one family only.
        controller: of the hand.
        state: what is measured: the truth with a sensor's noise, with the errors assumed for a camera, or exactly.
        processes: that share the episodes.
        folder: where episodes are written down.
        report: called with a line of progress after every episode.

    Raises:
        ToolError: no such family.
        FileNotFoundError: no grasps for it.
    """
    names = [family(tool).name] if tool else [name for name in TOOLS if any(grasp_bank.count(name))]
    seeds = [FIRST_SEED + SEEDS_APART * seed + i for i in range(episodes)]
    jobs = [(name, one, i % 2 == 1, controller, state) for name in names for i, one in enumerate(seeds)]
    kept = _Kept(folder / f"{controller}_{state}_{source.digest(_DEPENDS)}.jsonl")
    found = kept.load()
    missing = [job for job in jobs if (job[0], job[1]) not in found]
    if len(missing) < len(jobs):
        report(f"{len(jobs) - len(missing)} of {len(jobs)} episodes were run before")
    start, begun = time.monotonic(), len(jobs) - len(missing)
    if missing:
        with multiprocessing.get_context("spawn").Pool(max(1, min(processes, len(missing)))) as pool:
            for episode in pool.imap_unordered(_job, missing):
                kept.add(episode)
                found[episode.tool, episode.seed] = episode
                done = [found[job[0], job[1]] for job in jobs if (job[0], job[1]) in found]
                report(_progress(done, len(jobs), len(done) - begun, time.monotonic() - start))
    done = [found[job[0], job[1]] for job in jobs]
    groups = tuple(group for name in names for group in _groups(name, [e for e in done if e.tool == name]))
    judged = [group for group in groups if group.name in (JUDGED if tool is None else (tool,))]
    failures = tuple(Failure(e.seed, f"{e.tool}: {e.cause}", e.measured) for e in done if not e.success)
    passed = all(group.success_rate >= target for group in judged)
    return EvalReport(len(done), sum(e.success for e in done), target, passed, failures, groups)


def scene(tool: str, seed: int, held_out: bool) -> tuple[SceneSpec, int]:
    """A stand with a tool somewhere on the table, and which tool of the family's bank it is."""
    bank = _bank(tool)
    rng = np.random.default_rng(seed)
    index = int(rng.choice(bank.part("held_out" if held_out else "train")))
    x, y = (float(value) for value in rng.uniform(*PLACES))
    stand = {
        "shape": "stand",
        "pos": (x, y),
        "yaw": float(_home_yaw(tool) + rng.uniform(-YAW, YAW)),
        "friction": float(rng.uniform(*FRICTION)),
    }
    told = {"family": tool, "params": asdict(bank.params[index]), "stand": _STAND}
    return SceneSpec.model_validate({"name": f"{tool} in a stand", "tool": told, "objects": {_STAND: stand}}), index


def run(
    tool: str,
    seed: int,
    held_out: bool = False,
    controller: Controller = "learned",
    state: State = "privileged",
) -> Episode:
    """One episode."""
    spec, index = scene(tool, seed, held_out)
    world = simulate(spec, np.random.default_rng((seed, 1)), controller, STATES[state])
    return judge(world, tool, index, seed, held_out)


def judge(world: SimulatedWorld, tool: str, index: int, seed: int, held_out: bool) -> Episode:
    """Acts in a world whose tool is in its stand, and judges.

    Args:
        world: before its first motion.
        tool: its family.
        index: which tool of the family's bank.
        seed: of the two openings.
        held_out: which part the tool is of.
    """
    truth = Truth(world, tool, index)
    if truth.touched_by_hand():
        raise ValueError(f"the {tool} of seed {seed} touches the hand before anything has moved")
    world.robot.on_step = truth.watch
    try:
        cause, measured = _act(world, truth, np.random.default_rng((seed, 2)))
    except SimulationDiverged as error:
        cause, measured = f"simulation diverged: {error}", {}
    measured |= {"seconds": world.robot.read().stamp, "held": truth.held, "struck": float(truth.struck)}
    return Episode(tool, seed, held_out, not cause, cause, measured)


class Truth:
    """The true state of the tool, and what happened to it."""

    def __init__(self, world: SimulatedWorld, tool: str, index: int) -> None:
        self._world, self._bank, self._index = world, _bank(tool), index
        self._pos, self._quat = place(self._bank, index)
        model, stand = world.model, world.spec.objects[_STAND]
        assert isinstance(stand, Stand)
        self._rim = float(world.data.body(_STAND).xpos[2]) + (FLOOR + stand.depth) / 2
        self._tool = model.body(world.spec.tool_name).id
        self._robot = int(model.body_rootid[model.body("palm").id])
        self._since: float | None = None
        self.held = 0.0  # s, longest time that the tool was up and in its place
        self.struck = False  # the robot touched stand or table

    def watch(self, data: mujoco.MjData) -> None:
        """Called by the robot while time goes on."""
        self.struck |= self._touch(self._robot, but=self._tool)
        moved, turned, above, _ = self.now()
        if above < LIFTED or not _in_place(moved, turned):
            self._since = None
            return
        self._since = data.time if self._since is None else self._since
        self.held = max(self.held, data.time - self._since)

    def touched_by_hand(self) -> bool:
        """Whether the robot touches anything at all."""
        return self._touch(self._robot, but=-1)

    def now(self) -> tuple[float, float, float, float]:
        """How far the tool is off its place in the hand (m, rad), its tips above the stand's rim, its opening (m)."""
        data, tool, params = self._world.data, self._bank.family, self._bank.params[self._index]
        name = self._world.spec.tool_name
        qpos = np.concatenate([data.joint(f"{name}_free").qpos, data.joint(f"{name}_hinge").qpos])
        pos, quat = mid_pose(qpos, tool.turn)
        palm, inverse = data.body("palm").xpos, rotations.conjugate(data.body("palm").xquat)
        moved = rotations.rotate(inverse, pos - palm) - self._pos
        turn = rotations.multiply(rotations.multiply(inverse, quat), rotations.conjugate(self._quat))
        tip = pos + rotations.rotate(quat, tool.tip(params))
        return (
            float(np.linalg.norm(moved)),
            float(np.linalg.norm(rotations.to_rotvec(turn))),
            float(tip[2]) - self._rim,
            float(tool.opening(params, qpos[7])),
        )

    def at(self, share: float) -> float:
        """Opening [m] at a share of the range that the grasp reaches."""
        low, high = self._bank.openings[self._index][[0, -1]]
        return float(low + share * (high - low))

    def _touch(self, root: int, but: int) -> bool:
        """Whether something of a tree of bodies touches something else than the tree `but`."""
        model, data = self._world.model, self._world.data
        roots = model.body_rootid[model.geom_bodyid[data.contact.geom]].reshape(-1, 2)
        mine = (roots == root).any(axis=1) & (roots != root).any(axis=1)
        return bool((mine & ~(roots == but).any(axis=1)).any())


def _act(world: SimulatedWorld, truth: Truth, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """Fetches, carries, opens and closes: what is wrong, empty for nothing, and what was measured."""
    actions, name = world.actions, world.spec.tool_name
    assert isinstance(actions, ToolUse) and name is not None
    outcome = actions.fetch(name)
    measured = {key: outcome.measured[key] for key in ("attempts",) if key in outcome.measured}
    if not outcome.success:
        return outcome.reason, measured
    look = world.perception.look()
    if look.tool is None:
        return "dropped: the tool is not in the hand after it was fetched", measured
    x, y, z = look.tool.T_world_tip[:3, 3]
    middle = np.mean(PLACES, axis=0)
    aside = np.array([x, y]) - np.copysign(ASIDE, np.array([x, y]) - middle)
    asked = [truth.at(rng.uniform(*share)) for share in SHARES]
    steps: list[tuple[Callable[[], Outcome], float | None]] = [
        (lambda: actions.move_tips(float(aside[0]), float(aside[1]), float(z)), None),
        (lambda: actions.set_opening(asked[0]), asked[0]),
        (lambda: actions.set_opening(asked[1]), asked[1]),
    ]
    config = HeldToolConfig()
    worst = 0.0
    for step, wanted in steps:
        outcome = step()
        if not outcome.success:
            return outcome.reason, measured
        if wanted is not None:
            off = abs(truth.now()[3] - wanted)
            worst = max(worst, off)
            if off > config.tolerance:
                return f"does not follow: the opening is {off * 1e3:.1f} mm off what was asked", measured
    moved, turned, _, _ = truth.now()
    measured |= {"moved": moved, "turned": turned, "opening_off": worst}
    if not _in_place(moved, turned):
        return f"held wrong: {moved * 1e3:.0f} mm and {turned:.2f} rad off its place in the hand", measured
    if truth.held < HELD:
        return f"not held: the tool was up and in its place for {truth.held:.1f} s only", measured
    return "", measured


def _in_place(moved: float, turned: float) -> bool:
    config = HeldToolConfig()
    return moved < config.moved and turned < config.turned


def _job(job: tuple[str, int, bool, Controller, State]) -> Episode:
    return run(*job)


@cache
def _bank(tool: str) -> grasp_bank.GraspBank:
    return grasp_bank.load(tool)


@cache
def _home_yaw(tool: str) -> float:
    """Direction [rad] in which the nominal tool opens when the hand holds it at home."""
    palm = ArmMotion().palm(FR3_HOME)[:3, :3]
    x, y, _ = palm @ rotations.rotate(place(_bank(tool), 0)[1], np.array([1.0, 0, 0]))
    return float(np.arctan2(y, x))


def _progress(done: list[Episode], episodes: int, fresh: int, elapsed: float) -> str:
    share, rate = sum(e.success for e in done) / len(done), fresh / elapsed
    left = (episodes - len(done)) / rate
    return f"fetch {len(done)}/{episodes}, {60 * rate:.1f} episodes/min, {left:.0f} s left, success {share:.3f}"


def _groups(name: str, done: list[Episode]) -> list[Group]:
    parts = [(name, done)]
    parts += [(f"{name}, {part}", [e for e in done if e.held_out is out]) for part, out in _PARTS]
    return [_group(part, some) for part, some in parts if some]


_PARTS = (("train", False), ("held-out", True))


def _group(name: str, some: list[Episode]) -> Group:
    good = [e for e in some if e.success]
    again = [e for e in good if e.measured.get("attempts", 1.0) > 1]
    measured = {
        "seconds": float(np.mean([e.measured["seconds"] for e in good])) if good else 0.0,
        "corrected": float(len(again)),
        "struck": float(sum(e.measured["struck"] for e in some)),
    }
    for cause in sorted({e.cause.split(":")[0] for e in some if not e.success}):
        measured[f"errors {cause}"] = float(sum(e.cause.split(":")[0] == cause for e in some))
    return Group(name, len(some), len(good), measured)


class _Kept:
    """Episodes on disk, a line of JSON each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[tuple[str, int], Episode]:
        found: dict[tuple[str, int], Episode] = {}
        for line in self._path.read_text().splitlines() if self._path.is_file() else ():
            try:
                told: dict[str, Any] = json.loads(line)
                episode = Episode(**told)
            except (ValueError, TypeError):
                continue  # cut off by a power cut
            found[episode.tool, episode.seed] = episode
        return found

    def add(self, episode: Episode) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(episode)) + "\n")
