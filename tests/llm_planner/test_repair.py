"""Failures are diagnosed from what was measured and repaired a few times at most; success is what was measured."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from toolwright.llm_planner.knowledge.hand_copy import model_world
from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import Plan, Refusal, Repair, RoleError, SkillCode
from toolwright.llm_planner.run import events
from toolwright.llm_planner.run.console import ConsolePrinter
from toolwright.llm_planner.run.diagnosis import diagnose
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.run.gate import Gate
from toolwright.llm_planner.run.record import RunRecord
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.policies.outcome import Outcome
from toolwright.policies.world import simulate
from toolwright.sim.scene import load_scene, sample

SENTENCE = "pick up the bead with the tweezers and drop it in the cup"


def _run(world, sentence=SENTENCE, model=None, report=None, **options):
    run = Options(**options)
    return run_sentence(sentence, world, world, model or OfflineModel(), report or (lambda event: None), options=run)


def _stumbles(world, skill, times, reason, happens=lambda: None):
    """The first `times` calls of a skill fail, and something happens to the world."""
    do, left = getattr(world, skill), [times]

    def stumbling(*args, **kwargs):
        if left[0] == 0:
            return do(*args, **kwargs)
        left[0] -= 1
        world.calls.append(skill)
        happens()
        x, y, z = (float(value) for value in world.tips)
        return Outcome(False, reason, {"tips_x": x, "tips_y": y, "tips_z": z}, 2.0)

    setattr(world, skill, stumbling)


def _roll(world, x, y):
    """The bead rolls away, the tips stay where it was."""

    def happens():
        world.tips = world.objects["bead"].pos.copy()
        world.held, world.opening = "", 0.02
        world._put("bead", np.array([x, y, 0.005]))

    return happens


# -- repairs that work ------------------------------------------------------------------------------------------------


def test_a_bead_that_rolled_away_is_looked_for_and_picked_where_it_is_now(world):
    _stumbles(world, "pick", 1, "missed: closed to 0.0 mm, 40 mm from bead", _roll(world, 0.5, 0.1))
    record = _run(world)
    assert record.success and world.calls == ["pick", "pick", "drop_in"]
    assert [skill.success for skill in record.skills] == [False, True, True]
    assert [skill.attempt for skill in record.skills] == [0, 1, 1]
    repair = record.repairs[0]
    assert repair.diagnosis.cause == "perception" and "went to where bead was seen" in repair.diagnosis.reason
    assert repair.repair.cause == "perception" and repair.check.passed and repair.rehearsal.passed
    # It comes down wider open than the first time.
    assert record.skills[1].arguments["opening"] == pytest.approx(record.skills[0].arguments["opening"] + 0.004)


def test_a_bead_that_slipped_is_gripped_more_firmly_each_time(world):
    _stumbles(world, "pick", 2, "slipped: bead rose 3 of 100 mm")
    record = _run(world)
    assert record.success, record.reason
    grips = [skill.arguments["grip"] for skill in record.skills if skill.name == "pick"]
    assert grips == pytest.approx([0.006, 0.004, 0.002])


def test_what_is_done_already_is_not_done_again(table):
    pick = table.pick

    def clumsy(name, *rest):
        table.pick = pick
        if name == "blue_bead":
            table.calls.append("pick")
            return Outcome(False, "slipped: blue_bead rose 0 of 100 mm")
        outcome = pick(name, *rest)
        table.pick = clumsy
        return outcome

    table.pick = clumsy
    record = _run(table, "put red_bead_2 into the cup and pick up the blue bead")
    assert record.success, record.reason
    assert table.calls == ["pick", "drop_in", "pick", "pick"]
    assert [str(step.arguments["name"]) for step in record.repairs[0].repair.plan.steps] == ["blue_bead"]


def test_a_bead_lost_on_the_way_is_fetched(world):
    _stumbles(world, "drop_in", 1, "slipped: bead left the tips", _roll(world, 0.4, 0.15))
    record = _run(world)
    assert record.success and world.calls == ["pick", "drop_in", "pick", "drop_in"]
    assert record.repairs[0].diagnosis.cause in ("control", "perception")


def test_code_that_does_not_fit_the_skills_is_repaired_before_anything_moves(world):
    class Careless(OfflineModel):
        name = "careless"

        def code(self, plan, calculation, stubs):
            return SkillCode(text="grab('bead')")

    record = _run(world, model=Careless())
    assert record.success and world.calls == ["pick", "drop_in"]
    assert record.repairs[0].diagnosis.cause == "logic" and not record.check.passed


def test_the_failure_that_a_model_reads_has_reason_measurement_and_cause(world):
    told = []

    class Listening(OfflineModel):
        def repair(self, analysis, plan, code, failure, scene):
            told.append((failure, code.text, scene.objects["bead"].pos.copy()))
            return super().repair(analysis, plan, code, failure, scene)

    _stumbles(world, "pick", 1, "missed: closed to 0.0 mm", _roll(world, 0.5, 0.1))
    assert _run(world, model=Listening()).success
    failure, code, pos = told[0]
    assert failure.startswith("pick failed: missed") and "what was measured: perception" in failure
    assert code.startswith("pick(") and np.allclose(pos[:2], [0.5, 0.1])


# -- repairs that do not ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repairs", [0, 1, 3])
def test_when_repairs_run_out_the_verdict_is_an_honest_failure(world, repairs):
    _stumbles(world, "pick", 99, "slipped: bead rose 0 of 100 mm")
    record = _run(world, repairs=repairs)
    assert record.status == "failed" and not record.success
    assert world.calls == ["pick"] * (repairs + 1)
    assert len(record.repairs) == repairs
    assert record.reason.startswith("pick failed: slipped")
    assert ("Given up after" in record.reason) == (repairs > 0)
    assert [item.success for item in record.checks] == [False]


def test_a_skill_that_claims_success_again_and_again_never_makes_a_success(world):
    world.lies = {"drop_in"}
    record = _run(world)
    assert record.status == "failed" and "Measured afterwards: bead is not in cup" in record.reason
    assert all(skill.success for skill in record.skills) and len(record.repairs) == 2


def test_a_fault_is_not_repaired(world):
    world.fails = {"pick": TimeoutError("bus silent")}
    record = _run(world)
    assert record.status == "failed" and world.calls == ["pick"] and record.repairs == []
    assert world.stopped == ["pick: TimeoutError: bus silent"]


def test_an_object_that_is_gone_is_not_invented(world):
    def gone():
        del world.objects["bead"]

    _stumbles(world, "pick", 1, "not seen: there is no bead in view", gone)
    record = _run(world)
    assert record.status == "failed" and record.repairs[0].diagnosis.cause == "perception"
    assert "No repair" in record.reason or record.repairs[-1].repair is None
    assert world.calls == ["pick"]


def test_a_repair_cannot_lower_the_goal(world):
    """Whatever a model makes of a failure, what was asked for is what is judged."""

    class Cheating(OfflineModel):
        name = "cheating"

        def repair(self, analysis, plan, code, failure, scene):
            return Repair(cause="logic", reason="the goal was wrong", plan=Plan(), code=SkillCode(text="home()"))

    _stumbles(world, "drop_in", 1, "slipped", _roll(world, 0.4, 0.15))
    record = _run(world, model=Cheating())
    assert record.status == "failed" and not record.success and "bead is not in cup" in record.reason
    assert world.calls == ["pick", "drop_in"]


@pytest.mark.parametrize("answer", ["none", "refusal", "error"])
def test_a_model_that_knows_no_other_way_ends_the_run(world, answer):
    class Helpless(OfflineModel):
        name = "helpless"

        def repair(self, analysis, plan, code, failure, scene):
            if answer == "error":
                raise RoleError("the model did not answer")
            if answer == "refusal":
                refused = Plan(refusal=Refusal(reason="The bead is out of reach now."))
                return Repair(cause="tool use", reason="too far", plan=refused)
            return None

    _stumbles(world, "pick", 9, "slipped")
    record = _run(world, model=Helpless())
    assert record.status == "failed" and world.calls == ["pick"] and len(record.repairs) == 1
    assert {"none": "slipped", "refusal": "out of reach now", "error": "did not answer"}[answer] in record.reason


def test_the_budget_of_calls_is_that_of_the_whole_run(world, monkeypatch):
    monkeypatch.setattr("toolwright.llm_planner.run.gate.MAX_CALLS", 3)
    monkeypatch.setattr(Gate.__init__, "__defaults__", (3, None))
    _stumbles(world, "pick", 9, "slipped")
    record = _run(world, repairs=9)
    assert record.status == "failed" and len(world.calls) == 3
    assert record.skills[-1].refused and "more than 3 calls" in record.skills[-1].reason


# -- causes -----------------------------------------------------------------------------------------------------------


def _diagnosis(world, skill, change=lambda: None, outcome=None, **arguments):
    before = world.look()
    call = Gate(SKILLS, before).admit(skill, (), arguments)
    change()
    return diagnose(call, outcome or Outcome(False, "failed", {}), before, world.look())


def test_the_cause_is_read_from_what_was_measured(world):
    good = {"name": "bead", "opening": 0.016, "grip": 0.006, "lift": 0.1}
    assert _diagnosis(world, "pick", **good | {"opening": 0.009}).cause == "numbers"
    assert _diagnosis(world, "drop_in", name="bead", container="cup", height=0.02).cause == "logic"
    assert _diagnosis(world, "pick", **good | {"name": "cup"}).cause == "tool use"
    assert _diagnosis(world, "pick", **good).cause == "control"
    assert _diagnosis(world, "pick", lambda: setattr(world, "tool", False), **good).cause == "control"
    world.tool = True
    at_bead = Outcome(False, "missed", dict(zip(("tips_x", "tips_y"), (0.45, 0.05), strict=True)))
    rolled = _diagnosis(world, "pick", _roll(world, 0.5, 0.1), at_bead, **good)
    assert rolled.cause == "perception" and "71 mm away" in rolled.reason
    elsewhere = replace(at_bead, measured={"tips_x": 0.3, "tips_y": 0.2})
    pushed = _diagnosis(world, "pick", _roll(world, 0.55, 0.1), elsewhere, **good)
    assert pushed.cause == "control" and "moved 50 mm" in pushed.reason
    assert _diagnosis(world, "pick", lambda: world.objects.pop("bead"), **good).cause == "perception"


# -- record and console -----------------------------------------------------------------------------------------------


def test_repairs_stand_in_the_record_and_on_the_console(world):
    _stumbles(world, "pick", 1, "missed: closed to 0.0 mm", _roll(world, 0.5, 0.1))
    out, seen = Console(file=io.StringIO(), width=120), []
    show = ConsolePrinter(out)

    def report(event):
        show(event)
        seen.append(event)

    record = _run(world, report=report)
    assert RunRecord.model_validate_json(record.model_dump_json()) == record
    repaired = [event for event in seen if isinstance(event, events.Repaired)]
    assert len(repaired) == 1 and repaired[0].repair.reason.startswith("looks again")
    text = out.file.getvalue()
    assert "root cause: perception" in text and "repair 1" in text and "dry run" in text and "DONE" in text


# -- in physics -------------------------------------------------------------------------------------------------------


def _simulated(seed=3):
    drawn = sample(load_scene("bead"), np.random.default_rng(seed))
    return simulate(drawn, np.random.default_rng((seed, 1)), "closed_form")


class Squinting:
    """Eyes that misplace the bead, as a bad calibration does; `well` mends them."""

    def __init__(self, eyes):
        self.eyes, self.well = eyes, False

    def look(self):
        scene = self.eyes.look()
        if self.well:
            return scene
        bead = replace(scene.objects["bead"], pos=scene.objects["bead"].pos + [0.015, 0.015, 0])
        return replace(scene, objects=scene.objects | {"bead": bead})


def _squinting():
    world = _simulated()
    eyes = Squinting(world.perception)
    world.actions.tap(robot=lambda robot: robot, eyes=lambda _: eyes, hand=lambda hand: hand)
    return world, eyes


def test_a_grasp_that_missed_in_physics_is_diagnosed_and_repaired_from_the_new_measurement():
    world, eyes = _squinting()

    def report(event):
        eyes.well = eyes.well or isinstance(event, events.SkillEnded)

    record = run_sentence(SENTENCE, world.actions, eyes, OfflineModel(), report)
    assert [(skill.name, skill.success) for skill in record.skills] == [
        ("pick", False),
        ("pick", True),
        ("drop_in", True),
    ], record.reason
    assert record.skills[0].reason.startswith(("missed", "knocked away"))
    assert record.repairs[0].diagnosis.cause == "perception", record.repairs[0].diagnosis
    assert record.success and record.status == "done"
    away = world.data.body("bead").xpos - world.data.body("cup").xpos
    assert np.hypot(*away[:2]) < 0.03 and abs(away[2]) < 0.025


def test_a_grasp_that_misses_again_and_again_in_physics_is_an_honest_failure():
    world, eyes = _squinting()
    record = run_sentence(SENTENCE, world.actions, eyes, OfflineModel(), lambda event: None, options=Options(repairs=1))
    assert record.status == "failed" and not record.success and len(record.repairs) == 1
    assert [(skill.name, skill.success) for skill in record.skills] == [("pick", False)] * 2
    assert record.reason.endswith("Given up after 1 repair.")
    assert world.data.body("bead").xpos[2] < 0.02


def test_the_bare_hand_puts_down_what_it_holds_before_it_tries_again():
    rng = np.random.default_rng(0)
    scene = simulate(sample(load_scene("milk"), rng), rng).perception.look()
    model = OfflineModel()
    analysis = model.analyze("get the milk", scene)
    plan = model.plan(analysis, scene)
    code = model.code(plan, model.calculate(plan, scene), "")
    copy = model_world(scene)
    assert plan.steps[0].skill == "grasp" and copy.grasp(str(plan.steps[0].arguments["name"]), 0.02).success
    failure = "pull failed: not reached. Root cause from what was measured: control; it did not move."
    again = model.repair(analysis, plan, code, failure, copy.look())
    assert [step.skill for step in again.plan.steps] == ["release", *(step.skill for step in plan.steps)]
    assert again.cause == "control" and again.code.text.startswith("release()")
