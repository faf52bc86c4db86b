"""The offline model: our own grammar and geometry in the four roles. Needs no network, no key, and refuses with a
reason what it cannot do."""

from __future__ import annotations

from toolwright.llm_planner.offline import (
    analyzer,
    calculator,
    coder,
    fetching,
    hand_analyzer,
    hand_planner,
    job_analyzer,
    planner,
    repair,
    turn_analyzer,
)
from toolwright.llm_planner.offline.job_grammar import CAN_DO
from toolwright.llm_planner.roles import Analysis, Calculation, Plan, Repair, SkillCode
from toolwright.llm_planner.usage import Usage
from toolwright.perception.scene import Scene


class OfflineModel:
    """Fills the four roles without a language model."""

    name = "offline"

    def analyze(self, sentence: str, scene: Scene) -> Analysis:
        if scene.in_palm:
            return turn_analyzer.analyze(sentence, scene)
        if refused := turn_analyzer.elsewhere(sentence, scene):
            return refused
        if _in_stand(scene):
            return fetching.analyze(sentence, scene)
        if scene.tool is None:
            return hand_analyzer.analyze(sentence, scene)
        return (job_analyzer if scene.tool.family in CAN_DO else analyzer).analyze(sentence, scene)

    def plan(self, analysis: Analysis, scene: Scene) -> Plan:
        if turn_analyzer.is_turn(analysis):
            return turn_analyzer.plan(analysis, scene)
        if _in_stand(scene):
            return fetching.plan(analysis, scene)
        return (planner if scene.tool is not None else hand_planner).plan(analysis, scene)

    def calculate(self, plan: Plan, scene: Scene) -> Calculation:
        if _in_stand(scene):
            return fetching.calculate(plan, scene)
        return calculator.calculate(plan, scene)

    def code(self, plan: Plan, calculation: Calculation, stubs: str) -> SkillCode:
        return coder.write(calculation)

    def repair(self, analysis: Analysis, plan: Plan, code: SkillCode, failure: str, scene: Scene) -> Repair | None:
        if turn_analyzer.is_turn(analysis):
            return turn_analyzer.repair(analysis, failure, scene)
        if _in_stand(scene):
            return fetching.repair(analysis, failure, scene)
        return repair.repair(analysis, plan, code, failure, scene)

    def spent(self) -> Usage:
        return Usage()


def _in_stand(scene: Scene) -> bool:
    """Whether there is a tool to be fetched."""
    return scene.tool is None and scene.loose is not None
