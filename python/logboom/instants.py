"""Points in time as Go writes them into JSON: RFC 3339 with up to nine fraction digits and any zone.

Read with integers only: a float has no room for today's nanoseconds.
"""

import re
from datetime import date
from typing import Final

from logboom.errors import ValueSyntaxError

__all__ = ["INSTANT_LIMIT_NS", "parse_instant_ns"]

INSTANT_LIMIT_NS: Final = 2**63 - 1
"""What 64 bits hold, which is what a LogEntry has: the year 2262, and 1677 on the other side. No entry is beyond."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))",
    re.ASCII,
)
_EPOCH_DAYS: Final = date(1970, 1, 1).toordinal()


def parse_instant_ns(text: str) -> int | None:
    """Nanoseconds since 1970, at most ``INSTANT_LIMIT_NS`` from it; ``None`` for Go's zero time, which is unset.

    Raises:
        ValueSyntaxError: it is no such time.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueSyntaxError(
            f"{text[:64]!r} is not a time such as 2026-01-31T12:00:00.123456789Z"
        )
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    if year <= 1:
        return None
    offset_minutes = int(match[9] or 0) * 60 + int(match[10] or 0)
    if (
        hour > 23
        or minute > 59
        or second > 59
        or int(match[9] or 0) > 23
        or int(match[10] or 0) > 59
    ):
        raise ValueSyntaxError(f"{text!r} has an hour, minute or second that no clock shows")
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAYS
    except ValueError:
        raise ValueSyntaxError(f"{text!r} is a day that no calendar has") from None
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    seconds += 60 * (offset_minutes if match[8] == "-" else -offset_minutes)
    instant_ns = seconds * 10**9 + int((match[7] or "").ljust(9, "0"))
    return max(-INSTANT_LIMIT_NS, min(instant_ns, INSTANT_LIMIT_NS))
