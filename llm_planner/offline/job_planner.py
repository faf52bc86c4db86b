"""The offline planner for the articulated tools' own jobs: a request to a step, or why it cannot be done."""

from __future__ import annotations

from dataclasses import replace

from toolwright.llm_planner.knowledge import job_checks
from toolwright.llm_planner.roles import Request, Step
from toolwright.perception.scene import Scene
from toolwright.policies.tool import job_geometry

ACTIONS = {
    "dispense": "syringe",
    "turn": "pliers",
    "clip_on": "clothespin",
    "cut": "scissors",
}  # and the tool that each needs


def problem(request: Request, scene: Scene) -> str:
    """Why a request cannot be done with what is in the hand, empty where it can."""
    needed = ACTIONS[request.action]
    if scene.tool is None or scene.tool.family != needed:
        held = scene.tool.family if scene.tool is not None else "nothing"
        return f"That needs {_article(needed)}; the hand holds {held}."
    match request.action:
        case "dispense":
            found = job_checks.no_dose(scene, request.object, request.values["volume"])
        case "turn":
            found = job_checks.no_turn(scene, request.object)
        case "cut":
            found = job_checks.no_cut(scene, request.object, request.values["length"])
        case _:
            found = job_checks.no_clip(scene, request.object)
    return f"{found[0].upper()}{found[1:]}." if found else ""


def step(request: Request) -> Step:
    """The skill that does a request."""
    match request.action:
        case "dispense":
            return Step(skill="dispense", arguments={"container": request.object, **request.values})
        case "turn" | "cut":
            return Step(skill=request.action, arguments={"name": request.object, **request.values})
        case _:
            return Step(skill="clip_on", arguments={"line": request.object})


def after(request: Request, scene: Scene) -> Scene:
    """The scene as planned after a request, as far as the next one needs it."""
    if request.action != "dispense" or scene.tool is None:
        return scene
    travel = request.values["volume"] / job_geometry.ml_per_meter(scene.tool)
    return replace(scene, tool=replace(scene.tool, opening=scene.tool.opening - travel))


def _article(family: str) -> str:
    return family if family.endswith("s") else f"a {family}"
