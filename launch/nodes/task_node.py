"""task_node: the language stack on topics. Sentences come in; targets of the arm and goals of the hand go out.

One task at a time, in a thread of its own, so that a stop is always heard.
"""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolwright.hardware.joints import FR3, FR3_LEAP
from toolwright.hardware.ros import topics
from toolwright.hardware.ros.node import Diagnostics, ParameterError, declare, parameter
from toolwright.hardware.ros.robot import Patience, RosRobot

if TYPE_CHECKING:
    from toolwright.llm_planner.run.events import Event
    from toolwright.llm_planner.run.record import RunRecord


@dataclass(frozen=True)
class TaskParameters:
    """Of task_node."""

    tool: str = parameter("tweezers", "family of the held tool")
    base_x: float = parameter(0.0, "m, where the arm stands in the world", -10.0, 10.0)
    base_y: float = parameter(0.0, "m", -10.0, 10.0)
    base_z: float = parameter(0.0, "m", -10.0, 10.0)
    patience: float = parameter(0.5, "s to wait for robot, scene and policy", 0.05, 60.0)


class TaskNode:
    """The node.

    Raises:
        ParameterError: a parameter is wrong.
    """

    def __init__(self, node: Any = None) -> None:
        import rclpy

        from toolwright.launch.nodes.remote import RemoteHand, RosPerception

        self.node = node or rclpy.create_node("task_node")
        self.parameters = p = declare(self.node, TaskParameters)
        patience = Patience(state=p.patience)
        self.robot = RosRobot(self.node, FR3_LEAP, commands=FR3.names, patience=patience)
        self.perception = RosPerception(self.node, p.patience, lambda: self.robot.read().stamp)
        self.hand = RemoteHand(self.node, p.patience)
        self._actions: Any = None
        self._sentences: queue.Queue[str | None] = queue.Queue()
        self._busy = False
        self._number, self._skill = 0, ""
        self._status = topics.publisher(self.node, topics.TASK_STATUS)
        self._events = topics.publisher(self.node, topics.TASK_EVENTS)
        self._record = topics.publisher(self.node, topics.TASK_RECORD)
        topics.subscribe(self.node, topics.SENTENCE, self._hear)
        topics.serve(self.node, topics.TASK_STOP, self._stop)
        self._diagnostics = Diagnostics(self.node, lambda: (0, f"does: {self._skill}" if self._busy else "idle", {}))
        self._check_tool()
        self._thread = threading.Thread(target=self._work, daemon=True, name="task")
        self._thread.start()
        self._say("idle", "", "")

    def close(self) -> None:
        """Ends the task that runs; the robot holds."""
        self.robot.cancel("task_node ends")
        self._sentences.put(None)
        self._thread.join(timeout=3.0)

    def _check_tool(self) -> None:
        from toolwright.sim.models import tools

        if self.parameters.tool not in tools.TOOLS:
            known = ", ".join(tools.TOOLS)
            raise ParameterError(f"task_node: parameter 'tool': no '{self.parameters.tool}'; choose {known}")

    def _hear(self, message: Any) -> None:
        sentence = message.data.strip()
        if not sentence:
            self._event("an empty sentence: say what to do, for instance: pick up the bead")
        elif self._busy:
            self._event(f"busy: '{sentence}' was not taken; call {topics.TASK_STOP.name} to end the task that runs")
        else:
            self._busy = True
            self._sentences.put(sentence)

    def _stop(self) -> str:
        if not self._busy:
            return "no task runs"
        self.robot.cancel("stopped by request")
        return "stopping"

    # -- in the task's thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (sentence := self._sentences.get()) is not None:
            self._number += 1
            self._say("running", sentence, "")
            try:
                record = self._do(sentence)
                state, reason = record.status, record.reason
                self._record.publish(topics.load(topics.TASK_RECORD.type)(data=record.model_dump_json()))
            except KeyboardInterrupt as error:
                state, reason = "stopped", str(error)
            except Exception as error:
                state, reason = "failed", f"{type(error).__name__}: {error}"
                self.node.get_logger().error(reason)
            self._busy, self._skill = False, ""
            self._say(state, sentence, reason)

    def _do(self, sentence: str) -> RunRecord:
        from toolwright.llm_planner.offline.offline_model import OfflineModel
        from toolwright.llm_planner.run.executor import run_sentence

        self.robot.connect()
        self.perception.connect()
        if self._actions is None:
            self._actions = self._make_actions()
        return run_sentence(
            sentence, actions=self._actions, perception=self.perception, model=OfflineModel(), report=self._report
        )

    def _make_actions(self) -> Any:
        from toolwright.policies.tool.tool_use import ToolUse
        from toolwright.policies.world import nearest
        from toolwright.sim import grasp_bank

        p = self.parameters
        bank = grasp_bank.load(p.tool)
        base = np.eye(4)
        base[:3, 3] = p.base_x, p.base_y, p.base_z
        index = nearest(bank, bank.family.params())
        actions = ToolUse(self.robot, self.perception, bank, index, "closed_form", base)
        # The fingers are policy_node's: what the loop computes for them here would go nowhere.
        actions.tap(robot=lambda robot: robot, eyes=lambda eyes: eyes, hand=lambda _: self.hand)  # type: ignore[arg-type, return-value]
        return actions

    def _report(self, event: Event) -> None:
        from toolwright.llm_planner.run.events import RoleDone, SkillEnded, SkillStarted

        if isinstance(event, RoleDone):
            self._event(f"{event.role}: done in {event.seconds:.2f} s")
        elif isinstance(event, SkillStarted):
            words = ", ".join(f"{name}={value}" for name, value in event.arguments.items())
            self._skill = f"{event.name}({words})"
            self._event(f"{self._skill} begins")
        elif isinstance(event, SkillEnded):
            self._event(f"{event.skill.name} {'done' if event.skill.success else 'failed'}: {event.skill.reason}")

    def _event(self, line: str) -> None:
        self._events.publish(topics.load(topics.TASK_EVENTS.type)(data=line))

    def _say(self, state: str, sentence: str, reason: str) -> None:
        text = json.dumps({"state": state, "sentence": sentence, "reason": reason, "number": self._number})
        self._status.publish(topics.load(topics.TASK_STATUS.type)(data=text))
