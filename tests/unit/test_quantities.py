import math
import re
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from logboom.errors import ValueSyntaxError
from logboom.quantities import (
    COUNT_LIMIT,
    DURATION_LIMIT_S,
    LENGTH_LIMIT,
    SIZE_LIMIT_BYTES,
    parse_boolean,
    parse_count,
    parse_duration_s,
    parse_size_bytes,
    parse_unlimited_duration_s,
    parse_unlimited_size_bytes,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1),
        ("32", 32),
        ("32b", 32),
        ("32B", 32),
        ("32k", 32_000),
        ("32K", 32_000),
        ("32kb", 32_000),
        ("32Kb", 32_000),
        ("32Mb", 32_000_000),
        ("32Gb", 32_000_000_000),
        ("32Tb", 32_000_000_000_000),
        ("32Pb", 32_000_000_000_000_000),
        ("32.5kB", 32_500),
        ("32.5 kB", 32_500),
        ("32.5 B", 32),
        ("0.3 K", 300),
        (".3kB", 300),
        ("1.g", 1_000_000_000),
        ("10KiB", 10_000),
        ("10mib", 10_000_000),
        ("0.1m", 100_000),
        (str(SIZE_LIMIT_BYTES), SIZE_LIMIT_BYTES),
    ],
)
def test_a_size_is_decimal_as_in_docker(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        ".",
        ". ",
        " ",
        "  ",
        " .",
        " . ",
        "-32",
        "-32b",
        "-1",
        " 32 ",
        "32m b",
        "32bm",
        "32kbb",
        "32 mm",
        "32  k",
        "0",
        "0.4",
        "1e3",
        "0x10",
        "١",
        "1_000",
        "inf",
        "nan",
        "1.2.3",
        "1m\n",
        "9" * 65,
        str(SIZE_LIMIT_BYTES + 1),
        "2000p",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueSyntaxError):
        parse_size_bytes(text)


def test_only_minus_one_is_unlimited() -> None:
    assert parse_unlimited_size_bytes("-1") is None
    assert parse_unlimited_size_bytes("20m") == 20_000_000
    assert parse_unlimited_duration_s("-1") is None
    assert parse_unlimited_duration_s("1d") == 86_400
    with pytest.raises(ValueSyntaxError, match="or -1 for no limit"):
        parse_unlimited_size_bytes("-2")
    with pytest.raises(ValueSyntaxError, match="or -1 for no limit"):
        parse_unlimited_duration_s("-1h")


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [
        ("1s", 1),
        ("72h", 259_200),
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        (".5h", 1_800),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1d12h", 129_600),
        ("1000ms", 1),
        ("1001ms", 2),
        ("1000000us", 1),
        ("1000000µs", 1),
        ("1000000μs", 1),
        ("1000000000ns", 1),
        ("36500d", DURATION_LIMIT_S),
    ],
)
def test_a_duration_is_gos_with_days_and_weeks(text: str, duration_s: int) -> None:
    assert parse_duration_s(text) == duration_s


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0",
        "0s",
        "999ms",
        "-1h",
        "+1h",
        "1 h",
        "h",
        "1y",
        "1h ",
        "1H",
        "1hh",
        "1m\n",
        "36501d",
        "1" * 64 + "h",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueSyntaxError):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), ("+5", 5), ("007", 7), (str(COUNT_LIMIT), COUNT_LIMIT)]
)
def test_a_count_is_a_positive_whole_number(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.0", "1_0", " 1", "١", str(COUNT_LIMIT + 1), "9" * 5000]
)
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueSyntaxError):
        parse_count(text)


def test_booleans_are_gos() -> None:
    assert all(parse_boolean(text) is True for text in ("1", "t", "T", "true", "TRUE", "True"))
    assert all(parse_boolean(text) is False for text in ("0", "f", "F", "false", "FALSE", "False"))
    for text in ("", "yes", "tRUE", "on", " true"):
        with pytest.raises(ValueSyntaxError):
            parse_boolean(text)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    for parse in (parse_size_bytes, parse_duration_s, parse_count, parse_boolean):
        try:
            assert parse(text) >= 0
        except ValueSyntaxError as error:
            assert 0 < len(str(error)) < 400


@given(st.integers(1, SIZE_LIMIT_BYTES))
def test_a_plain_number_is_itself(number: int) -> None:
    assert parse_size_bytes(str(number)) == number


numerals = st.from_regex(r"[0-9]{1,18}(\.[0-9]{0,6})?|\.[0-9]{1,6}", fullmatch=True)


def exact(numeral: str) -> Fraction:
    return Fraction(f"0{numeral}0" if "." in numeral else numeral)


def docker_size_bytes(text: str) -> int | None:
    """``FromHumanSize`` of docker/go-units, step by step, for numbers without sign and exponent; ``None``: it is none."""
    last = max(text.rfind(character) for character in "0123456789. ")
    if last < 0:
        return None
    number, suffix = text[: last + 1].removesuffix(" "), text[last + 1 :].lower()
    if not re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", number):
        return None
    powers = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
    if suffix not in {"", "b", *(power + end for power in powers for end in ("", "b", "ib"))}:
        return None
    return int(exact(number) * 1000 ** powers.get(suffix[:1], 0))


@given(
    st.text(alphabet="0123456789. kKmMgGtTpPiIbB-+_e", max_size=10)
    | st.tuples(
        numerals,
        st.sampled_from(["", " ", "  "]),
        st.text(alphabet="kKmMgGtTpPiIbB", max_size=4),
    ).map("".join)
)
def test_a_size_is_dockers(text: str) -> None:
    size_bytes = docker_size_bytes(text)
    if size_bytes is not None and 1 <= size_bytes <= SIZE_LIMIT_BYTES:
        assert parse_size_bytes(text) == size_bytes
    else:
        with pytest.raises(ValueSyntaxError):
            parse_size_bytes(text)


@given(
    st.lists(
        st.tuples(numerals, st.sampled_from(["ns", "us", "µs", "ms", "s", "m", "h", "d", "w"])),
        min_size=1,
        max_size=4,
    )
)
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[str, str]]) -> None:
    text = "".join(number + unit for number, unit in parts)
    factors_ns = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}
    factors_ns |= {"h": 3600 * 10**9, "d": 86_400 * 10**9, "w": 604_800 * 10**9}
    duration_s = sum(exact(number) * factors_ns[unit] for number, unit in parts) / 10**9
    if len(text) <= LENGTH_LIMIT and 1 <= duration_s <= DURATION_LIMIT_S:
        assert parse_duration_s(text) == math.ceil(duration_s)
    else:
        with pytest.raises(ValueSyntaxError):
            parse_duration_s(text)
