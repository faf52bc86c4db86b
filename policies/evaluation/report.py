"""What an evaluation reports: counted episodes, an interval, and a cause for every failure."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolwright.policies.evaluation.statistics import wilson


class Counted:
    """Episodes that succeeded or not."""

    n: int
    successes: int

    @property
    def success_rate(self) -> float:
        return self.successes / self.n

    @property
    def interval_95(self) -> tuple[float, float]:
        """Wilson interval of the success rate."""
        return wilson(self.successes, self.n)


@dataclass(frozen=True)
class Failure:
    """One failed episode."""

    seed: int
    cause: str
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Group(Counted):
    """The episodes of one condition."""

    name: str
    n: int
    successes: int
    measured: dict[str, float] = field(default_factory=dict)  # for instance the share of dropped tools


@dataclass(frozen=True)
class EvalReport(Counted):
    """A whole evaluation."""

    n: int
    successes: int
    target: float
    passed: bool  # every target was reached, those of the groups too
    failures: tuple[Failure, ...]
    groups: tuple[Group, ...] = ()
