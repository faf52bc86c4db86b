"""The wheel and the editable install give `toolwright.<folder>`, with all data, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FOLDERS = list(CONFIG["package-dir"].values())
PLACES = "import importlib, sys\nfor name in sys.argv[1:]: print([*importlib.import_module(name).__path__][0])"
DATA = {".md", ".tcss", ".yaml", ".json", ".npz", ".obj", ".onnx", ".safetensors"}


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Standard output of a command, started away from the repository."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shipped() -> set[str]:
    """Files of the package folders, as they should be named in the wheel."""
    files = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in DATA | {".py"})
    return {f"toolwright/{file.relative_to(ROOT).as_posix()}" for file in files}


def test_every_folder_with_python_in_it_is_a_package():
    folders = {name.rpartition("/")[0].replace("/", ".") for name in shipped() if name.endswith(".py")}
    assert folders == set(CONFIG["packages"]), "correct `packages` in pyproject.toml"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built offline from a copy: a build leaves its files beside the sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, source)
    run(sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})", cwd=source)
    return next(out.glob("toolwright-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("target")
    command = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    run(sys.executable, "-m", *command, cwd=target)
    return target


def test_wheel_holds_only_toolwright(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert len(tops) == 2 and "toolwright" in tops
    assert any(name.startswith("toolwright-") and name.endswith(".dist-info") for name in tops)


def test_wheel_holds_every_module_and_every_data_file(wheel):
    missing = shipped() - set(zipfile.ZipFile(wheel).namelist())
    assert not missing, f"not in the wheel, see [tool.setuptools] in pyproject.toml: {sorted(missing)}"


def test_wheel_has_no_file_that_is_not_in_the_sources(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("toolwright/")}
    assert inside <= shipped()


def test_installed_wheel_works_away_from_the_repository(installed, tmp_path):
    lines = run(sys.executable, "-c", PLACES, *CONFIG["packages"], cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert len(lines) == len(CONFIG["packages"])
    assert all(line.startswith(str(installed / "toolwright")) for line in lines), lines
    assert not [entry for entry in installed.iterdir() if entry.name in {*FOLDERS, "tests", "tools"}]


def test_installed_wheel_has_the_command(installed, tmp_path):
    text = run(sys.executable, installed / "bin/toolwright", "list", "scenes", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "bead" in text


def test_editable_install_reads_the_sources_from_any_folder(tmp_path):
    lines = run(sys.executable, "-c", PLACES, *CONFIG["packages"], cwd=tmp_path).splitlines()
    folders = [name.removeprefix("toolwright.").replace(".", "/") for name in CONFIG["packages"]]
    assert lines == [str(ROOT / folder) for folder in folders]


def test_editable_install_puts_nothing_else_into_site_packages(tmp_path):
    files = "from importlib.metadata import files; print(*{file.parts[0] for file in files('toolwright')})"
    names = set(run(sys.executable, "-c", files, cwd=tmp_path).split()) - {".."}  # the command is in ../../../bin
    assert names and all(name.startswith(("toolwright-", "__editable__", "__pycache__")) for name in names), names
    code = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
    assert run(sys.executable, "-c", code, *FOLDERS, "tests", "tools", cwd=tmp_path).strip() == "[]"


def test_launch_folder_does_not_shadow_the_launch_of_ros(tmp_path):
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch/__init__.py").write_text("ROS = True\n")
    code = "import launch; print(launch.__file__)"
    found = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(tmp_path))
    assert Path(found.strip()) == tmp_path / "launch/__init__.py"


def test_every_pinned_version_satisfies_the_project():
    """A constraint that contradicts pyproject.toml would stop every fresh install."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if not line.startswith("#"))
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins[wanted.name.lower()]), f"requirements.lock does not satisfy {text}"
