"""Text from scenes, models and clients, made safe to show."""

from __future__ import annotations

import unicodedata

# Control, format, private, surrogate characters, and separators that break a line.
_ORDERS = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


def clean(text: object, most: int | None = None) -> str:
    """Text in one line, without anything that a terminal could take for an order.

    Args:
        most: characters; a longer text is cut.
    """
    shown = "".join(map(_seen, str(text)))
    return shown if most is None or len(shown) <= most else f"{shown[: most - 1]}…"


def _seen(char: str) -> str:
    if char in "\n\t":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _ORDERS else char
