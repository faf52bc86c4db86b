"""The options that say which model fills the four roles, for every command that carries out sentences."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.parser import one_of, positive

if TYPE_CHECKING:
    from toolwright.llm_planner.models import ModelChoice
    from toolwright.llm_planner.roles import Model

PIPELINES = (
    "full",
    "no-analyzer",
    "no-calculator",
    "planner-coder",
    "coder",
)  # a test compares with llm_planner.models
ALL = "all"  # of the pipelines, one after the other
OFF = "off"


def add_model(parser: argparse.ArgumentParser, ablations: bool = False) -> None:
    """Adds --model and what goes with it.

    Args:
        ablations: whether --roles can also be `all`.
    """
    choices = (*PIPELINES, ALL) if ablations else PIPELINES
    group = parser.add_argument_group("Language model")
    group.add_argument(
        "--model",
        metavar="NAME|URL",
        default="offline",
        help="what fills the four roles: offline (built in, default), an OpenAI-compatible server such as "
        "http://localhost:8080/v1#NAME, or provider:name such as ollama:qwen3, openai:gpt-5; keys come from the "
        "environment",
    )
    group.add_argument(
        "--roles",
        metavar="ROLES",
        type=one_of(*choices),
        default="full",
        help=f"which roles the language model fills: {', '.join(choices)} (default: full)",
    )
    group.add_argument(
        "--context", metavar="N", type=positive, help="tokens the model reads at once, where its server does not tell"
    )
    group.add_argument("--timeout", metavar="S", type=positive, help="seconds the model may stay silent (default: 120)")
    group.add_argument(
        "--price", metavar="IN,OUT", type=price, help="USD for a million tokens in and out, to count the cost"
    )
    group.add_argument(
        "--cache", metavar="FOLDER", help="where answers are kept, 'off' for nowhere (default: your cache folder)"
    )
    group.add_argument(
        "--replay",
        metavar="FILE|FOLDER",
        help="repeat a run without the model: its --json record, or a folder of kept answers",
    )


def open_model(args: argparse.Namespace) -> AbstractContextManager[Model]:
    """The model of the options, closed afterwards.

    Raises:
        ModelError: on entering; it cannot be used as asked for.
    """
    from toolwright.llm_planner.models import opened

    return opened(choice(args))


def choice(args: argparse.Namespace) -> ModelChoice:
    """The options as they are."""
    from toolwright.llm_planner.language.model_cache import default_folder
    from toolwright.llm_planner.models import ModelChoice

    cache = None if args.cache == OFF else Path(args.cache) if args.cache else default_folder()
    return ModelChoice(
        model=args.model,
        roles=args.roles,
        context=args.context,
        timeout=args.timeout,
        price=args.price,
        cache=cache,
        replay=args.replay,
    )


def price(text: str) -> tuple[float, float]:
    """Two numbers from 0, with a comma between."""
    try:
        into, out = (float(part) for part in text.split(","))
    except ValueError:
        into = out = -1.0
    if not (0 <= into < 1e6 and 0 <= out < 1e6):
        raise argparse.ArgumentTypeError(f"expected two prices such as 0.25,2, got '{text}'")
    return into, out
