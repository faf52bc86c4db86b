"""Which language model is meant, where it answers, and how large its context is.

A model is named as the user types it: a URL of an OpenAI-compatible server, with the model's name after a `#` where the
server has several, or `provider:name`. Keys come from the environment alone; they are never recorded or printed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from toolwright.llm_planner.language.model_cache import ModelError

if TYPE_CHECKING:
    from pydantic_ai.models import Model as Wire

KEY = "TOOLWRIGHT_MODEL_KEY"
OLLAMA = "http://localhost:11434/v1"
PROBE_TIMEOUT = 3.0  # s, for questions that a server answers without its model
INSTALL = "pydantic_ai is not installed; get it with: .venv/bin/pip install -e '.[llm]'"


@dataclass(frozen=True)
class Endpoint:
    """A model and where it answers.

    Attributes:
        label: the model as results and stored answers name it; without the server's address.
        url: of the server, ends in /v1 or the like; empty for a hosted provider.
        name: of the model; empty where the server has to be asked.
        provider: of pydantic-ai, for `provider:name`.
    """

    label: str
    url: str = ""
    name: str = ""
    provider: str = ""

    @property
    def where(self) -> str:
        """The server in messages: host and port, or the provider."""
        return urlsplit(self.url).netloc if self.url else self.provider


def parse(text: str) -> Endpoint:
    """Read what the user typed.

    Raises:
        ModelError: it names no model.
    """
    if re.match(r"https?://", text):
        return _server(text)
    provider, colon, name = text.partition(":")
    if not (colon and provider and name) or "/" in provider or name.startswith("//"):
        meant = "; did you mean offline?" if get_close_matches(text, ["offline"]) else ":"
        raise ModelError(
            f"'{text}' names no language model{meant} give offline, a URL such as http://localhost:8080/v1#NAME, or "
            "provider:name such as openai:gpt-5 or ollama:qwen3"
        )
    if provider == "ollama":
        return Endpoint(label=name, url=os.environ.get("OLLAMA_BASE_URL") or OLLAMA, name=name, provider=provider)
    return Endpoint(label=text, name=name, provider=provider)


def _server(text: str) -> Endpoint:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ModelError(f"the model's URL cannot be read: {error}") from error
    if not host:
        raise ModelError(f"'{text}' names no host: give for instance http://localhost:8080/v1#NAME")
    if parts.username or parts.password or parts.query:
        # Not repeated in the message: it may hold a key.
        raise ModelError(f"the model's URL must hold no user, password or query: put the key into {KEY}")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    path = parts.path.rstrip("/") or "/v1"
    return Endpoint(label=parts.fragment, url=f"{parts.scheme}://{netloc}{path}", name=parts.fragment)


def key_for(url: str) -> str:
    """The key for a server, from the environment. OpenAI's key goes nowhere but to where OPENAI_BASE_URL points."""
    own = os.environ.get(KEY, "")
    if own:
        return own
    base = os.environ.get("OPENAI_BASE_URL", "")
    same = base and (urlsplit(base).scheme, urlsplit(base).netloc) == (urlsplit(url).scheme, urlsplit(url).netloc)
    return os.environ.get("OPENAI_API_KEY", "") if same else ""


def named(endpoint: Endpoint) -> Endpoint:
    """The endpoint with the model's name, which the server is asked for where the user gave none.

    Raises:
        ModelError: the server does not answer, or it has several models.
    """
    if endpoint.name:
        return endpoint
    names = listed(endpoint)
    if len(names) > 1:
        raise ModelError(f"{endpoint.where} has several models: add one of #{', #'.join(names)} to its URL")
    name = names[0] if names else "default"
    return Endpoint(label=name, url=endpoint.url, name=name, provider=endpoint.provider)


def listed(endpoint: Endpoint) -> list[str]:
    """Names of the models that a server has; empty where it keeps no list.

    Raises:
        ModelError: nothing answers there, or it wants a key.
    """
    return [str(entry.get("id", "")) for entry in _models(endpoint, must_answer=True)]


def check_installed() -> None:
    """Complains where pydantic-ai is not installed.

    Raises:
        ModelError: with the command that installs it.
    """
    if importlib.util.find_spec("pydantic_ai") is None or importlib.util.find_spec("openai") is None:
        raise ModelError(INSTALL)


def connect(endpoint: Endpoint) -> Wire:
    """pydantic-ai's model for an endpoint that has a name. Nothing is sent.

    Raises:
        ModelError: the provider is not known, or its key is not set.
    """
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.ollama import OllamaProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    try:
        if endpoint.provider == "ollama":
            from pydantic_ai.models.ollama import OllamaModel

            return OllamaModel(endpoint.name, provider=OllamaProvider(base_url=endpoint.url))
        if endpoint.url:
            key = key_for(endpoint.url) or "none"  # the client insists on one
            provider = OpenAICompatibleProvider("server", base_url=endpoint.url, api_key=key)
            return OpenAIChatModel(endpoint.name, provider=provider)
        kind = endpoint.provider
        if kind == "openai" and os.environ.get("OPENAI_BASE_URL"):
            kind = "openai-chat"  # what compatible servers speak
        return infer_model(f"{kind}:{endpoint.name}")
    except UserError as error:
        raise ModelError(_unusable(endpoint, str(error))) from error
    except ImportError as error:
        raise ModelError(f"{endpoint.provider} needs another package: {str(error).splitlines()[0]}") from error


def _unusable(endpoint: Endpoint, told: str) -> str:
    """Why a provider cannot be used, from what pydantic-ai says: a variable that is not set, or an unknown name."""
    variable = re.search(r"`([A-Z][A-Z0-9_]+)`", told)
    if variable:
        return f"{endpoint.label} needs a key: set {variable[1]} in the environment"
    return f"{endpoint.label}: {told.splitlines()[0].rstrip('.')}; give provider:name such as openai:gpt-5"


def context_size(endpoint: Endpoint) -> int | None:
    """How many tokens the server's model reads at once, where the server tells: llama.cpp, vLLM, Ollama, LM Studio."""
    if not endpoint.url:
        return None
    root = endpoint.url.rsplit("/v1", 1)[0]
    props = _get(f"{root}/props", endpoint)
    if props:
        return _positive(props.get("default_generation_settings"), "n_ctx")
    for entry in _models(endpoint):
        if entry.get("id") == endpoint.name:
            size = _positive(entry, "max_model_len", "loaded_context_length", "context_length", "context_window")
            if size:
                return size
    for entry in _get(f"{root}/api/ps", endpoint).get("models") or ():
        if isinstance(entry, dict) and str(entry.get("name", "")).split(":")[0] == endpoint.name.split(":")[0]:
            return _positive(entry, "context_length")
    return None


def count_tokens(endpoint: Endpoint, text: str) -> int | None:
    """Tokens of a text as the server counts them; None where it does not tell."""
    if not endpoint.url:
        return None
    root = endpoint.url.rsplit("/v1", 1)[0]
    asked = {"content": text, "model": endpoint.name, "prompt": text}  # llama.cpp reads the first, vLLM the others
    answer = _get(f"{root}/tokenize", endpoint, asked)
    tokens = answer.get("tokens")
    return len(tokens) if isinstance(tokens, list) else None


def _models(endpoint: Endpoint, must_answer: bool = False) -> Iterator[dict[str, Any]]:
    data = _get(f"{endpoint.url}/models", endpoint, must_answer=must_answer).get("data")
    yield from (entry for entry in (data if isinstance(data, list) else ()) if isinstance(entry, dict))


def _positive(entry: Any, *names: str) -> int | None:
    values = (entry.get(name) for name in names) if isinstance(entry, dict) else ()
    return next((value for value in values if isinstance(value, int) and value > 0), None)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _get(url: str, endpoint: Endpoint, body: Any = None, must_answer: bool = False) -> dict[str, Any]:
    """A JSON object from a server; empty where it gives none.

    Raises:
        ModelError: nothing answers there, and `must_answer`.
    """
    key = key_for(endpoint.url)
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=PROBE_TIMEOUT) as response:
            answer = json.loads(response.read(4_000_000))
    except urllib.error.HTTPError as error:
        if must_answer and error.code in (401, 403):
            raise ModelError(f"{endpoint.where} wants a key: set {KEY}") from error
        return {}
    except (OSError, ValueError, HTTPException) as error:
        if must_answer and isinstance(error, OSError):
            reason = getattr(error, "reason", None) or error
            raise ModelError(
                f"no language model answers at {endpoint.where} ({reason}): start the server, or correct --model"
            ) from error
        return {}
    return answer if isinstance(answer, dict) else {}
