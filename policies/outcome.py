"""What a skill reports: success as measured, the reason in plain words, and the measurements behind both."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """Result of one skill, read from the measured state after it ended, never from the command."""

    success: bool
    reason: str
    measured: dict[str, float] = field(default_factory=dict)  # SI units, keys say what
    seconds: float = 0.0  # s of robot time it took
