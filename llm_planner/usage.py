"""What a language model was asked, what it answered, and what that cost: part of a run's record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict


class Exchange(BaseModel):
    """One request that was answered: `key` and `answer` are enough to repeat a run without the model."""

    model_config = ConfigDict(frozen=True)

    role: str
    key: str  # hash of the model's name, the messages and the schema
    answer: str
    cut_off: bool = False  # the answer reached the limit of its length
    source: str = "model"  # or cache, or replay
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None  # USD; None where no price is known
    seconds: float = 0.0


class Usage(BaseModel):
    """Counters of a run, and the exchanges behind them. What came from the cache or a replay costs nothing."""

    model_config = ConfigDict(frozen=True)

    requests: int = 0  # sent to the model and answered
    failed_requests: int = 0  # sent, and failed on the way
    reused: int = 0  # answered by the cache or a replay
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None  # USD; None where a price is not known
    exchanges: tuple[Exchange, ...] = ()

    @classmethod
    def of(cls, exchanges: Iterable[Exchange], failed_requests: int = 0) -> Usage:
        """The sum of some exchanges."""
        exchanges = tuple(exchanges)
        asked = [item for item in exchanges if item.source == "model"]
        costs = [item.cost for item in asked]
        return cls(
            requests=len(asked),
            failed_requests=failed_requests,
            reused=len(exchanges) - len(asked),
            tokens_in=sum(item.tokens_in for item in asked),
            tokens_out=sum(item.tokens_out for item in asked),
            cost=None if None in costs else sum(cost for cost in costs if cost is not None),
            exchanges=exchanges,
        )

    def __str__(self) -> str:
        if not (self.requests or self.failed_requests or self.reused):
            return ""
        parts = [f"{self.requests} model request{'s' * (self.requests != 1)}"]
        parts += [f"{self.failed_requests} failed"] if self.failed_requests else []
        parts += [f"{self.reused} answered from stored answers"] if self.reused else []
        if self.requests:
            parts += [f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out"]
            parts += [f"${self.cost:.4f}" if self.cost is not None else "no price known"]
        return ", ".join(parts)


@runtime_checkable
class Counting(Protocol):
    """A model that tells what it has used while it still works; any thread may ask."""

    def so_far(self) -> Usage:
        """What was used since `spent` was last called."""
        ...
