"""Ablations of the four roles: what each leaves out, for a language model and for the offline model."""

from __future__ import annotations

from toolwright.llm_planner.models import OFFLINE, PIPELINES, ModelChoice

ALL = "all"
# What a language model is asked in each: the roles that are left out are not asked, and the next one reads more.
MEANING: dict[str, str] = {
    "full": "Analyzer, planner, calculator and coder, each with its own prompt.",
    "no-analyzer": "The planner reads the sentence and the scene; nobody names properties and constraints first.",
    "no-calculator": "The coder reads the plan and the measured scene, and works out every number itself.",
    "planner-coder": "The planner reads the sentence and the scene, the coder the plan and the scene: no analyzer, no "
    "calculator.",
    "coder": "One prompt: the coder reads the sentence, the scene and the skills, and writes the code.",
}
# Why the offline model has no such ablation. Its roles are stages of one program, and each reads only the one before.
NOT_OFFLINE: dict[str, str] = {
    "no-analyzer": "the offline analyzer is the grammar: without it the planner gets no request to plan for",
    "no-calculator": "the offline planner writes symbols such as x_within(milk, hook); nothing else can turn them into "
    "numbers",
    "planner-coder": "the offline planner reads the analyzer's requests, and the coder the calculator's numbers",
    "coder": "the offline coder writes down numbered steps; it cannot read a sentence",
}


def pipelines(choice: ModelChoice) -> tuple[str, ...]:
    """The sets of roles that are run: one, or with `all` every one that the model has.

    Raises:
        ValueError: unknown roles, or ones that the offline model does not have; says why.
    """
    if choice.roles == ALL:
        return ("full",) if _offline(choice) else tuple(PIPELINES)
    if choice.roles not in PIPELINES:
        raise ValueError(f"unknown roles '{choice.roles}'; choose {', '.join(PIPELINES)} or {ALL}")
    if _offline(choice) and choice.roles != "full":
        why = NOT_OFFLINE[choice.roles]
        raise ValueError(f"the offline model cannot do '{choice.roles}': {why}. Name a language model with --model")
    return (choice.roles,)


def left_out(choice: ModelChoice) -> dict[str, str]:
    """Ablations that are asked for and that the model does not have, with the reason."""
    return dict(NOT_OFFLINE) if choice.roles == ALL and _offline(choice) else {}


def _offline(choice: ModelChoice) -> bool:
    return choice.model == OFFLINE and choice.replay is None
