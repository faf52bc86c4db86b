"""Task: turn a loose object in the hand to a commanded orientation, again and again.

Task: the palm is fixed, gravity stands for its direction: facing up, then swung within `swing` towards any direction of
    a cone that ends at the palm facing down, or (`down`) of one about it. A goal is an orientation of the object in the
    palm frame; after each success comes a new one. A curriculum widens the distance of goals, then the cone.
Randomisation: one of the shapes of a part, and a `ReorientRandomization`.
Success: *touched*, within `tolerance` of the goal at any moment; *settled*, within it while object and joints are at
    rest, for `hold` control steps in a row. An object away from the hand is dropped and ends the episode.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.reorient import ACTIONS, CENTER, UP, ReorientInterface
from toolwright.hardware.robot import F64
from toolwright.sim import batch, grasp, object_starts, orientations, randomize
from toolwright.sim.models import in_hand
from toolwright.sim.models.physics import CONTROL_PERIOD
from toolwright.sim.object_shapes import Shape, load, scaled
from toolwright.sim.randomize_reorient import LEVELS, SIZES


@dataclass
class ReorientWeights:
    """Weights of the reward terms.

    What turns the object within half a second counts most: a goal that is settled once in a while says little about
    which motion was good, and where a drop costs more than that, a hand learns to rest.
    """

    turn: float = 1.0
    home: float = 5.0
    near: float = 0.01
    rest: float = 0.02
    touched: float = 0.1
    settled: float = 0.5
    fast: float = 0.002
    gentle: float = 0.001
    dropped: float = 0.3


@dataclass
class ReorientConfig:
    """Everything that defines the task."""

    part: str = "train"
    shapes: str = "all"  # a family, or the name of one shape
    level: str = "moderate"
    horizon: int = 200  # control steps for one goal
    goals: int = 20  # in a row, then an episode ends
    renew: bool = True  # a new goal after each success; False: the goal stays
    tolerance: float = 0.4  # rad
    hold: int = 4  # control steps at rest
    stop: float = 0.75  # share of the tolerance within which, as measured, the hand holds still; 0: never
    rest: tuple[float, float, float] = (0.25, 0.04, 0.5)  # rad/s of any joint, m/s, rad/s of the object
    lost: float = 0.12  # m from the middle of the hand: further away the object counts as dropped
    # rad, distance of the first goals and of the farthest; at pi goals are uniform over all orientations
    near: float = 3.1416
    far: float = 3.1416
    palm: tuple[float, float] = (0.0, 0.0)  # rad, cone of palm directions at the start and in the end; pi: any
    down: bool = False  # that cone is about the palm facing down instead of up
    swing: float = 2.0  # s, in which gravity swings to its direction
    widen: tuple[float, float] = (0.2, 0.6)  # success rates under which the curriculum narrows, over which it widens
    coarse: bool = False  # the cheaper physics of `in_hand.coarsen`: for training only
    weights: ReorientWeights = field(default_factory=ReorientWeights)


FREE = 0.025  # m from the middle of the hand within which it is all the same where the object is


class ReorientTask:
    """N hands, each with an object of its own."""

    actions = ACTIONS
    goal_size = 4
    observations = ReorientInterface.SIZE + 16 + 3 + 6 + 3 + 3 + 3 + 6 + 3 + 12 + 3 + 2

    def __init__(
        self, config: ReorientConfig, n: int, rng: np.random.Generator, nthread: int = 0, backend: str = "cpu"
    ) -> None:
        self.config, self.n, self.rng = config, n, rng
        self.horizon = config.horizon
        self.random = LEVELS[config.level]
        self.shapes = _chosen(config)
        factors = SIZES if self.random.sizes else (1.0,)
        variants = [scaled(shape, factor) for shape in self.shapes for factor in factors]
        self.sizes = len(factors)
        self.scene = in_hand.build(variants, fixed_kinds=backend != "cpu")
        self._extent = np.array([shape.extent for shape in variants])
        self._starts = object_starts.load([shape.name for shape in self.shapes])
        self.model = self.scene.model
        if config.coarse:
            in_hand.coarsen(self.model)
        # A blown-up world must stay visible to the guard of the environment.
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self.batch = batch.make(self.model, n, nthread, backend)
        servo = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "actuator_delay")
        varied = (*servo, "geom_friction", "dof_damping", "opt.gravity")
        self._field = {name: self.batch.expand(name) for name in (*self.scene.variants, *varied)}
        self.qpos, self.qvel, self.ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._push, self._tips = self.batch.bind("xfrc_applied"), self.batch.bind("site_xpos")
        named = [self.model.geom(i).name for i in range(self.model.ngeom)]
        self._rubber = np.array([name.endswith("_tip") for name in named])
        self._shell = np.array([not name for name in named])

        self.interface = ReorientInterface(n)
        self.variant = np.zeros(n, dtype=np.intp)  # index of the object among the sizes of all shapes
        self.goal = np.tile([1.0, 0, 0, 0], (n, 1))
        self.mass, self.friction = np.full(n, 0.1), np.ones(n)
        self._offset, self._bias = np.zeros((n, 16)), np.zeros((n, 6))
        self.gravity, self._gravity_end = np.tile(UP, (n, 1)), np.tile(UP, (n, 1))
        self._push_left, self._push_force = np.zeros(n, dtype=np.intp), np.zeros((n, 3))
        self.age = np.zeros(n, dtype=np.intp)  # control steps since the goal was set
        self.time = np.zeros(n, dtype=np.intp)  # control steps since reset
        self.count = np.zeros(n, dtype=np.intp)  # goals settled since reset
        self._calm = np.zeros(n, dtype=np.intp)  # control steps in a row within the tolerance and at rest
        self._error, self._before = np.zeros(n), np.zeros(n)  # rad, now and a control step ago
        self._away, self._away_before = np.zeros(n), np.zeros(n)  # m beyond FREE from the middle of the hand, likewise
        self._touched = np.zeros(n, dtype=bool)  # this goal
        self._first_touch, self._settled = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)  # in this control step
        self._shown: dict[str, F64] = {}
        self._measured_q = np.zeros((n, 16))
        self._stop = np.zeros(n, dtype=bool)  # as measured, the object is where it should be
        self._seen = np.zeros((n, 6))  # m, rad: error of the object's measured pose
        self.reach, self.cone = np.array([config.near]), np.array([config.palm[0]])  # rad, of the curriculum
        self.frozen = False  # the curriculum stays where it is
        self._outcomes = np.zeros(2, dtype=np.intp)  # goals settled and goals ended since the curriculum last moved

    @staticmethod
    def available(config: ReorientConfig) -> bool:
        """Whether the configured part has shapes of the configured kind."""
        return bool(_matching(config))

    # -- episodes -----------------------------------------------------------------------------------------------------

    def reset(self, ids: np.ndarray) -> None:
        """Starts new episodes in the worlds `ids`: an object at rest in the hand, a goal, a world."""
        rng, r, n = self.rng, self.random, len(ids)
        self._learn(settled=0, ended=int((self.time[ids] > 0).sum()))
        shape = rng.integers(len(self.shapes), size=n)
        self.variant[ids] = shape * self.sizes + rng.integers(self.sizes, size=n)
        self._randomize_model(ids)
        self.scene.set_const(self.batch, self._field["geom_rbound"], ids, self.variant[ids])

        self.batch.reset(ids, stage=0)
        start = self._starts[shape, rng.integers(self._starts.shape[1], size=n)]
        self._offset[ids] = rng.uniform(-r.joint_offset, r.joint_offset, (n, 16))
        command = start[:, 23:]
        self.qpos[ids] = start[:, :23]
        self.interface.reset(ids, command)
        self.ctrl[ids] = command - self._offset[ids]
        grasp.fill_history(self.batch, ids)
        self._push[ids] = 0
        self._push_left[ids] = 0
        for counter in (self.time, self.count):
            counter[ids] = 0
        self.gravity[ids] = UP
        self._gravity_end[ids] = self._directions(n)
        self._field["opt.gravity"][ids] = 9.81 * self.gravity[ids]
        spread = r.state_noise * np.array([1.0] * 3 + [10.0] * 3)
        self._bias[ids] = rng.uniform(-spread, spread, (n, 6))
        self._new_goal(ids)
        self._away[ids] = self._beyond()[ids]
        self.batch.forward(ids)
        self._look(ids)

    def _directions(self, n: int) -> F64:
        """(n, 3): directions of gravity that episodes end in."""
        middle = -UP if self.config.down else UP
        if self.cone[0] == 0:
            return np.tile(middle, (n, 1))
        return randomize.in_cone(self.rng, middle, float(self.cone[0]), n)

    def _new_goal(self, ids: np.ndarray) -> None:
        """A goal at least out of tolerance and at most `reach` away from where the object is."""
        rng, c, n = self.rng, self.config, len(ids)
        reach = min(float(self.reach[0]), np.pi)
        low = 1.25 * c.tolerance
        if reach >= min(c.far, np.pi) > 3.14:
            turn = orientations.turns(rng, np.full(n, low))
        else:
            turn = rng.uniform(low, max(reach, 1.1 * low), n)
        rotvec = randomize.directions(rng, n) * turn[:, None]
        self.goal[ids] = rotations.multiply(rotations.from_rotvec(rotvec), self.qpos[ids, 19:])
        self.age[ids] = 0
        self._calm[ids] = 0
        self._touched[ids] = False
        self._error[ids] = self._before[ids] = turn

    def _learn(self, settled: int, ended: int) -> None:
        """Counts goals, and moves the curriculum when enough have ended: first the distance, then the palm."""
        c = self.config
        self._outcomes += [settled, ended]
        if self._outcomes[1] < 2 * self.n or self.frozen:
            return
        rate = self._outcomes[0] / self._outcomes[1]
        self._outcomes[:] = 0
        if rate > c.widen[1]:
            if self.reach[0] < c.far:
                self.reach[0] = min(1.1 * self.reach[0], c.far)
            else:
                self.cone[0] = min(self.cone[0] + 0.05, c.palm[1])
        elif rate < c.widen[0]:
            if self.cone[0] > c.palm[0]:
                self.cone[0] = max(self.cone[0] - 0.05, c.palm[0])
            else:
                self.reach[0] = max(self.reach[0] / 1.1, c.near)

    def _randomize_model(self, ids: np.ndarray) -> None:
        rng, r, m, n = self.rng, self.random, self.model, len(ids)
        self.mass[ids] = np.exp(rng.uniform(np.log(r.mass[0]), np.log(r.mass[1]), n))
        self.scene.give(self._field, ids, self.variant[ids], self.mass[ids])
        kp, kv = randomize.scales(rng, r.kp_share, (n, 16)), randomize.scales(rng, r.kv_share, (n, 16))
        self._field["actuator_gainprm"][ids, :, 0] = kp * m.actuator_gainprm[:, 0]
        self._field["actuator_biasprm"][ids, :, 1] = kp * m.actuator_biasprm[:, 1]
        self._field["actuator_biasprm"][ids, :, 2] = kv * m.actuator_biasprm[:, 2]
        self._field["actuator_forcerange"][ids] = rng.uniform(*r.effort, n)[:, None, None] * np.array([-1.0, 1.0])
        self._field["actuator_delay"][ids] = rng.uniform(*r.latency, n)[:, None]
        self._field["dof_damping"][ids, :16] = randomize.scales(rng, r.damping_share, (n, 16)) * m.dof_damping[:16]
        self.friction[ids] = np.exp(rng.uniform(np.log(r.friction[0]), np.log(r.friction[1]), n))
        slide = self.friction[ids, None] * m.geom_friction[:, 0]
        slide[:, self._shell] *= randomize.scales(rng, r.friction_share, (n, 1))
        self._field["geom_friction"][ids, :, 0] = slide

    # -- one control step ---------------------------------------------------------------------------------------------

    def act(self, action: F64) -> None:
        """Sends actions (N, ACTIONS) in [-1, 1]."""
        r, rng = self.random, self.rng
        noisy = action + r.action_noise * rng.normal(size=action.shape) if r.action_noise else action
        self.ctrl[:] = self.interface.target(noisy, self._measured_q, self._stop) - self._offset
        begins = (self._push_left == 0) & (rng.random(self.n) < r.push_rate)
        self._push_left = np.where(begins, 2, np.maximum(self._push_left - 1, 0))
        fresh = randomize.directions(rng, self.n) * rng.uniform(0, r.push, (self.n, 1)) * self.mass[:, None]
        self._push_force = np.where(begins[:, None], fresh, self._push_force)
        self._push[:, self.scene.body, :3] = self._push_force * (self._push_left > 0)[:, None]
        if self.cone[0] > 0 or self.config.down:
            self.gravity[:] = self.gravity_in(np.arange(self.n), np.zeros(self.n))
            self._field["opt.gravity"][:] = 9.81 * self.gravity

    def gravity_in(self, ids: np.ndarray, steps: F64) -> F64:
        """(k, 3): gravity in the worlds `ids` (k,), control steps (k,) from now: the way of the palm is known."""
        share = np.clip((self.time[ids] + steps) * CONTROL_PERIOD / self.config.swing, 0, 1)[:, None]
        return orientations.between(np.broadcast_to(UP, (len(ids), 3)), self._gravity_end[ids], share)

    def hold(self, stop: np.ndarray) -> None:
        """Hands in `stop` (N,) bool hold still in the next step: a stop signal of the controller's own."""
        self._stop[:] = stop

    def sense(self) -> None:
        """Takes this step's measurements, and sets a new goal where one was settled; called after the physics."""
        c = self.config
        self.age += 1
        self.time += 1
        self._before = self._error
        self._error = self.error()
        self._away_before, self._away = self._away, self._beyond()
        within = self._error < c.tolerance
        self._first_touch = within & ~self._touched
        self._touched |= within
        self._calm = np.where(within & self.resting(), self._calm + 1, 0)
        self._settled = self._calm >= c.hold
        self._shown = self._snapshot()
        done = np.flatnonzero(self._settled)
        self.count[done] += 1
        self._learn(settled=len(done), ended=len(done))
        if len(done) and c.renew:
            self._new_goal(done)
            self.age[done[self.count[done] >= c.goals]] = c.horizon
        self._look(np.arange(self.n))

    def _look(self, ids: np.ndarray) -> None:
        r, rng, n = self.random, self.rng, len(ids)
        noise = rng.normal(size=(n, 16)) * r.joint_noise
        self._measured_q[ids] = (self.qpos[:, :16] + self._offset)[ids] + noise
        spread = r.state_noise * np.array([1.0] * 3 + [10.0] * 3)
        self._seen[ids] = self._bias[ids] + rng.normal(size=(n, 6)) * spread
        left = orientations.angle(self.goal[ids], self._measured_quat()[ids])
        self._stop[ids] = left < self.config.stop * self.config.tolerance

    def _measured_quat(self) -> F64:
        return rotations.multiply(rotations.from_rotvec(self._seen[:, 3:]), self.qpos[:, 19:])

    @property
    def stopped(self) -> np.ndarray:
        """(N,) bool: hands that are told to hold still in the next step."""
        return self._stop

    def measured(self) -> F64:
        """(N, 16) rad: joints as measured, with offset and noise."""
        return self._measured_q

    def error(self) -> F64:
        """(N,) rad between the object's true orientation and the goal."""
        return orientations.angle(self.goal, self.qpos[:, 19:])

    def _beyond(self) -> F64:
        return np.maximum(np.linalg.norm(self.qpos[:, 16:19] - CENTER, axis=1) - FREE, 0.0)

    def speeds(self) -> tuple[F64, F64, F64]:
        """(N,) each: fastest joint [rad/s], object [m/s] and [rad/s]."""
        return in_hand.speeds(self.qvel)

    def resting(self) -> np.ndarray:
        """(N,) bool: object and joints are at rest."""
        return np.logical_and.reduce([v < most for v, most in zip(self.speeds(), self.config.rest, strict=True)])

    def achieved(self) -> F64:
        """(N, 4) true orientation of the object."""
        return self.qpos[:, 19:]

    def observe(self) -> dict[str, F64]:
        """Observation (N, observations) with privileged state, achieved_goal (N, 4), desired_goal (N, 4)."""
        pos = self.qpos[:, 16:19] + self._seen[:, :3]
        quat = self._measured_quat()
        turn = rotations.to_rotvec(rotations.multiply(self.goal, rotations.conjugate(quat)))
        spin = rotations.rotate(quat, self.qvel[:, 19:])
        tips = (self._tips - pos[:, None]).reshape(self.n, 12)
        observation = np.concatenate(
            [
                self.interface.observe(self._measured_q),  # 48
                0.5 * self.qvel[:, :16],  # 16
                40 * (pos - CENTER),  # 3
                orientations.axes(quat),  # 6
                10 * self.qvel[:, 16:19],  # 3
                0.4 * spin,  # 3
                turn,  # 3
                orientations.axes(self.goal),  # 6
                self.gravity,  # 3
                20 * tips,  # 12
                50 * (self._extent[self.variant] - 0.06),  # 3
                np.stack([np.log(self.mass / 0.1), np.log(self.friction)], axis=1),  # 2
            ],
            axis=1,
        )
        return {"observation": observation, "achieved_goal": quat, "desired_goal": self.goal}

    # -- judging ------------------------------------------------------------------------------------------------------

    def _snapshot(self) -> dict[str, F64]:
        joints, linear, angular = self.speeds()
        distance = np.linalg.norm(self.qpos[:, 16:19] - CENTER, axis=1)
        with np.errstate(invalid="ignore"):
            dropped = ~(distance < self.config.lost)
        return {
            "error": self._error.copy(),
            "turned": self._before - self._error,
            "returned": self._away_before - self._away,
            "touched": self._first_touch.astype(np.float64),
            "settled": self._settled.astype(np.float64),
            "joint_speed": joints,
            "speed": linear,
            "spin": angular,
            "distance": distance,
            "dropped": dropped.astype(np.float64),
            "effort": (self.interface.action**2).mean(axis=1),
        }

    def measure(self) -> dict[str, F64]:
        """True values behind reward and success, each (N,), of the goal that stood until now."""
        return self._shown | {"count": self.count.astype(np.float64), "reach": np.full(self.n, self.reach[0])}

    def reward(self, achieved: F64, desired: F64, info: dict[str, F64]) -> dict[str, F64]:
        """Named terms (N,), a pure function of what `measure` returned; their sum is the reward."""
        del achieved, desired  # orientations: the angle between them before a new goal was set is in `info`
        w, c = self.config.weights, self.config
        near = (info["error"] < c.tolerance).astype(np.float64)
        calm: F64 = np.exp(-info["spin"] / c.rest[2] / 2 - info["joint_speed"] / c.rest[0] / 4)
        return {
            "turn": w.turn * info["turned"],
            "home": w.home * info["returned"],
            "near": w.near * np.exp(-info["error"] / c.tolerance),
            "rest": w.rest * near * calm,
            "touched": w.touched * info["touched"],
            "settled": w.settled * info["settled"],
            "fast": -w.fast * np.clip(info["spin"] - 5.0, 0, 10),
            "gentle": -w.gentle * info["effort"],
            "dropped": -w.dropped * info["dropped"],
        }

    def failed(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool: the object is out of the hand."""
        return info["dropped"] > 0

    def success(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool, judged at the end of an episode: its first goal was settled."""
        return info["count"] >= 1

    # -- resuming -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on: arrays by name, and the generator's state."""
        arrays = {name: array.copy() for name, array in self.memory().items()}
        return {"arrays": arrays, "rng": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to what `state` returned, for a task of the same configuration and size."""
        for name, array in self.memory().items():
            array[...] = state["arrays"][name]
        self.scene.set_const(self.batch, self._field["geom_rbound"], np.arange(self.n), self.variant)
        self.rng.bit_generator.state = state["rng"]

    def memory(self) -> dict[str, np.ndarray]:
        """Views of every array that the next step depends on; those named `physics.` or `model.` are rows by world."""
        physics = ("qpos", "qvel", "ctrl", "history", "qacc_warmstart", "time", "xfrc_applied")
        memory = {f"physics.{name}": self.batch.bind(name) for name in physics}
        memory |= {f"model.{name}": array for name, array in self._field.items()}
        for i, holder in enumerate((self, self.interface)):
            arrays = {key: value for key, value in vars(holder).items() if isinstance(value, np.ndarray)}
            memory |= {f"{i}.{key}": value for key, value in arrays.items() if value.flags.writeable}
        return memory


def _matching(config: ReorientConfig) -> list[Shape]:
    part = [shape for shape in load() if shape.held_out == (config.part == "held_out")]
    return [shape for shape in part if config.shapes in ("all", shape.family, shape.name)]


def _chosen(config: ReorientConfig) -> list[Shape]:
    chosen = _matching(config)
    if not chosen:
        known = ", ".join(sorted({shape.family for shape in load()}))
        raise ValueError(f"no shape '{config.shapes}' in the part {config.part}; families: {known}")
    return chosen
