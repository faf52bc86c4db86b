"""Reads scene files. Every complaint names the file, the line, the column, the field and the mend."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from toolwright.sim.scene_check import Path as FieldPath
from toolwright.sim.scene_check import Problem, problems
from toolwright.sim.scene_spec import SHAPES, SceneError, SceneSpec, suggestion


def shipped_scenes() -> dict[str, str]:
    """The scenes that come with Toolwright: name to description."""
    names = sorted(file.name.removesuffix(".yaml") for file in _folder().iterdir() if file.name.endswith(".yaml"))
    return {name: load_scene(name).description for name in names}


def load_scene(path_or_name: str | Path) -> SceneSpec:
    """Reads and checks a scene.

    Args:
        path_or_name: a YAML file, or the name of a shipped scene.

    Raises:
        SceneError: no such scene, or one line for each problem in it.
    """
    path = _find(path_or_name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(f"{path}: cannot be read: {error}") from error
    tree = _parse(path, text)
    try:
        scene = SceneSpec.model_validate(_plain(tree, path.parent))
    except ValidationError as error:
        raise _error(path, tree, (_explain(entry, tree) for entry in error.errors())) from error
    if found := problems(scene):
        raise _error(path, tree, found)
    return scene


def _folder() -> Path:
    return Path(str(resources.files("toolwright.sim") / "scenes"))


def _find(path_or_name: str | Path) -> Path:
    path, shipped = Path(path_or_name), _folder() / f"{path_or_name}.yaml"
    if path.is_file():
        return path
    if path.is_dir():
        raise SceneError(f"{path}: is a folder; give a .yaml file or the name of a shipped scene")
    if Path(path_or_name).name == str(path_or_name) and shipped.is_file():
        return shipped
    known = sorted(file.stem for file in _folder().glob("*.yaml"))
    raise SceneError(
        f"{path_or_name}: no such file, and no shipped scene of this name"
        f"{suggestion(path_or_name, known)} Shipped: {', '.join(known)}"
    )


def _parse(path: Path, text: str) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
        key = str(error.problem).split('"')[1]
        raise SceneError(f"{path}:{line}:{column}: the name '{key}' stands twice; rename or remove one") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SceneError(f"{where}: not valid YAML: {error.problem}") from error
    except (YAMLError, TypeError) as error:  # ruamel raises TypeError for a name that is itself a list or mapping
        raise SceneError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from error
    if tree is None:
        raise SceneError(f"{path}: is empty; a scene needs at least `name: ...`")
    if not isinstance(tree, CommentedMap):
        raise SceneError(f"{path}:1:1: must be a mapping of fields like `name: ...`, is a {type(tree).__name__}")
    return tree


def _plain(node: Any, folder: Path) -> Any:
    """The tree as plain dicts and tuples, mesh files relative to the scene file's folder."""
    if isinstance(node, dict):
        plain = {key: _plain(value, folder) for key, value in node.items()}
        if plain.get("shape") == "mesh" and isinstance(plain.get("file"), str):
            plain["file"] = str((folder / plain["file"]).resolve())
        return plain
    if isinstance(node, list):
        return tuple(_plain(value, folder) for value in node)
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _explain(entry: Any, tree: CommentedMap) -> Problem:
    """A pydantic error as field and plain words."""
    field = _in_file(entry["loc"], tree)
    context, value = entry.get("ctx", {}), entry["input"]
    match entry["type"]:
        case "unknown_field":
            return (*field, context["key"]), context["message"]
        case "missing":
            return field, "is missing"
        case "union_tag_invalid":
            shape = context["tag"]
            return (
                *field,
                "shape",
            ), f"unknown shape '{shape}'{suggestion(shape, list(SHAPES))} Shapes: {', '.join(SHAPES)}"
        case "union_tag_not_found":
            return field, f"shape is missing. Shapes: {', '.join(SHAPES)}"
        case "value_error":
            return field, str(context["error"])
        case "finite_number":
            return field, f"must be a finite number, is {value}"
        case "literal_error":
            expected = context["expected"]
            return field, f"must be {expected}, is {value!r}{suggestion(value, _words(expected))}".removesuffix(".")
        case kind if kind.endswith(("_type", "_parsing")):
            return field, f"must be {_KINDS.get(kind, entry['msg'])}, is {_short(value)}"
        case _:
            message = entry["msg"].removeprefix("Input should be ").removeprefix("Tuple should ")
            return field, f"must be {message}, is {_short(value)}"


_KINDS = {
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list like [x, y]",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of fields",
    "model_attributes_type": "a mapping of fields",
}


def _words(expected: str) -> list[str]:
    return [word.strip("' ") for part in expected.split(" or ") for word in part.split(",")]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _in_file(loc: Iterable[str | int], tree: Any) -> FieldPath:
    """The part of pydantic's location that stands in the file, without names of union branches and shapes."""
    field: list[str | int] = []
    node = tree
    entries = list(loc)
    for i, entry in enumerate(entries):
        if isinstance(node, CommentedMap) and entry in node:
            node = node[entry]
        elif isinstance(node, CommentedSeq) and isinstance(entry, int):
            node = node[entry] if entry < len(node) else None
        elif i == len(entries) - 1 and entry not in SHAPES and isinstance(node, CommentedMap):
            node = None  # a field that is missing
        else:
            continue
        field.append(entry)
    return tuple(field)


def _place(tree: Any, field: FieldPath) -> tuple[int, int]:
    """Line and column, from 1, of a field, or of the deepest of its parents that stands in the file."""
    line, column = tree.lc.line, tree.lc.col
    for entry in field:
        # Of what came in through a YAML merge the place is not known.
        mark = (tree.lc.data or {}).get(entry) if isinstance(tree, CommentedMap | CommentedSeq) else None
        if mark is None:
            break
        line, column = mark[:2]
        tree = tree[entry]
    return line + 1, column + 1


def _error(path: Path, tree: CommentedMap, found: Iterable[Problem]) -> SceneError:
    lines = {f"{'.'.join(map(str, field)) or 'scene'}: {message}": _place(tree, field) for field, message in found}
    ordered = sorted(lines.items(), key=lambda item: item[1])
    return SceneError("\n".join(f"{path}:{line}:{column}: {text}" for text, (line, column) in ordered))
