"""Actions with a rigid tool in the hand: a bar with an upright handle, and perhaps a crossbar at its far end."""

from __future__ import annotations

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.perception.scene import SceneObject
from toolwright.policies.hand import bar_geometry, hand_room
from toolwright.policies.hand.bar_geometry import Bar
from toolwright.policies.hand.hand_loop import pose_of
from toolwright.policies.hand.hand_use import ATTEMPTS, CARRY, PLACED, SLOW, Result, extent, grip_point
from toolwright.policies.hand.thumb_use import ThumbUse
from toolwright.policies.motion import TipLimits
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool.tool_loop import Trouble

STUCK = 0.012  # m that an attached block may be off, for each block from the tool to it: the chain sags
SKIM = 0.005  # m that a bar is held above the table while it pulls or pushes
DRAWN = 0.05  # m from the place that still counts as there: a thing has play beside the bar
FREE_SIDE = 0.02  # m between a thing that was drawn and the bar, before this goes up
ABOVE = 0.025  # m over the tallest thing, of the bar's underside on its way


class BarUse(ThumbUse):
    """Implements what the language side calls `HandActions`: the bare hand's actions, and those of a held bar."""

    _attached: list[str]  # magnetic blocks at the end of the held tool, in order

    def _grasp(self, name: str, lift: float) -> Result:
        self._attached = []
        return super()._grasp(name, lift)

    def pull(self, name: str, x: float, y: float) -> Outcome:
        """Hooks the held tool's head behind a thing and draws it to a place."""
        return self.run(lambda: self._pull(name, np.array([x, y])))

    def poke(self, name: str, tube: str) -> Outcome:
        """Pushes a thing out of a tube with the end of the held tool."""
        return self.run(lambda: self._poke(name, tube))

    def attach(self, name: str) -> Outcome:
        """Picks up a magnetic block with the magnetic end of the held tool."""
        return self.run(lambda: self._attach(name))

    # -- pull ---------------------------------------------------------------------------------------------------------

    def _pull(self, name: str, xy: F64) -> Result:
        bar = self._held_bar()
        way = xy - grip_point(self.loop.object(name))
        far = float(np.linalg.norm(way))
        toward = way / max(far, 1e-6)
        for _ in range(ATTEMPTS):
            if far < DRAWN / 2:
                break
            self._pull_once(name, bar, toward, far)
            far = float((xy - grip_point(self.loop.object(name))) @ toward)
        away = float(np.linalg.norm(grip_point(self.loop.object(name)) - xy))
        if away > DRAWN:
            raise Trouble("escaped", f"{name} is {away * 1e3:.0f} mm from the place")
        return f"{name} was drawn to {away * 1e3:.0f} mm from the place", {"from_place": away}

    def _pull_once(self, name: str, bar: Bar, toward: F64, far: float) -> None:
        item = self.loop.object(name)
        along = -toward
        left = np.array([-along[1], along[0]])
        half_along, half_across = extent(item, along), extent(item, left)
        sides = [side for side in bar.heads if bar_geometry.covers(bar, side, half_across)]
        if not sides:
            raise Trouble("wrong tool", f"the head of {self.held} does not reach over {name}")
        if not bar_geometry.spans(bar, half_along):
            raise Trouble("wrong tool", f"{self.held} is too short for the hand to stay clear of {name}")
        handles = {
            side: bar_geometry.hooked(bar, side, grip_point(item), half_along, half_across, along) for side in sides
        }
        others = hand_room.standing(self.loop.scene, (name, self.held))
        rooms = {one: min(hand_room.around(handles[one], others), hand_room.HAND) for one in sides}
        side = min(sides, key=lambda one: (-rooms[one], abs(float(handles[one][1]))))
        start, height = handles[side] + along * bar_geometry.BEYOND, self._over_parts(item)
        self._bring(bar, start, along, height)
        self._slide(bar, handles[side] + toward * far, along, height)
        self._unhook(name, bar, side, handles[side] + toward * far, along, height)

    def _unhook(self, name: str, bar: Bar, side: int, handle: F64, along: F64, height: float) -> None:
        """The head off the thing's far side, then the bar off its flank, and only then up. It may have turned."""
        item, left = self.loop.object(name), np.array([-along[1], along[0]])
        away = grip_point(item) - handle
        behind = bar.inner - float(away @ along) - extent(item, along)
        beside = float(side * away @ left) - extent(item, left) - bar.width / 2
        free = handle + along * max(bar_geometry.BEYOND, bar_geometry.BEYOND - behind)
        self._slide(bar, free, along, height)
        self._slide(bar, free - side * left * max(FREE_SIDE, FREE_SIDE - beside), along, height)
        self._lift_clear()

    # -- push, poke, press --------------------------------------------------------------------------------------------

    def _push(self, name: str, xy: F64) -> Result:
        if not self.held:
            return super()._push(name, xy)
        bar = self._held_bar()
        for _ in range(ATTEMPTS):
            item = self.loop.object(name)
            way = xy - item.pos[:2]
            far = float(np.linalg.norm(way))
            if far < PLACED / 2:
                break
            push = way / far
            along = np.array([push[1], -push[0]])
            if along[0] < 0:
                along = -along  # the far end points away from the robot
            touching = bar_geometry.beside(bar, item.pos[:2], extent(item, push), push, along)
            self._bring(bar, touching - push * bar_geometry.BEYOND, along, self._skim())
            self._slide(bar, touching + push * far, along, self._skim())
            self._slide(bar, touching + push * (far - bar_geometry.BEYOND), along, self._skim())
            self._lift_clear()
        away = float(np.linalg.norm(self.loop.object(name).pos[:2] - xy))
        if away > PLACED:
            raise Trouble("escaped", f"{name} is {away * 1e3:.0f} mm from the place")
        return f"{name} is {away * 1e3:.0f} mm from the place", {"from_place": away}

    def _poke(self, name: str, tube: str) -> Result:
        bar, pipe, item = self._held_bar(), self.loop.object(tube), self.loop.object(name)
        if pipe.shape != "tube" or bar.height >= pipe.opening or bar.width >= pipe.opening:
            raise Trouble("does not fit", f"{self.held} does not go into {tube}")
        axis = pose_of(pipe)[:2, 0] / np.linalg.norm(pose_of(pipe)[:2, 0])
        along = axis if axis[0] >= 0 else -axis
        if float((item.pos[:2] - pipe.pos[:2]) @ along) > pipe.size[0] / 2:
            return f"{name} is out of {tube} already", {}
        height = float(pipe.pos[2]) - bar.height / 2
        ahead = pipe.size[0] / 2 + bar.length + bar_geometry.BEYOND
        start = pipe.pos[:2] - along * ahead
        self._bring(bar, start, along, height)
        # Until the middle of the thing is out, and its own half length more.
        through = ahead + pipe.size[0] / 2 - bar.length
        self._slide(bar, start + along * through, along, height)
        self._slide(bar, start, along, height)
        self._lift_clear()
        out = float((self.loop.object(name).pos[:2] - pipe.pos[:2]) @ along) - pipe.size[0] / 2
        if out < 0:
            raise Trouble("stuck", f"{name} is still {-out * 1e3:.0f} mm inside {tube}")
        return f"{name} is out of {tube}", {"out": out}

    def _attach(self, name: str) -> Result:
        bar, block = self._held_bar(), self.loop.object(name)
        if not (self.loop.scene.objects[self.held].magnetic and block.magnetic):
            raise Trouble("no magnet", f"{self.held} and {name} do not stick to each other")
        for _ in range(ATTEMPTS):
            self._touch(bar, self.loop.object(name))
            gap = self._gap(name, bar)
            if gap < STUCK * (1 + len(self._attached)):
                self._attached.append(name)
                long = self._length(bar)
                return f"{name} sticks to {self.held}, which is now {long * 1e3:.0f} mm long", {"length": long}
        raise Trouble("not attached", f"{name} is {gap * 1e3:.0f} mm from where it would stick")

    def _touch(self, bar: Bar, block: SceneObject) -> None:
        """Brings the end of the held tool against the side of a block that is nearest to the robot, and lifts."""
        axes = pose_of(block)[:2, :2]
        level = axes / np.maximum(np.linalg.norm(axes, axis=0), 1e-6)
        along = max((sign * level[:, i] for i in (0, 1) for sign in (1, -1)), key=lambda way: float(way[0]))
        reach = self._length(bar) + extent(block, along)
        start = block.pos[:2] - along * (reach + bar_geometry.BEYOND)
        self._bring(bar, start, along, self.loop.scene.table_height + 0.001)
        before = block.pos.copy()
        frame = self.loop.in_palm(self.held)
        self.push_until(frame, along, 2 * bar_geometry.BEYOND, lambda: self._moved(block.name, before) > 0.005)
        self.loop.wait(0.3)
        self._lift_clear()

    def _moved(self, name: str, before: F64) -> float:
        return float(np.linalg.norm(self.loop.object(name).pos - before))

    def _gap(self, name: str, bar: Bar) -> float:
        """Distance [m] of a block from where it is when it sticks to the end of the held tool."""
        T = np.linalg.inv(pose_of(self.loop.object(self.held)))
        block = self.loop.object(name)
        at = (T @ np.array([*block.pos, 1.0]))[:3]
        wanted = bar.handle[0] + self._length(bar) + block.size[0] / 2
        return float(np.hypot(at[0] - wanted, at[1] - bar.handle[1]))

    def _length(self, bar: Bar) -> float:
        """From the handle to the far end [m], attached blocks included."""
        return bar.length + sum(float(self.loop.object(name).size[0]) for name in self._attached)

    def _press(self, name: str) -> Result:
        if not self.held:
            return super()._press(name)
        bar, item = self._held_bar(), self.loop.object(name)
        if item.travel_max <= 0:
            raise Trouble("no button", f"{name} cannot be pressed")
        inward = pose_of(item)[:2, 0] / np.linalg.norm(pose_of(item)[:2, 0])
        front = item.pos[:2] - inward * item.size[0] / 2
        height = float(item.pos[2]) - bar.height / 2
        start = front - inward * (self._length(bar) + 2 * bar_geometry.BEYOND)
        self._bring(bar, start, inward, height)
        frame = self.loop.in_palm(self.held)
        far = 2 * bar_geometry.BEYOND + 2 * item.travel_max + 0.02
        self.push_until(frame, inward, far, lambda: self._pressed(name))
        return self.pressed_result(name)

    # -- moving the bar -----------------------------------------------------------------------------------------------

    def _held_bar(self) -> Bar:
        bar = bar_geometry.bar_of(self.loop.object(self.held)) if self.held else None
        if bar is None:
            raise Trouble("no tool", "the hand holds no bar")
        return bar

    def _bring(self, bar: Bar, handle: F64, along: F64, height: float) -> None:
        """Over everything, then straight down: handle (2,) [m], direction (2,), height of the underside [m]."""
        self._lift_clear()
        over = float(self.bottom(self.held)) - self.loop.scene.table_height
        self._to(bar, handle, along, over, CARRY)
        self._to(bar, handle, along, over, SLOW)
        self._to(bar, handle, along, height - self.loop.scene.table_height, CARRY)

    def _skim(self) -> float:
        """Height [m] of the bar's underside while it pulls or pushes."""
        return self.loop.scene.table_height + SKIM

    def _over_parts(self, item: SceneObject) -> float:
        """Height [m] of the bar's underside while it draws a thing; a tool is hooked at its handle, over its bar."""
        low = [pose_of(item)[2, 3] + part.pos[2] + part.size[2] / 2 for part in item.parts if part.name != "handle"]
        if bar_geometry.bar_of(item) is None or not low:
            return self._skim()
        return float(max(low)) + 2 * SKIM

    def _slide(self, bar: Bar, handle: F64, along: F64, height: float) -> None:
        self._to(bar, handle, along, height - self.loop.scene.table_height, SLOW)

    def _to(self, bar: Bar, handle: F64, along: F64, height: float, limits: TipLimits) -> None:
        self.keep_inside(handle)
        item: SceneObject = self.loop.object(self.held)
        table = self.loop.scene.table_height
        goal = bar_geometry.pose(bar, handle, along, table + height, float(item.size[2]))
        self.straight(self.loop.in_palm(self.held), goal, limits, self._check_tool, precision=0.004)

    def _check_tool(self) -> None:
        self.still_held()
        if not self.held:
            raise Trouble("slipped", "the tool left the hand")

    def _lift_clear(self) -> None:
        """Straight up until the held tool's underside is over everything else."""
        up = hand_room.tallest(self.loop.scene, (self.held, *self._attached)) + ABOVE - self.bottom(self.held)
        if up > 0:
            self.shift(np.array([0, 0, up]), CARRY)
