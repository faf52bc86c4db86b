"""The 20 Hz policy of the hand: brings the held tool to a goal opening and keeps it in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.held_tool import ClosedFormController, LearnedInterface, Synergy
from toolwright.hardware.robot import F64
from toolwright.perception.scene import HeldTool
from toolwright.policies.weights import Actor, load

if TYPE_CHECKING:
    from toolwright.sim.grasp_bank import GraspBank

PERIOD = 0.05  # s


class HandPolicy:
    """One hand with one tool. The same interface code as in training, with N = 1."""

    def __init__(
        self,
        bank: GraspBank,
        index: int = 0,
        controller: Literal["learned", "closed_form"] = "learned",
        actor: Actor | None = None,
    ) -> None:
        """
        Args:
            bank: grasps of the tool's family.
            index: which tool of the bank is held.
            controller: the learned policy, or the closed-form controller.
            actor: the learned policy's weights; the shipped ones by default.

        Raises:
            WeightsError: the learned policy is asked for and there are no weights.
        """
        row = slice(index, index + 1)
        self.synergy = Synergy(bank.openings[row], bank.ctrl[row], bank.correction[row])
        self.closed_form = ClosedFormController(self.synergy, PERIOD)
        self.interface = LearnedInterface(self.synergy, PERIOD)
        self.actor = (actor or load(f"held_tool/{bank.family.name}")) if controller == "learned" else None
        told = self.actor is not None and self.actor.card.get("shape", False)
        self._shape = bank.shape[row] if told else np.zeros((1, 0))  # a policy of many tools is told which it holds
        self._pos, self._quat = np.zeros(3), np.array([1.0, 0, 0, 0])

    def reset(self, state_q: F64, tool: HeldTool, command: F64 | None = None) -> None:
        """Takes the tool's present pose as the one to keep.

        Args:
            state_q: (16,) rad, measured.
            tool: as measured.
            command: (16,) rad, servo targets in force; from the synergy by default.
        """
        del state_q
        self._pos, self._quat = tool.pos_palm.copy(), tool.quat_palm.copy()
        self.closed_form.reset(np.zeros(1, dtype=np.intp))
        command = self.synergy(np.array([tool.opening]))[0] if command is None else command
        self.interface.reset(np.zeros(1, dtype=np.intp), command[None], np.array([tool.opening]))

    def target(self, state_q: F64, tool: HeldTool, gravity_palm: F64, goal: float) -> F64:
        """Servo targets (16,) [rad] for the next period.

        Args:
            state_q: (16,) rad, measured.
            tool: as measured.
            gravity_palm: (3,) unit vector.
            goal: m between the tips.
        """
        opening, goals = np.array([tool.opening]), np.array([goal])
        displacement = self.displacement(tool)[None]
        if self.actor is None:
            return self.closed_form.target(opening, displacement, goals)[0]
        seen = self.interface.observe(state_q[None], displacement, gravity_palm[None])
        observation = np.hstack([seen, self._shape])
        action = self.actor.act(observation, opening[:, None], goals[:, None])
        return self.interface.target(action, opening, displacement, goals)[0]

    def displacement(self, tool: HeldTool) -> F64:
        """(6,) m and rad: where the tool is against where it was at `reset`, palm frame."""
        turn = rotations.to_rotvec(rotations.multiply(tool.quat_palm, rotations.conjugate(self._quat)))
        return np.concatenate([tool.pos_palm - self._pos, turn])
