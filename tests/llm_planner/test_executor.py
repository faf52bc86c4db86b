"""A sentence from the first look to the verdict, on a table that moves by arithmetic."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import pytest
from rich.console import Console

from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import ROLES, RoleError, SkillCode
from toolwright.llm_planner.run import events
from toolwright.llm_planner.run.console import ConsolePrinter
from toolwright.llm_planner.run.executor import Options, run_sentence
from toolwright.llm_planner.run.record import RunRecord
from toolwright.policies.outcome import Outcome

SENTENCE = "pick up the bead with the tweezers and drop it in the cup"


class Scripted(OfflineModel):
    """The offline model with another coder."""

    name = "scripted"

    def __init__(self, text: str) -> None:
        self._text = text

    def code(self, plan, calculation, stubs):
        return SkillCode(text=self._text)


def _run(world, sentence=SENTENCE, model=None, report=None, **options):
    run = Options(**options)
    return run_sentence(sentence, world, world, model or OfflineModel(), report or (lambda event: None), options=run)


ONCE = {"repairs": 0}  # what comes of one attempt
UNTRIED = {"copy": None, "repairs": 0}  # code that the dry run would have stopped


def test_the_bead_ends_in_the_cup_and_the_record_says_how(world):
    record = _run(world)
    assert record.success and record.status == "done"
    assert record.reason == "Measured afterwards: bead lies in cup."
    assert [skill.name for skill in record.skills] == ["pick", "drop_in"]
    assert record.skills[0].arguments == {"name": "bead", "opening": 0.016, "grip": 0.006, "lift": 0.1}
    assert record.skills[0].measured and record.skills[0].seconds == 1.5
    assert record.scene_before.objects["bead"].pos != record.scene_after.objects["bead"].pos
    assert world.stopped == []


@pytest.mark.parametrize(
    "sentence",
    [
        "pick up the bead",
        "put the bead next to the cup",
        "put the bead at 0.4, 0.1",
        "open the tweezers to 12 mm",
        "move the tips to 0.4, 0.1, 0.3",
        "pick up the bead and move up 5 cm",
        "pick up the bead and go home",
        "put the bead in the cup and go home",
        "go home",
    ],
)
def test_done_is_read_from_the_measured_scene(world, sentence):
    record = _run(world, sentence)
    assert record.success, record.reason
    assert all(item.success for item in record.checks)


@pytest.mark.parametrize(
    ("sentence", "lie", "reason"),
    [
        ("pick up the bead", "pick", "not between the tips"),
        (SENTENCE, "drop_in", "not in cup"),
        ("put the bead at 0.4, 0.1", "place_at", "does not rest on the table"),
        ("open the tweezers to 25 mm", "set_opening", "the opening is 10.0 mm"),
        ("move the tips to 0.4, 0.1, 0.2", "move_tips", "from the point"),
    ],
)
def test_a_skill_that_only_claims_success_does_not_make_a_success(world, sentence, lie, reason):
    world.lies = {lie}
    record = _run(world, sentence)
    assert not record.success and record.status == "failed"
    assert reason in record.reason
    assert all(skill.success for skill in record.skills)


def test_a_failed_skill_ends_the_run_and_is_named(world):
    world.fails = {"pick": Outcome(False, "the bead slipped", {"rise": 0.001})}
    record = _run(world, **ONCE)
    assert record.status == "failed" and record.reason == "pick failed: the bead slipped"
    assert world.calls == ["pick"]
    assert record.scene_after is not None


def test_a_fault_stops_the_robot_and_is_told(world, caplog):
    world.fails = {"drop_in": TimeoutError("bus silent")}
    record = _run(world)
    assert record.status == "failed" and record.reason == "drop_in failed: TimeoutError: bus silent"
    assert world.stopped == ["drop_in: TimeoutError: bus silent"]
    assert "drop_in raised" in caplog.text


def test_an_interrupt_stops_the_robot_and_the_record_says_so(world):
    world.fails = {"drop_in": KeyboardInterrupt()}
    record = _run(world)
    assert record.status == "stopped" and not record.success
    assert world.stopped == ["interrupted by the user"]
    assert [skill.success for skill in record.skills] == [True, False]


def test_a_refused_sentence_moves_nothing(world):
    record = _run(world, "pick up the dinosaur")
    assert record.status == "refused" and "dinosaur" in record.reason
    assert world.calls == [] and record.code == "" and record.timings.first_motion is None


def test_code_that_does_not_pass_the_check_moves_nothing(world):
    record = _run(world, model=Scripted("import os\nos.system('true')"), **ONCE)
    assert record.status == "rejected" and "imports" in record.reason
    assert world.calls == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ('pick("ghost", opening=0.01, grip=0.0, lift=0.1)', "not in the scene"),
        ('pick("bead", opening=5.0, grip=0.0, lift=0.1)', "outside 0 to 0.03"),
        ("x = 1e308 * 10\nmove_tips(x=x, y=0.0, z=0.2)", "finite"),
        ("for i in range(100):\n    home()", "more than 60 calls"),
    ],
)
def test_a_call_that_the_gate_refuses_ends_the_run_and_stands_in_the_record(world, code, reason):
    record = _run(world, model=Scripted(code), **UNTRIED)
    assert record.status == "failed" and record.reason.startswith("The gate refused a call")
    assert record.skills[-1].refused and reason in record.skills[-1].reason


def test_code_that_raises_is_told(world):
    record = _run(world, model=Scripted("home()\nx = 1 / 0"), **UNTRIED)
    assert record.status == "failed" and "ZeroDivisionError" in record.reason


def test_code_that_leaves_the_work_undone_is_no_success(world):
    record = _run(world, model=Scripted("home()"), **UNTRIED)
    assert not record.success and "not in cup" in record.reason


def test_a_role_without_a_result_is_told(world):
    model = OfflineModel()

    def calculate(plan, scene):
        raise RoleError("no such object")

    model.calculate = calculate
    record = _run(world, model=model)
    assert record.status == "rejected" and "no such object" in record.reason


def test_the_record_survives_json(world):
    world.fails = {"drop_in": Outcome(False, "lost", {"distance": math.inf})}
    record = _run(world)
    again = RunRecord.model_validate_json(record.model_dump_json())
    assert again == record
    assert again.skills[-1].measured["distance"] == math.inf


def test_events_come_in_order(world):
    seen = []
    _run(world, report=seen.append)
    assert [event.role for event in seen if isinstance(event, events.RoleDone)] == list(ROLES)
    assert [type(event).__name__ for event in seen] == [
        *["SceneSeen", "RoleDone", "RoleDone", "RoleDone", "RoleDone", "CodeChecked", "Rehearsed"],
        *["SkillStarted", "SkillEnded", "SkillStarted", "SkillEnded", "SceneSeen", "Finished"],
    ]


def test_timings_tell_planning_first_motion_and_overhead(world):
    _run(world, dry_run=True)  # the first check of a process loads the type checker
    timings = _run(world).timings
    assert 0 < timings.planning < 0.05
    assert timings.planning + timings.checking < timings.first_motion < timings.total
    assert 0 < timings.overhead_per_call < 0.05


def _printed(world, sentence=SENTENCE):
    console = Console(file=io.StringIO(), width=100, highlight=False)
    _run(world, sentence, report=ConsolePrinter(console))
    return console.file.getvalue()


def test_the_console_shows_roles_code_skills_and_verdict(world):
    text = _printed(world)
    positions = [text.index(role) for role in ROLES]
    assert positions == sorted(positions)
    assert 'drop_in("bead", container="cup", height=0.02)' in text
    assert "ok  pick done  (1.5 s)" in text
    assert "DONE  Measured afterwards: bead lies in cup." in text


def test_the_console_shows_names_as_they_are(make_world, crafted):
    text = _printed(make_world(crafted("[red]bead[/red]", 0.45, 0.05)), "pick up the bead")
    assert "[red]bead[/red]" in text


def test_importing_the_planner_pulls_in_no_simulation_and_no_torch():
    code = (
        "import sys, toolwright.llm_planner.run.executor, toolwright.llm_planner.offline.offline_model"
        ", toolwright.llm_planner.run.console\n"
        "heavy = ('mujoco', 'torch', 'toolwright.sim', 'rich', 'open3d', 'rclpy', 'gymnasium')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


_INTERRUPTED = """
import os, signal, sys
from toolwright.llm_planner.run import sandbox
from toolwright.policies.outcome import Outcome
def skill(name, args, kwargs):
    os.killpg(0, signal.SIGINT)  # what a terminal does on Ctrl-C: the sandbox's worker gets it too
    return Outcome(True, "")
try:
    sandbox.run("home()", skill)
except KeyboardInterrupt:
    print("interrupted")
print(sandbox.run("print(home().success)", lambda *call: Outcome(True, "")).strip())
"""


def test_an_interrupt_from_the_terminal_leaves_a_working_sandbox():
    out = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, start_new_session=True, timeout=30
    )
    assert out.stdout.split() == ["interrupted", "True"], out.stderr
