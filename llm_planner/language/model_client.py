"""Asks a language model for typed answers, through pydantic-ai: bounded retries, counters, stored answers.

The schema goes to the server as its native output format and stands in the prompt as well: small models need both.
Answers are streamed, so that a slow model is told from a dead one by its silence.
"""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from toolwright.llm_planner.language import model_endpoint, model_errors
from toolwright.llm_planner.language.answers import Answer
from toolwright.llm_planner.language.model_cache import Answers, Message, ModelError, Replay, Stored, key_of
from toolwright.llm_planner.language.model_endpoint import Endpoint
from toolwright.llm_planner.language.model_errors import Broken, ContextTooSmall
from toolwright.llm_planner.usage import Exchange, Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model as Wire

SCHEMA = "Answer with one JSON object of this schema and nothing else:\n{schema}"
# A token of English or code is at most about this long, so that a count made with it is on the low side.
CHARACTERS_PER_TOKEN = 4
ROOM = 512  # tokens that an answer needs at least
MAX_FEEDBACK = 600  # characters

log = logging.getLogger("toolwright")
A = TypeVar("A", bound=Answer)
R = TypeVar("R")


class Unusable(ValueError):
    """Why an answer cannot be used, in words that the model is told."""


class UselessAnswers(ModelError):
    """The model was asked and has answered, but nothing that can be used."""


@dataclass(frozen=True)
class Limits:
    """What a model may take.

    Attributes:
        silence: s in which the server sends nothing.
        total: s for one answer.
        attempts: how often one request is sent.
        answers: how many answers a role may give until one can be used.
        pause: s before the second attempt; it doubles with each.
        longest_pause: s that a server may ask to wait.
        tokens: of one answer.
    """

    silence: float = 120.0
    total: float = 600.0
    attempts: int = 3
    answers: int = 3
    pause: float = 1.0
    longest_pause: float = 60.0
    tokens: int = 4096


@dataclass
class Client:
    """One language model. Not for use by two threads at once, except `cancel`.

    Attributes:
        wire: pydantic-ai's model; None where every answer is replayed.
        context: tokens that the model reads at once, where the user says; else the server is asked.
        price: USD for a million tokens in and out, where the user says.
    """

    endpoint: Endpoint
    wire: Wire | None
    answers: Answers
    limits: Limits = Limits()
    context: int | None = None
    price: tuple[float, float] | None = None
    _exchanges: list[Exchange] = field(default_factory=list)
    _failed: int = 0
    # How the server is asked for JSON: by the schema, for any JSON, or in the prompt alone, as far as it can.
    _modes: list[Literal["native", "prompted", "text"]] = field(default_factory=lambda: ["native", "prompted", "text"])
    _asked_context: int = 0
    _runner: asyncio.Runner | None = None
    _task: asyncio.Task[Any] | None = None

    def ask(self, role: str, instructions: str, prompt: str, kind: type[A], accept: Callable[[A], R]) -> R:
        """One typed answer.

        Args:
            role: for messages and the record.
            accept: turns the answer into the result, or raises `Unusable` with what the model is told.

        Raises:
            ModelError: no usable answer came within the limits.
        """
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(self._ask(role, instructions, prompt, kind, accept))
        except asyncio.CancelledError as error:
            raise ModelError(f"the {role} was cancelled while the language model was answering") from error

    def cancel(self) -> None:
        """Ends the request that another thread waits for; it gets a ModelError."""
        runner, task = self._runner, self._task
        if runner is not None and task is not None:
            runner.get_loop().call_soon_threadsafe(task.cancel)

    def close(self) -> None:
        """Closes the connection; where a thread still waits for an answer, only ends its waiting."""
        if self._task is not None:
            self.cancel()
        elif self._runner is not None:
            self._runner.close()
            self._runner = None

    def spent(self) -> Usage:
        """What was used since this was last asked."""
        usage = Usage.of(self._exchanges, self._failed)
        self._exchanges, self._failed = [], 0
        return usage

    def so_far(self) -> Usage:
        """The same while the model is still being asked. Callable from any thread."""
        return Usage.of(list(self._exchanges), self._failed)

    async def _ask(self, role: str, instructions: str, prompt: str, kind: type[A], accept: Callable[[A], R]) -> R:
        self._task = asyncio.current_task()
        schema = kind.schema_for_model()
        told = SCHEMA.format(schema=json.dumps(schema))
        messages: list[Message] = [("system", f"{instructions}\n\n{told}"), ("user", prompt)]
        keys: list[str] = []
        reason = ""
        try:
            for _ in range(self.limits.answers):
                exchange = await self._answer(role, messages, schema)
                self._exchanges.append(exchange)
                keys.append(exchange.key)
                try:
                    return accept(_read(exchange, kind))
                except Unusable as error:
                    reason = str(error)[:MAX_FEEDBACK]
                told = f"Your answer cannot be used: {reason}\nAnswer again, as one JSON object of the schema."
                messages = [*messages[:2], ("assistant", exchange.answer), ("user", told)]
                log.warning("language model: the answer of the %s cannot be used: %s", role, reason)
        finally:
            self._task = None
        self.answers.forget(keys)  # or the same useless answers would come back in the next run
        raise UselessAnswers(
            f"the {role} gave {self.limits.answers} answers that cannot be used, the last because {_lower(reason)} "
            "A larger model may do better, or say the sentence in other words"
        )

    async def _answer(self, role: str, messages: list[Message], schema: dict[str, Any]) -> Exchange:
        key = key_of(self.endpoint.label, messages, schema)
        stored = self.answers.get(key)
        if stored is not None:
            source = "replay" if self.answers.strict else "cache"
            return stored.model_copy(update={"role": role, "source": source, "cost": None, "seconds": 0.0})
        if isinstance(self.answers, Replay):
            raise self.answers.missing(role)
        assert self.wire is not None  # only a replay goes without
        room = self._check_context(role, messages)
        began = perf_counter()
        response = await self._send(role, messages, schema, room)
        exchange = Exchange(
            role=role,
            key=key,
            answer=_text(response),
            cut_off=response.finish_reason == "length",
            tokens_in=response.usage.input_tokens,
            tokens_out=response.usage.output_tokens,
            cost=self._cost(response),
            seconds=round(perf_counter() - began, 3),
        )
        if self.context is None:  # Ollama tells once the model is loaded, and cuts long prompts without a word
            self._check_context(role, messages, measured=exchange.tokens_in)
        self.answers.put(Stored(model=self.endpoint.label, messages=tuple(messages), exchange=exchange))
        return exchange

    # -- the context --------------------------------------------------------------------------------------------------

    def _check_context(self, role: str, messages: list[Message], measured: int = 0) -> int:
        """Tokens left for the answer.

        Raises:
            ContextTooSmall: the prompt and a short answer do not fit.
        """
        if self.context is None and self._asked_context < 2:
            self._asked_context += 1
            self.context = model_endpoint.context_size(self.endpoint)
        if self.context is None:
            return self.limits.tokens
        text = "\n".join(text for _, text in messages)
        counted = model_endpoint.count_tokens(self.endpoint, text)
        tokens = counted or len(text) // CHARACTERS_PER_TOKEN
        if tokens + ROOM > self.context:
            shown = f"{tokens:,}" if counted else f"about {tokens:,}"
            shown += f" (the server read {measured:,} of them)" if 0 < measured < tokens else ""
            needed = -(-(tokens + 4 * ROOM) // 1024) * 1024
            raise ContextTooSmall(role, shown, self.context, self.endpoint.where, needed)
        return min(self.limits.tokens, self.context - tokens - ROOM // 8)  # the server's template needs some, too

    # -- the wire -----------------------------------------------------------------------------------------------------

    async def _send(self, role: str, messages: list[Message], schema: dict[str, Any], room: int) -> ModelResponse:
        """Send a request until it is answered, within the limits."""
        attempt = 0
        while True:
            attempt += 1
            try:
                async with asyncio.timeout(self.limits.total):
                    return await self._stream(messages, schema, room)
            except Exception as error:
                self._failed += 1
                if model_errors.exceeds_context(error):
                    raise ContextTooSmall.told_by(error, role, self.context, self.endpoint.where) from error
                if self._modes[1:] and model_errors.rejects_schema(error):
                    del self._modes[0]
                    attempt -= 1
                    continue
                trouble = model_errors.explain(error, self.endpoint, self.limits.silence, self.limits.total)
                if trouble is None:
                    raise
                pause = max(self.limits.pause * 2 ** (attempt - 1), trouble.wait)
                if trouble.wait > self.limits.longest_pause:
                    what = f"{trouble.what} and asks to wait {trouble.wait:g} s"
                    raise ModelError(f"The {role} has no answer: {what}. To mend it: {trouble.mend}") from error
                if not trouble.again or attempt >= self.limits.attempts:
                    times = f", {attempt} times in a row" if attempt > 1 else ""
                    raise ModelError(
                        f"The {role} has no answer: {trouble.what}{times}. To mend it: {trouble.mend}"
                    ) from error
                log.warning("language model: %s; trying again in %.3g s", trouble.what, pause)
            await asyncio.sleep(pause)

    async def _stream(self, messages: list[Message], schema: dict[str, Any], room: int) -> ModelResponse:
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.output import OutputObjectDefinition
        from pydantic_ai.settings import ModelSettings

        assert self.wire is not None
        if self._modes[0] == "native" and not self.wire.profile.get("supports_json_schema_output"):
            del self._modes[0]
        parameters = ModelRequestParameters(
            output_mode=self._modes[0],
            output_object=OutputObjectDefinition(json_schema=schema, name="answer"),
            prompted_output_template="",  # the schema stands in the instructions: templates take one system message
            allow_text_output=True,
        )
        # One request is one request: the client's own retries would hide what happened.
        settings = ModelSettings(max_tokens=room, timeout=self.limits.silence, max_retries=0)
        if self.endpoint.url:
            settings["temperature"] = 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that a model does not know
            async with model_request_stream(
                self.wire, _messages(messages), model_settings=settings, model_request_parameters=parameters
            ) as stream:
                async for _ in stream:
                    pass
                response = stream.get()
        # pydantic-ai takes a stream that just ends for a whole answer.
        told_end = not self.endpoint.url or "finish_reason" in (response.provider_details or {})
        if not told_end and not _is_json(_text(response)):
            raise Broken
        return response

    def _cost(self, response: ModelResponse) -> float | None:
        if self.price is not None:
            tokens = (response.usage.input_tokens, response.usage.output_tokens)
            return sum(count * price for count, price in zip(tokens, self.price, strict=True)) / 1e6
        if self.endpoint.url:
            return None
        try:
            return float(response.cost().total_price)
        except (LookupError, ValueError, AssertionError):
            return None


def _messages(messages: list[Message]) -> list[ModelMessage]:
    from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

    (_, instructions), *rest = messages
    return [
        ModelResponse(parts=[TextPart(text)])
        if speaker == "assistant"
        else ModelRequest(parts=[UserPromptPart(text)], instructions=instructions)
        for speaker, text in rest
    ]


def _text(response: ModelResponse) -> str:
    from pydantic_ai.messages import TextPart

    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def _json(text: str) -> str:
    """The JSON object in an answer; small models wrap it in words or a fence."""
    first, last = text.find("{"), text.rfind("}")
    return text[first : last + 1] if 0 <= first < last else text


def _is_json(text: str) -> bool:
    try:
        json.loads(_json(text))
    except ValueError:
        return False
    return True


def _read(exchange: Exchange, kind: type[A]) -> A:
    """The answer in its type.

    Raises:
        Unusable: it was cut off, is no JSON, or does not fit the schema.
    """
    if exchange.cut_off:
        raise Unusable(f"it was cut off after {exchange.tokens_out} tokens. Be shorter.")
    if not exchange.answer.strip():
        raise Unusable("it is empty.")
    try:
        return kind.model_validate_json(_json(exchange.answer))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, item['loc'])) or 'the JSON'}: {item['msg']}" for item in error.errors())
        raise Unusable("; ".join(list(lines)[:5]) + ".") from error


def _lower(reason: str) -> str:
    return reason[:1].lower() + reason[1:] if reason[1:2].islower() else reason
