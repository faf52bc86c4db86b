"""Small networks of the hand on disk: arrays in half precision, and a card that says where they come from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwright.policies.weights import WeightsError

WHOLE = ("mean", "scale")  # what keeps single precision


def save(folder: Path, name: str, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> None:
    """Writes `NAME.safetensors` and `card.json`, each atomically."""
    from safetensors.numpy import save as encode

    folder.mkdir(parents=True, exist_ok=True)
    short = {
        key: np.ascontiguousarray(value, dtype=np.float32 if key in WHOLE else np.float16)
        for key, value in arrays.items()
    }
    for file, data in (
        (f"{name}.safetensors", encode(short)),
        ("card.json", (json.dumps(dict(card), indent=1) + "\n").encode()),
    ):
        temporary = folder / f".{file}.tmp"
        temporary.write_bytes(data)
        os.replace(temporary, folder / file)


def load(folder: Path, name: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """What `save` wrote, in single precision.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(folder / f"{name}.safetensors")
        card = json.loads((folder / "card.json").read_text())
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"no {name} in {folder}: {error}") from error
    return {key: value.astype(np.float32) for key, value in tensors.items()}, card


def elu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The networks' nonlinearity."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
