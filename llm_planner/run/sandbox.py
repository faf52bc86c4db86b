"""Skill code in Monty: a Python interpreter of its own, in a process of its own, that pauses at every call.

The code reaches nothing but the function that answers its calls: no files, no clock to wait on, no modules of the host.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import cache
from typing import Any

import pydantic_monty as monty

from toolwright.policies.outcome import Outcome

# s of the interpreter's own time in one run; skills do not count. It is time by the clock, not of the processor: skill
# code needs milliseconds, but on a machine with too much to do it waits for its turn.
MAX_CODE_SECONDS = 10.0
GRACE = 4.0  # s more until an interpreter that does not end by itself is killed
MAX_MEMORY = 32 * 1024 * 1024  # bytes
MAX_SUSPENSIONS = 5000
MAX_PRINT = 64 * 1024  # bytes

LIMITS: monty.ResourceLimits = {
    "max_feed_duration_secs": MAX_CODE_SECONDS,
    "max_memory": MAX_MEMORY,
    "max_suspensions": MAX_SUSPENSIONS,
    "max_recursion_depth": 100,
}
# A sleep in skill code would hold the robot up unseen.
OS_POLICY: monty.OSPolicy = {"sleep": "zero", "random_start": {"seed": 0}}

HostCall = Callable[[str, tuple[Any, ...], dict[str, Any]], Outcome]


class SandboxError(Exception):
    """Skill code that raised, ran over a limit, or reached for something outside."""


@cache
def pool() -> monty.Monty:
    """The worker processes of this process, started at first use and ended with it."""
    workers = monty.Monty(max_processes=2, feed_duration_limit_grace=GRACE)
    workers.__enter__()
    atexit.register(workers.__exit__, None, None, None)
    return workers


def run(code: str, call: HostCall, prelude: str = "") -> str:
    """Run skill code, answering each of its calls by `call`.

    An exception from `call` leaves the code where it stands: it can not catch it, and makes no further call.

    Args:
        prelude: definitions of our own that the code may use; they run in the sandbox too.

    Returns:
        What the code printed.

    Raises:
        SandboxError: see there.
        Exception: whatever `call` raised.
    """
    printed = monty.CollectString(max_bytes=MAX_PRINT)
    with pool().checkout(limits=LIMITS, os_policy=OS_POLICY, script_name="skill.py") as session:
        if prelude:
            _turn(lambda: session.feed_run(prelude))
        snapshot = _turn(lambda: session.feed_start(code, print_callback=printed))
        while not isinstance(snapshot, monty.MontyComplete):
            snapshot = _turn(_answer(snapshot, call))
    return printed.output


def _answer(snapshot: monty.SyncSnapshot, call: HostCall) -> Callable[[], monty.SyncSnapshot]:
    if isinstance(snapshot, monty.NameLookupSnapshot):
        return snapshot.resume  # undefined: a NameError in the code
    if not isinstance(snapshot, monty.FunctionSnapshot):
        raise SandboxError("the code waits for something that is no skill")
    if snapshot.is_os_function or snapshot.object_id is not None:
        raise SandboxError(f"the code reached outside the sandbox: {snapshot.function_name}")
    outcome = call(str(snapshot.function_name), snapshot.args, snapshot.kwargs)
    result = monty.ClassInstance(outcome, eager_attrs="all")
    return lambda: snapshot.resume({"return_value": result})


def _turn(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except monty.MontyError as error:
        raise SandboxError(str(error)) from error
