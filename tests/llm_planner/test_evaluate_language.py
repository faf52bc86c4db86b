"""`eval language`: what is counted, what is kept, and what an ablation is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolwright.llm_planner.evaluation import ablations, kept
from toolwright.llm_planner.evaluation.episode import Episode, cause, run
from toolwright.llm_planner.evaluation.kept import Kept
from toolwright.llm_planner.evaluation.language import evaluate
from toolwright.llm_planner.language.model_cache import ModelError
from toolwright.llm_planner.language.model_client import UselessAnswers
from toolwright.llm_planner.models import PIPELINES, ModelChoice
from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import Plan
from toolwright.llm_planner.run.diagnosis import Diagnosis
from toolwright.llm_planner.run.record import RepairRecord, RunRecord, SkillRecord
from toolwright.policies.evaluation.scene_goals import check
from toolwright.sim.scene import SceneError

QUICK = "can_near"  # the shortest task
OFFLINE, HOSTED = ModelChoice(), ModelChoice(model="http://127.0.0.1:1/v1#none")


def _episode(seed=1, **more):
    return Episode(task=QUICK, roles="full", seed=seed, success=True, status="done", seconds=1.0, planning=0.1, **more)


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_second_run_counts_what_is_there_and_runs_nothing_again(tmp_path):
    first = evaluate(1, task=QUICK, processes=1, folder=tmp_path)
    lines = (tmp_path / "episodes.jsonl").read_text()
    said = []
    again = evaluate(1, task=QUICK, processes=1, folder=tmp_path, report=said.append)
    assert again == first and first.n == 1 and first.successes == 1 and first.passed
    assert said == [f"1 of 1 episodes of this version are in {tmp_path / 'episodes.jsonl'} already"]
    assert (tmp_path / "episodes.jsonl").read_text() == lines
    page = (tmp_path / "index.html").read_text()
    assert "1 of 1" in page and "toolwright eval language --episodes 1 --seed 0 --task can_near" in page


def test_an_interrupted_evaluation_keeps_what_was_done(tmp_path):
    words = [sys.executable, "-m", "toolwright.launch.cli", "eval", "language", "--task", QUICK, "--episodes", "30"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    line = process.stderr.readline()
    assert f"{QUICK} seed" in line, line
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C at a terminal: to the workers, too
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130 and "the same command goes on" in rest and "Traceback" not in rest
    file = Path(tmp_path / "runs/eval/language/episodes.jsonl")
    found = Kept(file, "offline").load(QUICK)
    assert 1 <= len(found) < 30 and all(episode.success for episode in found.values())
    assert "Unfinished" in (file.parent / "index.html").read_text()


def test_episodes_of_other_code_another_model_or_another_scene_do_not_count(tmp_path, monkeypatch):
    file = Kept(tmp_path / "episodes.jsonl", "offline")
    file.add(_episode())
    assert list(file.load(QUICK)) == [("full", 1)] and file.load("milk") == {}
    assert Kept(file.path, "a model").load(QUICK) == {}
    monkeypatch.setattr(kept, "version", lambda: "another")
    assert file.load(QUICK) == {}
    monkeypatch.undo()
    monkeypatch.setattr(kept, "fingerprint", lambda task: "another")
    assert file.load(QUICK) == {}


def test_a_line_that_was_cut_off_is_run_again(tmp_path):
    file = Kept(tmp_path / "episodes.jsonl", "offline")
    file.add(_episode(1))
    file.add(_episode(2))
    whole = file.path.read_text()
    file.path.write_text(whole[:-20])
    assert list(file.load(QUICK)) == [("full", 1)]


def test_no_folder_yet_is_no_error(tmp_path):
    assert Kept(tmp_path / "none" / "episodes.jsonl", "offline").load(QUICK) == {}


# -- which task, which roles -------------------------------------------------------------------------------------------


def test_a_misspelled_task_gets_the_nearest_and_the_list():
    with pytest.raises(SceneError, match=r"no task 'mlik'; did you mean 'milk'\? Tasks: .*button_stick.*two_hooks"):
        check("mlik")


def test_a_scene_without_a_goal_is_no_task():
    with pytest.raises(SceneError, match=r"scene 'bead' has no sentence or no goal.* Tasks: "):
        check("bead")


def test_a_language_model_has_every_ablation():
    assert ablations.pipelines(ModelChoice(model=HOSTED.model, roles="all")) == tuple(PIPELINES)
    assert set(ablations.MEANING) == set(PIPELINES)
    assert not ablations.left_out(ModelChoice(model=HOSTED.model, roles="all"))


@pytest.mark.parametrize("roles", [name for name in PIPELINES if name != "full"])
def test_the_offline_model_says_why_it_has_no_ablation(roles):
    with pytest.raises(ValueError, match=f"the offline model cannot do '{roles}': the offline .*--model"):
        ablations.pipelines(ModelChoice(roles=roles))


def test_all_roles_of_the_offline_model_are_the_full_ones_and_the_rest_is_said():
    both = ModelChoice(roles="all")
    assert ablations.pipelines(both) == ("full",)
    assert set(ablations.left_out(both)) == set(PIPELINES) - {"full"}


# -- kinds of error ----------------------------------------------------------------------------------------------------


def _record(status, *skills, tool="", **more):
    calls = [SkillRecord(name="grasp", arguments={}, reason="", **skill) for skill in skills]
    return RunRecord(sentence="", model="", status=status, skills=calls, plan=Plan(tool=tool), **more)


GOOD, BAD = {"success": True}, {"success": False}


@pytest.mark.parametrize(
    ("record", "wrong", "kind"),
    [
        (_record("refused"), "milk is 0 mm above the table", "tool use"),
        (_record("done", GOOD, tool="hook"), "hook was moved by 90 mm", "tool use"),
        (_record("done", GOOD), "milk is 0 mm above the table", "logic"),
        (_record("rejected"), "milk is 0 mm above the table", "logic"),
        (_record("failed", BAD | {"refused": True}), "milk is 0 mm above the table", "numbers"),
        (_record("failed", BAD), "milk is 0 mm above the table", "control"),
    ],
)
def test_a_failure_gets_its_kind(record, wrong, kind):
    assert cause(record, wrong) == kind


def test_a_diagnosis_from_measurements_comes_first():
    repair = RepairRecord(failure="", diagnosis=Diagnosis(cause="perception", reason="it is not where it was seen"))
    assert cause(_record("failed", BAD, repairs=[repair]), "milk is 0 mm above the table") == "perception"


class Broken(OfflineModel):
    """A model that fails in its first role."""

    def __init__(self, error):
        self._error = error

    def analyze(self, sentence, scene):
        raise self._error


def test_a_model_that_cannot_be_asked_ends_the_evaluation():
    with pytest.raises(ModelError, match="no server"):
        run(QUICK, 1, Broken(ModelError("no server")))


def test_a_model_without_a_usable_answer_has_failed():
    began = time.process_time()
    episode = run(QUICK, 1, Broken(UselessAnswers("three answers that are no JSON")))
    assert (episode.success, episode.cause, episode.status, episode.seconds) == (False, "logic", "rejected", 0.0)
    assert "no JSON" in episode.reason and "above the table" in episode.reason
    assert time.process_time() - began < 20
