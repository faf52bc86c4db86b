"""The offline model: our own grammar and geometry in the four roles. Needs no network, no key, and refuses with a
reason what it cannot do."""

from __future__ import annotations

from toolwright.llm_planner import analyzer, calculator, coder, planner
from toolwright.llm_planner.roles import Analysis, Calculation, Plan, SkillCode
from toolwright.perception.scene import Scene


class OfflineModel:
    """Fills the four roles without a language model."""

    name = "offline"

    def analyze(self, sentence: str, scene: Scene) -> Analysis:
        return analyzer.analyze(sentence, scene)

    def plan(self, analysis: Analysis, scene: Scene) -> Plan:
        return planner.plan(analysis, scene)

    def calculate(self, plan: Plan, scene: Scene) -> Calculation:
        return calculator.calculate(plan, scene)

    def code(self, plan: Plan, calculation: Calculation, stubs: str) -> SkillCode:
        return coder.write(calculation)
