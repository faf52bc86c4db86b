"""What a training needs to know of its task: how to make it, judge it and film it. A configuration's class names it."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from toolwright.policies.weights import Actor
from toolwright.sim.batch_env import Task
from toolwright.sim.tasks.held_tool import HeldToolConfig
from toolwright.sim.tasks.held_tools import HeldToolsConfig
from toolwright.sim.tasks.reorient import ReorientConfig


@dataclass(frozen=True)
class Judgement:
    """Shares of an evaluation's episodes."""

    success: float
    dropped: float
    returned: float = float("nan")  # mean sum of rewards


class Subject(Protocol):
    """One kind of task. `like` is an existing task whose loaded data may be shared; `backend` is of `sim/batch.py`."""

    scales: dict[str, float]  # of the network's goal inputs, see GoalExtractor

    def make(
        self, config: Any, n: int, rng: np.random.Generator, threads: int, like: Any = None, backend: str = "cpu"
    ) -> Task: ...
    def judge(self, task: Any, actor: Actor) -> Judgement: ...
    def film(self, config: Any, like: Any, actor: Actor, path: Path) -> None: ...
    def card(self, config: Any) -> dict[str, Any]: ...


class HeldToolSubject:
    """A tool in the hand, brought to an opening."""

    scales = {"goal_scale": 50.0, "error_scale": 200.0}

    def make(
        self,
        config: HeldToolConfig,
        n: int,
        rng: np.random.Generator,
        threads: int,
        like: Any = None,
        backend: str = "cpu",
    ) -> Task:
        from toolwright.sim.tasks.held_tool import HeldToolTask

        return HeldToolTask(config, n, rng, threads, like.bank if like is not None else None, backend)

    def judge(self, task: Any, actor: Actor) -> Judgement:
        from toolwright.policies.evaluation.held_tool import judge, learned

        judged = judge(task, learned(actor))
        returned = float(judged.returned.mean())
        return Judgement(float(judged.success.mean()), float(judged.dropped.mean()), returned)

    def film(self, config: HeldToolConfig, like: Any, actor: Actor, path: Path) -> None:
        from toolwright.policies.training.film import film_episode

        film_episode(config, like.bank, actor, path)

    def card(self, config: HeldToolConfig) -> dict[str, Any]:
        from toolwright.hardware.held_tool import WORKING
        from toolwright.hardware.joints import LEAP

        return {
            "policy": "held_tool",
            "tool": config.tool,
            "shape": config.shape,
            "observation": "see LearnedInterface.observe in hardware/held_tool.py",
            "action": "see LearnedInterface.target in hardware/held_tool.py",
            "working_joints": [LEAP.names[i] for i in WORKING],
        }


class HeldToolsSubject:
    """Every tool in the hand by one policy; judged by the mean over the families."""

    scales = HeldToolSubject.scales
    _one = HeldToolSubject()

    def make(
        self,
        config: HeldToolsConfig,
        n: int,
        rng: np.random.Generator,
        threads: int,
        like: Any = None,
        backend: str = "cpu",
    ) -> Task:
        from toolwright.sim.tasks.held_tools import HeldToolsTask

        return HeldToolsTask(config, n, rng, threads, like, backend)

    def judge(self, task: Any, actor: Actor) -> Judgement:
        each = [self._one.judge(part, actor) for part in task.parts]
        return Judgement(*np.mean([astuple(judged) for judged in each], axis=0).tolist())

    def film(self, config: HeldToolsConfig, like: Any, actor: Actor, path: Path) -> None:
        self._one.film(like.parts[0].config, like.parts[0], actor, path)

    def card(self, config: HeldToolsConfig) -> dict[str, Any]:
        return {**self._one.card(replace(config.each, tool="")), "tools": list(config.families())}


class ReorientSubject:
    """An object turned in the hand. Judged as the curriculum stands: the best of a training is that of its hardest."""

    scales = {"goal_scale": 0.0, "error_scale": 0.0}  # orientations stand in the observation, without two signs

    def make(
        self,
        config: ReorientConfig,
        n: int,
        rng: np.random.Generator,
        threads: int,
        like: Any = None,
        backend: str = "cpu",
    ) -> Task:
        from toolwright.sim.tasks.reorient import ReorientTask

        # Judged in the finer physics, whatever the training saves.
        task = ReorientTask(config if like is None else replace(config, coarse=False), n, rng, threads, backend)
        if like is not None:  # to be judged over the whole range, wherever its curriculum stands
            task.reach[:], task.cone[:], task.frozen = config.far, config.palm[1], True
        return task

    def judge(self, task: Any, actor: Actor) -> Judgement:
        from toolwright.policies.evaluation.reorient_play import judge, learned

        judged = judge(task, learned(actor))
        return Judgement(float(judged.success.mean()), float(np.isfinite(judged.dropped).mean()))

    def film(self, config: ReorientConfig, like: Any, actor: Actor, path: Path) -> None:
        from toolwright.policies.evaluation.reorient_film import film
        from toolwright.policies.evaluation.reorient_play import learned

        film(replace(config, coarse=False), learned(actor), path)

    def card(self, config: ReorientConfig) -> dict[str, Any]:
        return {
            "policy": "reorient",
            "observation": "privileged, see ReorientTask.observe in sim/tasks/reorient.py",
            "action": "see ReorientInterface.target in hardware/reorient.py",
        }


_SUBJECTS: dict[type, Subject] = {
    HeldToolConfig: HeldToolSubject(),
    HeldToolsConfig: HeldToolsSubject(),
    ReorientConfig: ReorientSubject(),
}


def subject(config: Any) -> Subject:
    """The subject of a task's configuration.

    Raises:
        KeyError: a class that none is written for.
    """
    return _SUBJECTS[type(config)]
