import time
from collections.abc import Iterator

import pytest

from logboom.cli.times import parse_moment_ns
from logboom.errors import ValueSyntaxError
from logboom.instants import INSTANT_LIMIT_NS

SECOND_NS = 10**9
NOON_NS = 1_769_860_800 * SECOND_NS
NOW_NS = NOON_NS + 123_456_789


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2026-01-31T12:00:00Z", NOON_NS),
        ("2026-01-31T12:00:00z", NOON_NS),
        ("2026-01-31T12:00:00.000000001Z", NOON_NS + 1),
        ("2026-01-31T14:00:00.5+02:00", NOON_NS + SECOND_NS // 2),
        ("2026-01-31T06:30:00-05:30", NOON_NS),
        ("2026-01-31T13:00:00", NOON_NS),
        ("2026-01-31T13:00:00.123456789", NOON_NS + 123_456_789),
        ("2026-01-31T13:00", NOON_NS),
        ("2026-01-31T13", NOON_NS),
        ("2026-01-31T12Z", NOON_NS),
        ("2026-01-31T13:00+01:00", NOON_NS),
        ("2026-01-31", NOON_NS - 13 * 3600 * SECOND_NS),
        ("2026-01-31Z", NOON_NS - 12 * 3600 * SECOND_NS),
        ("2026-01-31+01:00", NOON_NS - 13 * 3600 * SECOND_NS),
        ("1769860800", NOON_NS),
        ("1769860800.000000001", NOON_NS + 1),
        ("1769860800.5", NOON_NS + SECOND_NS // 2),
        ("0", 0),
        ("-1", -SECOND_NS),
        ("10m", NOON_NS - 600 * SECOND_NS),
        ("1h30m", NOON_NS - 5400 * SECOND_NS),
        ("1.5s", NOON_NS - 2 * SECOND_NS),
        ("1ms", NOON_NS),
        ("7d", NOON_NS - 7 * 86_400 * SECOND_NS),
    ],
)
def test_times_are_read_as_dockerd_reads_them(text: str, expected_ns: int) -> None:
    assert parse_moment_ns(text, now_ns=NOW_NS) == expected_ns


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("9999-12-31", INSTANT_LIMIT_NS),
        ("99999999999", INSTANT_LIMIT_NS),
        ("0001-01-02", -INSTANT_LIMIT_NS),
        ("-99999999999", -INSTANT_LIMIT_NS),
    ],
)
def test_a_time_that_no_entry_can_have_is_the_last_or_first_that_one_can(
    text: str, expected_ns: int
) -> None:
    """The command once ended with a traceback."""
    assert parse_moment_ns(text, now_ns=NOW_NS) == expected_ns


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-32", "2026-01-31 12:00:00", "12:00", "1.2.3", "9" * 99]
)
def test_what_is_no_time_is_said_with_examples(text: str) -> None:
    with pytest.raises(ValueSyntaxError, match="write 10m"):
        parse_moment_ns(text, now_ns=NOW_NS)
