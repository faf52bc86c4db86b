"""Things on a table as a camera sees them over time: names stay, and what the robot hides is where it was.

A thing that the tool's tips close on goes with them, as long as they stay as far apart as it is wide: that is felt.
Where color shows it between the tips, that counts. Let go over a cup and no longer seen, it is taken to be inside, and
the notes say that this is a conclusion.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy import ndimage

from toolwright.hardware.robot import F64
from toolwright.perception import palette, solids, table_eye
from toolwright.perception.scene import Box, HeldTool, SceneObject
from toolwright.perception.solids import Solid
from toolwright.perception.table_eye import Sighting
from toolwright.perception.tabletop import View

State = Literal["table", "held", "inside", "gone"]
_CAREFUL = 3  # looks at which a thing is measured anew and averaged
_NEAR = 30.0  # px between where a thing is expected and where it is seen
_STILL = 1.5  # px
_AVERAGE = 0.25  # weight of a new look at a ball that lies still
_MOVED = 0.003  # m
_PATIENCE = 4  # looks at which nothing is seen where a thing should be
_NEWS = 2  # looks in a row that a new thing must be seen
_BETWEEN = 0.012  # m around the middle of the pads
_PAD = 0.012  # m, length of the tips' pads
_SEEN_AT_TIPS = 3  # px of its color
_AWAY = 0.015  # m that tips and thing are away from where it lay when it is carried
_CONVINCED = 4  # looks at which something like it is seen elsewhere before the fingers are not believed
_CREEP = 0.002  # m a look by which a held thing is believed to have moved in the tips
_SLACK = (0.55, 0.0025)  # share of its width, m beyond it: between these the tips feel a thing


@dataclass
class Track:
    """One thing."""

    solid: Solid
    color: str
    family: int
    pos: F64  # (3,) m, world
    pixel: F64  # (2,) px, where it was seen last
    state: State = "table"
    looks: int = 1
    missed: int = 0
    grip: F64 = field(default_factory=lambda: np.zeros(3))  # m, in the tips' frame, where held
    inferred: bool = False  # concluded, not seen
    elsewhere: int = 0  # looks in a row at which something like it is seen away from the tips that hold it


@dataclass(frozen=True)
class Known:
    """What is known after a frame."""

    objects: dict[str, SceneObject]
    grips: dict[str, F64]  # m in the tips' frame, of what the tips hold
    notes: tuple[str, ...]

    def now(self, tool: HeldTool | None) -> dict[str, SceneObject]:
        """The objects, those that are held where the tips are now."""
        if tool is None or not self.grips:
            return dict(self.objects)
        T = tool.T_world_tip
        held = {name: T[:3, :3] @ grip + T[:3, 3] for name, grip in self.grips.items()}
        return {name: replace(item, pos=held.get(name, item.pos)) for name, item in self.objects.items()}


class Memory:
    """All things.

    Args:
        region: whose x and y bound the table's part that counts.
    """

    def __init__(self, region: Box) -> None:
        self._region = region
        self.tracks: dict[str, Track] = {}
        self._news: list[tuple[F64, int]] = []  # px and looks, of what may be a new thing
        self._plane_height = 0.0

    def update(self, seen: View, tool: HeldTool | None) -> None:
        """Takes one frame.

        Args:
            seen: the frame, with the robot's pixels.
            tool: in the hand, at the frame's time.
        """
        first = not self.tracks
        found = table_eye.sightings(seen, self._region)
        self.carry(tool)
        matched = self._match(seen, found)
        for name, track in self.tracks.items():
            if name in matched:
                self._see(seen, track, matched[name], tool)
            else:
                self._miss(seen, track, tool)
        taken = {id(sighting) for sighting in matched.values()}
        self._welcome(seen, [sighting for sighting in found if id(sighting) not in taken], tool, first)

    def carry(self, tool: HeldTool | None) -> None:
        """Moves what is held to where the tips are."""
        for track in self.tracks.values():
            if track.state == "held" and tool is not None:
                track.pos = tool.T_world_tip[:3, :3] @ track.grip + tool.T_world_tip[:3, 3]

    def known(self, seen: View) -> Known:
        """Everything that is known to be somewhere."""
        objects = {
            name: replace(table_eye.scene_object(name, track.solid, track.color, seen), pos=track.pos.copy())
            for name, track in self.tracks.items()
            if track.state != "gone"
        }
        grips = {name: track.grip.copy() for name, track in self.tracks.items() if track.state == "held"}
        return Known(objects, grips, self.notes())

    def notes(self) -> tuple[str, ...]:
        """What is not seen, in plain words."""
        lines = [f"{name} is no longer seen" for name, track in self.tracks.items() if track.state == "gone"]
        lines += [
            f"{name} is not seen: it was let go over a cup, and is taken to be inside"
            for name, track in self.tracks.items()
            if track.state == "inside" and track.inferred
        ]
        return tuple(lines)

    # -- which is which -----------------------------------------------------------------------------------------------

    def _match(self, seen: View, found: list[Sighting]) -> dict[str, Sighting]:
        pairs = []
        for name, track in self.tracks.items():
            expected = _pixel(seen, track.pos)
            for sighting in found:
                alike = sighting.family == track.family or sighting.color == track.color
                away = float(np.linalg.norm(sighting.evidence.middle - expected))
                same_place = float(np.linalg.norm(sighting.evidence.middle - track.pixel))
                away = min(away, same_place)
                if alike and away < _NEAR + np.sqrt(sighting.evidence.area) and self._as_large(seen, track, sighting):
                    pairs.append((away, name, sighting))
        matched: dict[str, Sighting] = {}
        for _, name, sighting in sorted(pairs, key=lambda pair: pair[0]):
            if name not in matched and all(sighting is not other for other in matched.values()):
                matched[name] = sighting
        return matched

    def _as_large(self, seen: View, track: Track, sighting: Sighting) -> bool:
        z = float((np.linalg.inv(seen.frame.T_world_cam) @ [*track.pos, 1.0])[2])
        across = float(np.sort(track.solid.size)[1]) * seen.frame.K[0, 0] / max(z, 0.05)
        ratio = sighting.evidence.area / max(across**2, 1.0)
        return ratio < 3.0 and (ratio > 0.15 or not sighting.evidence.sure.all())

    # -- things that are seen -----------------------------------------------------------------------------------------

    def _see(self, seen: View, track: Track, sighting: Sighting, tool: HeldTool | None) -> None:
        found = sighting.evidence
        if tool is not None and self._is_carried(seen, track, tool):
            near = _passes(seen, found.middle, _grip_point(tool), track)
            track.elsewhere = track.elsewhere + 1 if found.sure.all() and not near else 0
            if track.elsewhere < _CONVINCED:
                if near:
                    self._hold(seen, track, found.middle, tool)
                track.missed, track.inferred = 0, False
                return
            track.elsewhere = 0
        still = float(np.linalg.norm(found.middle - track.pixel)) < _STILL
        if self._at_tips(track, tool) and self._lifted(seen, track, found.middle, tool):
            self._hold(seen, track, found.middle, tool)
        elif found.sure.all():
            self._measure(seen, track, sighting, still)
        elif track.state != "table" or not still and not self._covers(seen, track, sighting):
            self._measure(seen, track, sighting, still=False)
        if track.state == "table" and self._at_tips(track, tool) and tool is not None and self._feels(track, tool):
            self._take(track, tool)
        track.missed, track.inferred, track.pixel = 0, False, found.middle
        if track.state == "gone":
            track.state = "table"

    def _measure(self, seen: View, track: Track, sighting: Sighting, still: bool) -> None:
        """Where it is on the table, or in a cup; averaged while it lies still."""
        floor = self._floor(seen, sighting.evidence.middle, track)
        track.state = "inside" if floor else "table"
        solid = track.solid
        if solid.shape == "sphere" and solid.size[0] < 0.03:
            if sighting.evidence.sure.all() and not floor:
                seen_as = solids.ball(seen, sighting.evidence)
                weight = max(1 / (track.looks + 1), _AVERAGE / 3)
                track.solid = replace(solid, size=(1 - weight) * solid.size + weight * seen_as.size)
            height = floor + track.solid.size[2] / 2
            at = table_eye.place(seen, sighting.evidence.middle, height)
            near = still and np.linalg.norm(at - track.pos) < _MOVED
            track.pos = (1 - _AVERAGE) * track.pos + _AVERAGE * at if near else at
            track.looks += 1
            return
        if still and track.looks >= _CAREFUL:
            return
        again = solids.recognize(seen, sighting.segment, sighting.evidence)
        if again.shape != solid.shape and track.looks >= _CAREFUL:
            return
        if again.shape == solid.shape and still:
            weight = 1 / (track.looks + 1)
            again = replace(
                again,
                size=(1 - weight) * solid.size + weight * again.size,
                xy=(1 - weight) * track.pos[:2] + weight * again.xy,
            )
        elif again.shape == solid.shape and track.looks >= _CAREFUL:
            again = replace(again, size=solid.size)
        track.solid, track.looks = again, track.looks + 1
        track.pos = np.array([*again.xy, float(seen.plane.height(again.xy)) + again.size[2] / 2])

    def _floor(self, seen: View, pixel: F64, track: Track) -> float:
        """Height [m] of what a ball lies on: a cup's bottom where its ray goes into one, else the table."""
        if track.solid.shape != "sphere":
            return 0.0
        at = table_eye.place(seen, pixel, solids.FLOOR + track.solid.size[2] / 2)
        for other in self.tracks.values():
            if other.solid.opening > track.solid.size[0] and other is not track:
                inside = np.linalg.norm(at[:2] - other.pos[:2]) < other.solid.opening / 2
                if inside:
                    return solids.FLOOR
        return 0.0

    def _covers(self, seen: View, track: Track, sighting: Sighting) -> bool:
        """Whether what is seen can be a part of the thing where it was."""
        z = float((np.linalg.inv(seen.frame.T_world_cam) @ [*track.pos, 1.0])[2])
        radius = float(np.linalg.norm(track.solid.size)) / 2 * seen.frame.K[0, 0] / z + 2
        return float(np.linalg.norm(sighting.segment.pixels - _pixel(seen, track.pos), axis=1).max()) < radius

    # -- things at the tips -------------------------------------------------------------------------------------------

    def _at_tips(self, track: Track, tool: HeldTool | None) -> bool:
        if tool is None or track.solid.size[:2].min() > tool.opening_max:
            return False
        at = tool.T_world_tip[:3, :3].T @ (track.pos - tool.T_world_tip[:3, 3]) + [0, 0, _PAD / 2]
        half = track.solid.size[0] / 2
        return bool(abs(at[0]) < tool.opening / 2 + half and abs(at[1]) < _BETWEEN and abs(at[2]) < _BETWEEN + half)

    def _feels(self, track: Track, tool: HeldTool) -> bool:
        width = float(track.solid.size[:2].min())
        return _SLACK[0] * width < tool.opening < width + _SLACK[1]

    def _lifted(self, seen: View, track: Track, pixel: F64, tool: HeldTool | None) -> bool:
        """Whether it is where the tips are and not where its ray meets the table."""
        assert tool is not None
        grip = _grip_point(tool)
        low = float(seen.plane.height(grip[:2])) + track.solid.size[2] / 2
        return bool(grip[2] - low > _AWAY / 2 and _passes(seen, pixel, grip, track))

    def _hold(self, seen: View, track: Track, pixel: F64, tool: HeldTool | None) -> None:
        """It is on its pixel's ray where that comes nearest to the middle of the pads."""
        assert tool is not None
        eye, ray = seen.eye, table_eye.place(seen, pixel, 0.0) - seen.eye
        ray /= np.linalg.norm(ray)
        at = eye + ray * float((_grip_point(tool) - eye) @ ray)
        if track.state == "held":  # what is felt does not jump; what looks like it may be something else
            away = at - track.pos
            at = track.pos + away * min(_AVERAGE, _CREEP / max(float(np.linalg.norm(away)), 1e-9))
        track.pos = at
        self._take(track, tool)

    def _is_carried(self, seen: View, track: Track, tool: HeldTool) -> bool:
        """Whether the tips have it, and hold it high over the table."""
        grip = _grip_point(tool)
        low = float(seen.plane.height(grip[:2])) + track.solid.size[2] / 2
        return (
            track.state == "held" and grip[2] - low > _AWAY and self._at_tips(track, tool) and self._feels(track, tool)
        )

    def _take(self, track: Track, tool: HeldTool) -> None:
        track.state, track.inferred = "held", False
        track.grip = tool.T_world_tip[:3, :3].T @ (track.pos - tool.T_world_tip[:3, 3])

    def _miss(self, seen: View, track: Track, tool: HeldTool | None) -> None:
        """No segment of its own: hidden, between the tips, or gone."""
        if tool is not None and self._at_tips(track, tool):
            pixel = _color_at(seen, track, _grip_point(tool))
            if pixel is not None and self._lifted(seen, track, pixel, tool):
                self._hold(seen, track, pixel, tool)
                track.missed = 0
                return
            if self._feels(track, tool):
                self._take(track, tool)
                track.missed = 0
                return
        if track.state == "held":
            self._let_go(seen, track)
        if track.state == "inside":
            return
        track.missed = 0 if self._is_hidden(seen, track) else track.missed + 1
        if track.missed > _PATIENCE and not self._falls_into_a_cup(track):
            track.state = "gone"

    def _let_go(self, seen: View, track: Track) -> None:
        """Falls straight down, into a cup where there is one below."""
        if self._falls_into_a_cup(track):
            return
        track.pos[2] = float(seen.plane.height(track.pos[:2])) + track.solid.size[2] / 2
        track.state, track.missed = "table", 0

    def _falls_into_a_cup(self, track: Track) -> bool:
        for other in self.tracks.values():
            below = other.solid.opening > 0 and np.linalg.norm(other.pos[:2] - track.pos[:2]) < other.solid.opening / 2
            if below and track.pos[2] > other.pos[2]:
                bottom = float(other.pos[2]) - other.solid.size[2] / 2 + solids.FLOOR
                track.pos = np.array([*other.pos[:2], bottom + track.solid.size[2] / 2])
                track.state, track.inferred, track.missed = "inside", True, 0
                return True
        return False

    def _is_hidden(self, seen: View, track: Track) -> bool:
        u, v = np.rint(_pixel(seen, track.pos)).astype(int)
        height, width = seen.hidden.shape
        if not (0 <= u < width and 0 <= v < height):
            return True
        around = seen.hidden[max(v - 3, 0) : v + 4, max(u - 3, 0) : u + 4]
        return bool(around.mean() > 0.3)

    # -- new things ---------------------------------------------------------------------------------------------------

    def _welcome(self, seen: View, found: list[Sighting], tool: HeldTool | None, first: bool) -> None:
        """Things nobody knew; after the first look only what is seen twice, whole, and away from the robot."""
        robot = ndimage.binary_dilation(seen.hidden, iterations=8) if seen.hidden.any() else seen.hidden
        news: list[tuple[F64, int]] = []
        new: list[tuple[Sighting, Solid]] = []
        for sighting in found:
            if (robot & sighting.segment.mask).any():
                continue
            middle = sighting.evidence.middle
            looks = 1 + max((n for at, n in self._news if np.linalg.norm(at - middle) < 3), default=0)
            if first or looks >= _NEWS and sighting.evidence.sure.all():
                new.append((sighting, solids.recognize(seen, sighting.segment, sighting.evidence)))
            else:
                news.append((middle, looks))
        self._news = news
        words = [(table_eye.kind(solid), sighting.color) for sighting, solid in new]
        for name, (sighting, solid) in zip(table_eye.names(words, frozenset(self.tracks)), new, strict=True):
            pos = np.array([*solid.xy, float(seen.plane.height(solid.xy)) + solid.size[2] / 2])
            self.tracks[name] = Track(solid, sighting.color, sighting.family, pos, sighting.evidence.middle)


def _pixel(seen: View, pos: F64) -> F64:
    frame = seen.frame
    at = frame.T_world_cam[:3, :3].T @ (pos - frame.T_world_cam[:3, 3])
    return at[:2] / max(float(at[2]), 1e-3) * frame.K[[0, 1], [0, 1]] + frame.K[:2, 2]


def _grip_point(tool: HeldTool) -> F64:
    """(3,) m, world: middle of the pads."""
    return tool.T_world_tip[:3, 3] - _PAD / 2 * tool.T_world_tip[:3, 2]


def _passes(seen: View, pixel: F64, point: F64, track: Track) -> bool:
    """Whether a pixel's ray passes a point within the thing's reach."""
    ray = table_eye.place(seen, pixel, 0.0) - seen.eye
    ray /= np.linalg.norm(ray)
    off = point - seen.eye
    return float(np.linalg.norm(off - (off @ ray) * ray)) < _BETWEEN + float(track.solid.size[0]) / 2


def _color_at(seen: View, track: Track, point: F64) -> F64 | None:
    """Middle (2,) px of a thing's color around a point; None where there is too little, or it has no hue."""
    if track.family == palette.GRAY:
        return None
    u, v = _pixel(seen, point)
    z = float((np.linalg.inv(seen.frame.T_world_cam) @ [*point, 1.0])[2])
    reach = int(np.ceil((_BETWEEN + float(track.solid.size[0]) / 2) * seen.frame.K[0, 0] / z))
    height, width = seen.hidden.shape
    v0, v1, u0, u1 = max(int(v) - reach, 0), min(int(v) + reach + 1, height), max(int(u) - reach, 0), int(u) + reach + 1
    patch = seen.frame.rgb[v0:v1, u0 : min(u1, width)]
    if not patch.size:
        return None
    alike = palette.families(patch) == track.family
    if alike.sum() < _SEEN_AT_TIPS:
        return None
    vs, us = np.nonzero(alike)
    return np.array([us.mean() + u0, vs.mean() + v0])
