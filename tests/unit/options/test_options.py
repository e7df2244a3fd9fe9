import pytest
from hypothesis import given, strategies as st

from logboom.options import (
    DOCKERD_OPTIONS,
    OPTIONS,
    SEGMENT_MINIMUM_BYTES,
    UNLIMITED_SEGMENT_BYTES,
    StreamOptions,
    default_options,
    parse_options,
)
from logboom.quantities import COUNT_LIMIT, SIZE_LIMIT_BYTES
from logboom.settings import read_settings

DEFAULTS = default_options(read_settings({}, {})[0])


def mistakes_of(log_opts: dict[str, str]) -> list[str]:
    return parse_options(log_opts, DEFAULTS)[1]


def test_without_options_the_defaults_hold() -> None:
    assert parse_options({}, DEFAULTS) == (DEFAULTS, [])
    assert (
        StreamOptions(max_size_bytes=20_000_000, max_file=5, max_age_s=None, compress=True)
        == DEFAULTS
    )


def test_every_option_is_read() -> None:
    options, mistakes = parse_options(
        {
            "max-size": "1m",
            "max-file": "3",
            "max-age": "7d",
            "compress": "false",
            "labels": "team,role",
            "labels-regex": "^app",
            "env": "A,B",
            "env-regex": "^X_",
            "tag": "{{.Name}}",
        },
        DEFAULTS,
    )
    assert mistakes == []
    assert (options.max_size_bytes, options.max_file, options.max_age_s, options.compress) == (
        10**6,
        3,
        604_800,
        False,
    )
    assert options.attributes.labels == ("team", "role")
    assert options.attributes.environment == ("A", "B")
    assert options.attributes.labels_pattern is not None
    assert options.attributes.environment_pattern is not None
    assert options.tag is not None
    assert options.tag.source == "{{.Name}}"


def test_dockerds_own_options_are_accepted_and_left_to_it() -> None:
    assert parse_options(dict.fromkeys(DOCKERD_OPTIONS, "whatever"), DEFAULTS) == (DEFAULTS, [])


@pytest.mark.parametrize(
    ("mistaken", "nearest"),
    [
        ("max-sise", "max-size"),
        ("maxsize", "max-size"),
        ("max_file", "max-file"),
        ("Compress", "compress"),
        ("label", "labels"),
        ("env-regexp", "env-regex"),
        ("tags", "tag"),
        ("max-buffer", "max-buffer-size"),
    ],
)
def test_an_unknown_option_is_a_mistake_that_names_the_nearest(mistaken: str, nearest: str) -> None:
    (mistake,) = mistakes_of({mistaken: "1"})
    assert mistake == f"log-opt {mistaken!r} is unknown; did you mean {nearest}?"


def test_an_option_that_resembles_none_is_told_all_of_them() -> None:
    (mistake,) = mistakes_of({"zzz": "1"})
    assert all(option in mistake for option in OPTIONS)


def test_all_mistakes_are_told_at_once_and_the_rest_is_used() -> None:
    options, mistakes = parse_options(
        {"max-size": "big", "max-file": "2", "colour": "red", "tag": "{{"}, DEFAULTS
    )
    assert len(mistakes) == 3
    assert mistakes[0].startswith("log-opt max-size: 'big' is not a size")
    assert options.max_size_bytes == DEFAULTS.max_size_bytes
    assert options.max_file == 2
    assert options.tag is None


def test_an_empty_list_pattern_or_tag_asks_for_nothing() -> None:
    empty = dict.fromkeys(("labels", "labels-regex", "env", "env-regex", "tag"), "")
    assert parse_options(empty, DEFAULTS) == (DEFAULTS, [])


def test_a_pattern_that_cannot_be_compiled_is_a_mistake() -> None:
    for option in ("labels-regex", "env-regex"):
        (mistake,) = mistakes_of({option: "("})
        assert mistake.startswith(f"log-opt {option}: ")


@pytest.mark.parametrize(
    ("max_size", "max_file", "segment_bytes", "stream_bytes"),
    [
        ("20m", "5", 6_250_000, 100_000_000),
        ("20m", "1", 1_250_000, 20_000_000),
        ("20m", "100", 20_000_000, 2_000_000_000),
        ("100k", "1", SEGMENT_MINIMUM_BYTES, 100_000),
        ("10k", "1", 10_000, 10_000),
        ("-1", "5", UNLIMITED_SEGMENT_BYTES, None),
        (str(SIZE_LIMIT_BYTES), str(COUNT_LIMIT), SIZE_LIMIT_BYTES, SIZE_LIMIT_BYTES),
    ],
)
def test_sizes_of_segments_and_streams(
    max_size: str, max_file: str, segment_bytes: int, stream_bytes: int | None
) -> None:
    options, mistakes = parse_options({"max-size": max_size, "max-file": max_file}, DEFAULTS)
    assert mistakes == []
    assert (options.segment_bytes, options.stream_bytes) == (segment_bytes, stream_bytes)


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*OPTIONS, *DOCKERD_OPTIONS]), st.text(max_size=100)),
        st.text(max_size=100),
        max_size=12,
    )
)
def test_any_options_are_read_or_told(log_opts: dict[str, str]) -> None:
    options, mistakes = parse_options(log_opts, DEFAULTS)
    assert len(mistakes) <= len(log_opts)
    assert options.segment_bytes >= 1
    assert options.stream_bytes is None or options.segment_bytes <= options.stream_bytes
