"""Several devices in a row as one robot, for instance an arm with a hand: where one is lost, all stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from toolwright.hardware.joints import join
from toolwright.hardware.robot import F64, JointSpec, JointTarget, Robot, RobotState

log = logging.getLogger(__name__)
R = TypeVar("R")


class DeviceLost(RuntimeError):
    """A device failed; the others were stopped in the same call. `device` names it."""

    def __init__(self, device: str, error: Exception) -> None:
        super().__init__(f"{device}: {error}")
        self.device = device


class Composite:
    """Implements `hardware.robot.Robot`; joints in the order of the devices.

    It notices a lost device when it is called: call `read` every 5 ms, and motion ends within 50 ms of a loss.

    Args:
        devices: by name, connected and closed together.
        period: s between two `send` calls; by default the slowest device's.
    """

    def __init__(self, devices: Mapping[str, Robot], period: float | None = None) -> None:
        self.devices = dict(devices)
        self.joints: JointSpec = join(*(device.joints for device in self.devices.values()))
        self.period = period or max(device.period for device in self.devices.values())
        ends = np.cumsum([len(device.joints) for device in self.devices.values()])
        self._parts = {
            name: slice(int(end) - len(device.joints), int(end))
            for (name, device), end in zip(self.devices.items(), ends, strict=True)
        }

    def connect(self) -> None:
        """Connects all devices.

        Raises:
            DeviceLost: one did not connect. The others are closed.
        """
        for name, device in self.devices.items():
            try:
                device.connect()
            except Exception as error:
                self.close()
                raise DeviceLost(name, error) from error

    def read(self) -> RobotState:
        """The state of all devices, as old as the oldest.

        Raises:
            DeviceLost: one cannot be read. The others were stopped.
        """
        states = [self._ask(name, device.read) for name, device in self.devices.items()]
        q, dq, effort = (np.concatenate([getattr(state, field) for state in states]) for field in ("q", "dq", "effort"))
        return RobotState(min(state.stamp for state in states), q, dq, effort)

    def send(self, target: JointTarget) -> JointTarget:
        """Sends each device its part.

        Raises:
            DeviceLost: one did not take it. The others were stopped.
        """
        sent: F64 = np.empty(len(self.joints))
        for name, device in self.devices.items():
            part = JointTarget(np.asarray(target.q)[self._parts[name]])
            sent[self._parts[name]] = self._ask(name, lambda device=device, part=part: device.send(part)).q  # type: ignore[misc]
        return JointTarget(sent)

    def stop(self, reason: str) -> None:
        """Stops every device that can still be told to."""
        self._for_all(lambda device: device.stop(reason))

    def close(self) -> None:
        """Closes every device."""
        self._for_all(lambda device: device.close())

    def _ask(self, name: str, call: Callable[[], R]) -> R:
        try:
            return call()
        except Exception as error:
            self._for_all(lambda device: device.stop(f"{name} was lost"), without=name)
            raise DeviceLost(name, error) from error

    def _for_all(self, call: Callable[[Robot], None], without: str = "") -> None:
        for name, device in self.devices.items():
            if name == without:
                continue
            try:
                call(device)
            except Exception:  # whatever a driver raises: the others have to be told, too
                log.exception("%s could not be told", name)
