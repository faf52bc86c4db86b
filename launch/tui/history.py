"""Sentences that were typed before, in a file of the user's."""

from __future__ import annotations

import json
import os
from pathlib import Path

KEPT = 500  # sentences


def default_path() -> Path:
    """Where the history stands: the user's folder for state."""
    folder = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(folder) / "toolwright" / "history"


class History:
    """One JSON string a line, the latest last. Without a file that can be written it lasts as long as the program.

    Args:
        path: of the file, its folder is made; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.trouble = ""  # why the file cannot be used
        self._lines = self._read()
        self._at = len(self._lines)
        self._draft = ""

    def add(self, sentence: str) -> None:
        """Keeps a sentence, unless it is the one before it."""
        if sentence and self._lines[-1:] != [sentence]:
            self._lines = [*self._lines, sentence][-KEPT:]
            self._write()
        self._at, self._draft = len(self._lines), ""

    def earlier(self, typed: str) -> str:
        """The sentence before the one that is shown; `typed` is what stands in the line now."""
        if self._at == len(self._lines):
            self._draft = typed
        self._at = max(self._at - 1, 0)
        return self._lines[self._at] if self._lines else typed

    def later(self, typed: str) -> str:
        """The sentence after it, and at the end what was being typed."""
        if self._at >= len(self._lines):
            return typed
        self._at += 1
        return self._lines[self._at] if self._at < len(self._lines) else self._draft

    def _read(self) -> list[str]:
        if self.path is None:
            return []
        if self.path.exists() and not self.path.is_file():
            self.trouble, self.path = f"{self.path} is no plain file", None
            return []
        try:
            lines = [_parsed(line) for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines()]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or error}"
            return []
        return [line for line in lines if line][-KEPT:]

    def _write(self) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self._lines)
            new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            new.touch(mode=0o600)  # what one tells a robot may be private
            new.write_text(text, encoding="utf-8")
            new.replace(self.path)
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or error}"


def _parsed(line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""
