"""What all nodes share: checked parameters, diagnostics, a start that says what is wrong, and a quiet end."""

from __future__ import annotations

import dataclasses
import difflib
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, get_type_hints

from toolwright.hardware.ros import topics

P = TypeVar("P")
WRONG_USE = 2  # exit code
SWITCH = 5e-4  # s that a thread waits for another; Python's own 5 ms is a tenth of the time to stop in


class ParameterError(ValueError):
    """A parameter that is not one, or has a value it cannot have."""


def parameter(default: Any, about: str, low: float = -math.inf, high: float = math.inf, choices: tuple = ()) -> Any:
    """A field of a dataclass of parameters.

    Args:
        default: its value where none is given.
        about: one line for people.
        low: smallest value of a number.
        high: largest value of a number.
        choices: values of a text; any where empty.
    """
    return dataclasses.field(default=default, metadata={"about": about, "low": low, "high": high, "choices": choices})


def declare(node: Any, kind: type[P]) -> P:
    """Declares the fields of a dataclass as parameters, read-only, and returns what they are.

    Raises:
        ParameterError: unknown parameter, wrong type, out of range, or no such choice; says which and what would do.
    """
    from rcl_interfaces.msg import ParameterDescriptor

    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    types = get_type_hints(kind)
    for given in getattr(node, "_parameter_overrides", {}):
        if given not in fields and given != "use_sim_time" and not given.startswith("qos_overrides"):
            near = difflib.get_close_matches(given, fields, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ParameterError(f"{node.get_name()}: unknown parameter '{given}'{hint}; it has {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        descriptor = ParameterDescriptor(description=field.metadata["about"], read_only=True, dynamic_typing=True)
        value = node.declare_parameter(name, field.default, descriptor).value
        try:
            values[name] = check(value, types[name], field.metadata)
        except ValueError as error:
            raise ParameterError(f"{node.get_name()}: parameter '{name}' {error}") from None
    return kind(**values)


def check(value: Any, kind: type, rule: Any) -> Any:
    """A parameter's value as its type.

    Raises:
        ValueError: it is not one, or not allowed.
    """
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"is true or false, got {value!r}")
        return value
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float) or kind is int and value != int(value):
            raise ValueError(f"is a{' whole' if kind is int else ''} number, got {value!r}")
        if not rule["low"] <= value <= rule["high"]:
            raise ValueError(f"is from {rule['low']:g} to {rule['high']:g}, got {value:g}")
        return kind(value)
    if not isinstance(value, str):
        raise ValueError(f"is a text, got {value!r}; in quotes where it looks like a number")
    if rule["choices"] and value not in rule["choices"]:
        near = difflib.get_close_matches(value, rule["choices"], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"is one of {', '.join(rule['choices'])}, got '{value}'{hint}")
    return value


class Diagnostics:
    """Publishes a node's state once a second.

    Args:
        node: rclpy node.
        ask: returns the level (0 ok, 1 warning, 2 error), a line, and values.
    """

    def __init__(self, node: Any, ask: Callable[[], tuple[int, str, dict[str, str]]]) -> None:
        self._node, self._ask = node, ask
        self._publisher = topics.publisher(node, topics.DIAGNOSTICS)
        self._timer = node.create_timer(1.0, self.publish, clock=steady())

    def publish(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

        level, line, values = self._ask()
        status = DiagnosticStatus(level=bytes([level]), name=self._node.get_name(), message=line)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


class Closable(Protocol):
    """What `run` runs: an object around an rclpy node."""

    node: Any

    def close(self) -> None: ...


def run(make: Callable[[], Closable], args: list[str] | None = None) -> int:
    """Runs a node until it is interrupted, then closes it while it can still publish.

    Returns:
        Exit code: 0 after an interrupt, 2 where a parameter is wrong or a package is missing.
    """
    from rclpy.signals import SignalHandlerOptions

    import rclpy  # isort: skip

    sys.setswitchinterval(SWITCH)
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        try:
            thing = make()
        except (ParameterError, ModuleNotFoundError) as error:
            print(f"toolwright: {error}", file=sys.stderr)
            return WRONG_USE
        executor = rclpy.executors.SingleThreadedExecutor()
        executor.add_node(thing.node)
        try:
            while not ending.is_set():
                executor.spin_once(timeout_sec=0.1)
        finally:
            thing.close()
            executor.shutdown(timeout_sec=0.5)
            thing.node.destroy_node()
        return 0
    finally:
        rclpy.try_shutdown()


def steady() -> Any:
    """A clock that runs with the machine, also where ROS time is the simulation's."""
    from rclpy.clock import Clock, ClockType

    return Clock(clock_type=ClockType.STEADY_TIME)


def now(node: Any) -> float:
    """s, ROS time."""
    return node.get_clock().now().nanoseconds * 1e-9


@contextmanager
def spinning(*nodes: Any) -> Iterator[None]:
    """Spins nodes in a thread of its own."""
    import rclpy

    executor = rclpy.executors.SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    ending = threading.Event()
    thread = threading.Thread(target=_spin, args=(executor, ending), daemon=True, name="ros")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        executor.wake()
        thread.join(timeout=2.0)
        executor.shutdown(timeout_sec=1.0)


def _spin(executor: Any, ending: threading.Event) -> None:
    from rclpy.executors import ExternalShutdownException, ShutdownException

    try:
        while not ending.is_set():
            executor.spin_once(timeout_sec=0.1)
    except (ExternalShutdownException, ShutdownException):
        pass
