"""Recordings as a LeRobot dataset, format v3.0: parquet tables and a few JSON files, written without LeRobot itself."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware.mcap_log import Recording, RecordingError, decode_color

HINT = "pyarrow is not installed; get it with: .venv/bin/pip install -e '.[lerobot]'"
VERSION = "v3.0"
_CAMERA = "observation.images.camera"
_VECTORS = {"observation.state": "q", "observation.velocity": "dq", "observation.effort": "effort"}
_SAMPLED = 50  # images that statistics are made of
_NUMBERS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
_NUMBERS |= {"task_index": "int64"}
_PATH = "chunk-{chunk_index:03d}/file-{file_index:03d}"


@dataclass
class Episode:
    """One recording, frame by frame."""

    task: str
    columns: dict[str, np.ndarray]  # (T, ...) float32
    images: list[dict[str, Any]] = field(default_factory=list)  # of each frame, the newest then; as recorded
    gaps: int = 0  # times at which frames are missing between two


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: str
    episodes: int
    frames: int
    fps: int
    tasks: list[str]
    gaps: int


def export(recordings: list[Recording], folder: Path, task: str = "", images: bool = False) -> Exported:
    """Writes a dataset with one episode for each recording.

    Args:
        recordings: of one robot.
        folder: new, or empty.
        task: said of every episode; by default its sentence.
        images: with the camera's color images; between two images the older one is repeated.

    Raises:
        RecordingError: recordings of different robots, without commands, or without images where they are asked for.
        FileExistsError: the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(17, "the folder is not empty", str(folder))
    joints, period = (recordings[0].about[key] for key in ("joints", "period"))
    for recording in recordings:
        if recording.about["joints"] != joints or recording.about["period"] != period:
            raise RecordingError(f"{recording.path} is of another robot than {recordings[0].path}: export them apart")
    fps = round(1 / period)
    episodes = [_episode(recording, task, images, period) for recording in recordings]
    tasks = list(dict.fromkeys(episode.task for episode in episodes))
    features = _features(joints, episodes[0], fps)
    rows, lengths = _rows(episodes, tasks, fps), [len(episode.columns["action"]) for episode in episodes]
    _write_tables(folder, rows, features, episodes, tasks, lengths)
    info = {
        "codebase_version": VERSION,
        "robot_type": recordings[0].about.get("robot", "toolwright"),
        "total_episodes": len(episodes),
        "total_frames": sum(lengths),
        "total_tasks": len(tasks),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": f"data/{_PATH}.parquet",
        "video_path": None,
        "features": features,
    }
    _write_json(folder / "meta/info.json", info)
    statistics = {name: _statistics(values) for name, values in _numeric(rows).items()}
    if images:
        statistics[_CAMERA] = _image_statistics([image for episode in episodes for image in episode.images])
    _write_json(folder / "meta/stats.json", statistics)
    return Exported(str(folder), len(episodes), sum(lengths), fps, tasks, sum(episode.gaps for episode in episodes))


def _episode(recording: Recording, task: str, images: bool, period: float) -> Episode:
    states = {entry.stamp: entry.value for entry in recording.of("/state")}
    commands = [entry for entry in recording.of("/command") if entry.stamp in states]
    if not commands:
        raise RecordingError(f"{recording.path} has no commands: nothing can be learned from it")
    columns = {
        name: np.array([states[entry.stamp][key] for entry in commands], dtype=np.float32)
        for name, key in _VECTORS.items()
    }
    columns["action"] = np.array([entry.value["sent"] for entry in commands], dtype=np.float32)
    stamps = np.array([entry.stamp for entry in commands])
    said = [event.value["sentence"] for event in recording.of("/event") if event.value["kind"] == "Asked"]
    episode = Episode(task or (said[0] if said else "teleoperation"), columns)
    episode.gaps = int((np.diff(stamps) > 1.5 * period).sum())
    if images:
        colors = recording.of("/camera/color")
        if not colors:
            raise RecordingError(f"{recording.path} has no images: export it without --images")
        newest = np.maximum(np.searchsorted([entry.stamp for entry in colors], stamps, side="right") - 1, 0)
        episode.images = [colors[i].value for i in newest]
    return episode


def _features(joints: list[str], episode: Episode, fps: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [len(joints)], "names": joints} for name in episode.columns
    }
    if episode.images:
        shape = list(decode_color(episode.images[0]).shape)
        features[_CAMERA] = {"dtype": "image", "shape": shape, "names": ["height", "width", "channels"]}
    features |= {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in _NUMBERS.items()}
    return {name: {**described, "fps": fps} for name, described in features.items()}


def _rows(episodes: list[Episode], tasks: list[str], fps: int) -> dict[str, Any]:
    rows: dict[str, Any] = {
        name: np.concatenate([episode.columns[name] for episode in episodes]) for name in episodes[0].columns
    }
    lengths = [len(episode.columns["action"]) for episode in episodes]
    frame = np.concatenate([np.arange(length) for length in lengths])
    rows["timestamp"] = (frame / fps).astype(np.float32)
    rows["frame_index"] = frame
    rows["episode_index"] = np.repeat(np.arange(len(episodes)), lengths)
    rows["index"] = np.arange(sum(lengths))
    rows["task_index"] = np.repeat([tasks.index(episode.task) for episode in episodes], lengths)
    if episodes[0].images:
        rows[_CAMERA] = [
            {"bytes": base64.b64decode(image["data"]), "path": None} for one in episodes for image in one.images
        ]
    return rows


def _write_tables(
    folder: Path,
    rows: dict[str, Any],
    features: dict[str, Any],
    episodes: list[Episode],
    tasks: list[str],
    lengths: list[int],
) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise RecordingError(HINT) from error

    def write(table: Any, where: str) -> None:
        path = folder / where
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    kinds = {"float32": pa.float32(), "int64": pa.int64()}
    arrays = {}
    for name, values in rows.items():
        if name == _CAMERA:
            arrays[name] = pa.array(values, type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        elif values.ndim == 2:
            arrays[name] = pa.array(list(values), type=pa.list_(pa.float32(), values.shape[1]))
        else:
            arrays[name] = pa.array(values, type=kinds[features[name]["dtype"]])
    write(pa.table(arrays), f"data/{_PATH.format(chunk_index=0, file_index=0)}.parquet")

    ends = np.cumsum(lengths)
    about: dict[str, Any] = {
        "episode_index": list(range(len(episodes))),
        "tasks": [[episode.task] for episode in episodes],
        "length": lengths,
        "data/chunk_index": [0] * len(episodes),
        "data/file_index": [0] * len(episodes),
        "dataset_from_index": (ends - lengths).tolist(),
        "dataset_to_index": ends.tolist(),
        "meta/episodes/chunk_index": [0] * len(episodes),
        "meta/episodes/file_index": [0] * len(episodes),
    }
    for name, values in _numeric(rows).items():
        parts = [_statistics(values[end - length : end]) for length, end in zip(lengths, ends, strict=True)]
        about |= {f"stats/{name}/{key}": [part[key] for part in parts] for key in parts[0]}
    if episodes[0].images:
        parts = [_image_statistics(episode.images) for episode in episodes]
        about |= {f"stats/{_CAMERA}/{key}": [part[key] for part in parts] for key in parts[0]}
    write(pa.table(about), f"meta/episodes/{_PATH.format(chunk_index=0, file_index=0)}.parquet")

    # LeRobot reads the tasks' names as the index of a pandas table.
    table = pa.table({"task_index": list(range(len(tasks))), "__index_level_0__": tasks})
    columns = [
        {"name": name, "field_name": field_name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, field_name, kind, numpy in (
            ("task_index", "task_index", "int64", "int64"),
            (None, "__index_level_0__", "unicode", "object"),
        )
    ]
    index = {"index_columns": ["__index_level_0__"], "column_indexes": [], "columns": columns}
    index["pandas_version"] = "2.0.0"  # type: ignore[assignment]
    write(table.replace_schema_metadata({"pandas": json.dumps(index)}), "meta/tasks.parquet")


def _numeric(rows: dict[str, Any]) -> dict[str, np.ndarray]:
    """(T, n) each: all but the images."""
    return {name: values.reshape(len(values), -1) for name, values in rows.items() if name != _CAMERA}


def _statistics(values: np.ndarray) -> dict[str, list[Any]]:
    values = values.astype(np.float64)
    return {
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
        "mean": values.mean(axis=0).tolist(),
        "std": values.std(axis=0).tolist(),
        "count": [len(values)],
    }


def _image_statistics(images: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """By channel, 0 to 1, each as (3, 1, 1); of a few images and a few of their pixels."""
    picked = [images[i] for i in np.unique(np.linspace(0, len(images) - 1, _SAMPLED).astype(int))]
    pixels = np.concatenate([decode_color(image)[::8, ::8].reshape(-1, 3) for image in picked]) / 255
    by_channel = _statistics(pixels)
    shaped = {key: np.reshape(values, (3, 1, 1)).tolist() for key, values in by_channel.items() if key != "count"}
    return {**shaped, "count": [len(picked)]}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=4) + "\n", encoding="utf-8")
