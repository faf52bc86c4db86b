"""One robot for many clients: one motion at a time, everybody may look, anybody may stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from toolwright.hardware.safety import EmergencyStopped
from toolwright.launch.live import Live
from toolwright.launch.plain_text import clean
from toolwright.llm_planner.run.gate import Approve, Call, CallRefused, Gate
from toolwright.llm_planner.run.rehearsal import CopyWorld, rehearse
from toolwright.llm_planner.skills.registry import Registry
from toolwright.perception.scene import Scene
from toolwright.policies.outcome import Outcome

log = logging.getLogger("toolwright")
CLEAR = "clear_stop"
# Asks a person whether a stop for this reason may be released; the second argument says when nobody waits any more.
MayClear = Callable[[str, Callable[[], bool]], bool]


class Busy(Exception):
    """The robot is in a motion already."""


@dataclass
class Counts:
    """What clients did."""

    calls: int = 0
    motions: int = 0
    stopped: int = 0


class Host:
    """Carries out skills for clients; every call crosses the gate and a dry run.

    Args:
        live: the robot.
        registry: the skills.
        copy: makes the copy of the world for the dry run; None leaves it out.
        approve: asked before every motion; None asks nobody.
        may_clear: asked before a latched stop is released; None: there is nobody to ask, so it stays.
    """

    def __init__(
        self,
        live: Live,
        registry: Registry,
        copy: CopyWorld | None = None,
        approve: Approve | None = None,
        may_clear: MayClear | None = None,
    ) -> None:
        self.live, self.registry = live, registry
        self.counts = Counts()
        self.running = ""  # the call that moves the robot, or waits for approval
        self._copy, self._approve, self._may_clear = copy, approve, may_clear
        self._over = threading.Event()  # the question about a stop is taken back
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="motion")
        self._claim = threading.Lock()

    def start(self, name: str, arguments: Mapping[str, Any]) -> Future[Outcome]:
        """Begins a skill.

        Returns:
            In the future: what was measured; an outcome without success where the gate or the dry run refused the call,
            somebody stopped it, or the robot reported a fault.

        Raises:
            Busy: another skill is running.
        """
        with self._claim:
            if self.running:
                raise Busy(f"the robot is busy with {self.running}; wait for its end, cancel it, or call stop")
            if self.live.latched and not self.live.stopping:
                raise Busy(f"the emergency stop is latched: {clean(self.live.latched, 200)}; {self._how_to_clear()}")
            self.running = f"{name}({', '.join(f'{key}={clean(value, 40)}' for key, value in arguments.items())})"
            self.live.begin()
        return self._thread.submit(self._perform, name, dict(arguments))

    def stop(self, reason: str) -> None:
        """Stops what moves. Callable from any thread; does nothing to a robot at rest."""
        with self._claim:
            if self.running == CLEAR:
                self._over.set()  # the robot stands, and the stop stays
            elif self.running:
                self.live.stop(reason)

    def clear(self) -> Outcome:
        """Releases a latched stop after a fault, if the person at the server agrees. Nothing moves by it.

        Raises:
            Busy: the robot is in a motion.
        """
        with self._claim:
            if self.running:
                raise Busy(f"the robot is busy with {self.running}")
            latched = self.live.latched
            if not latched:
                return Outcome(True, "no stop is latched")
            if self._may_clear is None:
                return Outcome(False, f"the stop stays: {self._how_to_clear()}")
            self.running = CLEAR
            self._over.clear()
        try:
            if not self._may_clear(latched, self._over.is_set):
                return Outcome(False, "the stop stays: the person at the server did not release it")
            self.live.begin()
            self.live.release()
        except Exception as error:
            log.exception("the stop cannot be released")
            return Outcome(False, f"the stop stays, it cannot be released: {type(error).__name__}: {error}")
        finally:
            with self._claim:
                self.running = ""
        return Outcome(True, f"released; the robot was stopped by: {latched}")

    def _how_to_clear(self) -> str:
        if self._may_clear is None:
            return "nobody can be asked at this server, which has no terminal: start it again"
        return f"once its cause is mended, {CLEAR} asks the person at the server to release it"

    def close(self) -> None:
        """Stops what moves and waits for it."""
        self.stop("the server was ended")
        self._thread.shutdown(wait=True)

    def _perform(self, name: str, arguments: dict[str, Any]) -> Outcome:
        try:
            return self._admitted(name, arguments)
        except CallRefused as refusal:
            return Outcome(False, f"refused, nothing has moved: {refusal}")
        except (KeyboardInterrupt, EmergencyStopped) as stop:
            self.counts.stopped += 1
            return Outcome(False, f"stopped: {stop}")
        except Exception as error:
            log.exception("skill %s raised", name)
            self.live.latch(f"{name}: {type(error).__name__}: {error}")
            return Outcome(False, f"fault, the robot was stopped: {type(error).__name__}: {error}")
        finally:
            self._rest()

    def _rest(self) -> None:
        """Brings a stopped robot to rest, then lets the next motion begin; no stop is lost in between."""
        while True:
            try:
                if self.live.stopping:
                    self.live.settle()
            except Exception:
                log.exception("the robot did not come to rest after a stop")
                self.live.latch("it did not come to rest after a stop")
                lost = True
            else:
                lost = False
            with self._claim:
                if lost or not self.live.stopping:
                    self.running = ""
                    return

    def _admitted(self, name: str, arguments: dict[str, Any]) -> Outcome:
        scene = self.live.perception.look()
        call = Gate(self.registry, scene).admit(name, (), arguments)
        self._rehearse(call, scene)
        if self._approve is not None:
            asked = Gate(self.registry, scene, approve=self._approve).admit(name, (), arguments)
            if asked != call:
                self._rehearse(asked, scene)
            call = asked
        self.live.raise_if_stopped()
        self.counts.motions += 1
        outcome = call.skill.function(self.live.actions, **call.arguments)
        over = Gate(self.registry, scene).after(call, outcome)
        if over:
            self.live.actions.stop(over)
            return Outcome(False, over, outcome.measured, outcome.seconds)
        return outcome

    def _rehearse(self, call: Call, scene: Scene) -> None:
        if self._copy is None:
            return
        # Names and numbers enter the code as literals, whatever they contain.
        code = f"{call.skill.name}({', '.join(f'{key}={value!a}' for key, value in call.arguments.items())})\n"
        dry = rehearse(code, self.registry, scene, self._copy)
        if not dry.passed:
            raise CallRefused(f"in a dry run on a copy of the world {dry.reason}")
