"""Dry run, approval, repairs and the skill library, as one meets them on the command line."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from toolwright.launch import carrying, cli
from toolwright.launch.approval import AskUser, edits
from toolwright.launch.session import open_session
from toolwright.llm_planner.run.gate import Call
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.policies.twin import TwinError

SENTENCE = "put the bead into the cup"
DO = ["do", SENTENCE, "--controller", "closed_form", "--seed", "3"]
PICK = Call(SKILLS["pick"], {"name": "bead", "opening": 0.016, "grip": 0.006, "lift": 0.1})


@pytest.fixture(autouse=True)
def _own_library(monkeypatch, tmp_path):
    monkeypatch.setenv("TOOLWRIGHT_SKILLS", str(tmp_path / "skills"))


def _do(tmp_path, *words):
    code = cli.main([*DO, *words, "--json", str(tmp_path / "out.json")])
    return code, json.loads((tmp_path / "out.json").read_text())


# -- dry run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", ["models", "physics"])
def test_a_dry_run_shows_a_verdict_per_skill_and_moves_nothing(tmp_path, capsys, copy):
    code, out = _do(tmp_path, "--dry-run", "--rehearsal", copy)
    assert code == 0 and out["status"] == "rehearsed" and not out["success"] and out["skills"] == []
    assert [item["state"] for item in out["rehearsal"]["verdicts"]] == ["works", "works"]
    assert out["rehearsal"]["copy_of"] == ("physics" if copy == "physics" else "skill models and the arm's kinematics")
    text = capsys.readouterr().out
    assert "works  pick" in text and "REHEARSED" in text and "nothing has moved" in text


def test_a_run_shows_its_dry_run_first_and_soon_starts_to_move(tmp_path, capsys):
    _do(tmp_path, "--dry-run")  # the first check of a process loads the type checker
    code, out = _do(tmp_path)
    assert code == 0 and out["status"] == "done" and out["rehearsal"]["passed"]
    assert out["timings"]["first_motion"] < 5.0  # s; on a quiet machine it is a tenth of one
    text = capsys.readouterr().out
    assert text.rindex("dry run") < text.index("  > pick(")


def test_the_dry_run_can_be_left_out(tmp_path):
    code, out = _do(tmp_path, "--rehearsal", "off")
    assert code == 0 and out["rehearsal"] is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--dry-run", "--rehearsal", "off"], "drop one of them"),
        (["--dry-run", "--keep", "put_away"], "drop one of them"),
        (["--keep", "pick"], "name of a skill"),
        (["--keep", "../evil"], "no name for a skill"),
        (["--repairs", "-1"], "at least 0"),
        (["--rehearsal", "physic"], "did you mean physics"),
    ],
)
def test_options_that_cannot_be_followed_are_refused_before_the_work(words, complaint, capsys):
    assert cli.main([*DO, *words]) == 2
    assert complaint in capsys.readouterr().err


def test_physics_that_cannot_be_built_gives_way_to_models(monkeypatch):
    def none(*_, **__):
        raise TwinError("no copy can be built of what is seen")

    monkeypatch.setattr("toolwright.policies.twin.twin", none)
    with open_session("bead", 3, controller="closed_form") as session:
        copy = carrying.copies(session, "physics")(session.perception.look())
        assert copy.kind.startswith("skill models") and "no copy can be built" in copy.kind
        session.actions.move_tips(0.45, 0.0, 0.2)
        monkeypatch.undo()
        assert "not at home" in carrying.copies(session, "physics")(session.perception.look()).kind
    assert carrying.copies(session, "off") is None


# -- approval ---------------------------------------------------------------------------------------------------------


def test_approval_without_a_terminal_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\n"))
    assert cli.main([*DO, "--approve"]) == 2
    assert "no terminal" in capsys.readouterr().err


def _ask(*lines):
    answers, out = iter(lines), Console(file=io.StringIO(), width=200)

    def read():
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    return AskUser(out, read)(PICK), out.file.getvalue()


def test_the_user_may_say_yes_no_or_other_numbers():
    assert _ask("y")[0].allowed and _ask(" YES ")[0].allowed
    assert not _ask("n")[0].allowed and "not approved by the user" in _ask("no")[0].reason
    assert not _ask()[0].allowed and "no answer" in _ask()[0].reason
    assert _ask("lift=0.05 name='bead'")[0].edited == {"lift": 0.05, "name": "bead"}
    decision, shown = _ask("what?", "", "lift=high", "speed=1", "y")
    assert decision.allowed and shown.count("[y / n / edit]") == 5
    assert "lift is a number" in shown and "'speed=1' is not one of" in shown and "nothing was typed" in shown
    with pytest.raises(ValueError, match="it has none"):
        edits(Call(SKILLS["home"], {}), "x=1")


def test_on_a_terminal_each_motion_waits_for_its_yes(tmp_path):
    master, slave = pty.openpty()
    command = [sys.executable, str(Path(sys.executable).with_name("toolwright")), *DO, "--approve"]
    done = subprocess.Popen(
        [*command, "--json", str(tmp_path / "out.json")],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    os.write(master, b"lift=0.08\ny\nn\n")
    text = done.communicate(timeout=120)[0]
    os.close(master), os.close(slave)
    assert done.returncode == 130, text
    out = json.loads((tmp_path / "out.json").read_text())
    assert out["status"] == "stopped" and "drop_in was not approved" in out["reason"]
    assert [(skill["name"], skill["success"], skill["edited"]) for skill in out["skills"]] == [
        ("pick", True, True),
        ("drop_in", False, False),
    ]
    assert out["skills"][0]["arguments"]["lift"] == 0.08
    assert np.isclose(out["skills"][0]["measured"]["risen"], 0.08, atol=0.01)


# -- library ----------------------------------------------------------------------------------------------------------


def test_what_worked_is_kept_and_listed_with_the_run_that_proved_it(tmp_path, capsys):
    code, _ = _do(tmp_path, "--keep", "put_away")
    assert code == 0 and "kept as put_away(name: str, container: str" in capsys.readouterr().out
    assert cli.main(["list", "skills", "--json", str(tmp_path / "list.json")]) == 0
    listed = json.loads((tmp_path / "list.json").read_text())["items"]
    items = {item["signature"].partition("(")[0]: item for item in listed}
    assert items["pick"]["learned from"] == ""
    assert "put_away.json" in items["put_away"]["learned from"] and SENTENCE in items["put_away"]["learned from"]
    assert cli.main([*DO, "--keep", "put_away"]) == 2
    assert "there already" in capsys.readouterr().err


def test_another_folder_can_be_named_and_a_damaged_skill_is_told(tmp_path, capsys, caplog):
    folder = tmp_path / "mine"
    assert cli.main([*DO, "--keep", "put_away", "--skills", str(folder)]) == 0
    (folder / "put_away.json").write_text("{")
    assert cli.main(["list", "skills", "--skills", str(folder)]) == 0
    assert "put_away.py is left out: put_away.json is damaged" in caplog.text
    assert "put_away" not in capsys.readouterr().out.split("kept as")[1].partition("signature")[2]


def test_the_gates_cost_is_measured_by_one_command(tmp_path, capsys):
    assert cli.main(["bench", "gate", "--json", str(tmp_path / "bench.json")]) == 0
    out = json.loads((tmp_path / "bench.json").read_text())
    assert out["benchmark"] == "gate" and out["calls"] == 2000 and 0 < out["overhead"] < 0.05
    assert "median" in capsys.readouterr().out
