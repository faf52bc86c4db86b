"""Turning an object by sampling: model-predictive control over the batched physics, without training.

Every few control steps it tries K plans of a short horizon for each hand on copies of its world, tries the best again
on other copies, and follows the mean of the best few until the next time. The copies differ in what the controller
cannot know (mass, friction, motors), so that what it does holds although its model is wrong; a plan that won by a lucky
copy loses there. An object that spins fast costs.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Protocol

import mujoco
import numpy as np
from mujoco.batch import Batch

from toolwright.hardware import rotations
from toolwright.hardware.reorient import ACTIONS, CENTER, ReorientInterface, advance
from toolwright.hardware.robot import F64
from toolwright.sim import orientations, randomize
from toolwright.sim.models import in_hand
from toolwright.sim.models.in_hand import InHandModel
from toolwright.sim.models.physics import CONTROL_PERIOD
from toolwright.sim.randomize_reorient import LEVELS
from toolwright.sim.tasks.reorient import ReorientConfig


class Plannable(Protocol):
    """What is planned from: a `ReorientTask`, whose state is the truth, or a `PalmTwin`, which only believes it."""

    @property
    def n(self) -> int: ...
    @property
    def config(self) -> ReorientConfig: ...
    @property
    def model(self) -> mujoco.MjModel: ...
    @property
    def scene(self) -> InHandModel: ...
    @property
    def batch(self) -> Batch: ...
    @property
    def interface(self) -> ReorientInterface: ...

    variant: np.ndarray  # (n,) shape of each object
    qpos: np.ndarray  # (n, 23)
    ctrl: np.ndarray  # (n, 16)
    goal: F64  # (n, 4)
    age: np.ndarray  # (n,) control steps since the goal was set
    time: np.ndarray  # (n,) control steps since the beginning

    def error(self) -> F64: ...
    def gravity_in(self, ids: np.ndarray, steps: F64) -> F64: ...  # (k, 3) unit, palm frame


@dataclass
class PlanCosts:
    """What a plan costs, in rad of error at its end."""

    on_the_way: float = 0.5  # share of the mean error over the plan
    spin: float = 0.03  # per rad/s of the object, at the end and on the way
    fast: float = 0.0  # per rad/s beyond `limit`: what follows the object by camera must not lose it
    limit: float = 6.0  # rad/s
    rest: float = 0.03  # the price of spin near the goal, where it shall come to rest
    away: float = 15.0  # per m from the middle of the hand beyond `free`: at 6, one object in three falls out
    free: float = 0.025  # m
    dropped: float = 5.0
    joints: float = 0.02  # per rad/s of the joints near the goal
    effort: float = 0.02  # of the mean squared action


@dataclass
class PlannerConfig:
    """The controller."""

    plans: int = 96
    knots: int = 2
    knot: int = 4  # control steps of each knot
    every: int = 2  # control steps between two plannings
    sigma: float = 0.7  # standard deviation of a knot's action, which is a speed of the targets
    elite: int = 2
    again: float = 0.125  # share of the plans, the best, that are tried again; at most 1 / models
    models: int = 4  # copies with other physics that each of these is tried on; costs are averaged
    timestep: float = 0.01  # s of the copies' physics, twice the world's: half the cost, a little softer contacts
    level: str = "moderate"  # range of those worlds' physics; "nominal": the controller trusts its model
    patience: int = 24  # control steps without progress, after which the object is turned to somewhere else for a while
    detour: int = 12  # control steps of that
    # control steps, the most by which a copy's gravity runs ahead of the world's while the palm swings: what would fall
    # out of the hand later is held in time
    ahead: int = 20
    costs: PlanCosts = field(default_factory=PlanCosts)


_PROGRESS = 0.1  # rad
_ALIKE = 0.05  # rad, costs that differ by less have about the same weight in the mean of the best
_BLOWN_UP = 1e6  # rad, cost of a plan whose copy the physics cannot follow


class Planner:
    """Plans for all worlds of a task. Knows the state, the shape and its size; nothing else of the world."""

    def __init__(self, task: Plannable, config: PlannerConfig, rng: np.random.Generator, nthread: int = 0) -> None:
        if config.again * config.models > 1:
            raise ValueError(f"copies do not suffice to try {config.again:.0%} of the plans on {config.models} each")
        self.task, self.config, self.rng = task, config, rng
        model = copy(task.model)
        model.opt.timestep = config.timestep
        self._substeps = round(CONTROL_PERIOD / config.timestep)
        self.batch = Batch(model, task.n * config.plans, nthread)
        servo = ("actuator_gainprm", "actuator_biasprm", "actuator_delay")
        names = (*task.scene.variants, *servo, "geom_friction", "opt.gravity")
        self._field = {name: self.batch.expand(name) for name in names}
        self._state = {
            name: (self.batch.bind(name), task.batch.bind(name))
            for name in ("qpos", "qvel", "ctrl", "history", "qacc_warmstart", "time")
        }
        self.plan = np.zeros((task.n, config.knots * config.knot, ACTIONS))  # mean of the best, from now on
        self._variant = np.full(task.n, -1)
        self._left = np.zeros(task.n, dtype=np.intp)  # control steps until the next planning
        self.goal = np.tile([1.0, 0, 0, 0], (task.n, 1))  # that is planned for: the task's, or a detour's
        self._best = np.full(task.n, np.inf)  # rad, least error since there was progress
        self._waited = np.zeros(task.n, dtype=np.intp)  # control steps since then
        self._aside = np.zeros(task.n, dtype=np.intp)  # control steps left of a detour
        self._ahead = rng.spawn(1)[0].uniform(0, config.ahead, task.n * config.plans)  # control steps, of each copy
        self.spread = np.zeros((task.n, ACTIONS))  # of the elite's first knot: how sure the label is

    def act(self, active: np.ndarray | None = None) -> F64:
        """Actions (N, ACTIONS) for the present state; zero in worlds that are not `active`."""
        n = self.task.n
        active = np.ones(n, dtype=bool) if active is None else active
        self.plan[active & (self.task.time == 0)] = 0
        self._detours(active)
        ids = np.flatnonzero(active & (self._left == 0))
        if len(ids):
            self._replan(ids)
            self._left[ids] = self.config.every
        action = np.where(active[:, None], self.plan[:, 0], 0.0)
        self.plan = np.concatenate([self.plan[:, 1:], np.zeros((n, 1, ACTIONS))], axis=1)
        self._left = np.maximum(self._left - 1, 0)
        return action

    def _detours(self, active: np.ndarray) -> None:
        """Gives worlds that are stuck another goal for a while: plans are too short to see a way round."""
        c, task = self.config, self.task
        fresh = task.age == 0
        error = task.error()
        there = error < (task.config.stop or 1) * task.config.tolerance  # where the hand is told to stop
        progress = fresh | (self._aside > 0) | (error < self._best - _PROGRESS) | there
        self._best = np.where(progress, error, self._best)
        self._waited = np.where(progress, 0, self._waited + 1)
        self._aside = np.where(fresh, 0, np.maximum(self._aside - 1, 0))
        self.goal = np.where((self._aside > 0)[:, None], self.goal, task.goal)
        stuck = np.flatnonzero(active & (self._aside == 0) & (self._waited >= c.patience))
        if len(stuck):
            turn = randomize.directions(self.rng, len(stuck)) * self.rng.uniform(0.8, 1.6, (len(stuck), 1))
            self.goal[stuck] = rotations.multiply(rotations.from_rotvec(turn), task.qpos[stuck, 19:])
            self._aside[stuck], self._waited[stuck] = c.detour, 0
            self.plan[stuck] = 0

    def _replan(self, ids: np.ndarray) -> None:
        c, rng, n = self.config, self.rng, len(ids)
        self._adopt(ids)
        old = self.plan[ids].reshape(n, c.knots, c.knot, ACTIONS).mean(axis=2)
        sampled = old[:, None] + c.sigma * rng.normal(size=(n, c.plans, c.knots, ACTIONS))
        sampled[:, 0], sampled[:, 1] = 0, old  # staying, and going on
        sampled = np.clip(sampled, -1, 1)
        plans = np.repeat(sampled, c.knot, axis=2)  # (n, plans, steps, 16)
        cost = self._roll(ids, plans, np.tile(np.arange(c.plans), (n, 1)))
        if again := int(c.again * c.plans):
            best = np.argsort(cost, axis=1)[:, :again]
            plans = np.take_along_axis(plans, best[:, :, None, None], axis=1)
            others = np.sort(rng.random((n, c.plans)).argsort(axis=1)[:, : again * c.models], axis=1)
            cost = self._roll(ids, np.repeat(plans, c.models, axis=1), others).reshape(n, again, c.models).mean(axis=2)
        best = np.argsort(cost, axis=1)[:, : c.elite]
        best_cost = np.take_along_axis(cost, best, axis=1)
        weight = np.exp(-(best_cost - best_cost[:, :1]) / _ALIKE)
        weight /= weight.sum(axis=1, keepdims=True)
        elite = np.take_along_axis(plans, best[:, :, None, None], axis=1)
        mean = (weight[:, :, None, None] * elite).sum(axis=1)
        self.spread[ids] = np.sqrt((weight[:, :, None] * (elite[:, :, 0] - mean[:, None, 0]) ** 2).sum(axis=1))
        self.plan[ids] = mean

    def _roll(self, ids: np.ndarray, plans: F64, copies: np.ndarray) -> F64:
        """Costs (n, k) of plans (n, k, steps, ACTIONS), each tried on one of its world's copies (n, k), in order."""
        c, price, task = self.config, self.config.costs, self.task
        n, k, steps = plans.shape[:3]
        rows = (ids[:, None] * c.plans + copies).ravel()
        for mine, theirs in self._state.values():
            mine[rows] = np.repeat(theirs[ids], k, axis=0)
        world = np.repeat(ids, k)
        actions = plans.reshape(n * k, steps, ACTIONS)
        goal = np.repeat(self.goal[ids], k, axis=0)
        command = np.repeat(task.interface.command[ids], k, axis=0)
        offset = np.repeat((task.ctrl - task.interface.command)[ids], k, axis=0)
        qpos, qvel, ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        total = np.zeros(len(rows))
        error = np.repeat(orientations.angle(self.goal[ids], task.qpos[ids, 19:]), k)
        # A hand stops at the task's goal, not at that of a detour.
        stop = np.repeat(task.config.stop * task.config.tolerance * (self._aside[ids] == 0), k)
        for t in range(steps):
            moved = advance(command, actions[:, t], qpos[rows, :16])
            command = np.where((error < stop)[:, None], command, moved)  # as the hand itself will
            ctrl[rows] = command + offset
            self._field["opt.gravity"][rows] = 9.81 * task.gravity_in(world, t + self._ahead[rows])
            self.batch.step(rows, nstep=self._substeps)
            q, v = qpos[rows], qvel[rows]
            error = orientations.angle(goal, q[:, 19:])
            joints, _, spin = in_hand.speeds(v)
            near = error < task.config.tolerance
            away = np.linalg.norm(q[:, 16:19] - CENTER, axis=1)
            step = np.minimum(spin, 20) * (price.spin + price.rest * near) + price.joints * near * joints
            step += price.fast * np.maximum(np.minimum(spin, 20) - price.limit, 0)
            step += price.away * np.maximum(away - price.free, 0) + price.dropped * (away > task.config.lost)
            total += (price.on_the_way * error + step) / steps
            if t == steps - 1:
                total += error + step
        total += price.effort * (actions**2).mean(axis=(1, 2))
        total = np.where(np.isfinite(total), total, _BLOWN_UP)
        return total.reshape(n, k)

    def _adopt(self, ids: np.ndarray) -> None:
        """Gives the copies of worlds with a new object its shape, and physics drawn from the planner's own range."""
        task = self.task
        ids = ids[(self._variant[ids] != task.variant[ids]) | (task.time[ids] == 0)]
        if not len(ids):
            return
        self._variant[ids] = task.variant[ids]
        rng, r, m, scene = self.rng, LEVELS[self.config.level], task.model, task.scene
        rows = (ids[:, None] * self.config.plans + np.arange(self.config.plans)).ravel()
        count = len(rows)
        variant = np.repeat(task.variant[ids], self.config.plans)
        mass = np.exp(rng.uniform(np.log(r.mass[0]), np.log(r.mass[1]), count))
        scene.give(self._field, rows, variant, mass)
        kp, kv = randomize.scales(rng, r.kp_share, (count, 1)), randomize.scales(rng, r.kv_share, (count, 1))
        self._field["actuator_gainprm"][rows, :, 0] = kp * m.actuator_gainprm[:, 0]
        self._field["actuator_biasprm"][rows, :, 1] = kp * m.actuator_biasprm[:, 1]
        self._field["actuator_biasprm"][rows, :, 2] = kv * m.actuator_biasprm[:, 2]
        self._field["actuator_delay"][rows] = rng.uniform(*r.latency, count)[:, None]
        friction = np.exp(rng.uniform(np.log(r.friction[0]), np.log(r.friction[1]), (count, 1)))
        self._field["geom_friction"][rows, :, 0] = friction * m.geom_friction[:, 0]
        scene.set_const(self.batch, self._field["geom_rbound"], rows, variant)
