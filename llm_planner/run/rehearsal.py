"""The dry run: skill code runs on a copy of the world before anything moves, and every skill gets a verdict.

The copy comes from whoever knows the robot: skill models on the measured scene, which cost next to nothing, or a
simulator that was built from it. Code, sandbox and gate are the same as in the real run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolwright.llm_planner.knowledge.hand_copy import model_world
from toolwright.llm_planner.knowledge.skill_models import Impossible
from toolwright.llm_planner.roles import Cause
from toolwright.llm_planner.run import sandbox, verdict
from toolwright.llm_planner.run.gate import CallRefused, Gate
from toolwright.llm_planner.run.verdict import Goal, GoalCheck
from toolwright.llm_planner.skills.choice import AnyActions
from toolwright.llm_planner.skills.registry import Registry
from toolwright.perception.scene import Perception, Scene
from toolwright.policies.outcome import Outcome


@dataclass(frozen=True)
class WorldCopy:
    """A copy of the world as it was measured. What is done to it is done to nothing else."""

    kind: str  # what it is made of, for the record
    actions: AnyActions
    perception: Perception


CopyWorld = Callable[[Scene], WorldCopy]


def model_copy(scene: Scene) -> WorldCopy:
    """A copy that moves by skill models, without kinematics."""
    world = model_world(scene)
    return WorldCopy("skill models", world, world)


class SkillVerdict(BaseModel):
    """What a skill did on the copy."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    arguments: dict[str, str | float | int | bool]
    state: Literal["works", "fails", "unknown"]  # unknown: the copy has no model for it
    reason: str
    cause: Cause | None = None
    measured: dict[str, float] = Field(default_factory=dict)  # on the copy, SI units


class Rehearsal(BaseModel):
    """A dry run. Without `passed` nothing moves."""

    model_config = ConfigDict(frozen=True)

    copy_of: str  # what the copy is made of
    passed: bool
    verdicts: tuple[SkillVerdict, ...] = ()
    checks: tuple[GoalCheck, ...] = ()  # the goals on the copy in the end; empty where they cannot be judged
    reason: str = ""
    cause: Cause | None = None
    seconds: float = 0.0


class _Ended(Exception):
    """Leaves the code at the call that did not work on the copy."""

    def __init__(self, reason: str, cause: Cause) -> None:
        super().__init__(reason)
        self.cause: Cause = cause


def rehearse(
    code: str,
    registry: Registry,
    scene: Scene,
    copy: CopyWorld = model_copy,
    goals: Sequence[Goal] = (),
    prelude: str = "",
) -> Rehearsal:
    """Run checked code on a copy of the world.

    Args:
        scene: measured now; the copy is made from it.
        goals: what the code has to leave behind.
        prelude: definitions that the code uses.
    """
    began = perf_counter()
    world, gate = copy(scene), Gate(registry, scene)
    verdicts: list[SkillVerdict] = []
    checks: tuple[GoalCheck, ...] = ()
    reason, cause = "", None
    try:
        sandbox.run(code, lambda *call: _call(world, gate, verdicts, *call), prelude)
        if not any(item.state == "unknown" for item in verdicts):
            checks = verdict.judge(goals, world.perception.look())
            missed = [item.reason for item in checks if not item.success]
            if missed:
                reason, cause = f"the plan ends with: {'; '.join(missed)}", "logic"
    except _Ended as end:
        reason, cause = str(end), end.cause
    except sandbox.SandboxError as error:
        reason, cause = f"the code stopped: {error}", code_cause(str(error))
    return Rehearsal(
        copy_of=world.kind,
        passed=not reason,
        verdicts=tuple(verdicts),
        checks=checks,
        reason=reason,
        cause=cause,
        seconds=perf_counter() - began,
    )


def code_cause(error: str) -> Cause:
    """What kind of mistake code made that raised."""
    return "numbers" if error.startswith(("ZeroDivisionError", "OverflowError")) else "logic"


def _call(
    world: WorldCopy, gate: Gate, verdicts: list[SkillVerdict], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Outcome:
    try:
        gate.see(world.perception.look())
        call = gate.admit(name, args, kwargs)
    except CallRefused as refusal:
        given = printable(args, kwargs)
        verdicts.append(
            SkillVerdict(name=name, arguments=given, state="fails", reason=str(refusal), cause=refusal.cause)
        )
        raise _Ended(f"the gate would refuse {name}: {refusal}", refusal.cause) from refusal
    try:
        outcome = call.skill.function(world.actions, **call.arguments)
    except Exception as error:
        outcome = Outcome(False, f"{type(error).__name__}: {error}")
    trouble = getattr(world.actions, "trouble", None)
    cause: Cause = trouble.cause if isinstance(trouble, Impossible) else "control"
    unknown = bool(getattr(world.actions, "unknown", "")) and outcome.success
    verdicts.append(
        SkillVerdict(
            name=name,
            arguments=call.arguments,
            state="unknown" if unknown else "works" if outcome.success else "fails",
            reason=outcome.reason,
            cause=None if outcome.success else cause,
            measured={key: float(value) for key, value in outcome.measured.items()},
        )
    )
    if not outcome.success:
        raise _Ended(f"{name} would fail: {outcome.reason}", cause)
    return outcome


MAX_SHOWN = 80  # characters of a refused argument in the record


def printable(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str | float | int | bool]:
    """The arguments of a refused call, whatever they are."""
    named = {**{str(index): value for index, value in enumerate(args)}, **kwargs}
    return {str(name)[:MAX_SHOWN]: _shown(value) for name, value in list(named.items())[:20]}


def _shown(value: Any) -> str:
    try:
        return repr(value)[:MAX_SHOWN]
    except (ValueError, RecursionError, MemoryError) as error:  # an integer of ten thousand digits, for instance
        return f"a {type(value).__name__} that cannot be shown: {type(error).__name__}"
