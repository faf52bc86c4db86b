"""Task: pick a small thing off the table with the held tweezers, and carry it after a goal that moves.

Task: arm, hand and held tweezers over a table with one of 24 small objects. Five times a second an action moves the
    goal of the tips and sets the goal opening (see `hardware/pick.py`); beneath it, at 20 Hz, the hand's policy holds
    the opening and the arm follows smoothly, as on the robot. Flat: the action sets the hand's joints itself.
Randomisation: which object (of the seen or the held-out half), how it lies, where; where the tips begin; the goal's
    circle; friction of pads and object; a sensor's noise, errors assumed for a camera, or what a camera's images show.
Success: the object was raised by `lifted` and stayed up for `held` seconds in a row, in which the tips went `moved_on`.
    The reward, in contrast, asks for the object to be at the goal: a pure function of both, so that any place that an
    object got to can stand as a goal in hindsight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from mujoco.batch import Batch

from toolwright.hardware import rotations, tip_motion
from toolwright.hardware.held_tool import WORKING, LearnedInterface, Synergy
from toolwright.hardware.joints import FR3, FR3_HOME, LEAP
from toolwright.hardware.pick import ACTIONS, EVERY, LOST, Affordance, PickInterface
from toolwright.hardware.robot import F64
from toolwright.hardware.tip_motion import Poses
from toolwright.sim import grasp
from toolwright.sim.models.physics import CONTROL_PERIOD, SUBSTEPS
from toolwright.sim.models.small_objects import resting, sides, small_objects
from toolwright.sim.pick_errors import BLIND, ERRORS
from toolwright.sim.pick_world import ANCHOR, world
from toolwright.sim.robot import DAMPING, GRAVITY, STIFFNESS

PERIOD = EVERY * CONTROL_PERIOD  # s between two actions
Hand = Callable[[F64, F64, F64], F64]  # observation, opening (N, 1), goal (N, 1) -> action of the hand's policy


@dataclass
class PickConfig:
    """Everything that defines the task."""

    part: str = "seen"  # seen, held_out or all
    state: str = "privileged"  # what is measured: see `sim/pick_errors.py`
    flat: bool = False  # the action sets the hand's joints, without the policy beneath
    horizon: int = 80  # actions
    tolerance: float = 0.03  # m from the goal
    lifted: float = 0.10  # m
    held: float = 2.0  # s
    moved_on: float = 0.05  # m
    circle: float = 0.04  # m, radius of the goal's path
    round_trip: float = 6.3  # s


JOINT_STEP = 0.08  # rad that a flat action of one adds to a joint's target
REGION = (np.array([0.39, -0.15]), np.array([0.56, 0.15]))  # m, where objects lie and tips begin


class Eyes(Protocol):
    """A camera for each of N robots, and what is made of its images."""

    def reset(self, ids: np.ndarray) -> None:
        """New episodes began in the worlds `ids`; takes a first image there."""

    def look(self, ids: np.ndarray, hidden: np.ndarray) -> None:
        """Takes an image in the worlds `ids`; where `hidden` (N,), the object is behind the tips."""

    def tool(self, ids: np.ndarray) -> tuple[Poses, F64, F64]:
        """Tips in the palm, opening (k,) [m], and pose (k, 7) of the tool in the palm."""

    def objects(self, ids: np.ndarray) -> Affordance:
        """What is known of the objects."""


class PickTask:
    """N robots, each with an object of its own.

    Args:
        config: of the task.
        n: robots.
        rng: of everything random.
        nthread: of the physics; 0: all cores.
        hand: the 20 Hz policy; None: its closed-form part alone.
    """

    observations = PickInterface.SIZE
    goal_size = 3

    def __init__(
        self, config: PickConfig, n: int, rng: np.random.Generator, nthread: int = 0, hand: Hand | None = None
    ) -> None:
        self.config, self.n, self.rng, self.hand = config, n, rng, hand
        self.horizon = config.horizon
        self.actions = 4 + len(WORKING) if config.flat else ACTIONS
        self.errors = ERRORS[config.state]
        self.eyes: Eyes | None = None  # of the state `camera`
        things = small_objects()
        wanted = {"seen": [False], "held_out": [True], "all": [False, True]}[config.part]
        self.choices = np.array([i for i, thing in enumerate(things) if thing.held_out in wanted])
        self.world = world()
        self.model = self.world.models[0]
        self.batch = Batch(self.model, n, nthread)
        self._field = {name: self.batch.expand(name) for name in (*self.world.variants, "geom_friction")}
        self.qpos, self.qvel, self.ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._mass = self.batch.bind("M")
        m, name = self.model, "tweezers"
        self._thing = int(m.joint("thing").qposadr[0])
        self._free, self._hinge = (int(m.joint(f"{name}_{j}").qposadr[0]) for j in ("free", "hinge"))
        self._fingers = slice(len(FR3), len(FR3) + len(LEAP))
        self._pads = np.array([m.geom(f"{name}_pad").id, m.geom(f"{name}_b_pad").id])
        self._things = np.array([m.geom(f"thing_{p}").id for p in range(2)])
        self.tool, bank = self.world.bank.params[0], self.world.bank
        rows = np.zeros(n, dtype=np.intp)
        self.synergy = Synergy(bank.openings[rows], bank.ctrl[rows], bank.correction[rows])
        self.hands = LearnedInterface(self.synergy, CONTROL_PERIOD)
        widest = float(bank.family.opening(self.tool, bank.family.reach[1] * self.tool.max_angle))
        self.interface = PickInterface(self.world.chain, self.world.room, np.full(n, widest), CONTROL_PERIOD)

        self.thing = np.zeros(n, dtype=np.intp)  # index of the object
        self.assigned: np.ndarray | None = None  # (N,) objects for the next episodes; None draws them
        self.active: np.ndarray | None = None  # worlds whose time goes on; None: all
        self.age = np.zeros(n, dtype=np.intp)  # actions since reset
        self.goal = np.zeros((n, 3))  # m
        self._middle, self._phase = np.zeros((n, 3)), np.zeros(n)
        self._rest = np.zeros(n)  # m, height of the object as it lies
        self._up, self._best_up, self._high = (np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp), np.zeros(n))
        self._way, self._far = np.zeros(n), np.zeros((n, 3))
        self._held_on = np.zeros(n, dtype=bool)
        self._before, self._target = np.zeros((n, 7)), np.zeros((n, 7))
        self._inertia = np.zeros((n, len(FR3), len(FR3)))  # kg m^2, as the arm's controller knows it
        self._reference = np.zeros((n, 7))  # pose of the tool in the palm when it was grasped, as measured
        self._bias = np.zeros((n, 12))  # object (3) yaw width, tool pos (3) turn (3), opening
        self._seen = Affordance.nothing(n)
        self._raw = np.zeros(n)  # m, opening as measured now
        self._joints = np.zeros((n, 16))  # rad, flat commands

    # -- episodes -----------------------------------------------------------------------------------------------------

    def reset(self, ids: np.ndarray) -> None:
        """Starts new episodes in the worlds `ids`."""
        rng, world, n = self.rng, self.world, len(ids)
        self.thing[ids] = rng.choice(self.choices, n) if self.assigned is None else self.assigned[ids]
        thing = self.thing[ids]
        for name, values in world.variants.items():
            self._field[name][ids] = values[thing][:, : self._field[name].shape[1]]
        self._rough(ids)

        self.batch.reset(ids, stage=0)
        table = world.room.table
        q = self._above(rng, n)
        self.qpos[ids, : len(FR3)] = q
        bank = world.bank
        hand, tool = bank.start[0, ANCHOR, :16], bank.start[0, ANCHOR, 16:]
        palm = Poses(*world.chain.palm(q))
        held = palm @ Poses(np.tile(tool[:3], (n, 1)), np.tile(tool[3:7], (n, 1)))
        self.qpos[ids, self._fingers] = hand
        self.qpos[ids, self._free : self._free + 3], self.qpos[ids, self._free + 3 : self._free + 7] = (
            held.pos,
            held.quat,
        )
        self.qpos[ids, self._hinge] = tool[7]
        lies, height = resting()
        which = rng.integers(lies.shape[1], size=n)
        spin = rotations.from_rotvec(np.outer(rng.uniform(-np.pi, np.pi, n), [0.0, 0, 1]))
        self._rest[ids] = table + height[thing, which]
        xy = rng.uniform(*REGION, (n, 2))
        start = self._thing
        self.qpos[ids, start : start + 3] = np.column_stack([xy, self._rest[ids]])
        self.qpos[ids, start + 3 : start + 7] = rotations.multiply(spin, lies[thing, which])
        self.ctrl[ids, self._fingers] = bank.ctrl[0, ANCHOR]
        self.ctrl[ids, : len(FR3)] = 0
        self._fill_history(ids)
        self.batch.forward(ids)
        self._inertia[ids] = self._mass[ids][:, self.world.arm_mass]
        self._before[ids] = self._target[ids] = q

        e = self.errors
        pairs = (e.object_pos,) * 3 + (e.object_yaw, e.object_width) + (e.tool_pos,) * 3 + (e.tool_turn,) * 3
        self._bias[ids] = rng.normal(size=(n, 12)) * np.array([bias for bias, _ in (*pairs, e.opening)])
        if self.eyes is not None:
            self.eyes.reset(ids)
        elif self.config.state == "camera":
            raise ValueError("the state 'camera' needs eyes: see policies/high_level/camera_eyes.py")
        self._reference[ids] = self._measured_tool(ids)[2]
        tips, opening, _ = self._measured_tool(ids)
        self.hands.reset(ids, np.tile(bank.ctrl[0, ANCHOR], (n, 1)), opening)
        self._joints[ids] = bank.ctrl[0, ANCHOR]
        self.interface.reset(ids, q, tips, opening)
        self._raw[ids] = opening
        self._seen.write(ids, self._sides(ids))
        self._set_goal(ids, xy)
        for counter in (self.age, self._up, self._best_up, self._high, self._way):
            counter[ids] = 0
        self._held_on[ids] = False
        self._far[ids] = self.interface.tips.pos[ids]
        self.interface.see(self._seen)

    def _rough(self, ids: np.ndarray) -> None:
        """Friction of pads and object."""
        rng, friction = self.rng, self._field["geom_friction"]
        friction[ids[:, None], self._pads, 0] = self.model.geom_friction[self._pads, 0] * rng.uniform(
            0.8, 1.2, (len(ids), 1)
        )
        own = self.world.frictions[self.thing[ids]]
        friction[ids[:, None], self._things] = own
        friction[ids[:, None], self._things, 0] = own[..., 0] * rng.uniform(0.8, 1.2, (len(ids), 1))

    def _above(self, rng: np.random.Generator, n: int) -> F64:
        """Arm joints (n, 7) [rad] with the tips somewhere above the table, pointing down."""
        pos = np.column_stack([rng.uniform(*REGION, (n, 2)), self.world.room.table + rng.uniform(0.09, 0.16, n)])
        tip = self.world.palm_tip
        home = Poses(*self.world.chain.palm(FR3_HOME[None])) @ tip
        yaw = tip_motion.yaw_of(home) + rng.uniform(-0.6, 0.6, n)
        many = Poses(np.tile(tip.pos, (n, 1)), np.tile(tip.quat, (n, 1)))
        return tip_motion.solve(
            self.world.chain, tip_motion.pointing_down(pos, yaw), many, np.tile(FR3_HOME, (n, 1)), 60
        )

    def _set_goal(self, ids: np.ndarray, xy: F64) -> None:
        rng, n, c = self.rng, len(ids), self.config
        turn = rng.uniform(-np.pi, np.pi, n)
        away = xy + rng.uniform(0.05, 0.15, n)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        self._middle[ids, :2] = np.clip(away, *REGION)
        self._middle[ids, 2] = self._rest[ids] + c.lifted + rng.uniform(0.03, 0.08, n)
        self._phase[ids] = rng.uniform(-np.pi, np.pi, n)
        self._move_goal()

    def _move_goal(self) -> None:
        turn = self._phase + 2 * np.pi * self.age * PERIOD / self.config.round_trip
        self.goal[:] = self._middle
        self.goal[:, :2] += self.config.circle * np.stack([np.cos(turn), np.sin(turn)], axis=1)

    def _fill_history(self, ids: np.ndarray) -> None:
        """Makes the servos' latency buffers hold the targets in force, as if they had been sent for a while."""
        history = self.batch.bind("history")
        for i in range(self.model.nu):
            if (samples := int(self.model.actuator_history[i, 0])) > 0:
                values = int(self.model.actuator_historyadr[i]) + 2 + samples
                history[ids, values : values + samples] = self.ctrl[ids, i, None]

    # -- one action ---------------------------------------------------------------------------------------------------

    def act(self, action: F64) -> None:
        """Takes actions (N, actions) in [-1, 1]."""
        action = np.clip(action, -1, 1).astype(np.float64)
        if self.config.flat:
            self._joints[:, WORKING] += JOINT_STEP * action[:, 4:]
            self._joints = np.clip(self._joints, LEAP.lower, LEAP.upper)
            action = np.concatenate([action[:, :4], np.zeros((self.n, 1))], axis=1)
        self.interface.steer(action)

    def advance(self) -> None:
        """The physics of one action: four control periods, each with a look."""
        from_joints = self.ctrl[:, self._fingers].copy()
        for i in range(EVERY):
            arm = self.interface.tick()
            if self.config.flat:
                share = (i + 1) / EVERY
                fingers = (1 - share) * from_joints + share * self._joints
            else:
                fingers = self._fingers_for(self.interface.goal)
            self._period(arm, fingers)
            self._look()

    def _fingers_for(self, goal: F64) -> F64:
        down = rotations.rotate(rotations.conjugate(self.world.chain.palm(self._target)[1]), np.array([0.0, 0, -1]))
        q, displacement = self.qpos[:, self._fingers], self.interface.displacement
        if self.hand is None:
            return self.hands.controller.target(self._raw, displacement, goal)
        seen = self.hands.observe(q, displacement, down)
        action = self.hand(seen, self._raw[:, None], goal[:, None])
        return self.hands.target(action, self._raw, displacement, goal)

    def _period(self, arm: F64, fingers: F64) -> None:
        """One control period, as `SimRobot` plays it."""
        count = len(FR3)
        sent = np.clip(arm, FR3.lower, FR3.upper)
        reach = LEAP.velocity * CONTROL_PERIOD
        old = self.ctrl[:, self._fingers]
        self.ctrl[:, self._fingers] = np.clip(np.clip(fingers, old - reach, old + reach), LEAP.lower, LEAP.upper)
        carry = self._payload_torque()
        for i in range(SUBSTEPS):
            share = i / SUBSTEPS
            before, start = self._before, self._target
            at = 0.5 * (1 - share) ** 2 * before + (0.5 + share * (1 - share)) * start + 0.5 * share**2 * sent
            moving = ((1 - share) * (start - before) + share * (sent - start)) / CONTROL_PERIOD
            pushed = (sent - 2 * start + before) / CONTROL_PERIOD**2
            wanted = pushed + STIFFNESS * (at - self.qpos[:, :count]) + DAMPING * (moving - self.qvel[:, :count])
            self.ctrl[:, :count] = np.einsum("nij,nj->ni", self._inertia, wanted) + carry
            self.batch.step(self.active, nstep=1)
            self._inertia[:] = self._mass[:, self.world.arm_mass]
        self._before, self._target = self._target, sent.copy()

    def _payload_torque(self) -> F64:
        q, load = self.qpos[:, : len(FR3)], self.world.payload
        origins, axes, pos, turn = self.world.chain.walk(q)
        arm = (pos + turn @ load.com)[:, None] - origins
        return -tip_motion.cross(axes, arm) @ (load.mass * GRAVITY)

    def _look(self) -> None:
        everyone = np.arange(self.n)
        tips, self._raw, pose = self._measured_tool(everyone)
        moved = pose[:, :3] - self._reference[:, :3]
        turned = rotations.to_rotvec(rotations.multiply(pose[:, 3:], rotations.conjugate(self._reference[:, 3:])))
        displacement = np.concatenate([moved, turned], axis=1)
        self.interface.look(self.qpos[:, : len(FR3)], tips, self._raw, displacement)

    def sense(self) -> None:
        """Takes what is known after the physics of an action; called once."""
        self.age += 1
        self._move_goal()
        everyone = np.arange(self.n)
        near = np.zeros(self.n, dtype=bool)
        if self.errors.blind:
            # With eyes, where the object is believed to be; else where it is.
            place = self._seen.center if self.eyes is not None else self.object_pos()
            away = place - self.interface.tips.pos
            near = (np.linalg.norm(away[:, :2], axis=1) < BLIND[0]) & (-away[:, 2] < BLIND[1])
        if self.eyes is not None:
            self.eyes.look(everyone if self.active is None else self.active, near)
        seen = self._sides(everyone)
        keep = np.flatnonzero(~near)
        self._seen.write(keep, seen.rows(keep))
        self._seen.seen &= ~near
        self.interface.see(self._seen)
        self._count()

    def _sides(self, ids: np.ndarray) -> Affordance:
        """What is measured of the objects."""
        if self.eyes is not None:
            return self.eyes.objects(ids)
        e, rng, k = self.errors, self.rng, len(ids)
        pos = self.object_pos()[ids]
        quat = self.qpos[ids, self._thing + 3 : self._thing + 7]
        yaw, width, middle, top = sides(self.thing[ids], quat, self.interface.aim[ids], self.tool.pad_width)
        spread = np.array([e.object_pos[1]] * 3 + [e.object_yaw[1], e.object_width[1]])
        off = self._bias[ids, :5] + rng.normal(size=(k, 5)) * spread
        center = pos + off[:, :3]
        center[:, :2] += middle[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        high = pos[:, 2] + top - self.world.room.table + off[:, 2]
        return Affordance(center, yaw + off[:, 3], np.maximum(width + off[:, 4], 0.001), high, np.ones(k, dtype=bool))

    def _measured_tool(self, ids: np.ndarray) -> tuple[Poses, F64, F64]:
        """Tips in the palm, opening (k,) [m], and pose (k, 7) of the tool in the palm, as measured now."""
        if self.eyes is not None:
            return self.eyes.tool(ids)
        e, rng, k = self.errors, self.rng, len(ids)
        qpos = self.qpos[ids]
        pos, quat = grasp.mid_pose(qpos[:, self._free : self._free + 8])
        tool = Poses(*self.world.chain.palm(qpos[:, : len(FR3)])).inverse() @ Poses(pos, quat)
        bias = self._bias[ids]
        shift = bias[:, 5:8] + rng.normal(size=(k, 3)) * e.tool_pos[1]
        turn = rotations.from_rotvec(bias[:, 8:11] + rng.normal(size=(k, 3)) * e.tool_turn[1])
        seen = Poses(tool.pos, rotations.multiply(tool.quat, turn))
        # Where the tips are is measured at the tips.
        tips = Poses(tool.pos + rotations.rotate(tool.quat, self.world.tip) + shift, seen.quat)
        opening = self.opening()[ids] + bias[:, 11] + rng.normal(size=k) * e.opening[1]
        pose = np.concatenate([tool.pos + rng.normal(size=(k, 3)) * e.tool_pos[1], seen.quat], axis=1)
        return tips, opening, pose

    def opening(self) -> F64:
        """(N,) m, true."""
        return np.asarray(self.world.bank.family.opening(self.tool, self.qpos[:, self._hinge]))

    def object_pos(self) -> F64:
        """(N, 3) m, true place of the objects' centers of mass."""
        return self.qpos[:, self._thing : self._thing + 3]

    def observe(self) -> dict[str, F64]:
        """Observation (N, SIZE), achieved_goal (N, 3) [m] and desired_goal (N, 3) [m].

        The achieved goal is what the reward judges, the object's true place; a policy for a robot must not read it.
        """
        return {
            "observation": self.interface.observe(),
            "achieved_goal": self.object_pos().copy(),
            "desired_goal": self.goal.copy(),
        }

    # -- judging ------------------------------------------------------------------------------------------------------

    def achieved(self) -> F64:
        """(N, 3) m: what the reward compares with the goal."""
        return self.object_pos().copy()

    def _count(self) -> None:
        tips, risen = self.interface.tips.pos, self.object_pos()[:, 2] - self._rest
        self._high = np.maximum(self._high, risen)
        up = risen >= self.config.lifted
        step = np.linalg.norm(tips - self._far, axis=1)
        self._way = np.where(up, self._way + step * (self._up > 0), 0.0)
        self._up = np.where(up, self._up + 1, 0)
        self._best_up = np.maximum(self._best_up, self._up)
        self._far = tips.copy()
        # The first sample above begins the time.
        long_enough = (self._up - 1) * PERIOD >= self.config.held - 1e-9
        self._held_on |= long_enough & (self._way >= self.config.moved_on)

    def measure(self) -> dict[str, F64]:
        """True values behind success and causes of failure, each (N,)."""
        pos, quat = grasp.mid_pose(self.qpos[:, self._free : self._free + 8])
        tool = Poses(*self.world.chain.palm(self.qpos[:, : len(FR3)])).inverse() @ Poses(pos, quat)
        grasped = self.world.bank.start[0, ANCHOR, 16:]
        at, turn = grasp.mid_pose(grasped[None])
        with np.errstate(invalid="ignore"):
            moved = np.linalg.norm(tool.pos - at, axis=1)
            turned = np.linalg.norm(
                rotations.to_rotvec(rotations.multiply(tool.quat, rotations.conjugate(turn))), axis=1
            )
            lost = ~((moved < LOST[0]) & (turned < LOST[1]))
        return {
            "risen": self.object_pos()[:, 2] - self._rest,
            "highest": self._high.copy(),
            "up": self._best_up * PERIOD,
            "from_goal": np.linalg.norm(self.object_pos() - self.goal, axis=1),
            "moved": moved,
            "turned": turned,
            "lost": lost.astype(np.float64),
            "held_on": self._held_on.astype(np.float64),
        }

    def reward(self, achieved: F64, desired: F64, info: dict[str, F64]) -> dict[str, F64]:
        """Named terms (N,): one where the object is at the goal. `info` counts for nothing: hindsight may relabel."""
        del info
        away = np.linalg.norm(np.asarray(achieved) - np.asarray(desired), axis=-1)
        return {"at_goal": (away < self.config.tolerance).astype(np.float64)}

    def compute_reward(self, achieved_goal: F64, desired_goal: F64, infos: Sequence[Any]) -> F64:
        """The reward under the name that Stable-Baselines3's hindsight replay asks for."""
        del infos
        return self.reward(achieved_goal, desired_goal, {})["at_goal"]

    def failed(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool: the tool is out of the hand."""
        return info["lost"] > 0

    def success(self, info: dict[str, F64]) -> np.ndarray:
        """(N,) bool, judged at any time: it was held up long enough while the arm moved on."""
        return info["held_on"] > 0

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
        self.interface.see(self._seen)

    def memory(self) -> dict[str, np.ndarray]:
        """Views of every array that the next step depends on."""
        physics = ("qpos", "qvel", "ctrl", "history", "qacc_warmstart", "time")
        memory = {f"physics.{name}": self.batch.bind(name) for name in physics}
        memory |= {f"model.{name}": array for name, array in self._field.items()}
        i, stream = self.interface, self.interface.stream
        poses = (i.palm_tip, i.tips, stream.palm_tip, stream.tips, stream.goal)
        for k, holder in enumerate((self, self.hands, self.hands.controller, i, stream, self._seen, *poses)):
            found = {f"{k}.{key}": value for key, value in vars(holder).items() if isinstance(value, np.ndarray)}
            memory |= {name: value for name, value in found.items() if value.flags.writeable}  # not what MuJoCo derives
        return memory
