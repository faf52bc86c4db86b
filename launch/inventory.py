"""What `toolwright list` shows: each function returns one kind as plain rows."""

from __future__ import annotations

import ast
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def tools() -> list[Row]:
    """Families of tools: what they are for, their joint, their nominal opening, how many have a grasp in each part."""
    from toolwright.sim.grasp_bank import count
    from toolwright.sim.models.tools import TOOLS

    rows = []
    for tool in TOOLS.values():
        low, high = (1000 * float(tool.opening(tool.nominal, angle)) for angle in tool.anchors(tool.nominal)[[0, -1]])
        rest = {"open": "sprung open", "shut": "sprung shut", "free": "unsprung"}[tool.rest]
        train, held_out = count(tool.name)
        rows.append(
            {
                "name": tool.name,
                "job": tool.job,
                "joint": f"{tool.joint}, {rest}",
                "opening_mm": f"{low:.0f}-{high:.0f}",
                "train": train,
                "held_out": held_out,
                "summary": f"{tool.summary}; opening: {tool.measures}",
            }
        )
    return rows


def objects() -> list[Row]:
    """Small objects: which half they belong to, their bounding box, mass and friction."""
    from toolwright.sim.models.small_objects import small_objects

    return [
        {
            "name": thing.name,
            "part": "held-out" if thing.held_out else "seen",
            "size_mm": " x ".join(f"{1000 * edge:.0f}" for edge in sorted(thing.shape.extent)),
            "mass_g": round(1000 * thing.mass, 2),
            "friction": thing.friction,
        }
        for thing in small_objects()
    ]


def scenes() -> list[Row]:
    """Shipped scene files."""
    from toolwright.sim.scene_file import shipped_scenes

    return [{"name": name, "summary": _first_line(description)} for name, description in shipped_scenes().items()]


def tasks() -> list[Row]:
    """Training tasks: the modules of `toolwright.sim.tasks`, by the first line of their docstrings."""
    rows = []
    for file in sorted(Path(str(files("toolwright.sim.tasks"))).glob("[!_]*.py")):
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        rows.append({"name": file.stem, "summary": _first_line(doc).removeprefix("Task: ")})
    return rows


def skills(folder: str | None = None) -> list[Row]:
    """Skills that code may call, with their signatures; learned ones with the run that proved them.

    Args:
        folder: of the skill library; the user's by default.
    """
    from toolwright.llm_planner.skills import library
    from toolwright.llm_planner.skills.hand_skills import HAND_SKILLS
    from toolwright.llm_planner.skills.job_skills import JOB_SKILLS
    from toolwright.llm_planner.skills.tool_skills import SKILLS

    jobs = [(family, skill) for family, own in JOB_SKILLS.items() for skill in own if skill.name not in SKILLS]
    known = [*(("tool", skill) for skill in SKILLS), *jobs, *(("empty", skill) for skill in HAND_SKILLS)]
    rows = [{"signature": skill.signature, "summary": skill.summary, "hand": hand} for hand, skill in known]
    learned = library.load(library.folder(folder)).skills
    for skill in learned:
        hand = "tool" if skill.calls <= set(SKILLS.names()) else "empty"
        rows.append({"signature": skill.signature, "summary": skill.summary, "hand": hand})
    if learned:
        proofs = [""] * (len(rows) - len(learned)) + [f"{skill.proof} ({skill.sentence})" for skill in learned]
        rows = [{**row, "learned from": proof} for row, proof in zip(rows, proofs, strict=True)]
    return rows


def weights() -> list[Row]:
    """Shipped policies and encoders, by their cards."""
    folder = Path(str(files("toolwright.policies"))) / "weights"
    rows = []
    for file in sorted(folder.rglob("card.json")):
        card = json.loads(file.read_text(encoding="utf-8"))
        name = file.parent.relative_to(folder).as_posix()
        rows.append({"name": name, "steps": card.get("steps"), "seed": card.get("seed")})
    encoder = Path(str(files("toolwright.perception"))) / "affordance" / "weights"
    for file in sorted(encoder.glob("*.json")):
        card = json.loads(file.read_text(encoding="utf-8"))
        rows.append({"name": f"affordance/{file.stem}", "steps": card.get("steps"), "seed": card.get("seed")})
    return rows


def robots() -> list[Row]:
    """Robots that have a joint spec."""
    from toolwright.hardware import joints
    from toolwright.hardware.robot import JointSpec

    specs = {name: spec for name, spec in vars(joints).items() if isinstance(spec, JointSpec)}
    return [{"name": name.lower(), "joints": len(spec), "names": list(spec.names)} for name, spec in specs.items()]


def result_schema() -> tuple[list[Row], Row]:
    """What each command writes with --json: the fields in rows, and the JSON schema."""
    from toolwright.launch.results import RESULTS, schema

    return [
        {"command": kind.model_fields["command"].default, "fields": list(kind.model_fields)} for kind in RESULTS
    ], schema()


def scene_schema() -> tuple[list[Row], Row]:
    """What a scene file may hold: the top-level fields in rows, and the JSON schema."""
    from toolwright.sim.scene_spec import SceneSpec

    rows = [{"field": name, "summary": field.description} for name, field in SceneSpec.model_fields.items()]
    return rows, SceneSpec.model_json_schema()


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0].rstrip(".")
