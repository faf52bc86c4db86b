"""Skills as tools: name, JSON schema and text, all from the registry."""

from __future__ import annotations

import inspect
import re
from typing import Any

import mcp_types as types

from toolwright.llm_planner.skills.registry import Parameter, Registry, Skill

_JSON = {"str": "string", "float": "number", "int": "integer", "bool": "boolean"}
OUTCOME: dict[str, Any] = {
    "type": "object",
    "properties": {
        "success": {"type": "boolean", "description": "as measured afterwards, never as commanded"},
        "reason": {"type": "string", "description": "what was measured, or why it did not succeed"},
        "measured": {"type": "object", "additionalProperties": {"type": "number"}, "description": "SI units"},
        "seconds": {"type": "number", "description": "s of robot time"},
    },
    "required": ["success", "reason", "measured", "seconds"],
}


def tools(registry: Registry) -> list[types.Tool]:
    """A tool for every skill."""
    return [_tool(skill) for skill in registry]


def _tool(skill: Skill) -> types.Tool:
    about = _arguments(skill.description)
    signature = inspect.signature(skill.function).parameters
    required = [item.name for item in skill.parameters if signature[item.name].default is inspect.Parameter.empty]
    text = skill.description.partition("Args:")[0].rstrip()
    return types.Tool(
        name=skill.name,
        title=skill.summary.rstrip("."),
        description=f"{text}\n\nMoves the robot. Lengths in m, world frame.",
        input_schema={
            "type": "object",
            "properties": {item.name: _schema(item, about.get(item.name, "")) for item in skill.parameters},
            "required": required,
            "additionalProperties": False,
        },
        output_schema=OUTCOME,
        annotations=types.ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
        ),
    )


def _schema(item: Parameter, about: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _JSON[item.type]}
    if item.lower is not None:
        schema["minimum"] = item.lower
    if item.upper is not None:
        schema["maximum"] = item.upper
    bounds = "see list_objects for the names" if item.object_name else item.bounds
    schema["description"] = "; ".join(part for part in (about.rstrip("."), bounds) if part)
    return schema


def _arguments(doc: str) -> dict[str, str]:
    """What a docstring says about each argument."""
    found: dict[str, str] = {}
    name = ""
    for line in doc.partition("Args:")[2].splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name, found[start[1]] = start[1], start[2].strip()
        elif name and line.startswith("        "):
            found[name] += f" {line.strip()}"
        elif line.strip():
            break  # another section
    return found
