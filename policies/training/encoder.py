"""Training of the affordance encoder on stored clouds: resumable at any moment, then exported to ONNX with a card."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.policies.revision import revision
from toolwright.policies.training import checkpoint
from toolwright.policies.training.encoder_data import split
from toolwright.policies.training.encoder_objects import Objects
from toolwright.policies.training.encoder_tools import Tools

KINDS = ("tools", "objects")


@dataclass
class EncoderConfig:
    """One training."""

    kind: str = "tools"
    steps: int = 3000
    batch: int = 32
    learning_rate: float = 2e-3
    seed: int = 1
    blurred: float = 0.05  # standard deviation of what is added to the numbers of tools, so that none is known by heart
    decay: float = 1e-2  # of weights
    thinned: float = 0.4  # share of tools' clouds that are thinned out at random
    averaged: float = 0.002  # share of the weights in their moving average, which is what is kept
    checkpoint_every: float = 30.0  # s


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
        seen, aside = split(data, config.kind)
        reader = Tools if config.kind == "tools" else Objects
        self.train, self.aside = reader(seen), reader(aside)
        self.net = self.train.net()
        self.kept = copy.deepcopy(self.net)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), config.learning_rate, weight_decay=config.decay)
        self.step, self.spent = 0, 0.0
        self.started = time.monotonic()
        if state:
            self.net.load_state_dict(state["net"])
            self.kept.load_state_dict(state["kept"])
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
            self._average()
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

    def _average(self) -> None:
        import torch

        share = max(self.config.averaged, 1 / self.step)
        with torch.no_grad():
            for mine, now in zip(self.kept.parameters(), self.net.parameters(), strict=True):
                mine.lerp_(now, share)

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        import torch

        return {
            "config": self.config,
            "net": self.net.state_dict(),
            "kept": self.kept.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent + time.monotonic() - self.started,
            "rng": self.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
        }

    def measure(self) -> dict[str, float]:
        """Errors on the clouds that were kept aside."""
        import torch

        self.kept.eval()
        rng = np.random.default_rng(0)
        rows: list[dict[str, np.ndarray]] = []
        with torch.no_grad():
            for start in range(0, len(self.aside), 64):
                ids = np.arange(start, min(start + 64, len(self.aside)))
                rows.append(self.aside.errors(self.kept, self.aside.batch(ids, rng, None)))
        joined = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        return self.aside.summary(joined)

    def finish(self) -> EncoderReport:
        """Exports the network, with its card."""
        measured = self.measure()
        seconds = self.spent + time.monotonic() - self.started
        self.folder.mkdir(parents=True, exist_ok=True)
        name = self.config.kind.removesuffix("s")
        export(self.kept, self.train.example(), self.folder / f"{name}.onnx", self.train.outputs)
        card = {
            "network": type(self.kept).__name__,
            "config": asdict(self.config),
            **self.train.card,
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
    names = ["points", "numbers"][: len(example)]
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
