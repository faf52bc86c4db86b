"""Shows a recording, and asks the hand's policy again what it was asked then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.hardware.mcap_log import Recording, RecordingError, decode_color, decode_depth
from toolwright.hardware.robot import F64

if TYPE_CHECKING:
    from toolwright.policies.low_level import HandPolicy

_FAR = 2.0  # m, the end of the depth pictures' color scale


@dataclass(frozen=True)
class Summary:
    """What a recording holds, in numbers."""

    seconds: float  # s, the robot's clock
    complete: bool  # it was closed properly
    topics: dict[str, int]
    sentence: str
    status: str  # of the run, empty where it did not end
    reason: str
    skills: list[str]
    gate: dict[str, int]  # how often each limit acted
    stops: list[str]  # reasons
    tracking: float  # rad, largest distance of a joint from its target of the period before
    fastest: float  # rad/s


def summarize(recording: Recording) -> Summary:
    """Numbers for a table."""
    events = [entry.value for entry in recording.of("/event")]
    end: dict[str, Any] = next((event["record"] for event in events if event["kind"] == "Finished"), {})
    skills = [event["skill"] for event in events if event["kind"] == "SkillEnded"] or end.get("skills", [])
    gate: dict[str, int] = {}
    for entry in recording.of("/gate"):
        for limit in entry.value["limits"]:
            gate[limit] = gate.get(limit, 0) + 1
    dq = recording.array("/state", "dq")
    return Summary(
        seconds=recording.seconds,
        complete=recording.complete,
        topics=recording.topics,
        sentence=next((event["sentence"] for event in events if event["kind"] == "Asked"), ""),
        status=end.get("status", ""),
        reason=end.get("reason", ""),
        skills=[f"{skill['name']}: {'done' if skill['success'] else skill['reason']}" for skill in skills],
        gate=gate,
        stops=[entry.value["reason"] for entry in recording.of("/gate") if entry.value["reason"]],
        tracking=_tracking(recording),
        fastest=float(np.nanmax(np.abs(dq))) if dq.size else 0.0,
    )


def _tracking(recording: Recording) -> float:
    stamps, q = recording.stamps("/state"), recording.array("/state", "q")
    at, sent = recording.stamps("/command"), recording.array("/command", "sent")
    if not len(stamps) or not len(at):
        return 0.0
    after = np.minimum(np.searchsorted(stamps, at, side="right"), len(stamps) - 1)
    return float(np.abs(q[after] - sent).max())


# -- the policy, again ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PolicyCheck:
    """How the policy of today answers the questions of then."""

    steps: int
    largest: float  # rad
    rms: float  # rad
    worst_joint: str
    notes: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Every target to the last bit."""
        return self.steps > 0 and self.largest == 0.0


def rerun_policy(recording: Recording, folder: Path | None = None) -> PolicyCheck:
    """Asks a policy everything that was asked when it was recorded, in the same order.

    Args:
        recording: of a run with a held tool.
        folder: of the policy's weights; the shipped ones by default.

    Raises:
        RecordingError: the policy was not recorded.
        WeightsError: no such weights.
    """
    from toolwright.hardware.joints import LEAP

    started = recording.of("/policy/start")
    calls = [entry for entry in recording.entries if entry.topic in ("/policy/reset", "/policy/step")]
    begun = next((i for i, entry in enumerate(calls) if entry.topic == "/policy/reset"), len(calls))
    calls = calls[begun:]  # what it was asked before the recording began is not known
    if not started or not any(entry.topic == "/policy/step" for entry in calls):
        raise RecordingError(f"{recording.path} has no answers of a hand's policy: it was recorded without a held tool")
    policy, notes = _policy(started[-1].value, folder)
    off = []
    for entry in calls:
        value = entry.value
        q, tool = np.array(value["q"]), _tool(value["tool"])
        if entry.topic == "/policy/reset":
            policy.reset(q, tool, None if value["command"] is None else np.array(value["command"]))
        else:
            try:
                target = policy.target(q, tool, np.array(value["gravity_palm"]), value["goal"])
            except ValueError as error:
                raise RecordingError(
                    f"these weights expect another observation than this version's: {error}"
                ) from error
            off.append(target - np.array(value["target"]))
    differences = np.array(off)
    worst = int(np.abs(differences).max(axis=0).argmax())
    return PolicyCheck(
        steps=len(differences),
        largest=float(np.abs(differences).max()),
        rms=float(np.sqrt((differences**2).mean())),
        worst_joint=LEAP.names[worst],
        notes=notes,
    )


def _policy(start: dict[str, Any], folder: Path | None) -> tuple[HandPolicy, list[str]]:
    """The policy, holding the tool as it was held then."""
    from toolwright.policies.low_level import HandPolicy
    from toolwright.policies.weights import load
    from toolwright.sim import grasp_bank

    synergy: dict[str, Any] = {name: np.array(rows) for name, rows in start["synergy"].items()}
    bank = replace(grasp_bank.load(start["family"]), **synergy)
    learned = start["controller"] == "learned"
    if folder is not None and not learned:
        raise RecordingError("the closed-form controller ran then, and has no weights: drop the folder")
    actor = load(str(folder), folder) if folder is not None else None
    policy = HandPolicy(bank, 0, start["controller"], actor)
    notes = []
    if policy.actor is not None and policy.actor.card != start["card"]:
        notes.append("other weights than those that ran: their cards differ")
    return policy, notes


def _tool(value: dict[str, Any]) -> Any:
    from toolwright.perception.scene import HeldTool

    fields: dict[str, Any] = {name: np.array(item) if isinstance(item, list) else item for name, item in value.items()}
    return HeldTool(**fields)


# -- pictures ---------------------------------------------------------------------------------------------------------


def plot(recording: Recording, path: Path) -> None:
    """Draws joints and their targets, the tool's opening, and where the gate acted.

    Raises:
        RecordingError: there are no states.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    t, q = recording.stamps("/state"), recording.array("/state", "q")
    if not len(t):
        raise RecordingError(f"{recording.path} has no states to plot")
    t_sent, sent = recording.stamps("/command"), recording.array("/command", "sent")
    names = recording.about["joints"]
    groups = {"arm": [i for i, name in enumerate(names) if "_joint" in name]}
    groups["hand"] = [i for i in range(len(names)) if i not in groups["arm"]]
    rows = [(title, columns) for title, columns in groups.items() if columns]
    policy = recording.of("/policy/step")
    figure = Figure(figsize=(11, 2.6 * (len(rows) + bool(policy)) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows) + bool(policy), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, columns) in zip(axes, rows, strict=False):
        for i in columns:
            (line,) = axis.plot(t, q[:, i], linewidth=1.2, label=names[i])
            if len(t_sent):
                axis.plot(t_sent, sent[:, i], linewidth=0.7, linestyle="--", color=line.get_color())
        axis.set_ylabel(f"{title} [rad]")
        axis.legend(fontsize=6, ncols=2, loc="center left", bbox_to_anchor=(1.0, 0.5))
    if policy:
        at = [entry.stamp for entry in policy]
        axes[-1].plot(at, [1e3 * entry.value["tool"]["opening"] for entry in policy], label="measured")
        axes[-1].plot(at, [1e3 * entry.value["goal"] for entry in policy], "--", label="goal")
        axes[-1].set_ylabel("opening [mm]")
        axes[-1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for entry in recording.of("/gate"):
        for axis in axes:
            axis.axvline(entry.stamp, color="tab:red", alpha=0.5 if entry.value["reason"] else 0.15, linewidth=0.8)
    axes[-1].set_xlabel("time [s]; dashed: targets; red: the safety gate acted")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def film(recording: Recording, path: Path, name: str = "camera") -> int:
    """Writes color and depth side by side as a video in real time, and returns how many frames there were.

    Raises:
        RecordingError: there are no images.
    """
    from toolwright.sim.render import VideoWriter

    colors, depths = recording.of(f"/{name}/color"), recording.of(f"/{name}/depth")
    if not colors:
        raise RecordingError(f"{recording.path} has no images")
    by_stamp = {entry.stamp: entry.value for entry in depths}
    stamps = np.array([entry.stamp for entry in colors])
    every = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 1.0
    height, width = decode_color(colors[0].value).shape[:2]
    with VideoWriter(path, fps=1 / every, size=(2 * width, height)) as video:
        for entry in colors:
            right = np.zeros((height, width, 3), np.uint8)
            if entry.stamp in by_stamp:
                right = _painted(decode_depth(by_stamp[entry.stamp]))
            video.write(np.hstack([decode_color(entry.value), right]))
    return len(colors)


def _painted(depth: F64) -> np.ndarray:
    """(H, W, 3) near is bright, no return is black."""
    from matplotlib import colormaps

    image = (colormaps["turbo"](1 - np.clip(depth / _FAR, 0, 1))[..., :3] * 255).astype(np.uint8)
    image[depth == 0] = 0
    return image
