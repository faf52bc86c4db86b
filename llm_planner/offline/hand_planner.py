"""The offline planner for the bare hand: a search over skill models for the fewest steps, or a refusal with reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolwright.llm_planner.knowledge import geometry, hand_models
from toolwright.llm_planner.roles import Analysis, Plan, Refusal, Request, Step, Symbol, SymbolName
from toolwright.perception.scene import Scene, SceneObject
from toolwright.policies.hand.bar_geometry import bar_of

DEPTH = 2  # tools that may be needed to get a tool
TOOL_LIFT, OBJECT_LIFT = 0.02, 0.08  # m


@dataclass
class _Option:
    """One way to do a request."""

    tools: tuple[str, ...]
    steps: tuple[Step, ...]
    reason: str


@dataclass
class _Found:
    """The ways that work, and why the others do not."""

    options: list[_Option] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def best(self) -> _Option | None:
        return min(self.options, key=lambda option: len(option.steps), default=None)


def plan(analysis: Analysis, scene: Scene) -> Plan:
    """Choose the tool, or none, and the steps for the requests of an analysis, or refuse."""
    if analysis.problem:
        return Plan(refusal=analysis.problem)
    steps: list[Step] = []
    tools: list[str] = []
    reasons: list[str] = []
    for index, request in enumerate(analysis.requests):
        found = _ways(request, scene, analysis.tool)
        option = found.best()
        if option is None:
            return Plan(refusal=_refusal(request, found, scene))
        if index:  # what the step before left in the hand
            steps += _empty_hand(steps)
        steps += option.steps
        tools += option.tools
        reasons.append(option.reason)
    return Plan(tool=", ".join(dict.fromkeys(tools)), tool_reason="; ".join(dict.fromkeys(reasons)), steps=tuple(steps))


def _ways(request: Request, scene: Scene, asked: str) -> _Found:
    match request.action:
        case "get":
            found = _get(scene, scene.objects[request.object], DEPTH, asked)
        case "press":
            found = _press(scene, scene.objects[request.object])
        case "free":
            found = _free(scene, scene.objects[request.object], scene.objects[request.reference])
        case "push_to":
            found = _push_to(scene, request)
        case "put_at":
            found = _put_at(scene, request)
        case "home":
            found = _Found([_Option((), (_step("home"),), "going home needs no tool")])
        case other:
            found = _Found(reasons=[f"the bare hand cannot '{other}'"])
    if asked:
        wanted = [option for option in found.options if asked in option.tools or (asked == "hand" and not option.tools)]
        if not wanted and found.options:
            found.reasons.insert(
                0, f"{asked} does not help here; it goes with {found.options[0].tools or ('the hand',)}"
            )
        found.options = wanted
    return found


def _get(scene: Scene, item: SceneObject, depth: int, asked: str = "") -> _Found:
    """Ways to have an object in the hand."""
    found = _Found()
    why = hand_models.why_not_grasp(scene, item)
    if not why:
        found.options.append(_Option((), (_grasp(item, OBJECT_LIFT),), "no tool is needed: the hand reaches it"))
        return found
    found.reasons.append(why)
    if why_never := hand_models.why_not_grasp(scene, item, anywhere=True):
        found.reasons = [why_never]
        return found
    for tool in _bars(scene, item):
        why = hand_models.why_not_pull(scene, item, tool)
        if not why:
            ready = _tool_in_hand(scene, tool, depth)
            if (best := ready.best()) is not None:
                pull = _at("pull", item, tool, "x_within", "y_within")
                steps = (*best.steps, pull, _back(tool, item), _grasp(item, OBJECT_LIFT))
                reason = f"{item.name} is out of reach; {tool.name} is long enough and its head holds {item.name}"
                found.options.append(_Option((*best.tools, tool.name), steps, reason))
                continue
            why = "; ".join(ready.reasons)
        found.reasons.append(why)
    for mat in (one for one in scene.objects.values() if hand_models.is_mat(one)):
        found_mat = _by_mat(scene, item, mat, depth)
        found.options += found_mat.options
        found.reasons += found_mat.reasons
    return found


def _by_mat(scene: Scene, item: SceneObject, mat: SceneObject, depth: int) -> _Found:
    """Ways to push an object onto a mat with a bar, and to draw in the mat."""
    found = _Found()
    if why := hand_models.why_not_drag(scene, mat, item):
        found.reasons.append(why)
        return found
    drag = Step(skill="drag", arguments={"name": mat.name, "dx": Symbol(quantity="dx_within", object=item.name)})
    if hand_models.stands_on(item, mat):
        reason = f"{item.name} is out of reach, but it stands on {mat.name}, which is not"
        return _Found([_Option((mat.name,), (drag, _grasp(item, OBJECT_LIFT)), reason)])
    for tool in _bars(scene, item):
        why = hand_models.why_not_push_onto(scene, item, mat, tool)
        ready = _Found() if why else _tool_in_hand(scene, tool, depth)
        best = ready.best()
        if best is None:
            found.reasons.append(why or "; ".join(ready.reasons))
            continue
        steps = (
            *best.steps,
            _at("push", item, mat, "x_onto", "y_onto"),
            _back(tool, item),
            drag,
            _grasp(item, OBJECT_LIFT),
        )
        reason = f"{item.name} is out of reach; {tool.name} pushes it onto {mat.name}, and {mat.name} brings it near"
        found.options.append(_Option((*best.tools, tool.name, mat.name), steps, reason))
    return found


def _tool_in_hand(scene: Scene, tool: SceneObject, depth: int) -> _Found:
    """Ways to have a tool in the hand, with the help of other tools where it is out of reach."""
    if not hand_models.why_not_grasp(scene, tool):
        return _Found([_Option((), (_grasp(tool, TOOL_LIFT),), "")])
    if depth <= 1:
        return _Found(reasons=[hand_models.why_not_grasp(scene, tool)])
    found = _get(scene, tool, depth - 1)
    for option in found.options:
        *before, last = option.steps
        option.steps = (*before, last.model_copy(update={"arguments": last.arguments | {"lift": TOOL_LIFT}}))
    return found


def _press(scene: Scene, button: SceneObject) -> _Found:
    found = _Found()
    press = _step("press", name=button.name)
    why = hand_models.why_not_press(scene, button, 0.0)
    if not why:
        return _Found([_Option((), (press,), "no tool is needed: the thumb reaches it")])
    found.reasons.append(f"the thumb does not reach: {why}")
    blocks = [item for item in scene.objects.values() if item.magnetic and bar_of(item) is None]
    for tool in _bars(scene, button):
        bar = bar_of(tool)
        assert bar is not None
        ready = _tool_in_hand(scene, tool, DEPTH)
        best = ready.best()
        why = hand_models.why_not_press(scene, button, bar.length)
        if best is None:
            found.reasons += ready.reasons
        elif not why:
            reason = f"{button.name} is out of reach; {tool.name} is long enough"
            found.options.append(_Option((*best.tools, tool.name), (*best.steps, press), reason))
        elif not tool.magnetic:
            found.reasons.append(f"{tool.name} is too short: {why}")
        else:
            found.reasons += _lengthen(scene, button, tool, blocks, best, found)
    return found


def _lengthen(
    scene: Scene, button: SceneObject, tool: SceneObject, blocks: list[SceneObject], best: _Option, found: _Found
) -> list[str]:
    """A tool made of a magnetic bar and as many magnetic blocks as it takes."""
    bar = bar_of(tool)
    assert bar is not None
    length, used = bar.length, list[SceneObject]()
    near_first = sorted(blocks, key=lambda block: float(block.pos[0]))
    why = hand_models.why_not_press(scene, button, length)
    for block in near_first:
        if not why:
            break
        if (far := hand_models.why_not_attach(scene, block, tool, length)) != "":
            found.reasons.append(far)
            continue
        used.append(block)
        length += float(block.size[0])
        why = hand_models.why_not_press(scene, button, length)
    if why:
        return [f"{tool.name} with {len(used)} blocks is too short: {why}"]
    names = ", ".join(block.name for block in used)
    steps = (*best.steps, *(_step("attach", name=block.name) for block in used), _step("press", name=button.name))
    reason = f"{button.name} is out of reach of {tool.name} alone; with {names} it is {length * 1e3:.0f} mm long"
    found.options.append(_Option((*best.tools, tool.name, *(block.name for block in used)), steps, reason))
    return []


def _free(scene: Scene, item: SceneObject, tube: SceneObject) -> _Found:
    found = _Found()
    for tool in _bars(scene, item):
        why = hand_models.why_not_poke(scene, tube, tool)
        ready = _Found() if why else _tool_in_hand(scene, tool, DEPTH)
        best = ready.best()
        if best is None:
            found.reasons.append(why or "; ".join(ready.reasons))
            continue
        steps = (*best.steps, _step("poke", name=item.name, tube=tube.name))
        reason = f"{tool.name} fits into {tube.name} and is long enough to push {item.name} through"
        found.options.append(_Option((*best.tools, tool.name), steps, reason))
    if not found.options and not found.reasons:
        found.reasons.append(f"nothing here fits into {tube.name}")
    return found


def _push_to(scene: Scene, request: Request) -> _Found:
    item = scene.objects[request.object]
    x, y = _target(scene, request)
    for point in ((float(item.pos[0]), float(item.pos[1])), (x, y)):
        if not geometry.reachable(scene, *point):
            return _Found(reasons=[f"({point[0]:.3f}, {point[1]:.3f}) is outside the workspace"])
    if item.fixed:
        return _Found(reasons=[f"{item.name} is fixed in place"])
    return _Found([_Option((), (_step("push", name=item.name, x=x, y=y),), "no tool is needed: the thumb pushes it")])


def _put_at(scene: Scene, request: Request) -> _Found:
    x, y = _target(scene, request)
    if not geometry.reachable(scene, x, y):
        return _Found(reasons=[f"({x:.3f}, {y:.3f}) is outside the workspace"])
    if other := geometry.blocker(scene, request.object, x, y):
        return _Found(reasons=[f"{other} stands at ({x:.3f}, {y:.3f})"])
    found = _get(scene, scene.objects[request.object], DEPTH)
    place = _step("place", name=request.object, x=x, y=y)
    return _Found(
        [_Option(option.tools, (*option.steps, place), option.reason) for option in found.options], found.reasons
    )


def _target(scene: Scene, request: Request) -> tuple[float, float]:
    item = scene.objects[request.object]
    if request.relation == "at":
        return request.values["x"], request.values["y"]
    if request.relation == "offset":
        return float(item.pos[0]) + request.values["x"], float(item.pos[1]) + request.values["y"]
    return geometry.beside(
        scene, request.object, request.reference, geometry.free_side(scene, request.object, request.reference)
    )


def _bars(scene: Scene, item: SceneObject) -> list[SceneObject]:
    """Tools, the nearest to the robot first."""
    bars = [one for one in scene.objects.values() if hand_models.is_bar(one) and one.name != item.name]
    return sorted(bars, key=lambda one: float(one.pos[0]))


def _grasp(item: SceneObject, lift: float) -> Step:
    return _step("grasp", name=item.name, lift=lift)


def _back(tool: SceneObject, item: SceneObject) -> Step:
    """The tool goes back to where it lay, or to where it is not in the way of what it has moved."""
    x, y = (Symbol(quantity=quantity, object=tool.name, moved=item.name) for quantity in ("x_aside", "y_aside"))
    return Step(skill="place", arguments={"name": tool.name, "x": x, "y": y})


def _at(skill: str, item: SceneObject, other: SceneObject, x: SymbolName, y: SymbolName) -> Step:
    moved = "" if other is item else other.name
    arguments = {
        "name": item.name,
        "x": Symbol(quantity=x, object=item.name, moved=moved),
        "y": Symbol(quantity=y, object=item.name, moved=moved),
    }
    return Step(skill=skill, arguments=arguments)


def _empty_hand(steps: list[Step]) -> list[Step]:
    held = ""
    for step in steps:
        if step.skill == "grasp":
            held = str(step.arguments["name"])
        elif step.skill in ("place", "release"):
            held = ""
    return [_step("release")] if held else []


def _step(skill: str, **arguments: str | float) -> Step:
    return Step(skill=skill, arguments=dict(arguments))


def _refusal(request: Request, found: _Found, scene: Scene) -> Refusal:
    reasons = list(dict.fromkeys(reason for reason in found.reasons if reason))
    graspable = [one.name for one in scene.objects.values() if not hand_models.why_not_grasp(scene, one)]
    instead = f"I can get: {', '.join(graspable)}." if graspable else ""
    what = {"get": "get", "press": "press", "free": "free", "push_to": "push", "put_at": "move"}.get(request.action, "")
    return Refusal(reason=f"I cannot {what} {request.object}: {'; '.join(reasons[:4])}.", suggestion=instead)
