"""What several runs came to."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Spread: TypeAlias = dict[str, float]
"""The least, the middle and the most of some runs: ``min``, ``median``, ``max``."""

DIGITS = 4
"""Significant digits that are kept; no measurement here is good for more."""


def rounded(number: float) -> float:
    """With the significant digits that are kept."""
    if number == 0 or not math.isfinite(number):
        return 0.0
    return round(number, DIGITS - 1 - math.floor(math.log10(abs(number))))


def spread(numbers: Iterable[float]) -> Spread:
    """Of at least one number."""
    kept = sorted(numbers)
    return {
        "min": rounded(kept[0]),
        "median": rounded(statistics.median(kept)),
        "max": rounded(kept[-1]),
    }


def quantile(numbers: Sequence[float], share: float) -> float:
    """Where a share of the numbers lies below, between neighbours by their distance."""
    kept = sorted(numbers)
    place = share * (len(kept) - 1)
    below = kept[math.floor(place)]
    above = kept[math.ceil(place)]
    return rounded(below + (above - below) * (place - math.floor(place)))


def geometric_mean(numbers: Iterable[float]) -> float:
    """Of at least one number above zero."""
    return rounded(statistics.geometric_mean(numbers))
