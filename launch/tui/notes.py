"""What other threads tell the console: events of a run, finished pictures, warnings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from textual.message import Message as Note

from toolwright.launch.tui.runner import Message

if TYPE_CHECKING:
    from toolwright.launch.eyes import Shot


class Told(Note):
    """Something happened in a run."""

    def __init__(self, message: Message) -> None:
        super().__init__()
        self.message = message


class Drawn(Note):
    """A picture is made, or could not be made."""

    def __init__(self, future: Future[Shot]) -> None:
        super().__init__()
        self.future = future


class Warned(Note):
    """A warning was logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Logged(logging.Handler):
    """Warnings go into the conversation: on the terminal they would tear the screen."""

    def __init__(self, post: Callable[[Note], object]) -> None:
        super().__init__(logging.WARNING)
        self._post = post

    def emit(self, record: logging.LogRecord) -> None:
        self._post(Warned(record.getMessage()))
