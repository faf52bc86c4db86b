"""Episodes on disk, one JSON line each, so that an evaluation that was interrupted goes on where it stood."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from toolwright.llm_planner.evaluation.episode import Episode
from toolwright.policies.evaluation.scene_goals import fingerprint

# What decides how an episode ends. The scene is counted by itself: another task's scene changes nothing.
_PARTS = ("hardware", "sim", "perception", "policies", "llm_planner")
_KINDS = (".py", ".md", ".npz", ".safetensors", ".json")


class Key(BaseModel):
    """What made an episode; where all of it is the same, the episode need not be run again."""

    model_config = ConfigDict(frozen=True)

    version: str  # of the code, its prompts, grasps and weights
    model: str
    scene: str  # fingerprint of the task's scene


class _Line(Key):
    episode: Episode


class Kept:
    """The episodes of one folder.

    Args:
        path: of the file; it is made with the first episode.
        model: name of the model that fills the roles.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path = path
        self._model = model

    def key(self, task: str) -> Key:
        """The key of a task's episodes with the code as it is now."""
        return Key(version=version(), model=self._model, scene=fingerprint(task))

    def load(self, task: str) -> dict[tuple[str, int], Episode]:
        """The episodes of a task that need not be run again, by roles and seed. Unreadable lines are left out."""
        wanted = self.key(task).model_dump()
        found = (line for line in self._lines() if line.episode.task == task)
        return {
            (it.episode.roles, it.episode.seed): it.episode
            for it in found
            if it.model_dump(include={*wanted}) == wanted
        }

    def add(self, episode: Episode) -> None:
        """Appends an episode."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = _Line(**self.key(episode.task).model_dump(), episode=episode)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")

    def _lines(self) -> Iterator[_Line]:
        if not self.path.is_file():
            return
        for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield _Line.model_validate_json(text)
            except ValidationError:
                continue  # cut off by a power cut, or of an older form


@cache
def version() -> str:
    """A hash over everything but the scenes that decides how an episode ends."""
    total = hashlib.sha256()
    for part in _PARTS:
        for path, content in sorted(_contents(files(f"toolwright.{part}"), part)):
            total.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()[:12]


def _contents(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.is_dir() and not item.name.startswith(("_", ".")):
            yield from _contents(item, f"{path}/{item.name}")
        elif item.name.endswith(_KINDS):
            yield f"{path}/{item.name}", item.read_bytes()
