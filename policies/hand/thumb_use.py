"""What the thumb, stretched down as one finger, does to things: push them, press buttons, drag flat things along."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toolwright.hardware.robot import F64
from toolwright.policies.hand import hand_room, hand_shapes
from toolwright.policies.hand.hand_loop import pose_of
from toolwright.policies.hand.hand_shapes import upright
from toolwright.policies.hand.hand_use import CARRY, FREE, PLACED, SLOW, HandUse, Result, extent
from toolwright.policies.outcome import Outcome
from toolwright.policies.tool import approach
from toolwright.policies.tool.tool_loop import Trouble

STROKES = 16  # of the thumb, to drag something
DRAGGED = 0.01  # m left that end a drag
PRESS_DEPTH = 0.012  # m that the thumb is sent below a surface: it yields, and presses
POINTING = 0.2  # rad that the commanded joints may be off the pointing hand
ROOM = 0.085  # m between the thumb and what stands on a mat, for the curled fingers ahead of it
FINGER_RADIUS = 0.0115  # m, of the thumb's tip


class ThumbUse(HandUse):
    """The actions of grasping, and those of one finger."""

    def push(self, name: str, x: float, y: float) -> Outcome:
        """Pushes a thing along the table with the thumb."""
        return self.run(lambda: self._push(name, np.array([x, y])))

    def press(self, name: str) -> Outcome:
        """Presses a button with the thumb, or with the end of the held tool."""
        return self.run(lambda: self._press(name))

    def drag(self, name: str, dx: float) -> Outcome:
        """Presses the thumb on a flat thing and moves it along x."""
        return self.run(lambda: self._drag(name, dx))

    # -- one finger ---------------------------------------------------------------------------------------------------

    def _push(self, name: str, xy: F64) -> Result:
        if self.held:
            raise Trouble("hand full", f"{self.held} is in the hand")
        loop = self.loop
        item = loop.object(name)
        if item.fixed:
            raise Trouble("fixed", f"{name} is fixed and cannot be pushed")
        way = xy - item.pos[:2]
        length = float(np.linalg.norm(way))
        if length < 0.005:
            return f"{name} is there already", {"from_place": length}
        along = way / length
        behind = extent(item, along) + FINGER_RADIUS
        height = loop.scene.table_height + max(0.022, min(0.03, float(item.size[2]) * 0.45))
        frame, yaw = hand_shapes.point_frame(), self._finger_yaw(along)
        self._point()
        start = item.pos[:2] - along * (behind + 0.02)
        self._lower_finger(frame, start, height, yaw)

        def follow() -> F64:
            """Behind the object's middle, on the line from there to the goal, a step ahead."""
            seen = loop.object(name).pos[:2]
            left = xy - seen
            far = float(np.linalg.norm(left))
            aim = left / far if far > 0.01 else along
            # Push a little off the middle, against what it has strayed sideways.
            stray = (seen - item.pos[:2]) - along * float((seen - item.pos[:2]) @ along)
            step = min(0.03, max(float(left @ along), 0.0))
            tip = seen - aim * behind + aim * step + 0.5 * stray
            self.keep_inside(tip)
            return upright(np.array([*tip, height]), yaw)

        best, quiet = length, loop.time
        while True:
            loop.move(frame, follow(), SLOW, precision=0.02)
            left = float((xy - loop.object(name).pos[:2]) @ along)
            if left < 0.004:
                break
            if left < best - 0.002:
                best, quiet = left, loop.time
            if loop.time - quiet > 3.0:
                break
        at = loop.commanded(frame)
        at[:2, 3] -= along * 0.02
        loop.move(frame, at, SLOW)
        self.rise()
        away = float(np.linalg.norm(loop.object(name).pos[:2] - xy))
        if away > PLACED:
            raise Trouble("misplaced", f"{name} is {away * 1e3:.0f} mm from the place")
        return f"{name} is {away * 1e3:.0f} mm from the place", {"from_place": away}

    def _press(self, name: str) -> Result:
        loop = self.loop
        item = loop.object(name)
        if item.travel_max <= 0:
            raise Trouble("no button", f"{name} cannot be pressed")
        inward = pose_of(item)[:2, 0] / np.linalg.norm(pose_of(item)[:2, 0])
        front = item.pos[:2] - inward * item.size[0] / 2
        frame, yaw = hand_shapes.point_frame(), self._finger_yaw(inward)
        self._point()
        height = float(item.pos[2])
        self._lower_finger(frame, front - inward * (FINGER_RADIUS + 0.03), height, yaw)
        self.push_until(frame, inward, 0.03 + 2 * item.travel_max + 0.02, lambda: self._pressed(name))
        return self.pressed_result(name)

    def push_until(self, frame: F64, along: F64, far: float, done: Callable[[], bool]) -> None:
        """Moves a frame of the palm along (2,) until something is so, or [m] far."""
        at = self.loop.commanded(frame)
        hand = self.loop.commanded(self.T_palm_wrap)[:2, 3].copy() if self.held else at[:2, 3].copy()
        for step in range(1, int(far / 0.003) + 1):
            at[:2, 3] += 0.003 * along
            self.keep_inside(hand + 0.003 * step * along)
            self.loop.move(frame, at, SLOW, precision=0.05)
            if done():
                return

    def _pressed(self, name: str) -> bool:
        item = self.loop.scene.objects[name]
        return item.travel > 0.8 * item.travel_max

    def pressed_result(self, name: str) -> Result:
        item = self.loop.scene.objects[name]
        text = f"{name} is pressed {item.travel * 1e3:.1f} of {item.travel_max * 1e3:.1f} mm"
        if item.travel < 0.5 * item.travel_max:
            raise Trouble("not pressed", text)
        return text, {"travel": item.travel}

    def _drag(self, name: str, dx: float) -> Result:
        loop, began = self.loop, self.loop.object(name).pos.copy()
        if self.held:
            raise Trouble("hand full", f"{self.held} is in the hand")
        self._point()
        for _ in range(STROKES):
            left = dx - float(loop.object(name).pos[0] - began[0])
            if abs(left) < DRAGGED:
                break
            self._stroke(name, left)
        self.rise()
        moved = float(loop.object(name).pos[0] - began[0])
        if abs(dx - moved) > 2 * DRAGGED:
            raise Trouble("slipped", f"{name} moved {moved * 1e3:.0f} of {dx * 1e3:.0f} mm")
        return f"{name} moved {moved * 1e3:.0f} mm", {"moved": moved}

    def _stroke(self, name: str, dx: float) -> None:
        """Presses the thumb on a flat thing where nothing stands, takes it along x, lets go."""
        loop, item, frame = self.loop, self.loop.object(name), hand_shapes.point_frame()
        lower, upper = loop.scene.workspace.lower, loop.scene.workspace.upper
        half = extent(item, np.array([1.0, 0.0]))
        near = max(float(lower[0]) + 0.01, float(item.pos[0]) - half + 0.03)
        far = min(float(upper[0]) - 0.01, float(item.pos[0]) + half - 0.03)
        taken = [thing for thing in hand_room.footprints(loop.scene, (name,)) if abs(thing.pos[1] - item.pos[1]) < 0.1]
        taken_x = [(float(thing.pos[0]), float(thing.half[0]) + ROOM) for thing in taken]
        clear = [x for x in np.arange(near, far, 0.01) if all(abs(at - x) > room for at, room in taken_x)]
        if not clear:
            raise Trouble("no room", f"there is no free place on {name} for the thumb")
        start = max(clear) if dx < 0 else min(clear)
        step = max(dx, near - start) if dx < 0 else min(dx, far - start)
        top = float(item.pos[2]) + approach.half_height(item)
        self._lower_finger(frame, np.array([start, item.pos[1]]), top + 0.004, 0.0)
        at = loop.commanded(frame)
        for height, way in ((top - PRESS_DEPTH, 0.0), (top - PRESS_DEPTH, step), (top + 0.03, 0.0)):
            at[0, 3] += way
            at[2, 3] = height
            loop.move(frame, at, SLOW, precision=0.05)

    def _point(self) -> None:
        self.rise()
        self._lift_finger()
        self.loop.shape(hand_shapes.POINT)

    def rise(self) -> None:
        """Straight up; the stretched thumb, which hangs lowest, has to be over everything too before it moves."""
        if np.abs(self.loop.q_hand - hand_shapes.POINT).max() < POINTING:
            self._lift_finger()
        super().rise()

    def _lift_finger(self) -> None:
        frame = hand_shapes.point_frame()
        at = self.loop.commanded(frame)
        if at[2, 3] < self.clear_height((self.held,)):
            at[2, 3] = self.clear_height((self.held,))
            self.loop.move(frame, at, FREE, precision=0.01)

    def _finger_yaw(self, along: F64) -> float:
        """Direction of the (curled) fingers for a push along (2,): the hand trails behind the thumb."""
        return float(np.clip(np.arctan2(along[1], along[0]), -1.2, 1.2))

    def _lower_finger(self, frame: F64, xy: F64, height: float, yaw: float) -> None:
        over = max(self.clear_height(), height + 0.03)
        self.go(frame, upright(np.array([*xy, over]), yaw))
        self.loop.move(frame, upright(np.array([*xy, height]), yaw), CARRY)
