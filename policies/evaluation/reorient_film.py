"""Videos of an object being turned in the hand; the small copy in the corner shows the goal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.evaluation.held_tool import rng_for
from toolwright.sim.models.physics import CONTROL_PERIOD, SUBSTEPS
from toolwright.sim.render import RenderError, VideoWriter, open_renderer
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

_SIZE, _SMALL = (640, 480), (160, 120)  # px
_AFTER = 0.5  # s shown after the end


def film(
    config: ReorientConfig,
    control: Callable[[ReorientTask, np.ndarray], F64],
    path: Path,
    seed: int = 0,
    steps: int = 200,
) -> None:
    """Plays one world, goal after goal, and writes it as a video.

    Args:
        config: the task.
        control: what to do.
        path: of the video.
        seed: of the episode.
        steps: control steps.

    Raises:
        RenderError: no way to draw on this machine.
    """
    task = ReorientTask(config, 1, rng_for(seed), 1)
    task.reset(np.zeros(1, dtype=np.intp))
    states, goals = [], []
    for _ in range(steps):
        task.act(control(task, np.ones(1, dtype=bool)))
        task.batch.step(nstep=SUBSTEPS)
        task.sense()
        states.append(task.qpos[0].copy())
        goals.append(task.goal[0].copy())
        if task.failed(task.measure())[0]:
            break
    _write(task, 0, np.array(states), np.array(goals), path)


def films(
    task: ReorientTask,
    motion: F64,
    goals: F64,
    ended: F64,
    success: np.ndarray,
    folder: Path,
    report: Callable[[str], None],
    most: int = 2,
) -> None:
    """Writes the first successes and the first failures of episodes that were played.

    Args:
        task: in which they were played: its worlds have the objects.
        motion: (steps, worlds, nq) states after every control step.
        goals: (worlds, 4).
        ended: (worlds,) s; infinite where the time ran out.
        success: (worlds,) bool.
        folder: gets success_I.mp4 and failure_I.mp4, I the number of the episode.
        report: called where videos cannot be made here, with the reason.
        most: of either kind.
    """
    for name, which in (("success", success), ("failure", ~success)):
        for i in np.flatnonzero(which)[:most].tolist():
            last = int(min((ended[i] + _AFTER) / CONTROL_PERIOD, len(motion)))
            try:
                _write(task, i, motion[:last, i], np.tile(goals[i], (last, 1)), folder / f"{name}_{i}.mp4")
            except RenderError as error:
                report(f"no videos: {error}")
                return


def _write(task: ReorientTask, world: int, states: F64, goals: F64, path: Path) -> None:
    model, data = task.batch.get_model(world), task.batch.get_data(world)
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (-0.02, -0.03, -0.05), 0.34, 40, 35
    model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.45, 0.5
    with VideoWriter(path, fps=round(1 / CONTROL_PERIOD), size=_SIZE) as video:
        with open_renderer(model, *_SIZE) as renderer, open_renderer(model, *_SMALL) as small:
            for state, goal in zip(states, goals, strict=True):
                data.qpos[:] = state
                frame = _draw(renderer, model, data, camera)
                data.qpos[19:] = goal
                frame[: _SMALL[1], -_SMALL[0] :] = _draw(small, model, data, camera)
                video.write(frame)


def _draw(renderer: mujoco.Renderer, model: mujoco.MjModel, data: mujoco.MjData, camera: mujoco.MjvCamera) -> Any:
    mujoco.mj_forward(model, data)
    renderer.update_scene(data, camera)
    # The palm faces down in its own frame: the picture is turned by half a turn.
    return np.ascontiguousarray(renderer.render()[::-1, ::-1])
