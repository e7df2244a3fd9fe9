"""How long a follower with ``until`` may wait for more."""

import math
from typing import Final

__all__ = ["CLOCK_CHECK_SECONDS", "UNTIL_GRACE_SECONDS", "seconds_to_wait"]

UNTIL_GRACE_SECONDS: Final = 0.25
"""How long after ``until`` a follower waits for entries of before: dockerd dates them before it writes them."""

CLOCK_CHECK_SECONDS: Final = 5.0
"""A follower with ``until`` looks at the clock at least so often, for a clock can be set."""


def seconds_to_wait(until_ns: int | None, now_ns: int) -> float:
    """How long to wait before the clock is looked at again; 0 or less: nothing more will come.

    Args:
        until_ns: when it ends, in nanoseconds since 1970; ``None``: never.
        now_ns: the time of day.
    """
    if until_ns is None:
        return math.inf
    return min((until_ns - now_ns) / 1e9 + UNTIL_GRACE_SECONDS, CLOCK_CHECK_SECONDS)
