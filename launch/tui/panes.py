"""The console's parts: the conversation, the steps, the picture, the line to type in."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from toolwright.launch.plain_text import clean
from toolwright.launch.tui import says
from toolwright.launch.tui.history import History

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toolwright.llm_planner.run.rehearsal import Rehearsal

Mark = tuple[float, float, str, str]
_GROUND = "#262626"
_LABEL = Style.parse(f"#d0d0d0 on {_GROUND}")
_COLORS = {"red": "#ff5f5f", "green": "#5fd787", "blue": "#5fafff", "yellow": "#ffd75f", "black": "#9e9e9e"}
NO_PLAN = Text("no plan yet", style=says.FAINT)
SPINNER = "◐◓◑◒"


class Talk(VerticalScroll):
    """The conversation, the latest at the bottom."""

    MOST = 400  # entries; older ones go

    def say(self, who: str, text: Text, kind: str = "") -> None:
        """Adds an entry.

        Args:
            who: stands before it, in a column of its own.
            kind: a CSS class for its look.
        """
        said = Text.assemble((f"{who} ", f"bold {says.ROLE}"), text) if who else text
        entry = Static(said, classes=f"entry {kind}", markup=False)
        self.mount(entry)
        if len(self.children) > self.MOST:
            self.children[0].remove()
        self.scroll_end(animate=False)

    def on_resize(self) -> None:
        self.scroll_end(animate=False)


class Steps(Static):
    """The calls of the plan, and how far they are."""

    def __init__(self, id: str) -> None:
        super().__init__(NO_PLAN, id=id, markup=False)
        self._rows: list[tuple[str, str, Text]] = []  # mark, call, what came of it
        self._tick = 0

    def clear(self) -> None:
        self._rows = []
        self._draw()

    def propose(self, dry: Rehearsal) -> None:
        """Takes the calls that the code made on a copy of the world; what has run already stays."""
        self._rows = [row for row in self._rows if row[0] not in ("○", "?")]
        for item in dry.verdicts:
            mark = {"works": "○", "unknown": "?", "fails": "✗"}[item.state]
            note = says.plain("" if item.state == "works" else item.reason, says.CARE)
            self._rows.append((mark, says.call(item.name, item.arguments), note))
        self._draw()

    def start(self, index: int, call: str) -> None:
        """Call number `index` begins."""
        self._put(index, ("▶", call, Text()))

    def progress(self, text: Text) -> None:
        """What is known about the call that runs."""
        self._tick += 1
        for index, (mark, call, _) in enumerate(self._rows):
            if mark == "▶":
                self._put(index, (mark, call, text))

    def end(self, index: int, call: str, outcome: Text, mark: str) -> None:
        self._put(index, (mark, call, outcome))

    @property
    def done(self) -> tuple[int, int]:
        """Calls that have ended, and all."""
        return sum(mark in "✓✗–" for mark, *_ in self._rows), len(self._rows)

    def _put(self, index: int, row: tuple[str, str, Text]) -> None:
        index = min(index, len(self._rows))
        self._rows[index : index + 1] = [row]
        self._draw()

    def _draw(self) -> None:
        lines = []
        for mark, call, outcome in self._rows:
            style = {"✓": says.GOOD, "✗": says.BAD, "–": says.CARE, "▶": f"bold {says.CARE}"}.get(mark, says.FAINT)
            shown = SPINNER[self._tick % len(SPINNER)] if mark == "▶" else mark
            line = Text.assemble(
                (f"{shown} ", style), (call, "bold" if mark == "▶" else says.FAINT if mark == "○" else "")
            )
            lines.append(line)
            if outcome.plain:
                lines.append(Text("  ").append_text(outcome))
        self.update(Text("\n").join(lines) if lines else NO_PLAN)
        if isinstance(self.parent, VerticalScroll):
            self.parent.border_subtitle = "{} of {}".format(*self.done) if self._rows else None
            above = list(itertools.takewhile(lambda line: line.plain[:1] not in SPINNER, lines))
            if len(above) < len(lines):
                height = sum(len(line.wrap(self.app.console, max(self.size.width, 1))) for line in above)
                self.parent.scroll_to(y=max(height - 1, 0), animate=False)


class Picture(Widget):
    """A picture in half blocks: two pixels in each cell, one the letter's color and one the ground's.

    Only the lines that changed are sent again, and near colors are made the same: over ssh each cell costs.
    """

    COARSE = 8  # levels of 256 that count as one
    ROOMY = 48  # cells: a narrower picture shows dots without names

    class Resized(Message):
        """The picture has a new size."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._cells: NDArray[np.uint8] | None = None  # (H, W, 2, 3)
        self._labeled: dict[int, list[tuple[int, str, str]]] = {}
        self._note = "…"

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height that fit."""
        return self.size.width, 2 * self.size.height

    def show(self, rgb: NDArray[np.uint8], marks: Sequence[Mark] = ()) -> None:
        """Shows a picture.

        Args:
            rgb: (2 H, W, 3).
            marks: column and row [px], a name, and the name of a color or nothing.
        """
        coarse = (rgb // self.COARSE) * self.COARSE + self.COARSE // 2
        cells = coarse[: len(coarse) // 2 * 2].reshape(-1, 2, rgb.shape[1], 3).swapaxes(1, 2)
        labels = self._labels(marks, cells.shape[1])
        before, labeled = self._cells, self._labeled
        self._cells, self._labeled, self._note = cells, labels, ""
        if before is None or before.shape != cells.shape:
            self.refresh()
            return
        changed = set(np.flatnonzero((before != cells).any(axis=(1, 2, 3))).tolist())
        changed |= {y for y in {*labels, *labeled} if labels.get(y) != labeled.get(y)}
        for y in changed:
            self.refresh(Region(0, y, self.size.width, 1))

    def _labels(self, marks: Sequence[Mark], width: int) -> dict[int, list[tuple[int, str, str]]]:
        """What stands in which line: column, text, color. Names that would cover one another go a line lower."""
        lines: dict[int, list[tuple[int, str, str]]] = {}
        for u, v, name, color in sorted(marks, key=lambda mark: (mark[1], mark[0])):
            y, text = int(v // 2), f"● {clean(name)}" if width >= self.ROOMY else "●"
            x = max(0, min(int(u), width - cell_len(text)))
            while any(x < end and start < x + cell_len(text) for start, end in _taken(lines.get(y, []))):
                y += 1
            lines.setdefault(y, []).append((x, text, _COLORS.get(color, "#ffffff")))
        return lines

    def explain(self, note: str) -> None:
        """Shows words instead, where no picture can be made."""
        self._cells, self._note = None, note
        self.refresh()

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def render_line(self, y: int) -> Strip:
        if self._cells is None:
            return self._note_line(y)
        if y >= len(self._cells):
            return Strip.blank(self.size.width, self.rich_style)
        row = self._cells[y]
        changes = np.flatnonzero((row[1:] != row[:-1]).any(axis=(1, 2))) + 1
        bounds = [0, *changes.tolist(), len(row)]
        segments = []
        for start, end in zip(bounds, bounds[1:], strict=False):
            (r, g, b), (r2, g2, b2) = row[start].tolist()
            style = Style.parse(f"#{r:02x}{g:02x}{b:02x} on #{r2:02x}{g2:02x}{b2:02x}")
            segments.append(Segment("▀" * (end - start), style))
        strip = Strip(segments).adjust_cell_length(self.size.width, self.rich_style)
        for x, text, color in self._labeled.get(y, []):
            before, _, after = strip.divide([x, x + cell_len(text), self.size.width])
            dot, name = Segment(text[:1], Style.parse(f"{color} on {_GROUND}")), Segment(text[1:], _LABEL)
            strip = Strip.join([before, Strip([dot, name]), after])
        return strip

    def _note_line(self, y: int) -> Strip:
        lines = Text(self._note).wrap(self.app.console, max(self.size.width - 2, 1))
        middle = y - max((self.size.height - len(lines)) // 2, 0)
        text = lines[middle].plain.strip() if 0 <= middle < len(lines) else ""
        style = self.rich_style + Style(dim=True)
        return Strip([Segment(f" {text}"[: self.size.width].ljust(self.size.width), style)])


def _taken(labels: list[tuple[int, str, str]]) -> list[tuple[int, int]]:
    return [(x, x + cell_len(text)) for x, text, _ in labels]


class Sentence(Input):
    """The line to type in; up and down bring earlier sentences back."""

    BINDINGS = [
        Binding("up", "earlier", "Earlier", show=False),
        Binding("down", "later", "Later", show=False),
    ]

    def __init__(self, history: History, id: str) -> None:
        super().__init__(id=id, placeholder="Say what to do, for instance: put the bead into the cup")
        self.history = history

    def action_earlier(self) -> None:
        self._bring(self.history.earlier(self.value))

    def action_later(self) -> None:
        self._bring(self.history.later(self.value))

    def _bring(self, text: str) -> None:
        self.value = text
        self.cursor_position = len(text)
