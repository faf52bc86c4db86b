"""Distils `policies.palm.student` from the planner's labels: complete clouds first, then rendered ones.

The two stages are those of Visual Dexterity (arXiv 2211.11744). Nothing is simulated: states, goals and labels stand in
the shards of `toolwright plan-data`, and a cloud is looked at from a state. A training that was stopped goes on after
its last epoch, with the same numbers as if it had not been.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwright.hardware.reorient import ACTIONS
from toolwright.policies.palm.student import POINT, STATE, Student
from toolwright.policies.palm.surface import Surfaces
from toolwright.policies.training import checkpoint
from toolwright.policies.training.config import StudentConfig
from toolwright.policies.training.curve import plot_scores
from toolwright.policies.training.resumable import TrainReport
from toolwright.policies.training.student_data import Clouds, Course, StudentError, read, render
from toolwright.sim.object_shapes import load
from toolwright.sim.randomize_reorient import SIZES
from toolwright.sim.tasks.reorient import ReorientConfig

HIDDEN = (64, 128, 128)  # of a point, of a cloud and of the memory
STAGES = ("complete", "rendered")
HELD = 8  # every so many shards one is kept aside


class StudentTraining:
    """The distillation, in a folder of its own.

    Args:
        name: of the configuration.
        config: of the training.
        folder: for checkpoint, rendered clouds and weights.
        state: of a checkpoint to go on from.
        show: takes lines of progress.
    """

    def __init__(
        self,
        name: str,
        config: StudentConfig,
        folder: Path,
        state: dict[str, Any] | None = None,
        show: Callable[[str], object] = sys.stderr.write,
    ) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(config.seed)
        self.name, self.config, self.folder, self.show = name, config, folder, show
        found = [file for part in config.data.split(":") for file in sorted(Path(part).glob("shard_*.npz"))]
        # A training that goes on keeps its labels, also where more were made meanwhile.
        self.files = files = [Path(file) for file in state["files"]] if state is not None else found
        if len(files) < 2:
            raise StudentError(f"no labels in {config.data}: make them with `toolwright plan-data`")
        if gone := [file for file in files if not file.is_file()]:
            raise StudentError(f"{len(gone)} shards are gone, {gone[0]} among them: start without --resume")
        self.held = [i for i in range(len(files)) if i % HELD == min(HELD, len(files)) - 1]
        self.courses = [read(file) for file in files]
        used = {int(i) for course in self.courses for i in np.unique(course.shape)}
        self.clouds = Clouds(Surfaces.of(load(), SIZES, used), Surfaces.of(load(), used=used))
        self.net, self.total = _Net(), config.complete + config.rendered
        self.optimizer = torch.optim.AdamW(self.net.parameters(), config.learning_rate, weight_decay=1e-2)
        self.epoch, self.spent, self.scores, self.judged = 0, 0.0, [], {}  # type: ignore[var-annotated]
        if state is not None:
            self.net.load_state_dict(state["net"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.epoch, self.spent, self.scores, self.judged = (
                state[k] for k in ("epoch", "spent", "scores", "judged")
            )

    def state(self) -> dict[str, Any]:
        """All that the rest depends on, between two epochs."""
        kept = {
            "files": [str(file) for file in self.files],
            "epoch": self.epoch,
            "spent": self.spent,
            "scores": self.scores,
            "judged": self.judged,
        }
        return {"config": self.config, "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), **kept}

    def run(self) -> TrainReport:
        """Goes on to the end, or until Ctrl-C, which loses one epoch at most."""
        config, courses = self.config, self.courses
        labels = sum(course.goal[..., 0].size for course in courses)
        self.show(f"{labels} labels in {len(courses)} shards, {len(self.held)} of them kept aside\n")
        rendered: list[tuple[NDArray[np.float16], np.ndarray]] = []
        try:
            while self.epoch < self.total:
                begun, late = time.monotonic(), self.epoch >= config.complete
                if late and not rendered:
                    rendered = [self._rendered(i, course) for i, course in enumerate(courses)]
                self._train(courses, rendered)
                self.epoch += 1
                self.spent += time.monotonic() - begun
                last = self.epoch in (config.complete, self.total)
                if last or self.epoch % 5 == 0:
                    score = self._score(courses, rendered)
                    self.scores.append((self.epoch, STAGES[late], score))
                    self.show(f"epoch {self.epoch}/{self.total}, {STAGES[late]} clouds: {_told(score)}\n")
                    plot_scores(self.scores, self.folder / "curve.png", self.name)
                if last:
                    self._finish(STAGES[late])
                checkpoint.save(self.folder, self.state())
        except KeyboardInterrupt:
            self.show(f"stopped after epoch {self.epoch} of {self.total}; go on with --resume\n")
            raise
        best = self.judged.get(STAGES[config.rendered > 0], {}).get("settled", 0.0)
        self.show(f"weights and checkpoint in {self.folder}\n")
        return TrainReport(self.name, self.epoch, best, str(self.folder))

    def student(self) -> Student:
        """The network as it stands."""
        arrays = {name: value.detach().numpy().copy() for name, value in self.net.state_dict().items()}
        card = {"policy": "reorient_student", "config": asdict(self.config), "epochs": self.epoch}
        return Student(arrays, card | {"seconds": round(self.spent, 1), "scores": self.scores, "judged": self.judged})

    def _rendered(self, i: int, course: Course) -> tuple[NDArray[np.float16], np.ndarray]:
        """The clouds of a shard, from the folder where they were rendered before."""
        path = self.folder / f"clouds_{i:05d}.npz"
        if not path.is_file():
            points, count = render(course, np.random.default_rng([self.config.seed, 3, i]), self.config.threads)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp.npz")
            np.savez_compressed(temporary, points=points, count=count)
            temporary.replace(path)
            self.show(f"clouds of shard {i + 1}/{len(self.files)} rendered, {count.mean():.0f} points each\n")
        with np.load(path) as file:
            return file["points"], file["count"]

    def _given(self, i: int, courses: Sequence[Course], rendered: Sequence[Any], rng: np.random.Generator) -> Any:
        """Clouds of a course as the network takes them."""
        if rendered:
            points, count = rendered[i]
            return self.clouds.rendered(courses[i], points, count, self.config.jitter, rng)
        return self.clouds.complete(courses[i], self.config.jitter, rng)

    def _train(self, courses: Sequence[Course], rendered: Sequence[Any]) -> None:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits as entropy

        rng = np.random.default_rng([self.config.seed, self.epoch])
        for i in rng.permutation([i for i in range(len(courses)) if i not in self.held]).tolist():
            course, points = courses[i], self._given(i, courses, rendered, rng)
            order = rng.permutation(course.goal.shape[1])
            for first in range(0, len(order), self.config.sequences):
                rows = order[first : first + self.config.sequences]
                action, stop = self.net(*(torch.from_numpy(a[:, rows]) for a in (course.known, points, course.fresh)))
                wanted, counts = torch.from_numpy(course.action[:, rows]), torch.from_numpy(course.counts[:, rows])
                off = (((action - wanted) ** 2).mean(dim=2) * counts).sum() / counts.sum().clamp(min=1)
                near = torch.from_numpy(course.near[:, rows]).float()
                loss = off + self.config.stop * entropy(stop, near, pos_weight=torch.tensor(self.config.rare))
                self.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
                self.optimizer.step()

    def _score(self, courses: Sequence[Course], rendered: Sequence[Any]) -> dict[str, float]:
        """On the shards kept aside: how well actions are foretold, and what the stop says where the thing truly is."""
        import torch

        rng, off, spread, near, said = np.random.default_rng([self.config.seed, 1, 0]), 0.0, 0.0, [], []
        middle = np.mean([courses[i].action.mean(axis=(0, 1)) for i in range(len(courses))], axis=0)
        for i in self.held:
            course, points = courses[i], self._given(i, courses, rendered, rng)
            with torch.no_grad():
                action, stop = self.net(*(torch.from_numpy(a) for a in (course.known, points, course.fresh)))
            off += float((((action.numpy() - course.action) ** 2).mean(axis=2) * course.counts).sum())
            spread += float((((middle - course.action) ** 2).mean(axis=2) * course.counts).sum())
            near.append(course.near.ravel())
            said.append(stop.numpy().ravel() > 0)
        true, told = np.concatenate(near), np.concatenate(said)
        return {
            "R^2 of actions": 1 - off / max(spread, 1e-9),
            "right to stop": float((true & told).sum()),
            "stopped wrongly": float((~true & told).sum()),
            "missed": float((true & ~told).sum()),
            "right to go on": float((~true & ~told).sum()),
        }

    def _finish(self, stage: str) -> None:
        """Judges what a stage came to, and writes its weights: those of the last one stand in the folder itself."""
        from toolwright.policies.evaluation.reorient_play import judge
        from toolwright.policies.palm.student import StudentControl
        from toolwright.sim.tasks.reorient import ReorientTask

        if self.config.worlds:
            rng = np.random.default_rng([self.config.seed, 2])
            task = ReorientTask(
                ReorientConfig(level="nominal", stop=0.0, renew=False), self.config.worlds, rng, self.config.threads
            )
            control = StudentControl(task, self.student(), rng, by_camera=stage == "rendered")
            judged = judge(task, control)
            self.judged[stage] = {
                "episodes": self.config.worlds,
                "settled": float(judged.success.mean()),
                "touched": float(np.isfinite(judged.touched).mean()),
                "dropped": float(np.isfinite(judged.dropped).mean()),
            }
            self.show(f"{stage} clouds, training shapes: {_told(self.judged[stage])}\n")
        self.student().save(self.folder / stage)
        self.student().save(self.folder)


def _told(numbers: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:g}" if value == int(value) else f"{name} {value:.3f}" for name, value in numbers.items()
    )


def _Net() -> Any:
    """The network while it learns; its arrays have the names that `Student` knows."""
    import torch
    from torch import nn

    point, cloud, memory = HIDDEN

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.point = nn.Sequential(nn.Linear(POINT, point), nn.ELU(), nn.Linear(point, cloud), nn.ELU())
            self.join = nn.Linear(2 * cloud + STATE, memory)
            self.gru = nn.GRU(memory, memory)
            self.head = nn.Linear(memory, ACTIONS + 1)

        def forward(self, known: Any, points: Any, fresh: Any) -> Any:
            """Actions (T, W, ACTIONS) and the stop's logits (T, W); the memory begins anew where a goal is fresh."""
            inner = self.point(points)
            x = nn.functional.elu(self.join(torch.cat([inner.amax(dim=2), inner.mean(dim=2), known], dim=2)))
            h, outs = torch.zeros(1, x.shape[1], memory), []
            for t in range(len(x)):
                h = h * (~fresh[t])[None, :, None]
                out, h = self.gru(x[t : t + 1], h)
                outs.append(out)
            heads = self.head(torch.cat(outs))
            return torch.tanh(heads[..., :ACTIONS]), heads[..., ACTIONS]

    return Net()
