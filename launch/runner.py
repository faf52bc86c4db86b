"""Runs a graph without `ros2 launch`: the same processes, ended together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from toolwright.launch.graph import Entry

PATIENCE = 15.0  # s that a node may take to end
PARENT = "TOOLWRIGHT_RUNNER"  # variable with the process without which a node must not go on


def end_with_runner() -> None:
    """Lets this process be asked to end when the runner that started it is gone, however it went. Linux only."""
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform != "linux":
        return
    set_parent_death_signal = 1  # of prctl
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != int(parent):  # it went before this took effect
        os.kill(os.getpid(), signal.SIGTERM)


class Runner:
    """The processes of a graph, as a context manager: when it ends, so do they, in order.

    A node is asked to end by an interrupt, so that it leaves its device holding still.

    Args:
        entries: of the graph.
        environment: variables for the processes, over those of this one.
        log: where their output goes; by default where this one's goes.
    """

    def __init__(
        self, entries: tuple[Entry, ...], environment: Mapping[str, str] | None = None, log: str | None = None
    ) -> None:
        self._entries, self._environment, self._log = entries, dict(environment or {}), log
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Runner:
        out = open(self._log, "ab") if self._log else None
        try:
            for entry in self._entries:
                # In a session of its own: Ctrl-C reaches this process alone, and the nodes in order.
                self.processes[entry.node] = subprocess.Popen(
                    entry.command(),
                    env=os.environ | self._environment | {PARENT: str(os.getpid())},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT if out else None,
                    start_new_session=True,
                )
        except BaseException:
            self.end()
            raise
        finally:
            if out:
                out.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ended(self) -> dict[str, int]:
        """Exit codes of the nodes that have ended."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def wait(self, until: Callable[[], bool] = lambda: False, every: float = 0.1) -> dict[str, int]:
        """Waits until a node ends by itself, or until `until` says so; returns the nodes that ended."""
        while not (ended := self.ended()) and not until():
            time.sleep(every)
        return ended

    def end(self) -> None:
        """Ends all nodes: those that command before those that hold the devices."""
        for name in reversed(self.processes):
            self.kill(name, signal.SIGINT)
        for name in self.processes:
            self._wait_for(name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Sends one node a signal."""
        process = self.processes[name]
        if process.poll() is None:
            process.send_signal(number)

    def _wait_for(self, name: str) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                self.processes[name].wait(PATIENCE)
                return
            except subprocess.TimeoutExpired:
                self.kill(name, number)
        self.processes[name].wait()
