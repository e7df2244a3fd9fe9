"""Times as ``docker logs`` takes them.

Source: moby, ``api/types/time/timestamp.go``.
"""

import re
import time
from datetime import datetime
from fractions import Fraction
from typing import Final

import click

from logboom.errors import ValueSyntaxError
from logboom.instants import INSTANT_LIMIT_NS
from logboom.quantities import parse_exact_duration_s

__all__ = ["parse_moment_ns", "read_moment"]

_UNIX = re.compile(r"(-?\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)

_WRITTEN = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?)?(?:([Zz])|([+-]\d{2}:\d{2}))?",
    re.ASCII,
)

_EXAMPLES: Final = "write 10m, 2026-01-31T12:00:00, 2026-01-31 or seconds since 1970"


def read_moment(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """The callback of an option that takes a time.

    Raises:
        click.BadParameter: it is none.
    """
    if value is None:
        return None
    try:
        return parse_moment_ns(value, now_ns=time.time_ns())
    except ValueSyntaxError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def parse_moment_ns(text: str, *, now_ns: int) -> int:
    """A time before now (``10m``), a date and time with or without a zone, or seconds since the epoch.

    As dockerd has it, a time before now counts in whole seconds, and what has no zone is in the zone of this process.

    Returns:
        Nanoseconds since 1970, at most ``INSTANT_LIMIT_NS`` from it.

    Raises:
        ValueSyntaxError: it is none of these.
    """
    return max(-INSTANT_LIMIT_NS, min(_read_ns(text, now_ns), INSTANT_LIMIT_NS))


def _read_ns(text: str, now_ns: int) -> int:
    if match := _UNIX.fullmatch(text):
        seconds = int(match[1]) * 10**9
        fraction_ns = int((match[2] or "").ljust(9, "0"))
        return seconds - fraction_ns if text.startswith("-") else seconds + fraction_ns
    if match := _WRITTEN.fullmatch(text):
        return _written_ns(text, match)
    try:
        ago_s = parse_exact_duration_s(text)
    except ValueSyntaxError:
        raise ValueSyntaxError(f"{text[:64]!r} is no time; {_EXAMPLES}") from None
    return int((Fraction(now_ns, 10**9) - ago_s) // 1) * 10**9


def _written_ns(text: str, match: re.Match[str]) -> int:
    day, hour, minute, second, fraction, utc, zone = match.groups()
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}"
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if utc else zone or ''}")
        # Without a zone it is local.
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        raise ValueSyntaxError(f"{text!r} is a time that no calendar has; {_EXAMPLES}") from None
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))
