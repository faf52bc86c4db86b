"""The checker: skill code is data until it passed. Syntax, types against the skills' stubs, and static limits."""

from __future__ import annotations

import ast
import json
from time import perf_counter

import pydantic_monty as monty
from pydantic import BaseModel, ConfigDict

from toolwright.llm_planner import sandbox
from toolwright.llm_planner.registry import Registry

MAX_LENGTH = 8000  # characters: several hundred calls
# Called ahead of the code so that the type check is done and nothing of the code has run.
_PAUSE = "begin_check"
# Functions without effect that skill code may use besides the skills.
PURE = frozenset("abs bool enumerate float int len max min range round sorted str sum zip".split())
_REFUSED = {
    ast.Import: "imports are not available: the skills are there without them",
    ast.ImportFrom: "imports are not available: the skills are there without them",
    ast.ClassDef: "classes are not available in skill code",
    ast.AsyncFunctionDef: "skill code is not asynchronous",
    ast.Await: "skill code is not asynchronous",
    ast.Global: "global names are not available in skill code",
    ast.Try: "a failed skill ends the run: skill code does not catch errors",
    ast.With: "with blocks are not available in skill code",
    ast.Lambda: "lambda is not available in skill code",
    ast.FunctionDef: "functions are not available in skill code: call the skills in order",
}


class Finding(BaseModel):
    """One thing wrong with the code, at a line counted from 1; 0 where no line is to blame."""

    model_config = ConfigDict(frozen=True)

    line: int
    message: str


class CheckResult(BaseModel):
    """What the checker found; empty `findings` let the code run."""

    model_config = ConfigDict(frozen=True)

    passed: bool
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    def __str__(self) -> str:
        return "; ".join(f"line {item.line}: {item.message}" if item.line else item.message for item in self.findings)


def check(code: str, registry: Registry) -> CheckResult:
    """Check skill code without running any of it."""
    began = perf_counter()
    findings = _length(code) or _types(code, registry)
    if all(item.line for item in findings):
        # The worker has read the code, so that the parser here meets no text made to break parsers.
        findings = sorted({*findings, *_calls(code, registry, parsed=not findings)}, key=lambda item: item.line)
    return CheckResult(passed=not findings, findings=tuple(findings), seconds=perf_counter() - began)


def _length(code: str) -> list[Finding]:
    if not code.strip():
        return [Finding(line=0, message="the code is empty")]
    if len(code) > MAX_LENGTH:
        return [Finding(line=0, message=f"the code has {len(code)} characters, at most {MAX_LENGTH} are read")]
    return []


def _types(code: str, registry: Registry) -> list[Finding]:
    stubs = f"{registry.stubs()}\n\ndef {_PAUSE}() -> None: ...\n"
    try:
        with sandbox.pool().checkout(
            limits=sandbox.LIMITS,
            type_check=True,
            type_check_stubs=stubs,
            type_check_format="json",
            os_policy=sandbox.OS_POLICY,
        ) as session:
            session.feed_start(f"{_PAUSE}()\n{code}")
    except monty.MontyTypingError as error:
        return [
            Finding(line=max(item["location"]["row"] - 1, 1), message=item["message"])
            for item in json.loads(error.display())
        ]
    except monty.MontyError as error:
        return [Finding(line=0, message=str(error))]
    return []


def _calls(code: str, registry: Registry, parsed: bool) -> list[Finding]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if not parsed:
            return []  # already found
        return [Finding(line=getattr(error, "lineno", 0) or 0, message=f"the code cannot be parsed: {error}")]
    findings: list[Finding] = []
    skills = 0
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if type(node) in _REFUSED:
            findings.append(Finding(line=line, message=_REFUSED[type(node)]))
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            skills += name in registry
            if name not in registry and name not in PURE:
                what = repr(name) if name else "something"
                findings.append(Finding(line=line, message=f"the code calls {what}, which is no skill"))
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            findings.append(Finding(line=line, message=f"the attribute {node.attr!r} is not available"))
    if not skills and not findings:
        findings.append(Finding(line=0, message="the code calls no skill"))
    return findings
