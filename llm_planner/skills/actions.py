"""What a skill may ask of the robot: the seam between language and motion.

An implementation moves a `Robot` and looks through a `Perception`; every method blocks until the motion ended and
reports what was measured afterwards. A motion that did not reach its end is an `Outcome` without success, not an
exception; exceptions are for faults (a lost bus, a lost camera), and the executor answers them with `stop`.
"""

from __future__ import annotations

from typing import Protocol

from toolwright.policies.outcome import Outcome


class Actions(Protocol):
    """Motions of the arm and the held tool. Lengths in m, world frame, heights along world z."""

    def pick(self, name: str, opening: float, grip: float, lift: float) -> Outcome: ...
    def drop_in(self, name: str, container: str, height: float) -> Outcome: ...
    def place_at(self, name: str, x: float, y: float) -> Outcome: ...
    def set_opening(self, opening: float) -> Outcome: ...
    def move_tips(self, x: float, y: float, z: float) -> Outcome: ...
    def home(self) -> Outcome: ...
    def stop(self, reason: str) -> None: ...


class FetchActions(Actions, Protocol):
    """The same, of a tool that starts in its stand."""

    def fetch(self, name: str) -> Outcome: ...
