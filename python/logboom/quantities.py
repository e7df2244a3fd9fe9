"""Sizes, durations, counts and truth values as people write them.

The grammars are those of Docker and of Go, which Docker hands our options on from: see ``docs/options.md``.
All arithmetic is exact; a number that does not fit is refused, never rounded into another meaning.
"""

import re
from fractions import Fraction
from typing import Final

from logboom.errors import ValueSyntaxError

__all__ = [
    "COUNT_LIMIT",
    "DURATION_LIMIT_S",
    "SIZE_LIMIT_BYTES",
    "UNLIMITED",
    "parse_boolean",
    "parse_count",
    "parse_duration_s",
    "parse_exact_duration_s",
    "parse_size_bytes",
    "parse_unlimited_duration_s",
    "parse_unlimited_size_bytes",
]

UNLIMITED: Final = "-1"
"""How no limit is written, as Docker's own drivers write it."""

SIZE_LIMIT_BYTES: Final = 2**60
"""The largest size: a thousand petabytes. Sums and products of a few of them still fit 64 bits in the core."""

DURATION_LIMIT_S: Final = 100 * 365 * 24 * 3600
"""The longest duration: a hundred years, which in nanoseconds still fits 64 bits."""

COUNT_LIMIT: Final = 1_000_000
"""The largest count of anything that is set by hand."""

LENGTH_LIMIT: Final = 64
"""No written quantity is longer; it bounds what the patterns below look at and what an error repeats."""

_SIZE = re.compile(r"(\d+\.?\d*|\.\d+) ?(?:([kmgtp])(?:i?b)?|b)?", re.ASCII | re.IGNORECASE)
# units.FromHumanSize is decimal, with "KiB" too: 1k, 1kb and 1KiB are all 1,000.
_SIZE_FACTORS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}

_DURATION = re.compile(r"(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)", re.ASCII)
_DURATION_UNITS_S: Final = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 10**3),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(24 * 3600),
    "w": Fraction(7 * 24 * 3600),
}

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def parse_size_bytes(text: str) -> int:
    """A size such as ``20m``, ``1.5 GB`` or ``1048576``; always decimal, as for Docker's own drivers.

    Raises:
        ValueSyntaxError: it is no size, or zero, or over ``SIZE_LIMIT_BYTES``.
    """
    match = _SIZE.fullmatch(text) if len(text) <= LENGTH_LIMIT else None
    if match is None:
        raise ValueSyntaxError(
            f"{_quote(text)} is not a size; write a number and perhaps k, m, g, t or p, such as 20m"
        )
    size_bytes = int(Fraction(_number(match[1])) * _SIZE_FACTORS[(match[2] or "").lower()])
    if size_bytes < 1:
        raise ValueSyntaxError(f"{_quote(text)} is too small; a size is at least 1 byte")
    if size_bytes > SIZE_LIMIT_BYTES:
        raise ValueSyntaxError(
            f"{_quote(text)} is too large; a size is at most {SIZE_LIMIT_BYTES} bytes"
        )
    return size_bytes


def parse_unlimited_size_bytes(text: str) -> int | None:
    """A size, or ``-1`` for no limit, which is ``None``."""
    if text == UNLIMITED:
        return None
    try:
        return parse_size_bytes(text)
    except ValueSyntaxError as error:
        raise ValueSyntaxError(f"{error} (or -1 for no limit)") from None


def parse_duration_s(text: str) -> int:
    """A duration as Go writes it (``72h``, ``1h30m``), with days and weeks besides (``7d``, ``2w``).

    Returns:
        whole seconds; a started second counts.

    Raises:
        ValueSyntaxError: it is no duration, under a second, or over ``DURATION_LIMIT_S``.
    """
    duration_s = parse_exact_duration_s(text)
    if duration_s < 1:
        raise ValueSyntaxError(f"{_quote(text)} is too short; a duration is at least 1s")
    return -int(-duration_s // 1)


def parse_exact_duration_s(text: str) -> Fraction:
    """A duration to the last nanosecond, and of any shortness.

    Raises:
        ValueSyntaxError: it is no duration, or over ``DURATION_LIMIT_S``.
    """
    if len(text) > LENGTH_LIMIT or not _DURATION.fullmatch(text):
        raise ValueSyntaxError(
            f"{_quote(text)} is not a duration; write numbers with s, m, h, d or w, such as 7d or 1h30m"
        )
    duration_s = sum(
        (
            Fraction(_number(number)) * _DURATION_UNITS_S[unit]
            for number, unit in _DURATION_PART.findall(text)
        ),
        Fraction(0),
    )
    if duration_s > DURATION_LIMIT_S:
        raise ValueSyntaxError(f"{_quote(text)} is too long; a duration is at most 100 years")
    return duration_s


def parse_unlimited_duration_s(text: str) -> int | None:
    """A duration, or ``-1`` for no limit, which is ``None``."""
    if text == UNLIMITED:
        return None
    try:
        return parse_duration_s(text)
    except ValueSyntaxError as error:
        raise ValueSyntaxError(f"{error} (or -1 for no limit)") from None


def parse_count(text: str, limit: int = COUNT_LIMIT) -> int:
    """A whole number from 1 to ``limit``.

    Raises:
        ValueSyntaxError: anything else.
    """
    if (
        len(text) > LENGTH_LIMIT
        or not re.fullmatch(r"\+?[0-9]+", text)
        or not 1 <= int(text) <= limit
    ):
        raise ValueSyntaxError(f"{_quote(text)} is not a whole number from 1 to {limit}")
    return int(text)


def parse_boolean(text: str) -> bool:
    """Go's ``strconv.ParseBool``: ``true``, ``false`` and their short forms.

    Raises:
        ValueSyntaxError: anything else.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueSyntaxError(f"{_quote(text)} is neither true nor false")


def _number(digits: str) -> str:
    """``1.`` and ``.5`` are numbers in Go, but not for ``Fraction``."""
    return f"0{digits}0" if "." in digits else digits


def _quote(text: str) -> str:
    return repr(text if len(text) <= LENGTH_LIMIT else text[:LENGTH_LIMIT] + "...")
