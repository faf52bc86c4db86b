"""What went wrong between here and a language model: in plain words, whether to try again, and how to mend it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from toolwright.llm_planner.language.model_cache import ModelError
from toolwright.llm_planner.language.model_endpoint import KEY, Endpoint

ENOUGH = 8192  # tokens: every prompt and its answer fit in
MAX_SHOWN = 200  # characters of what a server says


class Broken(Exception):
    """An answer that ended in the middle."""


class ContextTooSmall(ModelError):
    """A prompt that the model cannot read whole."""

    def __init__(self, role: str, tokens: str, context: int | None, where: str, needed: int) -> None:
        size = f"the model's context holds {context:,}" if context else "that is more than the model's context holds"
        super().__init__(
            f"The {role}'s prompt has {tokens} tokens, {size}. Start the server at {where} with a context of at least "
            f"{needed:,} (llama-server -c {needed}, OLLAMA_CONTEXT_LENGTH={needed}, vllm --max-model-len {needed}), or "
            "take a scene with fewer objects"
        )

    @classmethod
    def told_by(cls, error: Exception, role: str, context: int | None, where: str) -> ContextTooSmall:
        """From a server's refusal, which may hold the numbers."""
        body = getattr(error, "body", None)
        tokens, size = (body.get(name) if isinstance(body, dict) else None for name in ("n_prompt_tokens", "n_ctx"))
        shown = f"{tokens:,}" if isinstance(tokens, int) else "too many"
        return cls(role, shown, size if isinstance(size, int) else context, where, ENOUGH)


@dataclass(frozen=True)
class Trouble:
    """A failed request.

    Attributes:
        what: happened, as the beginning of a sentence.
        mend: what the user can do.
        again: whether the same request may succeed.
        wait: s that the server asks for before that.
    """

    what: str
    mend: str
    again: bool = False
    wait: float = 0.0


def explain(error: Exception, endpoint: Endpoint, silence: float, total: float) -> Trouble | None:
    """The trouble behind an exception of pydantic-ai or asyncio; None where the exception is not about the model."""
    from pydantic_ai import exceptions as ai

    where = endpoint.where
    slow = Trouble(
        f"{where} said nothing for {silence:g} s" if silence < total else f"{where} took more than {total:g} s",
        "it may be loading the model, or be too slow for it: raise --timeout, or take a smaller model",
        again=True,
    )
    match error:
        case ai.ModelTimeoutError():
            return slow
        case asyncio.TimeoutError():
            return Trouble(f"{where} took more than {total:g} s for one answer", slow.mend, again=True)
        case Broken():
            return Trouble(f"the answer of {where} broke off in the middle", "look at the server's log", again=True)
        case ai.ModelConnectionError(phase="connect" | "pool"):
            mend = "start the server, or correct --model"
            return Trouble(f"no connection to {where} ({_said(error)})", mend, again=True)
        case ai.ModelConnectionError():
            return Trouble(
                f"the connection to {where} broke off ({_said(error)})", "look at the server's log", again=True
            )
        case ai.ModelQuotaExceededError():
            return Trouble(f"{where} says that the quota is used up ({_said(error)})", "see your account there")
        case ai.ModelRateLimitError():
            mend = "wait a while, or take another model"
            return Trouble(f"{where} has had too many requests", mend, again=True, wait=error.retry_after or 0.0)
        case ai.ModelUnavailableError() | ai.ModelServerError():
            code = f"{error.status_code}: " if isinstance(error, ai.ModelHTTPError) else ""
            text = f"{where} failed ({code}{_said(error)})"
            return Trouble(text, "look at the server's log", again=True, wait=error.retry_after or 0.0)
        case ai.ModelAuthenticationError():
            key = KEY if endpoint.url else "the provider's key variable"
            return Trouble(f"{where} does not accept the key", f"set {key} to a valid key")
        case ai.ModelNotFoundError():
            return Trouble(f"{where} has no model {endpoint.name!r} ({_said(error)})", "correct the name in --model")
        case ai.ModelRequestRejectedError():
            return Trouble(f"{where} rejects the request ({_said(error)})", "look at the server's log")
        case ai.UnexpectedModelBehavior() | ai.ModelAPIError() | ValueError():
            mend = "check that --model points to an OpenAI-compatible server"
            return Trouble(
                f"{where} answered with something that is no chat completion ({_said(error)})", mend, again=True
            )
    return None


def exceeds_context(error: Exception) -> bool:
    """Whether a server refused a prompt that is longer than the model's context."""
    from pydantic_ai.exceptions import ModelContextWindowExceededError, ModelRequestRejectedError

    if isinstance(error, ModelContextWindowExceededError):
        return True
    told = str(getattr(error, "body", "")).lower()
    words = ("exceed_context_size", "context size", "context length", "context window")
    return isinstance(error, ModelRequestRejectedError) and any(word in told for word in words)


def rejects_schema(error: Exception) -> bool:
    """Whether a server refused a request because it cannot hold answers to a schema."""
    from pydantic_ai.exceptions import ModelRequestRejectedError

    told = str(getattr(error, "body", "") or error).lower()
    words = ("response_format", "json_schema", "schema", "grammar", "structured output")
    return isinstance(error, ModelRequestRejectedError) and any(word in told for word in words)


def _said(error: Exception) -> str:
    """What the server or the network said, on one line and not too long."""
    body = getattr(error, "body", None)
    told = body.get("message") if isinstance(body, dict) else None
    if not told:
        cause = error.__cause__
        while cause is not None and cause.__cause__ is not None:
            cause = cause.__cause__
        told = getattr(error, "message", "") or str(error)
        if cause is not None and str(told) in ("Connection error.", "Request timed out.", ""):
            told = str(cause) or type(cause).__name__
    line = re.sub(r"\s+", " ", str(told)).strip()
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 3] + "..."
