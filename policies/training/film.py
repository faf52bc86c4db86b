"""A video of one evaluation episode of the held-tool task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mujoco

from toolwright.policies.evaluation.held_tool import learned, rng_for
from toolwright.policies.weights import Actor
from toolwright.sim.grasp_bank import GraspBank
from toolwright.sim.models.physics import CONTROL_PERIOD, SUBSTEPS
from toolwright.sim.render import VideoWriter
from toolwright.sim.tasks.held_tool import HeldToolConfig, HeldToolTask


def film_episode(config: HeldToolConfig, bank: GraspBank, actor: Actor, path: Path, seed: int = 0) -> None:
    """Plays one episode and writes it as a video.

    Args:
        config: the task.
        bank: its grasps.
        actor: the policy.
        path: of the video.
        seed: of the episode.

    Raises:
        RenderError: no way to draw on this machine.
    """
    task = HeldToolTask(replace(config), 1, rng_for(seed), 1, bank)
    task.reset(task.tool * 0)
    control = learned(actor)
    model = task.batch.get_model(0)
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (-0.03, 0.0, -0.08), 0.42, 150, -10
    with VideoWriter(path, fps=round(1 / CONTROL_PERIOD), size=(640, 480)) as video:
        for _ in range(task.horizon):
            control(task)
            task.batch.step(nstep=SUBSTEPS)
            task.sense()
            data = task.batch.get_data(0)
            mujoco.mj_forward(model, data)
            video.capture(model, data, camera)
