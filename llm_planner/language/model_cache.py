"""Answers of a language model by a hash of what it was asked: kept in a folder, replayed from a folder or a record."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from toolwright.llm_planner.roles import RoleError
from toolwright.llm_planner.usage import Exchange

Message = tuple[str, str]  # who speaks, text


class ModelError(RoleError):
    """A language model that cannot be used, or that gave no usable answer; the message says how to mend it."""


class Stored(BaseModel):
    """One answered request, as it lies in a folder."""

    model_config = ConfigDict(frozen=True)

    model: str
    messages: tuple[Message, ...]
    exchange: Exchange


class Answers(Protocol):
    """Where an answer may be found before the model is asked."""

    strict: bool  # an answer that is not there is an error, and no model is asked

    def get(self, key: str) -> Exchange | None: ...
    def put(self, stored: Stored) -> None: ...
    def forget(self, keys: Sequence[str]) -> None: ...


def key_of(model: str, messages: Sequence[Message], schema: Mapping[str, Any]) -> str:
    """Hash of what a model is asked."""
    text = json.dumps([model, list(messages), schema], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def default_folder() -> Path:
    """Where answers are kept where the user names no other place."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "toolwright" / "answers"


class NoCache:
    """Keeps nothing."""

    strict = False

    def get(self, key: str) -> Exchange | None:
        return None

    def put(self, stored: Stored) -> None:
        pass

    def forget(self, keys: Sequence[str]) -> None:
        pass


class Cache:
    """A folder with one file for each answer. A file that cannot be read counts as none; keeping one is never fatal."""

    strict = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Exchange | None:
        try:
            stored = Stored.model_validate_json((self._folder / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None
        return stored.exchange if stored.exchange.key == key else None

    def put(self, stored: Stored) -> None:
        try:
            # Prompts hold what the user typed and owns.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(stored.model_dump_json(indent=1))
            os.replace(name, self._folder / f"{stored.exchange.key}.json")
        except OSError:
            return

    def forget(self, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(OSError):
                (self._folder / f"{key}.json").unlink()


class Replay:
    """The answers of an earlier run, from its JSON record or from a folder of a cache.

    Attributes:
        model: that gave the answers.

    Raises:
        ModelError: there are no answers in it, or answers of several models and `model` does not say which.
    """

    strict = True

    def __init__(self, path: str, model: str = "") -> None:
        self._path = path
        answers = _folder(Path(path)) if Path(path).is_dir() else _record(Path(path))
        models = sorted({name for name, _ in answers})
        if not models:
            raise ModelError(
                f"{path} holds no answers of a language model: give the --json record of such a run, or a cache"
            )
        if not model and len(models) > 1:
            raise ModelError(f"{path} holds answers of {', '.join(models)}: say which with --model")
        if model and model not in models:
            raise ModelError(f"{path} holds no answers of {model}, but of {', '.join(models)}")
        self.model = model or models[0]
        self._answers = {item.key: item for name, item in answers if name == self.model}

    def get(self, key: str) -> Exchange | None:
        return self._answers.get(key)

    def put(self, stored: Stored) -> None:
        pass

    def forget(self, keys: Sequence[str]) -> None:
        pass

    def missing(self, role: str) -> ModelError:
        """What to say where an answer is not there."""
        return ModelError(
            f"{self._path} has no answer to what the {role} is asked now, so the run cannot be repeated: give the same "
            "sentence, scene, seed and roles as then, or run without --replay"
        )


def _folder(path: Path) -> list[tuple[str, Exchange]]:
    found = []
    for file in sorted(path.glob("*.json")):
        try:
            stored = Stored.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue
        found.append((stored.model, stored.exchange))
    return found


class _Used(BaseModel):
    exchanges: tuple[Exchange, ...] = ()


class _Record(BaseModel):
    """What a replay reads of a run's record."""

    model: str
    usage: _Used = _Used()


def _record(path: Path) -> list[tuple[str, Exchange]]:
    try:
        record = _Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    except ValidationError as error:
        raise ModelError(f"{path} is no record of a run: give what --json wrote, or the folder of a cache") from error
    return [(record.model, exchange) for exchange in record.usage.exchanges]
