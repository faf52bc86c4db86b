"""The command line end to end, in processes of its own wherever a user would notice the difference."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toolwright.launch import cli, inventory, results, session
from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser
from toolwright.perception.scene import Box, Scene

COMMAND = [sys.executable, str(Path(sys.executable).with_name("toolwright"))]
SECRET = "sk-this-must-never-be-shown"


def toolwright(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"COLUMNS": "80"} | variables
    return subprocess.run([*COMMAND, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


def examples(name: str) -> list[str]:
    text = Parser(name, cli._load(name)).format_help().partition("Examples:\n")[2]
    return [line.strip() for line in text.splitlines()]


# --- help ---------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_the_exit_codes(tmp_path):
    done = toolwright("--help", cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    assert all(f"\n  {name} " in done.stdout for name in cli.COMMANDS)
    assert "Exit codes" in done.stdout


def test_no_words_at_all_show_the_help(capsys):
    assert cli.main([]) == 0
    assert capsys.readouterr().out.startswith("usage: toolwright COMMAND")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_a_command_explains_it_with_examples_in_80_columns(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as done:
        cli.main([name, "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    assert text.startswith(f"usage: toolwright {name} ")
    assert "--json FILE" in text and "Examples:\n  toolwright" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_examples_of_the_help_are_accepted(name):
    assert examples(name)
    for line in examples(name):
        program, command, *words = shlex.split(line)
        assert (program, command) == ("toolwright", name)
        Parser(name, cli._load(name)).read(words)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("toolwright ")


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lsit", "unknown command lsit (did you mean list?)"),
        ("--vresion", "unknown option --vresion (did you mean --version?)"),
        ("list tool", "unknown 'tool' (did you mean tools?)"),
        ("list tools --jsn x.json", "unknown option --jsn (did you mean --json?)"),
        ("list tools more", "unexpected: more"),
        ("list", "required: WHAT"),
        ("train", "required: TASK"),
        ("train held_tool steps", "'steps' is no override; write name=value"),
        ("eval pick --episodes 0", "expected a whole number of at least 1, got '0'"),
        ("eval pick --target 97", "expected a number from 0 to 1, got '97'"),
        ("bench throughput --seed -1", "expected a whole number of at least 0, got '-1'"),
        ("do 'pick the bead' --video run.avi", "a video is .mp4 or .gif, got 'run.avi'"),
        ("do ' '", "the sentence is empty"),
    ],
)
def test_a_mistake_gets_one_line_that_helps(line, expected, capsys):
    assert cli.main(shlex.split(line)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("toolwright: ") and expected in err
    assert err.count("\n") == 1 and not out


def test_options_may_stand_between_the_words():
    args = Parser("train", cli._load("train")).read(["held_tool", "--resume", "seed=3", "--demo", "envs=64"])
    assert (args.task, args.overrides, args.resume, args.demo) == ("held_tool", ["seed=3", "envs=64"], True, True)


def test_debug_adds_the_traceback_to_a_mistake(tmp_path):
    plain, debug = (toolwright("list", "tool", *more, cwd=tmp_path) for more in ([], ["--debug"]))
    assert plain.returncode == debug.returncode == 2
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr and debug.stderr.endswith(plain.stderr)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("no such thing"), 2),
        (FileNotFoundError(2, "No such file or directory", "x.json"), 2),
        (ModuleNotFoundError("No module named 'open3d'", name="open3d"), 2),
        (FileNotFoundError(2, "No such file or directory", "/elsewhere"), 3),
        (ModuleNotFoundError("No module named 'bug'", name="bug"), 3),
        (KeyError("bug"), 3),
    ],
    ids=["user", "named file", "optional package", "another file", "missing module", "bug"],
)
def test_only_what_the_user_can_mend_hides_its_traceback(error, code, tmp_path, monkeypatch, capsys):
    def fail() -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inventory, "robots", fail)
    assert cli.main(["list", "robots", "--json", "x.json"]) == code
    err = capsys.readouterr().err
    assert ("Traceback" in err) == (code == 3)
    assert err.splitlines()[-1].startswith("toolwright: ")


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["taken", "file/result.json"], ids=["a folder", "below a file"])
def test_an_unwritable_result_is_refused_before_the_work_starts(bad, tmp_path, monkeypatch, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(inventory, "robots", lambda: pytest.fail("the work started"))
    assert cli.main(["list", "robots", "--json", str(tmp_path / bad)]) == 2
    assert capsys.readouterr().err.startswith(f"toolwright: cannot write {tmp_path / bad}: ")


def test_json_goes_into_a_new_folder_and_has_the_common_fields(tmp_path):
    done = toolwright("list", "robots", "--json", "new/folder/robots.json", cwd=tmp_path)
    assert done.returncode == 0 and "fr3_leap" in done.stdout
    record = json.loads((tmp_path / "new/folder/robots.json").read_text())
    assert {"command", "version", "revision", "seed", "seconds", "count", "items"} <= set(record)
    assert record["count"] == len(record["items"]) > 0
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["robots.json"]


def test_json_on_standard_output_stands_alone(tmp_path):
    done = toolwright("list", "robots", "--json", "-", cwd=tmp_path)
    assert json.loads(done.stdout)["kind"] == "robots"
    assert "fr3_leap" in done.stderr


# --- list ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tools", "scenes", "tasks", "skills", "weights", "robots"])
def test_list_shows_what_it_counts(kind, tmp_path, capsys):
    file = tmp_path / "list.json"
    assert cli.main(["list", kind, "--json", str(file)]) == 0
    result = results.ListResult.model_validate_json(file.read_text())
    shown = "".join(capsys.readouterr().out.split())
    assert result.count == len(result.items)
    assert all("".join(str(next(iter(item.values()))).split())[:20] in shown for item in result.items)


def test_list_knows_the_tweezers_and_the_scene_of_the_demo():
    assert "tweezers" in {row["name"] for row in inventory.tools()}
    assert "bead" in {row["name"] for row in inventory.scenes()}


def test_list_schema_prints_the_schema_of_every_command(tmp_path):
    schema = json.loads(toolwright("list", "schema", cwd=tmp_path).stdout)
    assert set(schema["discriminator"]["mapping"]) == set(cli.COMMANDS)


def test_a_reader_that_goes_away_causes_no_traceback(tmp_path):
    line = f"{shlex.join(COMMAND)} list schema | head -n 1"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "{\n" and not done.stderr


# --- doctor and Ctrl-C --------------------------------------------------------------------------------------------


def test_doctor_tells_what_is_missing_and_keeps_secrets(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{unused.getsockname()[1]}/v1"
    done = toolwright("doctor", "--json", "doctor.json", cwd=tmp_path, OPENAI_API_KEY=SECRET, OPENAI_BASE_URL=url)
    text = (tmp_path / "doctor.json").read_text()
    result = results.DoctorResult.model_validate_json(text)
    missing = [check.name for check in result.checks if check.state == "missing"]
    assert done.returncode == int(bool(missing)) and result.success == (not missing)
    assert all(check.hint for check in result.checks if check.state != "ok")
    assert all(check.name in done.stdout for check in result.checks)
    assert SECRET not in done.stdout + done.stderr + text


def test_ctrl_c_ends_with_one_line_and_exit_code_130(tmp_path):
    # Started from a background job, a process would inherit an ignored Ctrl-C.
    process = subprocess.Popen(
        [*COMMAND, "doctor"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    process.stdout.readline()  # it is in the middle of its checks
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "toolwright: interrupted\n")


# --- do -----------------------------------------------------------------------------------------------------------


class EmptyTable:
    """A robot's eyes and motions where there is nothing to see and nothing may move."""

    def look(self) -> Scene:
        return Scene(0.0, {}, None, Box(np.zeros(3), np.ones(3)), table_height=0.0)

    def __getattr__(self, name: str) -> object:
        pytest.fail(f"something moved: {name}")

    def close(self) -> None:
        pass


def test_a_refused_sentence_exits_with_2_and_leaves_a_record(tmp_path, monkeypatch, capsys):
    table = EmptyTable()
    monkeypatch.setattr(session, "open_session", lambda *_: session.Session(table, table, table))
    file = tmp_path / "do.json"
    assert cli.main(["do", "pick up the bead", "--json", str(file), "--seed", "4"]) == 2
    record = json.loads(file.read_text())
    assert (record["command"], record["success"], record["status"]) == ("do", False, "refused")
    assert record["seed"] == 4 and record["reason"] in " ".join(capsys.readouterr().out.split())


def test_a_scene_that_does_not_exist_is_named(capsys):
    assert cli.main(["do", "pick up the bead", "--scene", "no_such_scene"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("toolwright: no_such_scene: ") and "bead" in err
