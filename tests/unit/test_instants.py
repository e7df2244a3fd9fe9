import pytest
from hypothesis import given, strategies as st

from logboom.errors import ValueSyntaxError
from logboom.instants import INSTANT_LIMIT_NS, parse_instant_ns
from tests.support.fake_docker import go_time


@pytest.mark.parametrize(
    ("text", "instant_ns"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("0000-12-31T18:00:00-06:00", None),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.1Z", 100_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("2026-01-31T12:00:00.123456789Z", 1_769_860_800_123_456_789),
        ("2024-02-29t00:00:00z", 1_709_164_800_000_000_000),
        ("9999-12-31T23:59:59Z", INSTANT_LIMIT_NS),
        ("0002-01-01T00:00:00Z", -INSTANT_LIMIT_NS),
    ],
)
def test_an_instant_is_read_to_the_nanosecond(text: str, instant_ns: int | None) -> None:
    assert parse_instant_ns(text) == instant_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-02-30T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01",
        "٢026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueSyntaxError):
        parse_instant_ns(text)


@given(st.integers(-(2**60), INSTANT_LIMIT_NS), st.integers(-14 * 60, 14 * 60))
def test_what_go_writes_comes_back_in_any_zone(instant_ns: int, offset_minutes: int) -> None:
    assert parse_instant_ns(go_time(instant_ns, offset_minutes)) == instant_ns
