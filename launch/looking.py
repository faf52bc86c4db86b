"""How well things are seen: scenes are drawn, looked at once through the simulated camera, and compared with the truth.

`toolwright bench seeing` prints it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.scene import Scene, SceneObject

SCENES = ("bead", "beads", "sort", "gap")
_SAME = 0.02  # m between a thing and what was seen of it
_SHAPES = ("sphere", "box", "cylinder", "cup")  # that perception knows


@dataclass
class Sight:
    """What was measured over many scenes."""

    scenes: int = 0
    things: int = 0
    missed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    mistaken: list[str] = field(default_factory=list)  # another shape or color
    position: dict[str, list[float]] = field(default_factory=dict)  # m, by shape
    size: dict[str, list[float]] = field(default_factory=dict)  # m, largest error of the three edges, by shape
    seconds: list[float] = field(default_factory=list)  # of one look

    @property
    def detection_rate(self) -> float:
        return 1 - len(self.missed) / max(self.things, 1)

    def add(self, where: str, truth: dict[str, SceneObject], seen: dict[str, SceneObject]) -> None:
        """Compares one scene: each thing with the nearest that was seen."""
        self.scenes += 1
        left = dict(seen)
        for name, thing in truth.items():
            self.things += 1
            near = min(left, key=lambda other: float(np.linalg.norm(left[other].pos - thing.pos)), default=None)
            if near is None or np.linalg.norm(left[near].pos - thing.pos) > _SAME:
                self.missed.append(f"{where}: {name}, {1e3 * thing.size[0]:.1f} mm")
                continue
            self._compare(f"{where}: {name}", thing, left.pop(near))
        self.invented += [f"{where}: {name} at {np.round(item.pos, 3)}" for name, item in left.items()]

    def _compare(self, where: str, thing: SceneObject, seen: SceneObject) -> None:
        if thing.shape not in _SHAPES:
            return
        self.position.setdefault(thing.shape, []).append(float(np.linalg.norm(seen.pos - thing.pos)))
        edges: F64 = np.abs(np.sort(seen.size) - np.sort(thing.size))
        self.size.setdefault(thing.shape, []).append(float(edges.max()))
        if (seen.shape, seen.color) != (thing.shape, thing.color):
            self.mistaken.append(f"{where}, {thing.color} {thing.shape}, is taken for a {seen.color} {seen.shape}")

    def lines(self) -> list[str]:
        """The report."""
        lines = [
            f"{self.scenes} scenes, {self.things} things: {100 * self.detection_rate:.1f} % found, "
            f"{len(self.invented)} invented, {len(self.mistaken)} with another shape or color, "
            f"{np.median(self.seconds):.2f} s a look"
        ]
        for shape in sorted(self.position):
            at, size = 1e3 * np.array(self.position[shape]), 1e3 * np.array(self.size[shape])
            lines.append(
                f"{shape:9} N = {len(at):3}  place off by {at.mean():.2f} mm on average, 95 % within "
                f"{np.percentile(at, 95):.2f}, at most {at.max():.2f}; size by {size.mean():.2f}, "
                f"{np.percentile(size, 95):.2f}, {size.max():.2f}"
            )
        return lines + [f"  {line}" for line in (*self.missed, *self.invented, *self.mistaken)]


def measure(scenes: Iterable[str], seeds: Iterable[int], report: Callable[[str], None] = lambda line: None) -> Sight:
    """Looks once at each drawn scene.

    Raises:
        RenderError: this machine cannot render.
    """
    from toolwright.launch.watching import simulated_camera
    from toolwright.policies.world import simulate
    from toolwright.sim.scene import load_scene, sample

    sight, seeds = Sight(), list(seeds)
    for name in scenes:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            world = simulate(sample(load_scene(name), rng), rng, "closed_form", noise=None)
            perception, camera = simulated_camera(world, seed)
            began = time.perf_counter()
            scene: Scene = perception.look()
            sight.seconds.append(time.perf_counter() - began)
            camera.close()
            sight.add(f"{name} {seed}", world.perception.look().objects, scene.objects)
        report(f"{name}: {sight.lines()[0]}")
    return sight
