from __future__ import annotations

import pytest

from toolwright.policies.evaluation.statistics import wilson


# Wilson score intervals without continuity correction; the first is in Newcombe (1998), table I.
@pytest.mark.parametrize(
    ("successes", "n", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (20, 20, (0.8389, 1.0)),
    ],
)
def test_wilson_agrees_with_published_values(successes, n, interval):
    assert wilson(successes, n) == pytest.approx(interval, abs=5e-5)


def test_wilson_knows_nothing_without_trials():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match=f"{successes} successes in {n} trials"):
        wilson(successes, n)
