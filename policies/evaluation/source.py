"""Which version of code and data an episode came from, so that results are kept only as long as they hold."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def digest(places: Iterable[str], also: str = "") -> str:
    """A short digest of what files do, and of a text.

    Args:
        places: of the files, from the folder that holds the packages.
        also: for instance a configuration.
    """
    found = hashlib.sha256(also.encode())
    for place in places:
        found.update(meaning(ROOT / place))
    return found.hexdigest()[:12]


def meaning(file: Path) -> bytes:
    """What a file does: of a module its statements, without comments and docstrings."""
    if file.suffix != ".py":
        return file.read_bytes()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [x for x in node.body if not (isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant))]
    return ast.dump(tree).encode()
