"""The pane with the picture of the scene: which view, and when to draw it again."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from toolwright.launch.eyes import VIEWS, Eyes
from toolwright.launch.live import Live
from toolwright.launch.tui.notes import Drawn
from toolwright.launch.tui.panes import Picture

if TYPE_CHECKING:
    from toolwright.launch.eyes import Shot


class CameraPane(Vertical):
    """Draws in a thread of its own, and only what has changed.

    Args:
        live: the robot.
    """

    def __init__(self, live: Live, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.view = 0  # index of `VIEWS`
        self.drawing: Future[Shot] | None = None
        self._live, self._eyes = live, Eyes(live)
        self._drawn: Any = None  # the state of the last picture

    def compose(self) -> ComposeResult:
        yield Picture(id="picture")

    def on_mount(self) -> None:
        self.border_title = VIEWS[self.view]

    def on_unmount(self) -> None:
        self._eyes.close()

    @property
    def picture(self) -> Picture:
        return self.query_one(Picture)

    def next_view(self) -> None:
        """Looks from elsewhere."""
        self.view = (self.view + 1) % len(VIEWS)
        self.border_title = VIEWS[self.view]

    def draw(self) -> None:
        """Begins a picture, unless one is being made or nothing has moved."""
        width, height = self.picture.pixels
        stamp = self._live.last.stamp if self._live.last is not None else 0.0
        wanted = (stamp, width, height, self.view)
        if not width or not height or wanted == self._drawn or (self.drawing and not self.drawing.done()):
            return
        self._drawn = wanted
        self.drawing = self._eyes.picture(VIEWS[self.view], (width, height), sketch=True)
        self.drawing.add_done_callback(lambda done: self.post_message(Drawn(done)))

    @on(Picture.Resized)
    def _draw_again(self) -> None:
        self._drawn = None

    def on_drawn(self, drawn: Drawn) -> None:
        error = drawn.future.exception()
        if error is not None:
            self.picture.explain(f"no picture: {error}")
            return
        shot, seen = drawn.future.result(), self._live.scene
        colors = {name: item.color for name, item in seen.objects.items()} if seen is not None else {}
        self.picture.show(shot.rgb, [(u, v, name, colors.get(name, "")) for name, (u, v) in shot.marks.items()])
