"""The grasp bank: many tools of one family, each with its grasp and settled start states.

`toolwright grasp FAMILY` makes it; training, evaluation and the simulated robot start from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.sim import grasp as synthesis
from toolwright.sim import grasp_search
from toolwright.sim.models.physics import SUBSTEPS
from toolwright.sim.models.tools import ToolFamily, family

FOLDER = Path(__file__).parent / "grasps"
_SETTLE = 24  # control steps
_MOVED, _TURNED = 0.008, 0.25  # m, rad: a tool that settles further away was not held as planned
_SUNK = 0.001  # m, deepest contact of a settled grasp
SHAPE = 2 * 9 + 2  # numbers that tell a tool in the hand
Fitted = tuple[Any, synthesis.Grasp, F64, bool]  # parameters, grasp, settled coordinates (k, 24), held out or not


@dataclass(frozen=True)
class GraspBank:
    """V tools of a family with k anchors each. Index 0 is the nominal tool."""

    family: ToolFamily
    params: tuple[Any, ...]  # V
    held_out: F64  # (V,) bool
    pos: F64  # (V, 3) m, mid frame in the palm
    quat: F64  # (V, 4)
    angles: F64  # (V, k) rad
    openings: F64  # (V, k) m, at which each anchor settles
    q: F64  # (V, k, 16) rad
    ctrl: F64  # (V, k, 16) rad
    correction: F64  # (V, 16, 6)
    start: F64  # (V, k, 24) settled coordinates of hand and tool at each anchor, gravity along the tips
    down: F64  # (3,) unit, gravity in the palm frame when the nominal tool's tips point down

    @cached_property
    def models(self) -> tuple[mujoco.MjModel, ...]:
        """V compiled models of the hand with each tool."""
        return tuple(synthesis.hand_and_tool(self.family, params) for params in self.params)

    @cached_property
    def shape(self) -> F64:
        """(V, SHAPE), order one: each tool in the hand as a policy of many tools is told it.

        For both limbs the mean and the spread of their solid parts in the palm frame at the middle anchor, then the
        least and the greatest opening. Needs nothing of the family, so that it is there for any new tool.
        """
        rows = []
        for model, start, openings in zip(
            self.models, self.start[:, self.start.shape[1] // 2], self.openings, strict=True
        ):
            data = mujoco.MjData(model)
            data.qpos[:] = start
            mujoco.mj_kinematics(model, data)
            limbs = [_solid(model, data, model.body(name).id) for name in ("tool", "tool_b")]
            rows.append(np.concatenate([*limbs, 50 * openings[[0, -1]]]))
        return np.stack(rows)

    def part(self, name: str) -> np.ndarray:
        """Indices of the tools of the part "train" or "held_out"."""
        return np.flatnonzero(self.held_out == (name == "held_out"))

    def rows(self, ids: np.ndarray) -> GraspBank:
        """The same for some tools only."""
        columns = {key: getattr(self, key)[ids] for key in _ARRAYS if key != "down"}
        return replace(self, params=tuple(self.params[i] for i in ids), **columns)

    def save(self, path: Path) -> None:
        """Writes one compressed file."""
        columns = {f"param_{key}": [asdict(p)[key] for p in self.params] for key in asdict(self.params[0])}
        arrays: dict[str, Any] = {key: getattr(self, key) for key in _ARRAYS} | columns
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, family=self.family.name, **arrays)


_OF_GRASP = ("pos", "quat", "angles", "openings", "q", "ctrl", "correction")
_ARRAYS = ("held_out", *_OF_GRASP, "start", "down")


def count(name: str) -> tuple[int, int]:
    """How many train and held-out tools the shipped bank of a family has; none if there is no bank."""
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        return 0, 0
    with np.load(path) as file:
        held_out = int(file["held_out"].sum())
        return len(file["held_out"]) - held_out, held_out


def load(name: str, path: Path | None = None) -> GraspBank:
    """The bank of a family.

    Raises:
        FileNotFoundError: none was made yet; says how to.
    """
    path = path or FOLDER / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"no grasps for '{name}' at {path}: make them with `toolwright grasp {name}`")
    with np.load(path) as file:
        tool = family(str(file["family"]))
        columns = {key.removeprefix("param_"): file[key] for key in file.files if key.startswith("param_")}
        count = len(file["pos"])
        params = tuple(replace(tool.nominal, **{k: float(v[i]) for k, v in columns.items()}) for i in range(count))
        return GraspBank(tool, params, **{key: file[key] for key in _ARRAYS})


def make(
    tool: ToolFamily,
    rng: np.random.Generator,
    train: int = 192,
    held_out: int = 96,
    search: grasp_search.SearchConfig | None = None,
    report: Callable[[str], None] = lambda line: None,
    known: grasp_search.Candidate | None = None,
) -> GraspBank:
    """Searches a grasp for the nominal tool and fits it to tools of both parts of the family.

    Args:
        tool: the family.
        rng: source of randomness.
        train: tools of the train part.
        held_out: tools of the held-out part.
        search: effort of the search; the usual one by default.
        report: called with a line of progress.
        known: a grasp to take instead of a search.

    Raises:
        RuntimeError: no grasp, or too few tools that it holds.
    """
    from toolwright.sim.grasp_trial import trial

    parts = {"train": train, "held_out": held_out}
    kept: list[Fitted] = []
    effort = search or grasp_search.effort(tool)
    for best in [known] if known else grasp_search.search(tool, rng, effort, trial, report):
        kept = list(fit(tool, [tool.nominal], [best]).values())
        if kept:
            break
    else:
        raise RuntimeError(f"no grasp of {tool.name} settles as planned; search longer")
    for part, wanted in parts.items():
        found: list[Fitted] = []
        for _ in range(12):
            sampled = [tool.sample(rng, part) for _ in range(2 * wanted)]  # type: ignore[arg-type]
            found += fit(tool, sampled, [best] * len(sampled), rng, part == "held_out").values()
            report(f"{part}: {min(len(found), wanted)}/{wanted} tools held")
            if len(found) >= wanted:
                break
        else:
            raise RuntimeError(f"only {len(found)} of {wanted} {part} tools of {tool.name} are held by its best grasp")
        kept += found[:wanted]
    return collect(tool, kept)


def collect(tool: ToolFamily, kept: list[Fitted]) -> GraspBank:
    """The bank of some tools of a family, the first one nominal."""
    return GraspBank(
        family=tool,
        params=tuple(p for p, _, _, _ in kept),
        held_out=np.array([out for *_, out in kept]),
        start=np.stack([start for _, _, start, _ in kept]),
        down=rotations.rotate(kept[0][1].quat, np.array([0.0, 0, 1])),
        **{key: np.stack([getattr(g, key) for _, g, _, _ in kept]) for key in _OF_GRASP},
    )


def used(bank: GraspBank) -> grasp_search.Candidate:
    """The grasp that a bank was made with, from its nominal tool."""
    tool, params = bank.family, bank.params[0]
    grasp = synthesis.Grasp(*(getattr(bank, name)[0] for name in _OF_GRASP))
    shift = synthesis.contact_shifts(tool, params, grasp)
    return grasp_search.Candidate(0.0, 0.0, 0.0, 0.0, grasp, shift, 0.0)


def fit(
    tool: ToolFamily,
    params: list[Any],
    candidates: list[grasp_search.Candidate],
    rng: np.random.Generator | None = None,
    held_out: bool = False,
) -> dict[int, Fitted]:
    """Solves and settles the grasps of n candidates for n tools; those that hold, by index.

    A hand never takes a tool twice in quite the same way, hence `rng`; without it, places are exactly the candidates'.
    """
    n = len(params)
    pos, quat = np.stack([c.grasp.pos for c in candidates]), np.stack([c.grasp.quat for c in candidates])
    down = rotations.rotate(quat, np.array([0.0, 0, 1]))
    if rng is not None:
        pos = pos + rng.normal(0, 0.0015, (n, 3))
        quat = rotations.multiply(quat, rotations.from_rotvec(rng.normal(0, 0.03, (n, 3))))
    q0, shift = np.stack([c.grasp.q[0] for c in candidates]), np.stack([c.shift for c in candidates])
    models = [synthesis.hand_and_tool(tool, p) for p in params]
    for model, along in zip(models, down, strict=True):
        model.opt.gravity[:] = 9.81 * along
    # Twice: the first time shows by how much this tool opens this grasp.
    grasps, residual = synthesis.solve_grasps(tool, params, pos, quat, q0, shift)
    start, _ = _settle(tool, models, grasps)
    aim = np.stack([g.angles for g in grasps])
    with np.errstate(invalid="ignore"):
        missed = np.clip(np.nan_to_num(start[..., -1] - np.stack([tool.anchors(p) for p in params])), -0.05, 0.05)
    grasps, residual = synthesis.solve_grasps(tool, params, pos, quat, q0, shift, aim - missed)
    start, sunk = _settle(tool, models, grasps)
    good = (residual < 1e-3) & (sunk < _SUNK)
    at, turn = synthesis.mid_pose(start[..., 16:], tool.turn)
    with np.errstate(invalid="ignore"):
        good &= (np.linalg.norm(at - pos[:, None], axis=-1) < _MOVED).all(axis=1)
        spun = rotations.to_rotvec(rotations.multiply(turn, rotations.conjugate(quat)[:, None]))
        good &= (np.linalg.norm(spun, axis=-1) < _TURNED).all(axis=1)
    # Fingertips and servos yield a little: an anchor's opening is the one that it really settles at.
    openings = np.stack([tool.opening(p, s[:, -1]) for p, s in zip(params, start, strict=True)])
    # At the stop that the spring drives it to, a tool is loose.
    share = start[..., -1] / np.array([[p.max_angle] for p in params])
    good &= (np.diff(openings, axis=1) > 0).all(axis=1)
    good &= share[:, 0] > 0.02 if tool.rest == "shut" else share[:, -1] < 0.98
    return {
        int(i): (params[i], replace(grasps[i], openings=openings[i]), start[i], held_out) for i in np.flatnonzero(good)
    }


def _settle(tool: ToolFamily, models: list[mujoco.MjModel], grasps: list[synthesis.Grasp]) -> tuple[F64, F64]:
    """Settled coordinates (n, k, 24) of each grasp at its anchors, and its deepest contact (n,) [m]."""
    batch = Batch(models[0], len(models))
    batch.set_models(models)
    qpos, ctrl = batch.bind("qpos"), batch.bind("ctrl")
    starts, sunk = [], np.zeros(len(models))
    for k in range(synthesis.ANCHORS):
        batch.reset()
        qpos[:] = synthesis.posed(tool, grasps, k)
        ctrl[:] = np.stack([g.ctrl[k] for g in grasps])
        synthesis.fill_history(batch)
        batch.step(nstep=_SETTLE * SUBSTEPS)
        starts.append(qpos.copy())
        sunk = np.maximum(sunk, [_deepest(batch.get_data(i), model) for i, model in enumerate(models)])
    return np.stack(starts, axis=1), sunk


def _solid(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> F64:
    """(9,): mean [5 cm] and covariance [(3 cm)^2, upper triangle] of a body's solid geoms, taken as boxes."""
    geoms = np.flatnonzero((model.geom_bodyid == body) & (model.geom_contype > 0))
    turn = data.geom_xmat[geoms].reshape(-1, 3, 3)
    half, offset = model.geom_aabb[geoms, 3:], model.geom_aabb[geoms, :3]
    center = data.geom_xpos[geoms] + np.einsum("gij,gj->gi", turn, offset)
    weight = half.prod(axis=1) / half.prod(axis=1).sum()
    mean = weight @ center
    within = np.einsum("gij,gj,gkj->gik", turn, half**2 / 3, turn)
    between = np.einsum("gi,gj->gij", center - mean, center - mean)
    spread = np.einsum("g,gij->ij", weight, within + between)
    return np.concatenate([20 * mean, 1100 * spread[np.triu_indices(3)]])


def _deepest(data: mujoco.MjData, model: mujoco.MjModel) -> float:
    mujoco.mj_forward(model, data)
    return float(-data.contact.dist.min()) if data.ncon else 0.0
