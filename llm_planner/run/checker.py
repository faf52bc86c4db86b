"""The checker: skill code is data until it passed. Syntax, types against the skills' stubs, and static limits."""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Iterator
from time import perf_counter

import pydantic_monty as monty
from pydantic import BaseModel, ConfigDict

from toolwright.llm_planner.run import sandbox, vec
from toolwright.llm_planner.skills.registry import Registry

MAX_LENGTH = 8000  # characters: several hundred calls
# Called ahead of the code so that the type check is done and nothing of the code has run.
_PAUSE = "begin_check"
# Functions without effect that skill code may use besides the skills.
PURE = frozenset("abs bool enumerate float int len max min range round sorted str sum zip Vec".split())
METHODS = frozenset("append dot get items keys norm values".split())
TYPES = frozenset({"str", "float", "int", "bool"})  # that a function of skill code may take
_REFUSED = {
    ast.Import: "imports are not available: the skills are there without them",
    ast.ImportFrom: "imports are not available: the skills are there without them",
    ast.ClassDef: "classes are not available in skill code",
    ast.AsyncFunctionDef: "skill code is not asynchronous",
    ast.Await: "skill code is not asynchronous",
    ast.Global: "global names are not available in skill code",
    ast.Nonlocal: "global names are not available in skill code",
    ast.Try: "a failed skill ends the run: skill code does not catch errors",
    ast.TryStar: "a failed skill ends the run: skill code does not catch errors",
    ast.With: "with blocks are not available in skill code",
    ast.Lambda: "lambda is not available in skill code",
    ast.Delete: "names cannot be deleted in skill code",
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


def stubs(registry: Registry, learned: str = "") -> str:
    """Everything that skill code may call, as a model and the type checker read it.

    Args:
        learned: stubs of the skill library.
    """
    return "\n\n".join(part for part in (registry.stubs(), learned, vec.STUB) if part)


def check(code: str, registry: Registry, learned: str = "") -> CheckResult:
    """Check skill code without running any of it.

    Args:
        learned: stubs of the skill library.
    """
    began = perf_counter()
    findings = _length(code) or _types(code, stubs(registry, learned))
    if all(item.line for item in findings):
        # The worker has read the code, so that the parser here meets no text made to break parsers.
        known = {*registry.names(), *defined(learned)}
        found = {*findings, *_static(code, known, parsed=not findings)}
        findings = sorted(found, key=lambda item: (item.line, item.message))
    return CheckResult(passed=not findings, findings=tuple(findings), seconds=perf_counter() - began)


def read(code: str, names: Collection[str]) -> CheckResult:
    """The check without types: for code that was checked before, and has not changed since.

    Args:
        names: of the skills that there are.
    """
    began = perf_counter()
    findings = _length(code) or _static(code, names, parsed=True)
    return CheckResult(passed=not findings, findings=tuple(findings), seconds=perf_counter() - began)


def defined(text: str) -> tuple[str, ...]:
    """Names of the functions that a text defines at its top level; the text has been parsed before."""
    return tuple(node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))


def _length(code: str) -> list[Finding]:
    if not code.strip():
        return [Finding(line=0, message="the code is empty")]
    if len(code) > MAX_LENGTH:
        return [Finding(line=0, message=f"the code has {len(code)} characters, at most {MAX_LENGTH} are read")]
    return []


def _types(code: str, declared: str) -> list[Finding]:
    try:
        with sandbox.pool().checkout(
            limits=sandbox.LIMITS,
            type_check=True,
            type_check_stubs=f"{declared}\n\ndef {_PAUSE}() -> None: ...\n",
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


def _static(code: str, known: Collection[str], parsed: bool) -> list[Finding]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if not parsed:
            return []  # already found
        return [Finding(line=getattr(error, "lineno", 0) or 0, message=f"the code cannot be parsed: {error}")]
    findings = [Finding(line=line, message=message) for line, message in _problems(tree, known)]
    if not findings and not any(_called(node) in known for node in ast.walk(tree)):
        findings.append(Finding(line=0, message="the code calls no skill"))
    return findings


def _problems(tree: ast.Module, known: Collection[str]) -> Iterator[tuple[int, str]]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    callable_here = {*known, *PURE, *functions}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if type(node) in _REFUSED:
            yield line, _REFUSED[type(node)]
        elif isinstance(node, ast.FunctionDef):
            yield from ((line, message) for message in _function(node, functions, known))
        elif isinstance(node, ast.Call):
            name = _called(node)
            if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                continue
            if name not in callable_here:
                yield line, f"the code calls {repr(name) if name else 'something'}, which is no skill"
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield line, f"the attribute {node.attr!r} is not available"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in {*known, *PURE}:
            yield line, f"{node.id!r} is the name of a skill or function: choose another"
        elif isinstance(node, ast.BinOp) and any(isinstance(side, ast.List) for side in (node.left, node.right)):
            yield line, "arithmetic on a list joins or repeats it: use Vec(x, y, z)"


def _function(node: ast.FunctionDef, functions: dict[str, ast.FunctionDef], known: Collection[str]) -> Iterator[str]:
    """What keeps a function of skill code from being one: it has to read like a skill, and to end."""
    arguments = node.args
    if functions.get(node.name) is not node:
        yield f"function {node.name!r} is nested or defined twice: define each once, at the top level"
    if node.name in {*known, *PURE} or node.name.startswith("_"):
        yield f"function {node.name!r} has the name of a skill, or begins with _: choose another"
    if node.decorator_list or arguments.vararg or arguments.kwarg:
        yield f"function {node.name!r} has a decorator or takes any number of arguments: name them"
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    typed = [item for item in given if isinstance(item.annotation, ast.Name) and item.annotation.id in TYPES]
    untyped = [item.arg for item in given if item not in typed]
    if untyped:
        yield f"function {node.name!r}: give {', '.join(untyped)} a type: {', '.join(sorted(TYPES))}"
    if not ast.get_docstring(node):
        yield f"functions need a docstring that says what they do: {node.name!r} has none"
    earlier = {name for name, other in functions.items() if other.lineno < node.lineno}
    for call in ast.walk(node):
        if _called(call) in functions and _called(call) not in earlier:
            yield f"function {node.name!r} calls {_called(call)!r}, which is not defined above it"


def _called(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
