"""estop_node: the emergency stop on a keyboard. The space bar stops, c clears, q quits. Needs a terminal of its own."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from typing import Any

from toolwright.hardware.ros import topics
from toolwright.hardware.ros.node import ParameterError, declare, parameter
from toolwright.launch.keyboard import STOP_KEY, Keyboard


@dataclass(frozen=True)
class EstopParameters:
    """Of estop_node."""

    terminal: str = parameter("", "path of the terminal to listen to; the node's own by default")


class EstopNode:
    """The node.

    Raises:
        ParameterError: there is no terminal.
    """

    def __init__(self, node: Any = None) -> None:
        import rclpy

        self.node = node or rclpy.create_node("estop_node")
        p = declare(self.node, EstopParameters)
        if not p.terminal and not Keyboard.is_there():
            raise ParameterError("estop_node needs a terminal: start it by itself, in one of its own")
        try:
            self._file = os.open(p.terminal, os.O_RDWR | os.O_NOCTTY) if p.terminal else None
        except OSError as error:
            raise ParameterError(f"estop_node: parameter 'terminal': {error}") from None
        self._keyboard = Keyboard(self._file)
        self._stop = topics.publisher(self.node, topics.EMERGENCY)
        self._clear: Any = self.node.create_client(topics.load(topics.CLEAR_CALL.type, "srv"), topics.CLEAR_CALL.name)
        topics.subscribe(self.node, topics.STOPPED, self._hear)
        self._ending = threading.Event()
        self._keyboard.__enter__()
        self._thread = threading.Thread(target=self._listen, daemon=True, name="keyboard")
        self._thread.start()
        print("space: emergency stop   c: clear it   q: quit", flush=True)

    def close(self) -> None:
        """Puts the terminal back as it was."""
        self._ending.set()
        self._thread.join(timeout=1.0)
        self._keyboard.__exit__(None, None, None)
        if self._file is not None:
            os.close(self._file)

    def _hear(self, message: Any) -> None:
        print(f"STOPPED: {message.data}" if message.data else "not stopped", flush=True)

    def _listen(self) -> None:
        while not self._ending.is_set():
            keys = self._keyboard.keys(timeout=0.02)
            if keys is None:
                self._publish("the keyboard of the emergency stop is gone")
                return
            if STOP_KEY in keys:
                self._publish("space bar")
            elif "c" in keys:
                self._clear.call_async(self._clear.srv_type.Request()).add_done_callback(
                    lambda done: print(done.result().message, flush=True)
                )
            elif "q" in keys:
                os.kill(os.getpid(), signal.SIGINT)
                return

    def _publish(self, reason: str) -> None:
        self._stop.publish(topics.load(topics.EMERGENCY.type)(data=reason))
