"""What `--json FILE` writes: one model per command. `toolwright list schema` prints the JSON schema of all of them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from toolwright.launch.errors import FAILED, INTERRUPTED, WRONG_USE, UserError
from toolwright.llm_planner.run.record import RunRecord
from toolwright.policies.revision import revision

Interval = tuple[float, float]


class Record(BaseModel):
    """Base of everything that is written: unknown fields are an error, so that the schema stays true."""

    model_config = ConfigDict(extra="forbid")


class Result(Record):
    """The fields that every result has; the command line fills in all but `command`."""

    command: str
    version: str = Field(default="", description="of Toolwright")
    revision: str | None = Field(
        default=None, description="git revision, with '+' after local changes; null outside git"
    )
    seed: int | None = Field(default=None, description="of all randomness; null where there is none")
    seconds: float = Field(default=0.0, description="s of wall-clock time that the command took")

    @property
    def exit_code(self) -> int:
        return 0


class DoResult(Result, RunRecord):
    """`toolwright do`: the record of one sentence, carried out or refused."""

    command: Literal["do"] = "do"
    scene: str
    video: str | None = None
    recording: str | None = None

    @property
    def exit_code(self) -> int:
        return {"done": 0, "rehearsed": 0, "refused": WRONG_USE, "stopped": INTERRUPTED}.get(self.status, FAILED)


class Failure(Record):
    """One failed episode."""

    seed: int
    cause: str
    measured: dict[str, float] = {}


class Group(Record):
    """The episodes of one condition, for instance hard randomization, one tool, or the baseline."""

    name: str
    n: int
    successes: int
    success_rate: float
    interval_95: Interval = Field(description="Wilson interval of the success rate")
    measured: dict[str, float] = Field(default={}, description="further measurements, for instance the drop rate")


class EvalResult(Result):
    """`toolwright eval`: many episodes, counted."""

    command: Literal["eval"] = "eval"
    task: str
    n: int
    successes: int
    success_rate: float
    interval_95: Interval = Field(description="Wilson interval of the success rate")
    target: float = Field(description="the success rate to reach")
    passed: bool = Field(description="every target was reached; if not, the command exits with 1")
    groups: list[Group] = Field(default=[], description="the same by condition; baselines stand here too")
    failures: list[Failure]

    @property
    def exit_code(self) -> int:
        return 0 if self.passed else FAILED


class BenchResult(Result):
    """`toolwright bench`: how fast worlds step together, what sandbox and gate cost, how well the camera sees."""

    command: Literal["bench"] = "bench"
    benchmark: str
    envs: int | None = Field(default=None, description="throughput: worlds stepped together")
    rate: float | None = Field(default=None, description="control steps/s of the batched environment")
    physics_rate: float | None = Field(default=None, description="control steps/s of physics alone, in the same run")
    ratio_to_physics: float | None = None
    subproc_rate: float | None = Field(default=None, description="control steps/s of SubprocVecEnv")
    dummy_rate: float | None = Field(default=None, description="control steps/s of DummyVecEnv")
    gpu_device: str | None = Field(default=None, description="name of the GPU; none: not measured")
    gpu_envs: int | None = Field(default=None, description="worlds stepped together on it")
    gpu_rate: float | None = Field(default=None, description="control steps/s of the batched environment on it")
    gpu_physics_rate: float | None = Field(default=None, description="control steps/s of physics with its transfers")
    calls: int | None = Field(default=None, description="gate: calls measured")
    overhead: float | None = Field(default=None, description="s of sandbox and gate per call, mean")
    overhead_p95: float | None = Field(default=None, description="s, 95th percentile")
    things: int | None = Field(default=None, description="seeing: things in all scenes")
    found: int | None = None
    invented: int | None = None
    mistaken: int | None = Field(default=None, description="found, with another shape or color")
    position_error: dict[str, float] | None = Field(default=None, description="m on average, by shape")
    size_error: dict[str, float] | None = Field(default=None, description="m on average, by shape")


class TrainResult(Result):
    """`toolwright train`."""

    command: Literal["train"] = "train"
    task: str
    steps: int = Field(description="environment steps since the start of the training, resumes included")
    success_rate: float | None = None
    folder: str = Field(description="with checkpoints, TensorBoard files and videos")


class TransferResult(Result):
    """`toolwright transfer`: environment steps until a tool is learned, after the other tools and from nothing."""

    command: Literal["transfer"] = "transfer"
    tool: str
    seeds: int
    steps: dict[str, float] = Field(description="to 90 % of what learning from nothing gains in return; inf: never")
    ratio: float = Field(description="how many times fewer steps the shared policy needs")
    folder: str = Field(description="with curves.csv and curves.png")


class GraspResult(Result):
    """`toolwright grasp`: grasps found for a family of tools."""

    command: Literal["grasp"] = "grasp"
    family: str
    n: int = Field(description="perturbed tests of the best grasp")
    held: int
    success_rate: float
    interval_95: Interval
    file: str | None = Field(default=None, description="where the grasp was written")


class CalibrateResult(Result):
    """`toolwright calibrate`; lengths in m, angles in rad."""

    command: Literal["calibrate"] = "calibrate"
    what: str
    file: str | None = Field(default=None, description="what was written, or checked against")
    views: int = 0
    left_out: list[int] = Field(default=[], description="views that do not fit the others")
    T_base_cam: list[list[float]] | None = None
    position_std: float | None = None
    angle_std: float | None = None
    position_error: float | None = Field(default=None, description="against the truth, in a rehearsal")
    angle_error: float | None = None
    mean_error: float | None = Field(default=None, description="of a check: the board's middle, or the fingertips")
    max_error: float | None = None
    joints: dict[str, float] = Field(default={}, description="what the zeros in use say in the reference pose")


class TeleopResult(Result):
    """`toolwright teleop`."""

    command: Literal["teleop"] = "teleop"
    robot: str
    ticks: int = Field(description="control periods")
    stops: int = Field(description="emergency stops")
    late: int = Field(description="control periods that began more than a half too late")
    recording: str | None = None
    video: str | None = None


class ExportResult(Result):
    """`toolwright export`."""

    command: Literal["export"] = "export"
    folder: str
    episodes: int
    frames: int
    fps: int
    tasks: list[str]
    gaps: int = Field(description="times at which frames are missing between two")


class PolicyAgain(Record):
    """A policy that was asked again what it was asked when it was recorded."""

    steps: int
    largest: float = Field(description="rad, largest difference of a target")
    rms: float = Field(description="rad")
    worst_joint: str
    notes: list[str]
    same: bool = Field(description="every target to the last bit")


class ReplayResult(Result):
    """`toolwright replay`."""

    command: Literal["replay"] = "replay"
    file: str
    seconds: float = Field(description="s of robot time in the recording")
    complete: bool = Field(description="false where the recording was cut short")
    topics: dict[str, int] = Field(description="messages of each topic")
    sentence: str
    status: str
    reason: str
    skills: list[str]
    gate: dict[str, int] = Field(description="how often each limit of the safety gate acted")
    stops: list[str]
    tracking: float = Field(description="rad, largest distance of a joint from its target")
    fastest: float = Field(description="rad/s")
    policy: PolicyAgain | None = None

    @property
    def exit_code(self) -> int:
        return 0 if self.policy is None or self.policy.same else FAILED


class RosResult(Result):
    """`toolwright ros`."""

    command: Literal["ros"] = "ros"
    action: str
    status: str = Field(description="done; for 'do' the status of the task")
    reason: str = ""
    sentence: str = ""
    items: list[dict[str, JsonValue]] = Field(default=[], description="processes of a graph, or topics and services")

    @property
    def exit_code(self) -> int:
        return {"done": 0, "refused": WRONG_USE, "stopped": INTERRUPTED}.get(self.status, FAILED)


class ConsoleResult(Result):
    """`toolwright console`: the records of all sentences of one sitting."""

    command: Literal["console"] = "console"
    scene: str
    model: str
    runs: list[RunRecord]


class ServeResult(Result):
    """`toolwright serve`: what clients did."""

    command: Literal["serve"] = "serve"
    scene: str
    transport: str
    calls: int = Field(description="of tools, by all clients")
    motions: int = Field(description="skills that were started")
    stopped: int = Field(description="skills that a cancel or a stop ended")


class ObjectsResult(Result):
    """`toolwright objects`: shapes to turn in the hand."""

    command: Literal["objects"] = "objects"
    train: int = Field(description="shapes for training")
    held_out: int
    families: list[str]
    files: list[str]


class PlanDataResult(Result):
    """`toolwright plan-data`: labels of a planner, in shards."""

    command: Literal["plan-data"] = "plan-data"
    shards: int
    labels: int
    settled: int = Field(description="goals settled in the shards made by this run")
    dropped: int = Field(description="objects dropped in the shards made by this run")
    folder: str


class AffordanceResult(Result):
    """`toolwright affordance`: clouds, or an encoder trained on them."""

    command: Literal["affordance"] = "affordance"
    action: str
    kind: str
    folder: str = Field(description="what was written")
    samples: int = Field(default=0, description="views in the folder, clouds of the training, or clouds on the sheet")
    shards: int | None = None
    rejected: int | None = Field(default=None, description="views of this run in which too little was to be seen")
    steps: int | None = Field(default=None, description="updates of the training, resumes included")
    opening_or_width: float | None = Field(default=None, description="m, mean error on clouds kept aside")


class ListResult(Result):
    """`toolwright list`."""

    command: Literal["list"] = "list"
    kind: str
    count: int
    items: list[dict[str, JsonValue]]


class Check(Record):
    """One line of `toolwright doctor`."""

    name: str
    state: Literal["ok", "missing", "missing (optional)"]
    detail: str
    hint: str = Field(default="", description="how to get it")


class DoctorResult(Result):
    """`toolwright doctor`."""

    command: Literal["doctor"] = "doctor"
    success: bool = Field(description="nothing required is missing")
    checks: list[Check]

    @property
    def exit_code(self) -> int:
        return 0 if self.success else FAILED


AnyResult = (
    DoResult
    | EvalResult
    | BenchResult
    | TrainResult
    | TransferResult
    | GraspResult
    | ObjectsResult
    | PlanDataResult
    | AffordanceResult
    | CalibrateResult
    | TeleopResult
    | ExportResult
    | ReplayResult
    | RosResult
    | ConsoleResult
    | ServeResult
    | ListResult
    | DoctorResult
)
RESULTS: tuple[type[Result], ...] = get_args(AnyResult)


def schema() -> dict[str, Any]:
    """JSON schema of every result; the field `command` tells which one a file holds."""
    adapter: TypeAdapter[AnyResult] = TypeAdapter(Annotated[AnyResult, Field(discriminator="command")])
    return adapter.json_schema(mode="serialization")


def plain(value: Any) -> Any:
    """The value with arrays as lists and NumPy scalars as numbers, ready for a model above."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


class Clock:
    """Measures wall-clock time: `seconds` after the `with` block."""

    seconds = 0.0

    def __enter__(self) -> Clock:
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._start


def complete(result: Result, seed: int | None, seconds: float) -> Result:
    """The result with the common fields filled in."""
    common = {
        "version": version("toolwright"),
        "revision": revision(),
        "seed": result.seed if seed is None else seed,
        "seconds": round(seconds, 3),
    }
    return result.model_copy(update=common)


def check_writable(*paths: str | None) -> None:
    """Makes the folders of these output files and tries to write there, before the long work starts.

    Raises:
        UserError: a file cannot be written.
    """
    for path in paths:
        if not path or path == "-" or Path(path).is_char_device() or Path(path).is_fifo():
            continue
        if Path(path).is_dir():
            raise UserError(f"cannot write {path}: it is a folder")
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=Path(path).parent):
                pass
        except OSError as error:
            raise UserError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def write(result: Result, path: str) -> None:
    """Writes the result as JSON to a file, whole or not at all, or to standard output for '-'."""
    text = result.model_dump_json(indent=2) + "\n"
    if path == "-":
        print(text, end="")
        return
    target = Path(path).resolve()
    if target.exists() and not target.is_file():  # a device or a pipe must not be replaced
        target.write_text(text, encoding="utf-8")
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
