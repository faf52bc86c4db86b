"""Checker and sandbox: what code may do, and that nothing else gets out."""

from __future__ import annotations

import pytest

from toolwright.llm_planner.run import sandbox
from toolwright.llm_planner.run.checker import MAX_LENGTH, check
from toolwright.llm_planner.run.gate import CallRefused
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.policies.outcome import Outcome

PICK = 'pick("bead", opening=0.016, grip=0.006, lift=0.1)'


class Host:
    """Answers `pick` and `home` as the gate would let them through, and remembers every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, name, args, kwargs):
        if name not in ("pick", "home"):
            raise CallRefused(name)
        self.calls.append(name)
        return Outcome(True, "ok", {"width": 0.01}, 1.0)


@pytest.mark.parametrize(
    "code",
    [
        PICK,
        f"for i in range(3):\n    {PICK}\n    home()",
        f"result = {PICK}\nif result.measured['width'] > 0.005:\n    home()",
        'width = 0.01\npick("bead", opening=min(width + 0.006, 0.03), grip=0.006, lift=0.1)',
    ],
)
def test_plain_skill_code_passes_the_check_and_runs(code):
    assert str(check(code, SKILLS)) == ""
    host = Host()
    sandbox.run(code, host)
    assert set(host.calls) <= {"pick", "home"} and host.calls


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("", 0, "empty"),
        ("x = 1", 0, "calls no skill"),
        ("home()\npick(", 2, "parsing"),
        ('home()\npick("bead", opening="wide", grip=0, lift=0.1)', 2, "Expected `float`"),
        ('pick("bead")', 1, "No arguments provided"),
        ("home()\nfly()", 2, "fly"),
        ("home(1)", 1, "Too many"),
        ("home().velocity", 1, "velocity"),
        ("import os\nhome()", 1, "imports"),
        ("from math import sin\nhome()", 1, "imports"),
        ("try:\n    home()\nexcept Exception:\n    home()", 1, "does not catch"),
        ("def f():\n    home()\nf()", 1, "functions"),
        ("home()\neval('1')", 2, "eval"),
        ("home()\nopen('/etc/passwd')", 2, "open"),
        ("home()\n().__class__", 2, "__class__"),
        ("pick = home\npick()", 1, "not assignable"),
        ("begin_check()\nhome()", 1, "begin_check"),
        ("home()\n" * MAX_LENGTH, 0, "at most"),
        ("home()\nx = " + "-" * 5000 + "1", 0, "nested"),
        ("home()\x00", 1, ""),
        ("home()\n'\ud800'", 0, "UTF-8"),
    ],
)
def test_the_checker_names_line_and_reason(code, line, message):
    result = check(code, SKILLS)
    assert not result.passed
    assert any(item.line == line and message in item.message for item in result.findings), str(result)


def test_the_checker_runs_none_of_the_code():
    assert check("home()\nwhile True:\n    home()", SKILLS).seconds < 1.0


# Run without the checker: the sandbox has to hold by itself.
ESCAPES = {
    "read a file": "open('/etc/passwd').read()",
    "write a file": "open('/tmp/toolwright_escape', 'w').write('x')",
    "pathlib": "from pathlib import Path\nPath('/etc/passwd').read_text()",
    "shell": "import os\nos.system('true')",
    "environment": "import os\nos.environ['HOME']",
    "subprocess": "import subprocess\nsubprocess.run(['true'])",
    "socket": "import socket\nsocket.socket()",
    "ctypes": "import ctypes\nctypes.CDLL(None)",
    "the package itself": "from toolwright.llm_planner import sandbox",
    "numpy": "import numpy",
    "dunder import": "__import__('os').system('true')",
    "importlib": "import importlib\nimportlib.import_module('os')",
    "eval": "eval('open(\"/etc/passwd\").read()')",
    "exec": "exec('import os\\nos.system(\"true\")')",
    "a skill out of eval": "eval('fly()')",
    "compile": "compile('1', 'f', 'eval')",
    "subclasses": "().__class__.__base__.__subclasses__()",
    "function globals": "(lambda: 1).__globals__['__builtins__']",
    "frames": "import sys\nsys._getframe()",
    "the outcome's class": "home().__class__.__init__.__globals__",
    "a method of the outcome": "home().__reduce__()",
    "format string": "'{0.__class__.__init__.__globals__}'.format(home())",
    "endless loop": "while True:\n    pass",
    "endless recursion": "def f():\n    return f()\nf()",
    "memory by a string": "x = 'a' * 10**10",
    "memory by a list": "x = [0]\nwhile True:\n    x = x + x",
    "a huge power": "x = 9 ** 9 ** 9",
    "endless printing": "while True:\n    print('x' * 1000)",
    "deep nesting": "x = " + "[" * 3000 + "]" * 3000,
    "waiting on a future": "import asyncio\nasync def f():\n    await asyncio.sleep(10**6)\nhome() + 1",
}


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch):
    monkeypatch.setitem(sandbox.LIMITS, "max_feed_duration_secs", 0.2)


@pytest.mark.parametrize("code", ESCAPES.values(), ids=ESCAPES)
def test_nothing_gets_out_of_the_sandbox(code):
    host = Host()
    with pytest.raises((sandbox.SandboxError, CallRefused)):
        sandbox.run(code, host)
    assert set(host.calls) <= {"home"}


def test_a_sleep_in_the_code_does_not_hold_the_robot_up():
    host = Host()
    sandbox.run("import time\ntime.sleep(1000)\nhome()", host)
    assert host.calls == ["home"]


def test_an_endless_loop_of_calls_ends():
    with pytest.raises(sandbox.SandboxError, match="suspension|time limit"):
        sandbox.run("while True:\n    home()", Host())


def test_a_failed_call_cannot_be_caught_by_the_code():
    calls = []

    def host(name, args, kwargs):
        calls.append(name)
        raise LookupError("no")

    with pytest.raises(LookupError):
        sandbox.run("try:\n    home()\nexcept BaseException:\n    pass\nhome()", host)
    assert calls == ["home"]


def test_the_code_sees_what_was_measured():
    assert sandbox.run("print(home().measured['width'])", Host()) == "0.01\n"
