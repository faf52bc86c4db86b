"""A genuine rclpy, one DDS domain for each test process, and nodes that spin in a thread."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

MISSING = "rclpy is not installed: .venv/bin/pip install --no-deps -r requirements-ros.lock, or source ROS 2"
SERVICES = 5.0  # s


@pytest.fixture(scope="session")
def ros(tmp_path_factory) -> Iterator[Any]:
    """rclpy, initialized."""
    environment = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        "ROS_LOG_DIR": str(tmp_path_factory.mktemp("ros")),
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    rclpy = pytest.importorskip("rclpy", reason=MISSING)
    from toolwright.hardware.ros.node import SWITCH

    switch = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)  # as in a node's own process
    rclpy.init()
    yield rclpy
    rclpy.try_shutdown()
    sys.setswitchinterval(switch)
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture
def make_node(ros) -> Iterator[Callable[..., Any]]:
    """Makes nodes in a namespace of the test's own, with parameters; destroys them in the end."""
    made = []
    namespace = f"/test_{time.monotonic_ns()}"

    def make(name: str, **parameters: Any) -> Any:
        from rclpy.parameter import Parameter

        values = [Parameter(key, value=value) for key, value in parameters.items()]
        made.append(ros.create_node(name, namespace=namespace, parameter_overrides=values))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


@pytest.fixture
def spin(ros) -> Iterator[Callable[..., None]]:
    """Spins nodes until the test ends."""
    from toolwright.hardware.ros.node import spinning

    running = []

    def start(*nodes: Any) -> None:
        running.append(spinning(*nodes))
        running[-1].__enter__()

    yield start
    for each in running:
        each.__exit__(None, None, None)


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """Waits for a condition and returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        time.sleep(0.005)
    return value


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Any]:
    return until


@pytest.fixture
def call(ros) -> Callable[[Any, str], Any]:
    """Calls a Trigger service from a node that spins."""

    def trigger(node: Any, name: str) -> Any:
        from std_srvs.srv import Trigger

        client = node.create_client(Trigger, name)
        assert client.wait_for_service(timeout_sec=SERVICES), f"no service {name}"
        answer = client.call_async(Trigger.Request())
        until(answer.done, SERVICES, name)
        return answer.result()

    return trigger
