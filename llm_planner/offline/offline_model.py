"""The offline model: our own grammar and geometry in the four roles. Needs no network, no key, and refuses with a
reason what it cannot do."""

from __future__ import annotations

from toolwright.llm_planner.offline import (
    analyzer,
    calculator,
    coder,
    hand_analyzer,
    hand_planner,
    job_analyzer,
    planner,
    repair,
)
from toolwright.llm_planner.offline.job_grammar import CAN_DO
from toolwright.llm_planner.roles import Analysis, Calculation, Plan, Repair, SkillCode
from toolwright.llm_planner.usage import Usage
from toolwright.perception.scene import Scene


class OfflineModel:
    """Fills the four roles without a language model."""

    name = "offline"

    def analyze(self, sentence: str, scene: Scene) -> Analysis:
        if scene.tool is None:
            return hand_analyzer.analyze(sentence, scene)
        return (job_analyzer if scene.tool.family in CAN_DO else analyzer).analyze(sentence, scene)

    def plan(self, analysis: Analysis, scene: Scene) -> Plan:
        return (planner if scene.tool is not None else hand_planner).plan(analysis, scene)

    def calculate(self, plan: Plan, scene: Scene) -> Calculation:
        return calculator.calculate(plan, scene)

    def code(self, plan: Plan, calculation: Calculation, stubs: str) -> SkillCode:
        return coder.write(calculation)

    def repair(self, analysis: Analysis, plan: Plan, code: SkillCode, failure: str, scene: Scene) -> Repair | None:
        return repair.repair(analysis, plan, code, failure, scene)

    def spent(self) -> Usage:
        return Usage()
