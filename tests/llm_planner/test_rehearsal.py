"""The dry run: every plan is tried on a copy of the world, by skill models or in physics, before anything moves."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from toolwright.hardware.joints import FR3, FR3_HOME
from toolwright.llm_planner.knowledge.hand_copy import in_hand, model_world
from toolwright.llm_planner.knowledge.skill_models import ModelWorld
from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import SkillCode
from toolwright.llm_planner.run import sandbox, vec
from toolwright.llm_planner.run.checker import check
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.run.rehearsal import WorldCopy, model_copy, rehearse
from toolwright.llm_planner.run.verdict import Goal, goals
from toolwright.llm_planner.skills.choice import skills_for
from toolwright.llm_planner.skills.registry import Registry
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool.reach import ArmReach
from toolwright.policies.twin import TwinError, twin
from toolwright.policies.world import simulate
from toolwright.sim.scene import load_scene, sample

SENTENCE = "pick up the bead with the tweezers and drop it in the cup"
PICK = 'pick("bead", opening=0.016, grip=0.006, lift=0.1)'
IN_CUP = (Goal(kind="inside", object="bead", container="cup"),)


class Scripted(OfflineModel):
    name = "scripted"

    def __init__(self, text):
        self._text = text

    def code(self, plan, calculation, stubs):
        return SkillCode(text=self._text)


def _rehearse(world, code, goals=()):
    return rehearse(code, SKILLS, world.look(), model_copy, goals)


def test_a_good_plan_works_on_the_copy_and_the_world_stays_as_it_is(world):
    before = world.look().objects["bead"].pos.copy()
    dry = _rehearse(world, PICK + '\ndrop_in("bead", "cup", 0.02)', IN_CUP)
    assert dry.passed and [item.state for item in dry.verdicts] == ["works", "works"]
    assert [item.success for item in dry.checks] == [True]
    assert dry.verdicts[0].measured["risen"] == 0.1 and dry.verdicts[1].reason == "bead would lie in cup"
    assert (world.look().objects["bead"].pos == before).all() and world.calls == []


@pytest.mark.parametrize(
    ("code", "cause", "reason"),
    [
        ('pick("bead", opening=0.008, grip=0.006, lift=0.1)', "numbers", "does not fit an opening of 8.0 mm"),
        ('pick("bead", opening=0.016, grip=0.012, lift=0.1)', "numbers", "does not press on bead"),
        ('pick("bead", opening=0.016, grip=0.006, lift=0.5)', "numbers", "outside of the workspace"),
        ('pick("block", opening=0.03, grip=0.02, lift=0.1)', "tool use", "60.0 mm wide, the tool opens to 30.0 mm"),
        ('pick("lead_ball", opening=0.03, grip=0.01, lift=0.1)', "tool use", "weighs 0.080 kg"),
        ('pick("cup", opening=0.03, grip=0.01, lift=0.1)', "tool use", "is fixed"),
        ('drop_in("bead", "cup", 0.02)', "logic", "bead is not held; nothing is"),
        (PICK + '\ndrop_in("bead", "block", 0.02)', "tool use", "no opening to drop anything into"),
        (PICK + '\ndrop_in("bead", "vial", 0.02)', "tool use", "too wide for the mouth of vial"),
        (PICK + '\ndrop_in("bead", "bead", 0.02)', "logic", "into itself"),
        (PICK + '\npick("lead_ball", opening=0.03, grip=0.01, lift=0.1)', "logic", "would drop it"),
        (PICK + '\nplace_at("bead", x=0.4, y=-0.15)', "numbers", "cup stands at"),
        (PICK + '\nset_opening(0.03)\ndrop_in("bead", "cup", 0.02)', "logic", "not held"),
        (PICK + '\ndrop_in("bead", "cup", 0.02)\n' + PICK, "tool use", "lies in cup, where the hand has no room"),
        ("set_opening(0.05)", "numbers", "outside 0 to 0.03"),
        ("move_tips(x=0.4, y=0.9, z=0.2)", "numbers", "outside -0.3 to 0.3"),
        ('pick("ghost", opening=0.016, grip=0.006, lift=0.1)', "logic", "not in the scene"),
        ("home()\nx = 1 / 0", "numbers", "ZeroDivisionError"),
        ("home()\nx = [1][2]", "logic", "IndexError"),
    ],
)
def test_a_plan_that_cannot_work_is_told_with_cause_and_reason(table, crafted, code, cause, reason):
    table.objects["bead"] = crafted("bead", 0.6, -0.05)
    dry = _rehearse(table, code)
    assert not dry.passed and dry.cause == cause and reason in dry.reason, dry.reason
    assert table.calls == []


def test_a_plan_that_leaves_the_goal_undone_is_no_plan(world):
    dry = _rehearse(world, PICK, IN_CUP)
    assert not dry.passed and dry.cause == "logic" and "bead is not in cup" in dry.reason
    assert [item.state for item in dry.verdicts] == ["works"]


def test_what_is_carried_moves_with_the_tips(world):
    dry = _rehearse(world, PICK + "\nmove_tips(x=0.5, y=0.1, z=0.2)", (Goal(kind="held", object="bead"),))
    assert dry.passed, dry.reason
    copy = ModelWorld(world.look())
    copy.pick("bead", 0.016, 0.006, 0.1)
    copy.move_tips(0.5, 0.1, 0.2)
    copy.home()
    assert np.allclose(copy.look().objects["bead"].pos, world.look().tool.T_world_tip[:3, 3])


def test_a_skill_without_a_model_is_not_judged_and_neither_is_what_follows(world):
    registry = Registry()
    for skill in SKILLS:
        registry.add(skill.function)

    @registry.add
    def wave(actions) -> Outcome:  # type: ignore[no-untyped-def]
        """Wave."""
        return actions.wave_about(3)

    dry = rehearse('wave()\ndrop_in("bead", "cup", 0.02)', registry, world.look(), model_copy, IN_CUP)
    assert dry.passed and [item.state for item in dry.verdicts] == ["unknown", "unknown"]
    assert "no model of wave_about" in dry.verdicts[0].reason and dry.checks == ()


def test_a_dry_run_ends_before_anything_moves(world):
    record = run_sentence(SENTENCE, world, world, OfflineModel(), lambda e: None, options=Options(dry_run=True))
    assert record.status == "rehearsed" and not record.success and record.rehearsal.passed
    assert world.calls == [] and record.timings.first_motion is None


def test_a_plan_that_fails_on_the_copy_moves_nothing(world):
    code = 'pick("bead", opening=0.008, grip=0.006, lift=0.1)\ndrop_in("bead", "cup", 0.02)'
    record = run_sentence(SENTENCE, world, world, Scripted(code), lambda e: None, options=Options(repairs=0))
    assert record.status == "rejected" and record.reason.startswith("The dry run failed: pick would fail")
    assert world.calls == [] and record.skills == []


def test_code_that_reads_what_was_measured_runs_on_the_copy_too(world):
    code = f"result = {PICK}\nif result.measured['risen'] < 0.05 or result.measured['opening'] > 0.02:\n    home()"
    dry = _rehearse(world, code)
    assert dry.passed and [item.name for item in dry.verdicts] == ["pick"]


# -- Vec and functions ------------------------------------------------------------------------------------------------

VEC = """\
a, b = Vec(0.4, 0.1, 0.2), Vec(0.0, 0.0, 0.05)
c = a + 2 * b - b / 2
move_tips(x=c.x, y=c.y, z=(c - a).norm() + c.z)
"""


def test_vectors_add_and_scale():
    assert str(check(VEC, SKILLS)) == ""
    seen = {}
    sandbox.run(VEC, lambda name, args, kwargs: seen.update(kwargs) or Outcome(True, ""), vec.SOURCE)
    assert seen == pytest.approx({"x": 0.4, "y": 0.1, "z": 0.2 + 0.075 + 0.075})


@pytest.mark.parametrize("code", ["x = [0.1, 0.2] * 2", "x = [0.1] + [0.2]", "a = Vec(0.1, 0.2) + 3.0", "a = Vec('x')"])
def test_arithmetic_that_would_be_silently_wrong_is_found(code):
    assert not check(f"{code}\nhome()", SKILLS).passed


FUNCTION = '''\
def pick_up(name: str, lift: float = 0.05) -> Outcome:
    """Pick something up."""
    return pick(name, opening=0.016, grip=0.006, lift=lift)
pick_up("bead")
'''


def test_code_may_define_a_documented_function_and_call_it(world):
    assert str(check(FUNCTION, SKILLS)) == ""
    assert [item.name for item in _rehearse(world, FUNCTION).verdicts] == ["pick"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('    """Pick something up."""\n', "", "docstring"),
        ("name: str", "name", "a type"),
        ("pick_up(name", "pick(name", "name of a skill"),
        ("return pick(name", "return pick_up(name", "not defined above"),
        ("lift: float = 0.05", "*names: str", "any number of arguments"),
    ],
)
def test_a_function_that_does_not_read_like_a_skill_is_refused(before, after, message):
    found = check(FUNCTION.replace(before, after), SKILLS)
    assert not found.passed and message in str(found)


# -- kinematics and physics -------------------------------------------------------------------------------------------


def _world(seed=3):
    drawn = sample(load_scene("bead"), np.random.default_rng(seed))
    return simulate(drawn, np.random.default_rng((seed, 1)), "closed_form")


def _kinematic(world):
    def copy(scene):
        models = ModelWorld(scene, ArmReach(world.actions, scene))
        return WorldCopy("kinematics", models, models)

    return copy


def test_kinematics_agree_with_plans_that_work_in_physics():
    for seed in range(8):
        world = _world(seed)
        run = Options(copy=_kinematic(world), dry_run=True)
        record = run_sentence(SENTENCE, world.actions, world.perception, OfflineModel(), lambda e: None, options=run)
        assert record.status == "rehearsed", record.reason
        assert world.data.time == 0


def test_kinematics_say_what_is_out_of_reach_and_where_there_is_no_room():
    world = _world()
    scene = world.perception.look()
    reach = ArmReach(world.actions, scene)
    assert reach(scene, [np.array([0.48, 0.0, 0.1])], "", 0.01, ()) == ""
    assert "out of the arm's reach" in reach(scene, [np.array([1.5, 0.0, 0.1])], "", 0.01, ())
    bead, cup = scene.objects["bead"], scene.objects["cup"]
    inside = replace(bead, pos=np.array([*cup.pos[:2], 0.01]))
    crowded = replace(scene, objects=scene.objects | {"bead": inside})
    assert "too near for the hand" in reach(crowded, [inside.pos], "bead", 0.016, ("bead",))
    assert np.allclose(world.robot.read().q[: len(FR3)], FR3_HOME)


def test_a_copy_with_physics_is_built_from_what_is_seen_and_does_what_the_world_then_does():
    world = _world()
    scene = world.perception.look()
    copy = twin(world.spec.model_copy(update={"objects": {}}), scene, controller="closed_form")
    away = copy.data.body("bead").xpos - world.data.body("bead").xpos
    assert np.abs(away).max() < 0.005 and copy.model.nbody == world.model.nbody
    dry = rehearse(
        'pick("bead", opening=0.016, grip=0.0, lift=0.1)\ndrop_in("bead", "cup", 0.02)',
        SKILLS,
        scene,
        lambda _: WorldCopy("physics", copy.actions, copy.perception),
        IN_CUP,
    )
    assert dry.passed, dry.reason
    assert copy.data.time > 5 and world.data.time == 0


def test_what_is_held_cannot_be_copied_and_that_is_said():
    world = _world()
    scene = world.perception.look()
    held = replace(scene.objects["bead"], pos=scene.tool.T_world_tip[:3, 3])
    with pytest.raises(TwinError, match="bead is held"):
        twin(world.spec, replace(scene, objects=scene.objects | {"bead": held}))


def test_a_dry_run_on_skill_models_costs_little():
    world = _world()
    scene = world.perception.look()
    code = 'pick("bead", opening=0.016, grip=0.0, lift=0.1)\ndrop_in("bead", "cup", 0.02)'
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        assert rehearse(code, SKILLS, scene, _kinematic(world), IN_CUP).passed
        best = min(best, time.perf_counter() - began)
    assert best < 1.0  # s; on a quiet machine it is 0.02


# -- the bare hand ----------------------------------------------------------------------------------------------------


def _bare(scene, seed=0):
    rng = np.random.default_rng(seed)
    return simulate(sample(load_scene(scene), rng), rng).perception.look()


@pytest.mark.parametrize(
    ("scene", "sentence"), [("milk", "get the milk"), ("can", "get the can"), ("button", "press the button")]
)
def test_plans_of_the_bare_hand_work_on_the_copy(scene, sentence):
    for seed in range(6):
        looked, model = _bare(scene, seed), OfflineModel()
        plan = model.plan(model.analyze(sentence, looked), looked)
        if plan.refusal is not None:
            continue
        numbers = model.calculate(plan, looked)
        code = model.code(plan, numbers, "").text
        dry = rehearse(code, skills_for(looked), looked, model_copy, goals(numbers.steps))
        assert dry.passed and dry.checks and all(item.state == "works" for item in dry.verdicts), dry.reason


@pytest.mark.parametrize(
    ("scene", "code", "cause", "reason"),
    [
        ("milk", 'grasp("{target}", lift=0.08)', "tool use", "outside the workspace"),
        ("milk", 'pull("{target}", x=0.5, y=0.0)', "logic", "the hand is empty"),
        ("milk", 'press("{target}")', "tool use", "is no button"),
        ("milk", 'push("{target}", x=0.5, y=0.0)', "tool use", "only a tool gets to"),
        ("milk", 'drag("{target}", dx=-0.1)', "tool use", "not flat and broad enough"),
        ("milk", 'place("{target}", x=0.5, y=0.0)', "logic", "is not held"),
        ("button", 'press("{target}")', "tool use", "are missing to button"),
        ("button", 'attach("{target}")', "logic", "the hand is empty"),
    ],
)
def test_plans_that_the_bare_hand_cannot_do_are_told(scene, code, cause, reason):
    looked = _bare(scene)
    dry = rehearse(code.format(target=scene), skills_for(looked), looked, model_copy)
    assert not dry.passed and dry.cause == cause and reason in dry.reason, dry.reason


def test_a_second_grasp_needs_an_empty_hand():
    looked = _bare("milk_near")
    dry = rehearse('grasp("milk", lift=0.08)\ngrasp("milk", lift=0.08)', skills_for(looked), looked, model_copy)
    assert not dry.passed and dry.cause == "logic" and "the hand holds milk" in dry.reason
    copy = model_world(looked)
    assert copy.grasp("milk", 0.08).success and in_hand(copy.look()) == "milk"
    assert copy.release().success and in_hand(copy.look()) == ""
    x, y = looked.objects["milk"].pos[:2]
    assert copy.push("milk", float(x), float(y) + 0.02).success
