"""The offline coder: one call per step. Names and numbers enter the code as literals, whatever they contain."""

from __future__ import annotations

from toolwright.llm_planner.roles import Calculation, NumberedStep, SkillCode


def write(calculation: Calculation) -> SkillCode:
    """Skill code for the numbered steps, one call a line."""
    return SkillCode(text="".join(f"{_call(step)}\n" for step in calculation.steps))


def _call(step: NumberedStep) -> str:
    arguments = (
        _literal(value) if name == "name" else f"{name}={_literal(value)}" for name, value in step.arguments.items()
    )
    return f"{step.skill}({', '.join(arguments)})"


def _literal(value: str | float) -> str:
    """`value` as a Python literal in ASCII: a name may hold quotes, line ends, or letters that look like others."""
    text = ascii(value)
    plain = isinstance(value, str) and '"' not in value and text == f"'{value}'"
    return f'"{value}"' if plain else text
