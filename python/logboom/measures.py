"""What the service counts of its own work, for ``/metrics``. The core counts the rest.

Who counts knows nothing of metrics, and who shows them nothing of the work.
"""

import bisect
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

__all__ = ["DURATION_BOUNDS_S", "Durations", "Measures"]

DURATION_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the buckets of ``Durations``. A call of dockerd's takes a millisecond, and dockerd gives up after 30 s."""


class Durations:
    """How long each of many things took."""

    def __init__(self) -> None:
        self._counts = [0] * (len(DURATION_BOUNDS_S) + 1)
        self.sum_s = 0.0

    def note(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect.bisect_left(DURATION_BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def buckets(self) -> list[tuple[float, int]]:
        """Upper bounds, the last one infinite, each with how many were within it and not within the one before."""
        return list(zip((*DURATION_BOUNDS_S, math.inf), self._counts, strict=True))


@dataclass(slots=True)
class Measures:
    """All that is counted, since the start of this worker."""

    calls: defaultdict[tuple[str, str], Durations] = field(
        default_factory=lambda: defaultdict(Durations)
    )
    """dockerd's calls by name and result, with the time until the answer began."""
    readers: int = 0
    """Answers to ``ReadLogs`` that are under way, followers among them."""
    followers: int = 0
    followers_cut_at_30s: int = 0
    read_entries: int = 0
    read_bytes: int = 0
    """Frame bytes that answers to ``ReadLogs`` were made of."""
