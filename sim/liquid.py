"""The liquid in a syringe, by volume: what the plunger pushes out of the nozzle falls straight down into what is there.

Drops have no body: they are not slowed, spread or weighed. The plunger's face and the cross section of the barrel say
how much leaves; drawn back, the plunger sucks in air, and no liquid leaves until it is where it was. The state lives in
`data.userdata`, so that a copy of the data carries it: first where the liquid's column ends [m of plunger travel], then
the volume in each cup [ml].
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from toolwright.hardware import rotations
from toolwright.sim.models.tools import family
from toolwright.sim.models.tools.syringe import Syringe
from toolwright.sim.scene_spec import Cup, SceneSpec

ML = 1e6  # ml in a m^3


def cups(scene: SceneSpec) -> list[str]:
    """The cups of a scene that can be filled: those of a scene with a syringe, in its order."""
    if scene.tool is None or scene.tool.family != "syringe":
        return []
    return [name for name, obj in scene.objects.items() if isinstance(obj, Cup)]


def states(scene: SceneSpec) -> int:
    """Numbers of user data that a scene's liquid needs."""
    return 1 + len(cups(scene)) if cups(scene) else 0


def contents(data: mujoco.MjData, scene: SceneSpec, name: str) -> float:
    """Volume of liquid in a cup [ml]; 0 for what holds none."""
    known = cups(scene)
    return float(data.userdata[1 + known.index(name)]) if name in known else 0.0


def flow(model: mujoco.MjModel, data: mujoco.MjData, scene: SceneSpec) -> Callable[[], None] | None:
    """What a step of physics does to the liquid; None in a scene without any. The syringe is full as it is now.

    Args:
        model: built from `scene`.
        data: with the tool in the hand.
        scene: drawn.
    """
    names = cups(scene)
    if not names or scene.tool is None:
        return None
    tool = family(scene.tool.family)
    params: Syringe = tool.params(**scene.tool.params)
    area = np.pi / 4 * params.bore**2
    nozzle = tool.tip(params)
    syringe = model.body(scene.tool_name).id
    plunger = model.joint(f"{scene.tool_name}_hinge").qposadr[0]
    filled = {name: obj for name, obj in scene.objects.items() if isinstance(obj, Cup)}
    mouths = [(model.body(name).id, cup.inner_diameter / 2) for name, cup in filled.items()]
    data.userdata[0] = data.qpos[plunger]

    def step() -> None:
        pushed = float(data.userdata[0] - data.qpos[plunger])
        if pushed <= 0:
            return
        data.userdata[0] -= pushed
        tip = data.xpos[syringe] + rotations.rotate(data.xquat[syringe], nozzle)
        for i, (cup, radius) in enumerate(mouths):
            upright = data.xmat[cup][8] > 0.9
            if upright and tip[2] > data.xpos[cup][2] and np.hypot(*(tip - data.xpos[cup])[:2]) < radius:
                data.userdata[1 + i] += pushed * area * ML
                return

    return step
