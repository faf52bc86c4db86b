"""Which folder may import which, and how long the command takes to start."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "hardware": {"hardware"},
    "sim": {"hardware", "sim"},
    "perception": {"hardware", "perception"},
    "policies": {"hardware", "sim", "perception", "policies"},
    "llm_planner": {"hardware", "perception", "policies", "llm_planner"},
    "launch": {"hardware", "sim", "perception", "policies", "llm_planner", "launch"},
}
# The values of a seam belong to both its sides: the simulation hands out what perception would have seen.
SEAMS = {"sim": {"toolwright.perception.scene"}}
# Scripts that make training data for perception may look into the simulation.
DATA_SCRIPTS = "perception/generate_*.py"
HEAVY = {"torch", "mujoco", "open3d", "rclpy", "stable_baselines3", "scipy", "matplotlib", "hydra", "numpy"}
HEAVY |= {"numba", "pydantic"}
SECONDS = 0.5


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(file: Path, *, top: bool = False) -> Iterator[str]:
    """Dotted names that a file imports, in functions too unless `top`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the import with its full name"
            # `from toolwright import sim` names a folder as well.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_arrows_between_folders_run_one_way(folder):
    for file in sources(folder):
        allowed = MAY_IMPORT[folder] | ({"sim"} if file.relative_to(ROOT).match(DATA_SCRIPTS) else set())
        names = {name for name in imports(file) if name.startswith("toolwright.")}
        names = {name for name in names if not any(name.startswith(f"{seam}.") for seam in SEAMS.get(folder, ()))}
        used = {name.split(".")[1] for name in names}
        assert used <= allowed, f"{file.relative_to(ROOT)} must not import {sorted(used - allowed)}"


@pytest.mark.parametrize("folder", [*MAY_IMPORT, "tests", "tools"])
def test_nobody_imports_a_bare_folder(folder):
    for file in sources(folder):
        bare = {name.split(".")[0] for name in imports(file)} & {*MAY_IMPORT, "tests"}
        assert not bare, (
            f"{file.relative_to(ROOT)}: import toolwright.{bare.pop()}, or there are two copies of one module"
        )


def test_hardware_needs_only_numpy_to_be_imported():
    for file in sources("hardware"):
        others = {name.split(".")[0] for name in imports(file, top=True)} - sys.stdlib_module_names
        assert others <= {"numpy", "toolwright"}, f"{file.relative_to(ROOT)} imports {others} at its top"


def test_every_folder_of_the_design_is_there():
    assert all(sources(folder) for folder in MAY_IMPORT)


@pytest.mark.parametrize(
    "command",
    [["-c", "import toolwright.launch.cli"], [str(Path(sys.executable).with_name("toolwright")), "--help"]],
    ids=["import", "help"],
)
def test_the_command_starts_fast(command, tmp_path):
    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=tmp_path, check=True, capture_output=True)
        return time.perf_counter() - start

    # The best of several: a busy machine slows some of them, not what is measured.
    assert min(seconds() for _ in range(5)) < SECONDS


@pytest.mark.parametrize("words", ["--help", "do --help", "train --help", "list --help"])
def test_help_loads_nothing_heavy(words, tmp_path):
    code = (
        "import sys; from toolwright.launch.cli import main\n"
        f"try: main({words.split()!r})\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "toolwright.launch.cli" in done.stderr.split()
    assert not HEAVY & set(done.stderr.split())
