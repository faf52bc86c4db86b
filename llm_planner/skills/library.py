"""The skill library: functions of skill code that worked, kept one in a file with the run that proved them.

A kept skill is text. It is read, checked and type-checked like any skill code, and runs inside the sandbox, where each
of its calls crosses the gate.
"""

from __future__ import annotations

import ast
import hashlib
import json
import keyword
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwright.llm_planner.run import checker, vec
from toolwright.llm_planner.run.record import RunRecord
from toolwright.llm_planner.skills.hand_skills import HAND_SKILLS
from toolwright.llm_planner.skills.job_skills import JOB_SKILLS
from toolwright.llm_planner.skills.registry import Registry, Skill
from toolwright.llm_planner.skills.tool_skills import SKILLS

FOLDER = "TOOLWRIGHT_SKILLS"  # environment variable
_MAX_FILE = 64 * 1024  # bytes of a skill
_MAX_PROOF = 8 * 1024 * 1024  # bytes of the record that proves it

log = logging.getLogger("toolwright")


class LibraryError(ValueError):
    """A skill that cannot be kept or read; the message names the file and the mend."""


@dataclass(frozen=True)
class LearnedSkill:
    """A function of skill code and the run that proved it."""

    name: str
    signature: str
    summary: str
    source: str
    proof: Path  # the record of the run
    sentence: str  # what the run was asked for
    calls: frozenset[str]  # the skills that it calls

    @property
    def stub(self) -> str:
        """The declaration with its docstring, as a model and the type checker read it."""
        module = ast.parse(self.source)
        function = module.body[0]
        assert isinstance(function, ast.FunctionDef)
        function.body = [function.body[0], ast.Expr(ast.Constant(...))]
        return ast.unparse(module) + "\n"


@dataclass(frozen=True)
class Library:
    """Skills that were kept."""

    skills: tuple[LearnedSkill, ...] = ()

    def stubs(self) -> str:
        return "\n\n".join(skill.stub for skill in self.skills)

    def prelude(self, code: str) -> str:
        """What has to be defined in the sandbox before this code runs; empty where it uses nothing of it."""
        try:
            used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ""  # the checker has said so
        sources = [skill.source for skill in self.skills if skill.name in used]
        needs_vec = "Vec" in used or any("Vec" in source for source in sources)
        return "\n\n".join([vec.SOURCE] * needs_vec + sources)


EMPTY = Library()


def folder(path: str | Path | None = None) -> Path:
    """Where skills are kept: what is given, or $TOOLWRIGHT_SKILLS, or ~/.toolwright/skills."""
    return Path(path or os.environ.get(FOLDER) or Path.home() / ".toolwright" / "skills").expanduser()


def load(path: Path, registry: Registry | None = None) -> Library:
    """Reads a folder of skills. What is damaged is left out with a warning that names the file and the reason.

    Args:
        path: the folder; it need not be there.
        registry: only skills that call nothing but what is in it; None for all.
    """
    skills: list[LearnedSkill] = []
    for file in sorted(path.glob("*.py")) if path.is_dir() else ():
        try:
            skills.append(_read(file))
        except (LibraryError, OSError, UnicodeDecodeError) as error:
            log.warning("skill library: %s is left out: %s", file, error)
    return Library(tuple(skill for skill in skills if registry is None or skill.calls <= set(registry.names())))


def keep(name: str, record: RunRecord, registry: Registry, path: Path, **about: Any) -> LearnedSkill:
    """Keeps what a run did as a skill.

    Code with one function of its own gives that function; code without any becomes one, with the objects and the
    numbers of its calls as parameters.

    Args:
        name: of the skill.
        record: of the run; it has to have ended well.
        path: folder of the library; made where it is missing.
        about: goes into the proof beside the record, for instance scene and seed.

    Raises:
        LibraryError: the run did not end well, the name is taken or no name, or the code makes no skill.
    """
    if not (record.success and record.status == "done"):
        raise LibraryError(f"{name} is not kept: the run that should prove it ended as '{record.status}'")
    check_name(name, path)
    if record.repairs:
        raise LibraryError(f"{name} is not kept: the run needed a repair, so no single piece of code did all of it")
    if any(skill.edited for skill in record.skills):
        raise LibraryError(f"{name} is not kept: you changed a call, so the code is not what was proved")
    source = _function(name, record.code, record.sentence, registry)
    found = checker.check(f"{source}\n{_example(source)}\n", registry)
    if not found.passed:
        raise LibraryError(f"{name} is not kept: {found}")
    path.mkdir(parents=True, exist_ok=True)
    proof = {"skill": name, "sha256": _digest(source), **about, "record": record.model_dump(mode="json")}
    _write(path / f"{name}.json", json.dumps(proof, indent=1) + "\n")
    _write(path / f"{name}.py", source)
    return _read(path / f"{name}.py")


def check_name(name: str, path: Path) -> None:
    """Whether a skill may have this name.

    Raises:
        LibraryError: says why not.
    """
    plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    if not plain or name.startswith("_") or len(name) > 40:
        raise LibraryError(f"'{name[:60]}' is no name for a skill: up to 40 letters, digits and _, a letter first")
    if name in _taken():
        raise LibraryError(f"'{name}' is the name of a skill or function already; choose another")
    if (path / f"{name}.py").exists():
        raise LibraryError(f"{path / f'{name}.py'} is there already; choose another name, or remove it")


def _shipped() -> frozenset[str]:
    """Names of all skills, whatever is in the hand."""
    jobs = (name for registry in JOB_SKILLS.values() for name in registry.names())
    return frozenset({*SKILLS.names(), *HAND_SKILLS.names(), *jobs})


def _taken() -> frozenset[str]:
    return _shipped() | checker.PURE | checker.TYPES | {"Outcome"}


# -- reading ----------------------------------------------------------------------------------------------------------


def _read(file: Path) -> LearnedSkill:
    if file.stat().st_size > _MAX_FILE:
        raise LibraryError(f"it is larger than {_MAX_FILE} bytes")
    source, proof = file.read_text(encoding="utf-8"), file.with_suffix(".json")
    sentence = _proved(file.stem, source, proof)
    found = checker.read(f"{source}\n{_example(source)}\n", _shipped())
    if not found.passed:
        raise LibraryError(f"it does not pass the check: {found}")
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    if function.name != file.stem or function.name in _taken():
        raise LibraryError(f"it defines {function.name!r}, and its file is named {file.stem!r}")
    doc = ast.get_docstring(function) or ""
    signature = f"{function.name}({ast.unparse(function.args)}) -> Outcome"
    called = {node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
    return LearnedSkill(function.name, signature, doc.splitlines()[0], source, proof, sentence, _shipped() & called)


def _proved(name: str, source: str, proof: Path) -> str:
    """The sentence of the run that proved a skill."""
    if not proof.is_file():
        raise LibraryError(f"there is no {proof.name} beside it, the run that proved it")
    if proof.stat().st_size > _MAX_PROOF:
        raise LibraryError(f"{proof.name} is larger than {_MAX_PROOF} bytes")
    try:
        told = json.loads(proof.read_text(encoding="utf-8"))
        record = RunRecord.model_validate(told["record"])
        digest = told["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LibraryError(f"{proof.name} is damaged ({type(error).__name__})") from error
    if not record.success:
        raise LibraryError(f"the run in {proof.name} did not end well")
    if digest != _digest(source):
        raise LibraryError(f"its text is not what {proof.name} proved; keep it again from a run")
    return record.sentence


def _example(source: str) -> str:
    """A call of the one function in a text, so that the checker sees it used.

    Raises:
        LibraryError: the text is not one function.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LibraryError(f"it cannot be parsed: {error}") from error
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        raise LibraryError("it has to hold one function and nothing else")
    arguments = body[0].args
    samples = {"str": '"x"', "float": "0.1", "int": "1", "bool": "True"}
    given = [
        f"{item.arg}={samples[item.annotation.id]}"
        for item in (*arguments.args, *arguments.kwonlyargs)
        if isinstance(item.annotation, ast.Name) and item.annotation.id in samples
    ]
    return f"{body[0].name}({', '.join(given)})"


# -- writing ----------------------------------------------------------------------------------------------------------


def _function(name: str, code: str, sentence: str, registry: Registry) -> str:
    tree = ast.parse(code)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if len(functions) > 1:
        raise LibraryError(f"{name} is not kept: the code has {len(functions)} functions, a skill is one")
    if functions:
        functions[0].name = name
        return ast.unparse(functions[0]) + "\n"
    calls = [node.value for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    if len(calls) != len(tree.body):
        raise LibraryError(f"{name} is not kept: make it a function in the code, it is more than calls in a row")
    return _parametrized(name, calls, sentence, registry)


def _parametrized(name: str, calls: list[ast.Call], sentence: str, registry: Registry) -> str:
    """A function of straight calls: each object and each number of theirs becomes a parameter."""
    given: dict[str, tuple[str, Any, str]] = {}  # parameter -> type, value, what it is
    objects: dict[str, str] = {}  # object -> parameter
    lines: list[str] = []
    last = len(calls) - 1
    for index, call in enumerate(calls):
        skill = _skill(name, call, registry)
        passed = []
        for item, value in zip(skill.parameters, _values(name, call, skill), strict=True):
            if item.object_name and value in objects:
                passed.append(f"{item.name}={objects[value]}")
                continue
            parameter = item.name if item.name not in given else f"{skill.name}_{item.name}"
            while parameter in given:
                parameter += "_2"
            if item.object_name:
                objects[value] = parameter
            meaning = _meaning(skill, item.name)
            given[parameter] = item.type, value, f"{meaning} In the run: {value!r}."
            passed.append(f"{item.name}={parameter}")
        lines.append(f"    {'return ' if index == last else ''}{skill.name}({', '.join(passed)})")
    required = [f"{key}: {kind}" for key, (kind, _, _) in given.items() if kind == "str"]
    optional = [f"{key}: {kind} = {value!r}" for key, (kind, value, _) in given.items() if kind != "str"]
    ordered = [key for key, (kind, _, _) in given.items() if kind == "str"]
    ordered += [key for key in given if key not in ordered]
    steps = ", then ".join(_skill(name, call, registry).name for call in calls)
    doc = [f"Learned from a run: {steps}.", "", f"Kept from the sentence {_plain(sentence)!r}."]
    doc += ["", "Args:", *(f"    {key}: {given[key][2]}" for key in ordered)] if given else []
    head = f"def {name}({', '.join([*required, *optional])}) -> Outcome: pass"
    module = ast.parse(head)
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    text = "\n    ".join(doc) + "\n    "
    body = ast.parse("def f():\n" + "\n".join(lines)).body[0]
    assert isinstance(body, ast.FunctionDef)
    function.body = [ast.Expr(ast.Constant(text)), *body.body]
    return "\n".join(line.rstrip() for line in ast.unparse(ast.fix_missing_locations(module)).splitlines()) + "\n"


def _skill(name: str, call: ast.Call, registry: Registry) -> Skill:
    called = call.func.id if isinstance(call.func, ast.Name) else ""
    if called not in registry:
        raise LibraryError(f"{name} is not kept: it calls {called!r}; a kept skill calls skills of Toolwright only")
    return registry[called]


def _values(name: str, call: ast.Call, skill: Skill) -> list[Any]:
    try:
        args = tuple(ast.literal_eval(item) for item in call.args)
        kwargs = {item.arg: ast.literal_eval(item.value) for item in call.keywords if item.arg}
        given = skill.bind(args, kwargs)
    except (ValueError, TypeError) as error:
        raise LibraryError(f"{name} is not kept: make it a function in the code: {error}") from error
    return [given[item.name] for item in skill.parameters]


def _meaning(skill: Skill, parameter: str) -> str:
    """What a skill's docstring says of a parameter."""
    for line in skill.description.splitlines():
        head, _, text = line.strip().partition(": ")
        if head == parameter:
            return f"{text[:1].upper()}{text[1:]}"
    return f"As in {skill.name}."


def _plain(text: str, length: int = 120) -> str:
    """Text of others as one harmless line of a docstring."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line.replace("\\", "/").replace('"""', "'''")[:length]


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
