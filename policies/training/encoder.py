"""Training of the affordance encoder on stored clouds: resumable at any moment, then exported to ONNX with a card."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.perception.affordance import clouds
from toolwright.perception.affordance.directions import TILTS, YAWS
from toolwright.perception.generate_affordance import POOL_HAND, UNIT
from toolwright.policies.revision import revision
from toolwright.policies.training import checkpoint

ROOT = Path("runs/affordance")
KINDS = ("tools", "objects")
_KEPT_ASIDE = (8, 4)  # of eight shards the fifth: the training does not see it


class EncoderDataError(ValueError):
    """No clouds to train on."""


@dataclass
class EncoderConfig:
    """One training."""

    kind: str = "tools"
    steps: int = 6000
    batch: int = 32
    learning_rate: float = 2e-3
    seed: int = 1
    slip: tuple[float, float] = (0.002, 0.03)  # m, rad: tools are moved in the hand by as much more, at random
    junk: float = 0.06  # share of clouds in which something else takes the place of the tool
    shift: float = 0.0005  # m, standard deviation of a further error of the camera's place
    checkpoint_every: float = 30.0  # s
    families: tuple[str, ...] = ()  # in the order of the logits; the last one is no tool


@dataclass(frozen=True)
class EncoderReport:
    """What a training reached, on clouds that were kept aside."""

    kind: str
    steps: int
    samples: int
    seconds: float
    opening_or_width: float  # m, mean absolute error
    folder: str


def train(
    kind: str,
    data: Path,
    folder: Path,
    steps: int | None = None,
    resume: bool = False,
    seed: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> EncoderReport:
    """Trains one of the two networks.

    Args:
        kind: "tools" or "objects".
        data: folder with shards.
        folder: gets checkpoints, the ONNX file and its card.
        steps: updates; by default the shipped encoder's.
        resume: go on from the folder's checkpoint.
        seed: of weights and order.
        report: called with a line of progress.

    Raises:
        EncoderDataError: no shards.
        CheckpointError: nothing to resume.
    """
    state = checkpoint.load(folder) if resume else None
    config = state["config"] if state else EncoderConfig(kind=kind, seed=seed)
    if steps and not state:
        config.steps = steps
    return _Training(config, data, folder, state, report).run()


class _Training:
    def __init__(
        self,
        config: EncoderConfig,
        data: Path,
        folder: Path,
        state: dict[str, Any] | None,
        report: Callable[[str], None],
    ) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(config.seed)
        self.config, self.folder, self.report = config, folder, report
        self.rng = np.random.default_rng(config.seed)
        shards = _shards(data, config.kind)
        kept = [int(path.stem.rpartition("_")[2]) % _KEPT_ASIDE[0] == _KEPT_ASIDE[1] for path in shards]
        aside = kept if any(kept) else [path == shards[-1] for path in shards]
        reader = _Tools if config.kind == "tools" else _Objects
        names = config.families or None
        self.train = reader([s for s, kept in zip(shards, aside, strict=True) if not kept], names)
        self.aside = reader([s for s, kept in zip(shards, aside, strict=True) if kept], self.train.families)
        config.families = self.train.families
        self.net = self.train.net()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), config.learning_rate, weight_decay=1e-3)
        self.step, self.spent = 0, 0.0
        self.started = time.monotonic()
        if state:
            self.net.load_state_dict(state["net"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.spent = state["step"], state["spent"]
            self.rng.bit_generator.state = state["rng"]
            torch.set_rng_state(state["torch"])

    def run(self) -> EncoderReport:
        """All steps that are left, then the export."""
        import torch

        config = self.config
        saved = shown = time.monotonic()
        first, loss_mean = self.step, 0.0
        while self.step < config.steps:
            share = self.step / config.steps
            rate = config.learning_rate * min(1, self.step / 200 + 0.05) * (0.5 + 0.5 * np.cos(np.pi * share))
            for group in self.optimizer.param_groups:
                group["lr"] = max(rate, 1e-6)
            batch = self.train.batch(self.rng.integers(len(self.train), size=config.batch), self.rng, config)
            self.net.train()
            loss = self.train.loss(self.net, batch)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
            self.optimizer.step()
            self.step += 1
            loss_mean += 0.02 * (float(loss.detach()) - loss_mean)
            now = time.monotonic()
            if now - shown > 10:
                shown = now
                pace = (self.step - first) / (now - self.started)
                self.report(
                    f"{self.step}/{config.steps} steps  {pace * config.batch:.0f} clouds/s  "
                    f"{(config.steps - self.step) / pace / 60:.1f} min left  loss {loss_mean:.3f}"
                )
            if self.step % 1000 == 0:
                self.report(f"kept aside: {_line(self.measure())}")
            if now - saved > config.checkpoint_every:
                saved = now
                checkpoint.save(self.folder, self.state())
        checkpoint.save(self.folder, self.state())
        return self.finish()

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        import torch

        return {
            "config": self.config,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent + time.monotonic() - self.started,
            "rng": self.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
        }

    def measure(self) -> dict[str, float]:
        """Errors on the clouds that were kept aside."""
        import torch

        self.net.eval()
        rng = np.random.default_rng(0)
        rows: list[dict[str, np.ndarray]] = []
        with torch.no_grad():
            for start in range(0, len(self.aside), 64):
                ids = np.arange(start, min(start + 64, len(self.aside)))
                rows.append(self.aside.errors(self.net, self.aside.batch(ids, rng, None)))
        joined = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        return self.aside.summary(joined)

    def finish(self) -> EncoderReport:
        """Exports the network, with its card."""
        measured = self.measure()
        seconds = self.spent + time.monotonic() - self.started
        self.folder.mkdir(parents=True, exist_ok=True)
        name = self.config.kind.removesuffix("s")
        export(self.net, self.train.example(), self.folder / f"{name}.onnx", self.train.outputs)
        card = {
            "network": type(self.net).__name__,
            "config": asdict(self.config),
            "families": list(self.config.families),
            "directions": {"yaws": YAWS, "tilts": list(TILTS)},
            "inputs": self.train.inputs,
            "outputs": self.train.outputs,
            "samples": len(self.train),
            "steps": self.step,
            "seed": self.config.seed,
            "seconds": round(seconds, 1),
            "revision": revision(),
            "kept_aside": {key: round(value, 6) for key, value in measured.items()},
        }
        _write(self.folder / f"{name}.json", (json.dumps(card, indent=1) + "\n").encode())
        self.report(f"kept aside: {_line(measured)}")
        return EncoderReport(
            self.config.kind, self.step, len(self.train), seconds, next(iter(measured.values())), str(self.folder)
        )


def export(net: Any, example: tuple[Any, ...], path: Path, outputs: list[str]) -> None:
    """Writes a network as ONNX, atomically; any number of clouds at once."""
    import io
    import warnings

    import torch

    net.eval()
    buffer: Any = io.BytesIO()
    names = ["points", "joints"][: len(example)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            net,
            example,
            buffer,
            dynamo=False,
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: {0: "clouds"} for name in [*names, *outputs]},
            opset_version=17,
        )
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _line(measured: dict[str, float]) -> str:
    shown = {key: f"{value:.3f}" if "rate" in key else f"{1000 * value:.2f}" for key, value in measured.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def _shards(data: Path, kind: str) -> list[Path]:
    shards = sorted(path for path in data.glob("*.npz") if path.name.startswith("objects_") == (kind == "objects"))
    if len(shards) < 2:
        raise EncoderDataError(f"no clouds in {data}: make them with `toolwright affordance data {kind}`")
    return shards


def _read(shards: list[Path]) -> dict[str, np.ndarray]:
    rows: list[dict[str, np.ndarray]] = []
    for path in shards:
        with np.load(path) as file:
            rows.append(_flat({key: file[key] for key in file.files if key != "rejected"}))
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def _flat(shard: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A shard with a row for every draw of the robot's errors, not only for every view."""
    draws = shard["points"].shape[1]
    of_draws = ("points", "gap", "joints")
    return {
        key: rows.reshape(-1, *rows.shape[2:]) if key in of_draws else np.repeat(rows, draws, axis=0)
        for key, rows in shard.items()
    }


class _Tools:
    """Clouds of held tools."""

    inputs = {"points": "clouds.tool_input", "joints": "LEAP order, rad"}
    outputs = ["opening", "tip", "rotation", "errors", "family", "rough_opening", "rough_tip", "rough_rotation"]

    def __init__(self, shards: list[Path], families: tuple[str, ...] | None) -> None:
        self.data = _read(shards)
        seen = sorted(set(self.data["family"].tolist()) - {"none"})
        self.families = families or (*seen, "none")
        self.family = np.array([self.families.index(name) for name in self.data["family"]])

    def __len__(self) -> int:
        return len(self.family)

    def net(self) -> Any:
        from toolwright.perception.affordance.network import ToolNet

        return ToolNet(len(self.families))

    def example(self) -> tuple[Any, ...]:
        import torch

        return torch.zeros(1, clouds.FREE + clouds.HAND, 4), torch.zeros(1, 16)

    def batch(self, ids: np.ndarray, rng: np.random.Generator, config: EncoderConfig | None) -> tuple[Any, ...]:
        """Tensors of the clouds `ids`; with a configuration, tools are moved in the hand and points left out."""
        import torch

        free = self.data["points"].shape[1] - POOL_HAND
        points = np.empty((len(ids), clouds.FREE + clouds.HAND, 3), np.float32)
        gaps = np.empty(points.shape[:2], np.float32)
        tips = self.data["tip"][ids].copy()
        for row, i in enumerate(ids):
            pool = free if config is None or rng.random() < 0.6 else int(rng.integers(24, free))
            chosen = np.concatenate(
                [
                    clouds.sample(pool, clouds.FREE, rng) if pool < free else rng.permutation(free)[: clouds.FREE],
                    free + rng.permutation(POOL_HAND)[: clouds.HAND],
                ]
            )
            points[row] = self.data["points"][i, chosen] * np.float32(UNIT)
            gaps[row] = self.data["gap"][i, chosen] * np.float32(UNIT)
            if config:
                # The camera is off by a little more, for everything alike; the tool sits elsewhere in the hand.
                points[row] += rng.normal(0, config.shift, 3).astype(np.float32)
                points[row, : clouds.FREE], tips[row] = _slipped(points[row, : clouds.FREE], tips[row], rng, config)
        family = self.family[ids].copy()
        for other in np.flatnonzero(rng.random(len(ids)) < config.junk).tolist() if config else ():
            points[other, : clouds.FREE], family[other] = junk(rng), len(self.families) - 1
            gaps[other, : clouds.FREE] = rng.uniform(clouds.HAND_NEAR, rng.uniform(0.01, 0.1), clouds.FREE)
        arrays = (clouds.encode(points, gaps), self.data["joints"][ids], self.data["opening"][ids], tips, family)
        return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)

    def loss(self, net: Any, batch: tuple[Any, ...]) -> Any:
        import torch

        points, joints, opening, tip, family = batch
        got, at, turn, errors, logits, rough, rough_at, rough_turn = net(points, joints)
        real = (family < len(self.families) - 1).float()
        off, away = (got - opening).abs(), (at - tip[:, :3, 3]).norm(dim=1)
        likelihood = off / errors[:, 0] + torch.log(errors[:, 0] / 0.001)
        likelihood = likelihood + away / errors[:, 1] + torch.log(errors[:, 1] / 0.001)
        direct = 0.2 * off / 0.001 + 0.2 * away / 0.001
        first = 0.15 * (rough - opening).abs() / 0.001 + 0.15 * (rough_at - tip[:, :3, 3]).norm(dim=1) / 0.001
        turned = ((turn - tip[:, :3, :3]) ** 2).sum(dim=(1, 2)) + ((rough_turn - tip[:, :3, :3]) ** 2).sum(dim=(1, 2))
        each = likelihood + direct + first + 10 * turned
        return (real * each).mean() + 0.5 * torch.nn.functional.cross_entropy(logits, family)

    def errors(self, net: Any, batch: tuple[Any, ...]) -> dict[str, np.ndarray]:
        points, joints, opening, tip, family = batch
        got, at, turn, errors, logits, *_ = net(points, joints)
        cosine = ((turn * tip[:, :3, :3]).sum(dim=(1, 2)).clamp(-1, 3) - 1) / 2
        return {
            "opening": (got - opening).abs().numpy(),
            "tip": (at - tip[:, :3, 3]).norm(dim=1).numpy(),
            "turn": cosine.clamp(-1, 1).arccos().numpy(),
            "expected": errors[:, 0].numpy(),
            "family": (logits.argmax(dim=1) == family).numpy(),
            "real": (family < len(self.families) - 1).numpy(),
        }

    def summary(self, found: dict[str, np.ndarray]) -> dict[str, float]:
        real = found["real"]
        return {
            "opening": float(found["opening"][real].mean()),
            "opening_p95": float(np.percentile(found["opening"][real], 95)),
            "expected": float(found["expected"][real].mean()),
            "tip": float(found["tip"][real].mean()),
            "turn_mrad": float(found["turn"][real].mean()),
            "family_rate": float(found["family"].mean()),
        }


def junk(rng: np.random.Generator) -> np.ndarray:
    """(FREE, 3) m: points that are no tool: a wall, a cloud of dust, a lump, anything in the hand's reach."""
    low, high = clouds.REACH
    anywhere = rng.uniform(low, high, (clouds.FREE, 3))
    kind = rng.integers(4)
    if kind == 0:
        normal = rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        off = (anywhere - rng.uniform(low, high)) @ normal
        anywhere -= (off - rng.normal(0, 0.002, clouds.FREE))[:, None] * normal
    elif kind == 1:
        spread = np.exp(rng.uniform(np.log(0.01), np.log(0.08), 3))
        anywhere = rng.uniform(low, high) + rng.normal(size=(clouds.FREE, 3)) * spread
    elif kind == 2:
        size = rng.uniform(0.01, 0.06, 3)
        ball = rng.normal(size=(clouds.FREE, 3))
        anywhere = rng.uniform(low, high) + ball / np.linalg.norm(ball, axis=1, keepdims=True) * size
    return np.clip(anywhere, low, high).astype(np.float32)


def _slipped(
    points: np.ndarray, tip: np.ndarray, rng: np.random.Generator, config: EncoderConfig
) -> tuple[np.ndarray, np.ndarray]:
    """A tool's points and tip frame, moved a little in the hand."""
    from toolwright.hardware import rotations

    turn = rotations.rotate(rotations.from_rotvec(rng.normal(0, config.slip[1], 3)), np.eye(3)).T.astype(np.float32)
    pivot = tip[:3, 3] - 0.08 * tip[:3, 2]
    shift = pivot + rng.normal(0, config.slip[0], 3).astype(np.float32)
    moved = tip.copy()
    moved[:3, :3] = turn @ tip[:3, :3]
    moved[:3, 3] = turn @ (tip[:3, 3] - pivot) + shift
    return (points - pivot) @ turn.T + shift, moved


class _Objects:
    """Clouds of things on a table."""

    inputs = {"points": "clouds.object_input"}
    outputs = ["widths", "center", "errors"]
    families: tuple[str, ...] = ()

    def __init__(self, shards: list[Path], families: tuple[str, ...] | None) -> None:
        del families
        self.data = _read(shards)

    def __len__(self) -> int:
        return len(self.data["seen"])

    def net(self) -> Any:
        from toolwright.perception.affordance.network import ObjectNet

        return ObjectNet()

    def example(self) -> tuple[Any, ...]:
        import torch

        return (torch.zeros(1, clouds.OBJECT, 3),)

    def batch(self, ids: np.ndarray, rng: np.random.Generator, config: EncoderConfig | None) -> tuple[Any, ...]:
        """Tensors of the clouds `ids`; with a configuration, turned about the vertical by whole steps of yaw."""
        import torch

        points = np.empty((len(ids), clouds.OBJECT, 3), np.float32)
        widths = self.data["widths"][ids].reshape(-1, YAWS, len(TILTS))
        centers = self.data["center"][ids].astype(np.float32)
        turned, middles = np.empty_like(widths), np.empty_like(centers)
        for row, i in enumerate(ids):
            steps = int(rng.integers(2 * YAWS)) if config else 0
            mirrored = config is not None and rng.random() < 0.5
            turn = _about_z(steps * np.pi / YAWS) @ np.diag([1.0, -1.0 if mirrored else 1.0, 1.0])
            points[row], origin = clouds.object_input(self.data["points"][i] * UNIT @ turn.T, 0.0, rng)
            turned[row] = turned_widths(widths[row], steps, mirrored)
            middles[row] = turn @ centers[row] - origin
        return tuple(torch.from_numpy(array) for array in (points, turned.reshape(len(ids), -1), middles))

    def loss(self, net: Any, batch: tuple[Any, ...]) -> Any:
        import torch

        points, widths, middle = batch
        got, at, errors = net(points)
        off = (got - widths).abs()
        likelihood = (off / errors + torch.log(errors / 0.001)).mean()
        return likelihood + 0.3 * off.mean() / 0.001 + 0.3 * (at - middle).norm(dim=1).mean() / 0.001

    def errors(self, net: Any, batch: tuple[Any, ...]) -> dict[str, np.ndarray]:
        points, widths, middle = batch
        got, at, errors = net(points)
        level = slice(TILTS.index(0.0), None, len(TILTS))
        best = got[:, level].argmin(dim=1, keepdim=True)
        return {
            "width": (got - widths)[:, level].gather(1, best)[:, 0].abs().numpy(),
            "expected": errors[:, level].gather(1, best)[:, 0].numpy(),
            "any_width": (got - widths).abs().mean(dim=1).numpy(),
            "center": (at - middle).norm(dim=1).numpy(),
        }

    def summary(self, found: dict[str, np.ndarray]) -> dict[str, float]:
        mean = {key: float(values.mean()) for key, values in found.items()}
        return {**mean, "width_p95": float(np.percentile(found["width"], 95))}


def _about_z(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])


def turned_widths(widths: np.ndarray, steps: int, mirrored: bool) -> np.ndarray:
    """Widths (YAWS, tilts) of a thing that was mirrored in y, if so, then turned about z by `steps` of yaw.

    After half a turn a closing direction comes back as its opposite: the tilt changes its sign.
    """
    if mirrored:
        widths = np.concatenate([widths[:1], widths[:0:-1, ::-1]])
    source = np.arange(YAWS) - steps
    found = widths[source % YAWS]
    return np.where((source // YAWS % 2 == 1)[:, None], found[:, ::-1], found)
