"""A table with beads and a cup that moves by arithmetic: what the language side needs of a robot, and no more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolwright.perception.scene import Box, HeldTool, Scene, SceneObject
from toolwright.policies.outcome import Outcome

TABLE = 0.0  # m
HOME = np.array([0.35, 0.0, 0.30])
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
TIPS_DOWN = np.diag([1.0, -1.0, -1.0])


def ball(name: str, x: float, y: float, width: float = 0.010, mass: float = 0.002, **rest: object) -> SceneObject:
    pos = np.array([x, y, TABLE + width / 2])
    return SceneObject(name, "sphere", pos, UPRIGHT, np.full(3, width), mass, fixed=False, **rest)  # type: ignore[arg-type]


def cup(name: str, x: float, y: float, mouth: float = 0.06, fixed: bool = True) -> SceneObject:
    size = np.array([mouth + 0.006, mouth + 0.006, 0.05])
    pos = np.array([x, y, TABLE + 0.025])
    return SceneObject(name, "cup", pos, UPRIGHT, size, 0.1, fixed=fixed, opening=mouth)


class World:
    """Actions and Perception in one: objects go where they are carried."""

    def __init__(self, *objects: SceneObject, tool: bool = True, opening_max: float = 0.03) -> None:
        self.objects = {item.name: item for item in objects}
        self.tips = HOME.copy()
        self.opening = 0.010
        self.opening_max = opening_max
        self.tool = tool
        self.held = ""
        self.calls: list[str] = []
        self.stopped: list[str] = []
        self.lies: set[str] = set()  # skills that report success and do nothing
        self.fails: dict[str, Outcome | BaseException] = {}

    def look(self) -> Scene:
        T_world_tip = np.eye(4)
        T_world_tip[:3, :3], T_world_tip[:3, 3] = TIPS_DOWN, self.tips
        tool = HeldTool(
            "tweezers", "tweezers", self.opening, self.opening_max, np.zeros(3), UPRIGHT, T_world_tip, angle=0.1
        )
        workspace = Box(np.array([0.2, -0.3, 0.0]), np.array([0.7, 0.3, 0.5]))
        return Scene(0.0, dict(self.objects), tool if self.tool else None, workspace, TABLE)

    def _put(self, name: str, pos: np.ndarray) -> None:
        self.objects[name] = replace(self.objects[name], pos=pos)

    def _carry(self, pos: np.ndarray) -> None:
        self.tips = np.array(pos, dtype=float)
        if self.held:
            self._put(self.held, self.tips.copy())

    def _do(self, skill: str, motion: Callable[[], None]) -> Outcome:
        self.calls.append(skill)
        answer = self.fails.get(skill)
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return answer
        if skill not in self.lies:
            motion()
        return Outcome(True, f"{skill} done", {"tips_z": float(self.tips[2])}, seconds=1.5)

    def pick(self, name: str, opening: float, grip: float, lift: float) -> Outcome:
        def motion() -> None:
            self.tips = self.objects[name].pos.copy()
            self.held, self.opening = name, float(self.objects[name].size.min())
            self._carry(self.tips + [0, 0, lift])

        return self._do("pick", motion)

    def drop_in(self, name: str, container: str, height: float) -> Outcome:
        def motion() -> None:
            target = self.objects[container]
            self._carry(np.array([*target.pos[:2], target.top + height]))
            self._let_go(np.array([*target.pos[:2], TABLE + 0.01]))

        return self._do("drop_in", motion)

    def place_at(self, name: str, x: float, y: float) -> Outcome:
        rest = np.array([x, y, TABLE + self.objects[name].size[2] / 2])

        def motion() -> None:
            self._carry(rest)
            self._let_go(rest)
            self.tips = rest + [0, 0, 0.1]

        return self._do("place_at", motion)

    def _let_go(self, pos: np.ndarray) -> None:
        self._put(self.held, pos)
        self.held, self.opening = "", 0.02

    def set_opening(self, opening: float) -> Outcome:
        return self._do("set_opening", lambda: setattr(self, "opening", opening))

    def move_tips(self, x: float, y: float, z: float) -> Outcome:
        return self._do("move_tips", lambda: self._carry(np.array([x, y, z])))

    def home(self) -> Outcome:
        return self._do("home", lambda: self._carry(HOME))

    def stop(self, reason: str) -> None:
        self.stopped.append(reason)


@pytest.fixture
def make_world() -> Callable[..., World]:
    return World


@pytest.fixture
def world() -> World:
    """A bead and a cup."""
    return World(ball("bead", 0.45, 0.05), cup("cup", 0.45, -0.12))


@pytest.fixture
def table() -> World:
    """Several beads, a cup, a jar that is too narrow, and things that cannot be picked up."""
    block = SceneObject("block", "box", np.array([0.5, 0.2, 0.03]), UPRIGHT, np.array([0.08, 0.06, 0.06]), 0.2, False)
    return World(
        ball("red_bead_1", 0.40, 0.10, width=0.008, color="red"),
        ball("red_bead_2", 0.45, 0.05, width=0.008, color="red"),
        ball("blue_bead", 0.50, 0.00, width=0.014, color="blue"),
        ball("lead_ball", 0.55, 0.10, width=0.020, mass=0.08, color="gray"),
        ball("far_pearl", 0.90, 0.10, width=0.008, color="white"),
        cup("cup", 0.40, -0.15),
        cup("vial", 0.55, -0.15, mouth=0.010),
        block,
    )


@pytest.fixture
def crafted() -> Callable[..., SceneObject]:
    """Makes a bead with any name."""
    return ball


@pytest.fixture
def make_cup() -> Callable[..., SceneObject]:
    """Makes the cup of `world`."""
    return lambda: cup("cup", 0.45, -0.12)


BEAD_INTO_CUP = {
    "analyzer": {
        "task": "put the bead into the cup",
        "objects": [{"name": "bead", "role": "target"}, {"name": "cup", "role": "container"}],
        "key_properties": ["the bead is small"],
        "constraints": ["the bead must be held until it is over the cup"],
        "to_compute": ["the opening for the bead"],
        "impossible": "",
    },
    "planner": {
        "tool": "tweezers",
        "tool_reason": "they are in the hand and open wide enough",
        "outline": ["take the bead", "let it go over the cup"],
        "steps": [
            {
                "skill": "pick",
                "arguments": [
                    {"name": "name", "value": "bead"},
                    {"name": "opening", "value": "wider than the bead"},
                    {"name": "grip", "value": "narrower than the bead"},
                    {"name": "lift", "value": "well above the cup"},
                ],
            },
            {
                "skill": "drop_in",
                "arguments": [
                    {"name": "name", "value": "bead"},
                    {"name": "container", "value": "cup"},
                    {"name": "height", "value": "a little above the rim"},
                ],
            },
        ],
        "refusal": "",
    },
    "calculator": {
        "formulas": [
            {"step": 1, "argument": "opening", "expression": 'width("bead") + 0.006'},
            {"step": 1, "argument": "grip", "expression": 'width("bead") - 0.004'},
            {"step": 1, "argument": "lift", "expression": 'top("cup") - z("bead") + 0.055'},
            {"step": 2, "argument": "height", "expression": "0.02"},
        ]
    },
    "coder": {
        "code": 'pick(name="bead", opening=0.016, grip=0.006, lift=0.1)\n'
        'drop_in(name="bead", container="cup", height=0.02)\n'
    },
}


@pytest.fixture
def bead_into_cup() -> dict[str, dict[str, object]]:
    """What a sensible language model answers in each role when the bead is to go into the cup of `world`."""
    return copy.deepcopy(BEAD_INTO_CUP)
