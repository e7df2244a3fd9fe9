import pytest
from hypothesis import given, strategies as st

from logboom.options import (
    DOCKERD_OPTIONS,
    OPTIONS,
    UNKNOWN_LIMIT,
    StreamOptions,
    parse_options,
)

NONE = StreamOptions()


def mistakes_of(log_opts: dict[str, str]) -> list[str]:
    return parse_options(log_opts)[1]


def test_what_is_not_given_is_left_to_the_defaults() -> None:
    assert parse_options({}) == (NONE, [])
    assert parse_options({"max-size": "-1"})[0].given == {"max_size_bytes": None}


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
        }
    )
    assert mistakes == []
    assert options.given == {
        "max_size_bytes": 10**6,
        "max_file": 3,
        "max_age_s": 604_800,
        "compress": False,
    }
    assert options.attributes.labels == ("team", "role")
    assert options.attributes.environment == ("A", "B")
    assert options.attributes.labels_pattern is not None
    assert options.attributes.environment_pattern is not None
    assert options.tag is not None
    assert options.tag.source == "{{.Name}}"


def test_dockerds_own_options_are_accepted_and_left_to_it() -> None:
    assert parse_options(dict.fromkeys(DOCKERD_OPTIONS, "whatever")) == (NONE, [])


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


def test_more_unknown_options_than_anybody_reads_are_counted() -> None:
    """Each sentence takes a moment, and they were worded on the event loop: for half a minute, when a request was full of them."""
    names = [f"zzz{number}" for number in range(600_000)]
    assert len(mistakes_of(dict.fromkeys(names[:UNKNOWN_LIMIT], ""))) == UNKNOWN_LIMIT
    *told, rest = mistakes_of(dict.fromkeys(names, ""))
    assert [mistake.split("'")[1] for mistake in told] == names[:UNKNOWN_LIMIT]
    assert rest == f"{600_000 - UNKNOWN_LIMIT} more are unknown"


def test_all_mistakes_are_told_at_once_and_the_rest_is_used() -> None:
    options, mistakes = parse_options(
        {"max-size": "big", "max-file": "2", "colour": "red", "tag": "{{"}
    )
    assert len(mistakes) == 3
    assert mistakes[0].startswith("log-opt max-size: 'big' is not a size")
    assert options.given == {"max_file": 2}
    assert options.tag is None


def test_an_empty_list_pattern_or_tag_asks_for_nothing() -> None:
    empty = dict.fromkeys(("labels", "labels-regex", "env", "env-regex", "tag"), "")
    assert parse_options(empty) == (NONE, [])


def test_a_pattern_that_cannot_be_compiled_is_a_mistake() -> None:
    for option in ("labels-regex", "env-regex"):
        (mistake,) = mistakes_of({option: "("})
        assert mistake.startswith(f"log-opt {option}: ")


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*OPTIONS, *DOCKERD_OPTIONS]), st.text(max_size=100)),
        st.text(max_size=100),
        max_size=12,
    )
)
def test_any_options_are_read_or_told(log_opts: dict[str, str]) -> None:
    options, mistakes = parse_options(log_opts)
    assert len(mistakes) <= len(log_opts)
    assert len(options.given) <= len(log_opts)
