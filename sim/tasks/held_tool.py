"""Task: bring a held tool to a commanded opening and keep it in the hand.

Task: the palm is fixed, gravity and pushes stand for its direction and motion. A goal is an opening at the working
    tips, uniform over what the grasp reaches; in a share of the episodes another one takes its place on the way. In
    half of them something between the tips, or a spring, pushes against the opening.
Randomisation: the tool (its family's train or held-out part, from the grasp bank), and a `HeldToolRandomization`.
Success: over the last `judged` control steps the opening stayed within `tolerance`, and at the end the tool is less
    than `moved` and `turned` away from where it was grasped. A dropped tool ends the episode as a failure.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import MODEL_FIELDS

from toolwright.hardware import rotations
from toolwright.hardware.held_tool import ACTIONS, ClosedFormController, LearnedInterface, Synergy
from toolwright.hardware.robot import F64
from toolwright.sim import batch, grasp, randomize
from toolwright.sim.grasp_bank import SHAPE, GraspBank, load
from toolwright.sim.models.physics import CONTROL_PERIOD


@dataclass
class RewardWeights:
    """Weights of the reward terms."""

    reach: float = 1.0
    near: float = 0.3
    moved: float = 0.25
    turned: float = 0.25
    gentle: float = 0.02
    dropped: float = 10.0


@dataclass
class HeldToolConfig:
    """Everything that defines the task."""

    tool: str = "tweezers"
    part: str = "train"
    level: str = "hard"
    horizon: int = 80  # control steps
    judged: int = 10  # control steps at the end over which the opening must stay
    shape: bool = False  # the observation tells which tool is held, for a policy of many tools
    alone: bool = False  # no controller beneath the policy, to compare how fast things are learned
    changes: float = 0.5  # share of episodes whose goal changes
    latest: int = 40  # control steps, until when it has changed
    tolerance: float = 0.0015  # m
    moved: float = 0.02  # m
    turned: float = 0.4  # rad
    lost: tuple[float, float] = (0.05, 1.2)  # m, rad: further away the tool counts as dropped
    weights: RewardWeights = field(default_factory=RewardWeights)


class HeldToolTask:
    """N hands, each with a tool of its own."""

    actions = ACTIONS
    goal_size = 1

    def __init__(
        self,
        config: HeldToolConfig,
        n: int,
        rng: np.random.Generator,
        nthread: int = 0,
        bank: GraspBank | None = None,
        backend: str = "cpu",
    ) -> None:
        self.config, self.n, self.rng = config, n, rng
        self.horizon = config.horizon
        self.observations = LearnedInterface.SIZE + SHAPE * config.shape
        self.bank = bank or load(config.tool)
        self.random = randomize.LEVELS[config.level]
        self.choices = self.bank.part(config.part)
        models = [self.bank.models[i] for i in self.choices]
        self.model = copy(models[0])
        # A blown-up world must stay visible to the guard of the environment.
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self.batch = batch.make(self.model, n, nthread, backend)
        self._variants = {
            name: np.stack([getattr(m, name) for m in models])
            for name in MODEL_FIELDS
            if "." not in name and any((getattr(m, name) != getattr(models[0], name)).any() for m in models[1:])
        }
        servo = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "actuator_delay")
        varied = (*servo, "geom_friction", "dof_damping", "opt.gravity")
        self._field = {name: self.batch.expand(name) for name in (*self._variants, *varied)}
        self.qpos, self.qvel, self.ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._push, self._load = self.batch.bind("xfrc_applied"), self.batch.bind("qfrc_applied")
        self._limbs = [self.model.body("tool").id, self.model.body("tool_b").id]
        named = [self.model.geom(i).name for i in range(self.model.ngeom)]
        self._tips = np.flatnonzero([name.endswith("_tip") for name in named])

        k = self.bank.openings.shape[1]
        self.synergy = Synergy(np.ones((n, k)) * np.arange(k), np.zeros((n, k, 16)), np.zeros((n, 16, 6)))
        self.controller = ClosedFormController(self.synergy, CONTROL_PERIOD)
        self.interface = LearnedInterface(self.synergy, CONTROL_PERIOD, config.alone)
        self.tool = np.zeros(n, dtype=np.intp)  # index into the bank
        self.goal = np.zeros(n)  # m
        columns = {f.name: np.zeros(n) for f in fields(self.bank.params[0])}
        self._params = type(self.bank.params[0])(**columns)  # one set of parameters with a column for each world
        self._table = {name: np.array([getattr(p, name) for p in self.bank.params]) for name in columns}
        self._reference = np.zeros((n, 7))
        self._offset, self._bias = np.zeros((n, 16)), np.zeros((n, 7))
        self._gravity = np.zeros((n, 3))
        self._delay = np.zeros(n, dtype=np.intp)
        self._seen = np.zeros((self.random.delay[1] + 1, n, 7))  # newest first: opening, displacement
        self._push_left, self._push_force = np.zeros(n, dtype=np.intp), np.zeros((n, 3))
        self._torque, self._load_from = np.zeros(n), np.zeros(n, dtype=np.intp)
        self._next_goal, self._changes_at = np.zeros(n), np.zeros(n, dtype=np.intp)
        self._within = np.zeros(n, dtype=np.intp)  # control steps in a row inside the tolerance
        self.age = np.zeros(n, dtype=np.intp)  # control steps since reset
        self._effort = np.zeros(n)
        self._measured_q = np.zeros((n, 16))

    # -- episodes -----------------------------------------------------------------------------------------------------

    def reset(self, ids: np.ndarray) -> None:
        """Starts new episodes in the worlds `ids`: a tool, a goal, a world."""
        rng, r, bank, n = self.rng, self.random, self.bank, len(ids)
        pick = rng.integers(len(self.choices), size=n)
        tool = self.choices[pick]
        anchor = rng.integers(bank.openings.shape[1], size=n)
        self.tool[ids] = tool
        for name, values in self._variants.items():
            self._field[name][ids] = values[pick]
        for name, values in self._table.items():
            getattr(self._params, name)[ids] = values[tool]
        self._randomize_model(ids)

        self.batch.reset(ids, stage=0)
        start = bank.start[tool, anchor]
        self._reference[ids] = np.concatenate(grasp.mid_pose(start[:, 16:], self.bank.family.turn), axis=1)
        self.qpos[ids] = start
        self.qpos[ids, 16:23] = self._slipped(start[:, 16:])

        for mine, theirs in zip(_arrays(self.synergy), (bank.openings, bank.ctrl, bank.correction), strict=True):
            mine[ids] = theirs[tool]
        self._offset[ids] = rng.uniform(-r.joint_offset, r.joint_offset, (n, 16))
        command = bank.ctrl[tool, anchor]
        self.controller.reset(ids)
        self.ctrl[ids] = command - self._offset[ids]
        grasp.fill_history(self.batch, ids)

        lowest, highest = bank.openings[tool, 0], bank.openings[tool, -1]
        self.goal[ids], self._next_goal[ids] = rng.uniform(lowest, highest), rng.uniform(lowest, highest)
        changes = rng.random(n) < self.config.changes
        self._changes_at[ids] = np.where(changes, rng.integers(1, self.config.latest + 1, size=n), -1)
        spread = np.array([r.opening_bias] + [r.pose_bias[0]] * 3 + [r.pose_bias[1]] * 3)
        self._bias[ids] = rng.uniform(-spread, spread, (n, 7))
        self._delay[ids] = rng.integers(r.delay[0], r.delay[1] + 1, size=n)
        self._push_left[ids] = 0
        self._torque[ids] = rng.uniform(-r.load, r.load, n) * (rng.random(n) < 0.5)
        self._load_from[ids] = rng.integers(self.horizon * 3 // 4, size=n)
        self._push[ids] = 0
        self._load[ids] = 0
        self._within[ids] = 0
        self.age[ids] = 0
        self._effort[ids] = 0
        self.batch.forward(ids)
        self._seen[:, ids] = self._perceived(ids)
        self.interface.reset(ids, command, self._seen[0, ids, 0])
        self._measured_q[ids] = self._encoders(ids)

    def _slipped(self, tool: F64) -> F64:
        """Poses (n, 7) of tools (n, 8) that slid and turned between the fingers, in the plane that these touch."""
        slide, turn = self.random.slip
        quat = grasp.mid_pose(tool, self.bank.family.turn)[1]
        shift = rotations.rotate(quat, self.rng.normal(size=(len(tool), 3)) * np.array([0.0, slide, slide]))
        spin = rotations.rotate(quat, self.rng.normal(size=(len(tool), 3)) * np.array([turn, 0.0, 0.0]))
        turned = rotations.multiply(rotations.from_rotvec(spin), tool[:, 3:7])
        return np.concatenate([tool[:, :3] + shift, turned], axis=1)

    def _randomize_model(self, ids: np.ndarray) -> None:
        rng, r, m, n = self.rng, self.random, self.model, len(ids)
        kp, kv = randomize.scales(rng, r.kp_share, (n, 16)), randomize.scales(rng, r.kv_share, (n, 16))
        self._field["actuator_gainprm"][ids, :, 0] = kp * m.actuator_gainprm[:, 0]
        self._field["actuator_biasprm"][ids, :, 1] = kp * m.actuator_biasprm[:, 1]
        self._field["actuator_biasprm"][ids, :, 2] = kv * m.actuator_biasprm[:, 2]
        effort = rng.uniform(*r.effort, n)[:, None, None]
        self._field["actuator_forcerange"][ids] = effort * np.array([-1.0, 1.0])
        self._field["actuator_delay"][ids] = rng.uniform(*r.latency, n)[:, None]
        self._field["dof_damping"][ids, :16] = randomize.scales(rng, r.damping_share, (n, 16)) * m.dof_damping[:16]
        rubber = randomize.scales(rng, r.friction_share, (n, 1))
        self._field["geom_friction"][ids[:, None], self._tips, 0] = rubber * m.geom_friction[self._tips, 0]
        self._gravity[ids] = randomize.in_cone(rng, self.bank.down, r.palm_cone, n)
        self._field["opt.gravity"][ids] = 9.81 * self._gravity[ids]

    # -- one control step ---------------------------------------------------------------------------------------------

    def act(self, action: F64) -> None:
        """Sends the learned policy's action (N, ACTIONS) in [-1, 1]."""
        action = np.clip(action, -1, 1).astype(np.float64)
        self._send(self.interface.target(action, *self.estimate(), self.goal))
        self._effort = (action**2).mean(axis=1)

    def act_closed_form(self) -> None:
        """Sends the closed-form controller's targets, from the same measurements."""
        opening, displacement = self.estimate()
        self._send(self.controller.target(opening, displacement, self.goal))
        self._effort[:] = 0

    def _send(self, command: F64) -> None:
        self.ctrl[:] = command - self._offset
        r, rng = self.random, self.rng
        begins = (self._push_left == 0) & (rng.random(self.n) < r.push_rate)
        self._push_left = np.where(begins, rng.integers(2, 6, self.n), np.maximum(self._push_left - 1, 0))
        fresh = randomize.directions(rng, self.n) * rng.uniform(0, r.push, (self.n, 1))
        self._push_force = np.where(begins[:, None], fresh, self._push_force)
        self._push[:, self._limbs, :3] = (self._push_force / 2 * (self._push_left > 0)[:, None])[:, None]
        self._load[:, -1] = self._torque * (self.age >= self._load_from)

    def sense(self) -> None:
        """Takes this step's measurements; called once after the physics."""
        self.age += 1
        self.goal = np.where(self.age == self._changes_at, self._next_goal, self.goal)
        everyone = np.arange(self.n)
        self._seen = np.roll(self._seen, 1, axis=0)
        self._seen[0] = self._perceived(everyone)
        self._measured_q = self._encoders(everyone)
        self._within = np.where(np.abs(self.opening() - self.goal) < self.config.tolerance, self._within + 1, 0)

    def _perceived(self, ids: np.ndarray) -> F64:
        """(n, 7): opening [m] and displacement [m, rad] of the worlds `ids` as perception measures them now."""
        r = self.random
        noise = np.array([r.opening_noise] + [r.pose_noise[0]] * 3 + [r.pose_noise[1]] * 3)
        return (self._true_estimate() + self._bias)[ids] + self.rng.normal(size=(len(ids), 7)) * noise

    def _encoders(self, ids: np.ndarray) -> F64:
        """(n, 16) rad: what the joints of the worlds `ids` measure now."""
        noise = self.rng.normal(size=(len(ids), 16)) * self.random.joint_noise
        return (self.qpos[:, :16] + self._offset)[ids] + noise

    def _true_estimate(self) -> F64:
        """(N, 7): opening [m] and displacement [m, rad] as they are."""
        pos, quat = grasp.mid_pose(self.qpos[:, 16:], self.bank.family.turn)
        turn = rotations.to_rotvec(rotations.multiply(quat, rotations.conjugate(self._reference[:, 3:])))
        return np.concatenate([self.opening()[:, None], pos - self._reference[:, :3], turn], axis=1)

    def opening(self) -> F64:
        """(N,) true opening [m]."""
        return self.bank.family.opening(self._params, self.qpos[:, -1])

    def achieved(self) -> F64:
        """(N,) m: what the reward compares with the goal."""
        return self.opening()

    def estimate(self) -> tuple[F64, F64]:
        """Opening (N,) [m] and displacement (N, 6) [m, rad] as perception delivers them: noisy and late."""
        seen = self._seen[self._delay, np.arange(self.n)]
        return seen[:, 0], seen[:, 1:]

    def observe(self) -> dict[str, F64]:
        """Observation (N, observations), achieved_goal (N, 1) [m], desired_goal (N, 1) [m]: what the real hand has."""
        opening, displacement = self.estimate()
        seen = self.interface.observe(self._measured_q, displacement, self._gravity)
        return {
            "observation": np.hstack([seen, self.bank.shape[self.tool]]) if self.config.shape else seen,
            "achieved_goal": opening[:, None],
            "desired_goal": self.goal[:, None],
        }

    # -- judging ------------------------------------------------------------------------------------------------------

    def measure(self) -> dict[str, F64]:
        """True values behind reward and success, each (N,)."""
        truth = self._true_estimate()
        moved, turned = np.linalg.norm(truth[:, 1:4], axis=1), np.linalg.norm(truth[:, 4:], axis=1)
        with np.errstate(invalid="ignore"):
            dropped = ~((moved < self.config.lost[0]) & (turned < self.config.lost[1]))
        return {
            "opening": truth[:, 0],
            "moved": moved,
            "turned": turned,
            "dropped": dropped.astype(np.float64),
            "effort": self._effort,
            "within": self._within.astype(np.float64),
        }

    def reward(self, achieved: F64, desired: F64, info: dict[str, F64]) -> dict[str, F64]:
        """Named terms (N,), a pure function of its arguments; their sum is the reward.

        Args:
            achieved: (N,) m, true opening.
            desired: (N,) m.
            info: what `measure` returned.
        """
        w, c = self.config.weights, self.config
        error = np.abs(achieved - desired)
        return {
            "reach": w.reach * np.exp(-((error / c.tolerance) ** 2)),
            "near": -w.near * np.minimum(error / 0.01, 2.0),
            "moved": -w.moved * np.minimum(info["moved"] / c.moved, 3.0),
            "turned": -w.turned * np.minimum(info["turned"] / c.turned, 3.0),
            "gentle": -w.gentle * info["effort"],
            "dropped": -w.dropped * info["dropped"],
        }

    def failed(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool: the tool is out of the hand."""
        return info["dropped"] > 0

    def success(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool, judged at the end of an episode."""
        c = self.config
        return (
            (info["within"] >= c.judged)
            & (info["moved"] < c.moved)
            & (info["turned"] < c.turned)
            & (info["dropped"] == 0)
        )

    # -- resuming -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on: arrays by name, and the generator's state."""
        arrays = {name: array.copy() for name, array in self.memory().items()}
        return {"arrays": arrays, "rng": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to what `state` returned, for a task of the same configuration and size."""
        for name, array in self.memory().items():
            array[...] = state["arrays"][name]
        self.rng.bit_generator.state = state["rng"]

    def memory(self) -> dict[str, np.ndarray]:
        """Views of every array that the next step depends on; those named `physics.` or `model.` are rows by world."""
        physics = ("qpos", "qvel", "ctrl", "history", "qacc_warmstart", "time", "xfrc_applied", "qfrc_applied")
        memory = {f"physics.{name}": self.batch.bind(name) for name in physics}
        memory |= {f"model.{name}": array for name, array in self._field.items()}
        holders = (self, self.synergy, self._params, self.controller, self.interface, self.interface.controller)
        for i, holder in enumerate(holders):
            memory |= {f"{i}.{key}": value for key, value in vars(holder).items() if isinstance(value, np.ndarray)}
        return memory


def _arrays(synergy: Synergy) -> list[F64]:
    return [getattr(synergy, f.name) for f in fields(synergy)]
