"""The offline planner: requests to steps, or a refusal that names what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.offline import calculator, job_planner
from toolwright.llm_planner.roles import Analysis, Plan, Refusal, Request, Step, Symbol, SymbolName
from toolwright.perception.scene import Scene

# What sprung tools of the tweezers family hold by friction while the arm moves.
MASS_LIMIT = 0.05  # kg
# Without it the tips would touch the object on the way down.
LEAST_CLEARANCE = 0.001  # m

Number = float | Symbol
Point = tuple[Number, Number, Number | None]


class _Refused(Exception):
    def __init__(self, reason: str, suggestion: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason=reason, suggestion=suggestion)


def plan(analysis: Analysis, scene: Scene) -> Plan:
    """Choose the tool and the steps for the requests of an analysis, or refuse."""
    if analysis.problem:
        return Plan(refusal=analysis.problem)
    try:
        tool, reason = _choose_tool(analysis, scene)
        planner = _Planner(scene)
        for request in analysis.requests:
            planner.add(request)
    except _Refused as error:
        return Plan(refusal=error.refusal)
    return Plan(tool=tool, tool_reason=reason, steps=tuple(planner.steps))


def _choose_tool(analysis: Analysis, scene: Scene) -> tuple[str, str]:
    held = scene.tool
    if analysis.tool and (held is None or analysis.tool != held.name):
        instead = f"The tool in the hand is {held.name}." if held else "The hand holds no tool."
        raise _Refused(f"{analysis.tool!r} is not in the hand.", instead)
    if all(request.action == "home" for request in analysis.requests):
        return "", "going home needs no tool"
    if held is None:
        raise _Refused("The hand holds no tool.", "I can go home.")
    if analysis.tool:
        return held.name, "asked for, and in the hand"
    return held.name, f"the tool in the hand; it opens to {held.opening_max * 1e3:.0f} mm"


@dataclass
class _Planner:
    """Follows what is held, where things went and where the tips are from step to step.

    `scene` changes with the plan; symbols stand for the scene as measured, so none may name an object that has moved.
    """

    scene: Scene
    moved: set[str] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    held: str = ""
    tips: Point = (Symbol(quantity="x_tips"), Symbol(quantity="y_tips"), Symbol(quantity="z_tips"))

    def __post_init__(self) -> None:
        self.held = geometry.held_object(self.scene)

    def add(self, request: Request) -> None:
        if request.action in job_planner.ACTIONS:
            if problem := job_planner.problem(request, self.scene):
                raise _Refused(problem)
            self.steps.append(job_planner.step(request))
            self.scene = job_planner.after(request, self.scene)
            return
        getattr(self, f"_{request.action}")(request)

    def _pick(self, request: Request) -> None:
        name = request.object
        if self.held == name and self.steps:
            return  # "pick it up and hold it"
        if self.held == name:
            raise _Refused(f"{name} is already held.", "I can drop it into a container or place it on the table.")
        if self.held:
            raise _Refused(
                f"The tool already holds {self.held}, it cannot pick {name} as well.",
                f"Say first where to put {self.held}.",
            )
        self._check_graspable(name)
        lift: Number = request.values.get("lift", Symbol(quantity="lift", object=name))
        x, y, z = self.scene.objects[name].pos
        if not geometry.reachable(self.scene, x, y, z + self._number(lift)):
            raise _Refused(f"{_mm(self._number(lift))} above {name} is outside the workspace.", self._workspace())
        self._step(
            "pick",
            name=name,
            opening=Symbol(quantity="opening_around", object=name),
            grip=Symbol(quantity="grip_on", object=name),
            lift=lift,
        )
        self.held = name
        if name in self.moved:
            self.tips = (float(x), float(y), float(z) + self._number(lift))
        else:
            spot = [self._of(quantity, name) for quantity in ("x_of", "y_of", "z_of")]
            self.tips = (spot[0], spot[1], _plus(spot[2], self._number(lift)))

    def _drop_in(self, request: Request) -> None:
        name, container = request.object, self.scene.objects[request.reference]
        if name == container.name:
            raise _Refused(f"{name} cannot go into itself.")
        item = self.scene.objects[name]
        if container.opening <= 0:
            raise _Refused(f"{container.name} holds nothing: it is no container.", self._containers())
        if geometry.breadth(item) >= container.opening:
            raise _Refused(
                f"{name} is {_mm(geometry.breadth(item))} wide and does not fit through the mouth of "
                f"{container.name}, {_mm(container.opening)}.",
                f"I can put it next to {container.name}.",
            )
        x, y = container.pos[:2]
        if not geometry.reachable(self.scene, x, y, container.top + calculator.RELEASE_HEIGHT):
            raise _Refused(f"The mouth of {container.name} is outside the workspace.")
        self._hold(name)
        self._step("drop_in", name=name, container=container.name, height=Symbol(quantity="release_height"))
        self._moved(name, x, y)
        over = [self._of(quantity, container.name) for quantity in ("x_of", "y_of", "z_release")]
        self.tips = (over[0], over[1], over[2])

    def _place_at(self, request: Request) -> None:
        name, reference = request.object, request.reference
        if name == reference:
            raise _Refused(f"{name} cannot go next to itself.")
        if reference:
            if reference in self.moved:
                raise _Refused(f"{reference} moves in the same sentence.", "Say it in two sentences.")
            side: str = request.relation
            if side == "beside":
                side = geometry.free_side(self.scene, name, reference)
            x, y = geometry.beside(self.scene, name, reference, side)
            spot = [
                Symbol(quantity=quantity, object=reference, side=side, moved=name)
                for quantity in ("x_beside", "y_beside")
            ]
            target: tuple[Number, Number] = (spot[0], spot[1])
        else:
            x, y = request.values["x"], request.values["y"]
            target = (x, y)
        self._check_place(name, x, y)
        self._hold(name)
        self._place(name, target, (x, y))

    def _put_down(self, request: Request) -> None:
        name = request.object
        if self.held != name:
            if not self.held:
                raise _Refused(
                    f"Nothing is held, so {name} cannot be put down.",
                    f"I can pick {name} up, or put it into something.",
                )
            raise _Refused(f"{name} is not held; the tool holds {self.held}.")
        x, y = self._number(self.tips[0]), self._number(self.tips[1])
        self._check_place(name, x, y)
        self._place(name, self.tips[:2], (x, y))

    def _set_opening(self, request: Request) -> None:
        assert self.scene.tool is not None  # _choose_tool refused otherwise
        widest = self.scene.tool.opening_max
        wanted = request.values.get("opening", 0.0)
        opening: Number = wanted
        if request.relation in ("wide", "half"):
            opening = Symbol(quantity="widest_opening" if request.relation == "wide" else "half_opening")
        elif not 0 <= wanted <= widest:
            raise _Refused(
                f"An opening of {_mm(wanted)} is beyond the tool's, 0 to {_mm(widest)}.",
                f"I can open it to {_mm(widest)}.",
            )
        self._step("set_opening", opening=opening)
        if self.held and self._number(opening) > geometry.width(self.scene.objects[self.held]):
            self.held = ""

    def _move_tips(self, request: Request) -> None:
        values = request.values
        if request.relation == "at":
            point: Point = (values["x"], values["y"], values["z"])
        elif request.relation == "above":
            over = [self._of(quantity, request.reference) for quantity in ("x_of", "y_of", "z_above")]
            point = (over[0], over[1], over[2])
        else:
            x, y, z = self.tips
            if z is None:
                raise _Refused("I do not know how high the tips are then.", "Give a point: x, y and z.")
            point = (_plus(x, values["x"]), _plus(y, values["y"]), _plus(z, values["z"]))
        assert point[2] is not None
        x, y, z = (self._number(value) for value in (point[0], point[1], point[2]))
        if not geometry.reachable(self.scene, x, y, z):
            raise _Refused(f"({x:.3f}, {y:.3f}, {z:.3f}) is outside the workspace.", self._workspace())
        self._step("move_tips", x=point[0], y=point[1], z=point[2])
        self.tips = point

    def _home(self, request: Request) -> None:
        self._step("home")
        self.tips = (self.tips[0], self.tips[1], None)

    def _step(self, skill: str, **arguments: str | float | Symbol) -> None:
        self.steps.append(Step(skill=skill, arguments=arguments))

    def _place(self, name: str, target: tuple[Number, Number], spot: tuple[float, float]) -> None:
        self._step("place_at", name=name, x=target[0], y=target[1])
        self._moved(name, *spot)
        self.tips = (*target, None)

    def _moved(self, name: str, x: float, y: float) -> None:
        item = self.scene.objects[name]
        height = self.scene.table_height + geometry.half_height(item)
        there = replace(item, pos=np.array([x, y, height]))
        self.scene = replace(self.scene, objects={**self.scene.objects, name: there})
        self.moved.add(name)
        self.held = ""

    def _hold(self, name: str) -> None:
        if self.held != name:
            self._pick(Request(action="pick", object=name))

    def _of(self, quantity: SymbolName, name: str) -> Symbol:
        return Symbol(quantity=quantity, object=name)

    def _number(self, value: Number) -> float:
        return calculator.evaluate(value, self.scene)[0] if isinstance(value, Symbol) else value

    def _check_graspable(self, name: str) -> None:
        assert self.scene.tool is not None  # _choose_tool refused otherwise
        item, widest = self.scene.objects[name], self.scene.tool.opening_max
        if item.fixed:
            raise _Refused(f"{name} is fixed in place and cannot be picked up.", self._graspable())
        if geometry.width(item) + LEAST_CLEARANCE > widest:
            raise _Refused(
                f"{name} is {_mm(geometry.width(item))} wide; the {self.scene.tool.family} open to {_mm(widest)}.",
                self._graspable(),
            )
        if item.mass > MASS_LIMIT:
            raise _Refused(
                f"{name} weighs {item.mass:.3f} kg; the {self.scene.tool.family} hold at most {MASS_LIMIT:g} kg.",
                self._graspable(),
            )
        x, y, z = (float(value) for value in item.pos)
        if not geometry.reachable(self.scene, x, y, z):
            raise _Refused(f"{name} at ({x:.3f}, {y:.3f}, {z:.3f}) is outside the workspace.", self._workspace())

    def _check_place(self, name: str, x: float, y: float) -> None:
        if not geometry.reachable(self.scene, x, y):
            raise _Refused(f"({x:.3f}, {y:.3f}) is outside the workspace.", self._workspace())
        other = geometry.blocker(self.scene, name, x, y)
        if other:
            raise _Refused(f"{other} stands at ({x:.3f}, {y:.3f}).", f"I can put {name} next to {other}.")

    def _graspable(self) -> str:
        assert self.scene.tool is not None
        names = [
            name
            for name, item in self.scene.objects.items()
            if not item.fixed
            and item.mass <= MASS_LIMIT
            and geometry.width(item) + LEAST_CLEARANCE <= self.scene.tool.opening_max
        ]
        return f"I can pick up: {', '.join(names)}." if names else ""

    def _containers(self) -> str:
        names = [name for name, item in self.scene.objects.items() if item.opening > 0]
        return f"I can use: {', '.join(names)}." if names else ""

    def _workspace(self) -> str:
        lower, upper = self.scene.workspace.lower, self.scene.workspace.upper
        ranges = (f"{axis} {low:.2f} to {high:.2f}" for axis, low, high in zip("xyz", lower, upper, strict=True))
        return f"The workspace is {', '.join(ranges)} m."


def _mm(length: float) -> str:
    return f"{length * 1e3:.1f} mm"


def _plus(value: Number, offset: float) -> Number:
    if isinstance(value, Symbol):
        return value.model_copy(update={"offset": value.offset + offset})
    return value + offset
