"""Which model fills the four roles: the offline one, or a language model as the user names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from toolwright.llm_planner.language.model_cache import Answers, Cache, ModelError, NoCache, Replay
from toolwright.llm_planner.roles import ROLES, Model

OFFLINE = "offline"
# Which roles are in use: all of them, or what an ablation leaves.
PIPELINES: dict[str, tuple[str, ...]] = {
    "full": ROLES,
    "no-analyzer": ("planner", "calculator", "coder"),
    "no-calculator": ("analyzer", "planner", "coder"),
    "planner-coder": ("planner", "coder"),
    "coder": ("coder",),
}


@dataclass(frozen=True)
class ModelChoice:
    """A model as the user asks for it.

    Attributes:
        model: `offline`, a server's URL, or `provider:name`; may stay `offline` where answers are replayed.
        roles: one of `PIPELINES`.
        context: tokens that the model reads at once; None to ask the server.
        timeout: s in which the model may stay silent; None for the usual.
        price: USD for a million tokens in and out, where no price is known or it is another.
        cache: folder for answers; None for none.
        replay: a run's record or a folder of answers that take the model's place.
    """

    model: str = OFFLINE
    roles: str = "full"
    context: int | None = None
    timeout: float | None = None
    price: tuple[float, float] | None = None
    cache: Path | None = None
    replay: str | None = None


@contextmanager
def opened(choice: ModelChoice) -> Iterator[Model]:
    """The model, closed afterwards.

    Raises:
        ModelError: it cannot be used as asked for.
    """
    if choice.model == OFFLINE and choice.replay is None:
        if choice.roles != "full":
            raise ModelError(
                "the offline model's roles work only together: leave out --roles, or name a language model with --model"
            )
        from toolwright.llm_planner.offline.offline_model import OfflineModel

        yield OfflineModel()
        return

    from toolwright.llm_planner.language import model_endpoint
    from toolwright.llm_planner.language.language_model import LanguageModel
    from toolwright.llm_planner.language.model_client import Client, Limits

    limits = Limits() if choice.timeout is None else Limits(silence=choice.timeout, total=5 * choice.timeout)
    answers: Answers
    if choice.replay is not None:
        named = "" if choice.model == OFFLINE else model_endpoint.parse(choice.model).label
        answers = Replay(choice.replay, named)
        client = Client(model_endpoint.Endpoint(label=answers.model), None, answers, limits)
    else:
        answers = Cache(choice.cache) if choice.cache is not None else NoCache()
        model_endpoint.check_installed()
        endpoint = model_endpoint.named(model_endpoint.parse(choice.model))
        client = Client(endpoint, model_endpoint.connect(endpoint), answers, limits, choice.context, choice.price)
    model = LanguageModel(client, PIPELINES[choice.roles])
    try:
        yield model
    finally:
        model.close()


def with_roles(choice: ModelChoice, roles: str) -> ModelChoice:
    """The same model with other roles in use, for ablations."""
    return replace(choice, roles=roles)
