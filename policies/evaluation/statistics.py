"""Statistics of counted successes."""

from __future__ import annotations

import math

_Z_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a success rate (Wilson 1927, equation of the score interval).

    Args:
        successes: how many of the trials succeeded.
        n: how many trials there were.

    Returns:
        Lower and upper bound of the rate; (0, 1), knowing nothing, where n is 0.

    Raises:
        ValueError: `successes` is not between 0 and n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials")
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, _Z_95**2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)
