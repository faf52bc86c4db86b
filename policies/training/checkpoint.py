"""Training checkpoints that survive a kill at any moment: written aside, flushed, then renamed over the old one.

The one before is kept, so a damaged newest file costs a few seconds of training, never all of it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

NEWEST, BEFORE = "checkpoint.pkl", "checkpoint.before.pkl"
_DIGEST = hashlib.sha256().digest_size


class CheckpointError(ValueError):
    """No checkpoint that can be read."""


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint atomically; the previous one becomes the fallback."""
    folder.mkdir(parents=True, exist_ok=True)
    content = pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL)
    temporary = folder / f".{NEWEST}.tmp"
    with open(temporary, "wb") as file:
        file.write(hashlib.sha256(content).digest() + content)
        file.flush()
        os.fsync(file.fileno())
    if (folder / NEWEST).exists():
        # A link, not a rename: at every moment at least one of the two names is a whole file.
        spare = folder / f".{BEFORE}.tmp"
        spare.unlink(missing_ok=True)
        os.link(folder / NEWEST, spare)
        os.replace(spare, folder / BEFORE)
    os.replace(temporary, folder / NEWEST)


def load(folder: Path) -> dict[str, Any]:
    """The newest whole checkpoint. Only for files of one's own: unpickling runs code.

    Raises:
        CheckpointError: there is none.
    """
    damaged: list[Path] = []
    for path in (folder / NEWEST, folder / BEFORE):
        if not path.exists():
            continue
        raw = path.read_bytes()
        if hashlib.sha256(raw[_DIGEST:]).digest() == raw[:_DIGEST]:
            if damaged:
                log.warning("%s is damaged; going on from %s", damaged[0], path)
            return pickle.loads(raw[_DIGEST:])  # type: ignore[no-any-return]
        damaged.append(path)
    if damaged:
        raise CheckpointError(f"{' and '.join(map(str, damaged))} damaged: start the training anew without --resume")
    raise CheckpointError(f"no checkpoint in {folder}: there is nothing to resume; start without --resume")
