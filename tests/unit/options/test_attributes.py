import time

import pytest

from logboom.options import parse_options
from logboom.options.attributes import (
    PATTERN_LIMIT,
    SEARCH_LIMIT,
    AttributeChoice,
    parse_key_pattern,
)

LABELS = {"team": "river", "app.name": "boom", "app.tier": "front", "SHARED": "label"}
ENVIRONMENT = [
    "PATH=/bin",
    "SECRET=hidden",
    "APP_A=1=2",
    "APP_B=",
    "NO_VALUE",
    "SHARED=variable",
    "APP_A=last",
]


def chosen(log_opts: dict[str, str]) -> dict[str, str]:
    options, mistakes = parse_options(log_opts)
    assert mistakes == []
    return options.attributes.choose(LABELS, ENVIRONMENT)


def test_nothing_is_chosen_that_was_not_asked_for() -> None:
    assert chosen({}) == {}


def test_labels_are_chosen_by_name() -> None:
    assert chosen({"labels": "team,missing"}) == {"team": "river"}


def test_a_list_is_taken_literally_as_docker_does() -> None:
    assert chosen({"labels": "team, app.name"}) == {"team": "river"}


def test_labels_are_chosen_by_a_pattern_anywhere_in_the_key() -> None:
    assert chosen({"labels-regex": "app"}) == {"app.name": "boom", "app.tier": "front"}
    assert chosen({"labels-regex": "^name$"}) == {}


def test_variables_are_chosen_by_name_and_the_last_of_a_name_counts() -> None:
    assert chosen({"env": "APP_A,APP_B,NO_VALUE"}) == {"APP_A": "last", "APP_B": ""}


def test_variables_are_chosen_by_a_pattern_on_the_key_never_on_the_value() -> None:
    assert chosen({"env-regex": "^APP_"}) == {"APP_A": "last", "APP_B": ""}
    assert chosen({"env-regex": "hidden"}) == {}


def test_a_variable_wins_over_a_label_of_the_same_name() -> None:
    assert chosen({"labels": "SHARED,team", "env": "SHARED"}) == {
        "SHARED": "variable",
        "team": "river",
    }


def test_a_pattern_of_the_greatest_length_is_taken_and_a_longer_one_is_a_mistake() -> None:
    """One of 8 MiB was compiled for seconds, and the sentence on what was wrong with it repeated it twice."""
    longest = "(?x)team".ljust(PATTERN_LIMIT)
    assert chosen({"labels-regex": longest}) == {"team": "river"}
    assert parse_options({"env-regex": f"{longest} "})[1] == [
        f"log-opt env-regex: the pattern has {PATTERN_LIMIT + 1} characters; the limit is {PATTERN_LIMIT}"
    ]


def test_as_many_keys_as_are_searched_are_chosen_and_no_more() -> None:
    choice = AttributeChoice(labels_pattern=parse_key_pattern("."))
    key = "k" * 63
    labels = {f"{key}{chr(0x4E00 + number)}": "v" for number in range(SEARCH_LIMIT // 64)}
    assert choice.choose(labels, ()) == labels
    assert choice.choose({**labels, "x": "v"}, ()) == labels


def test_a_key_that_is_named_is_chosen_wherever_it_stands() -> None:
    choice = AttributeChoice(labels=("last",), labels_pattern=parse_key_pattern("never"))
    labels = {"k" * SEARCH_LIMIT: "v", "last": "v"}
    assert choice.choose(labels, ()) == {"last": "v"}


@pytest.mark.slow
def test_a_hundred_thousand_labels_and_names_take_no_square_of_that() -> None:
    count = 100_000
    labels = {f"label.{number}": "v" for number in range(count)}
    choice = AttributeChoice(labels=tuple(f"other.{number}" for number in range(count)))
    begun = time.monotonic()
    assert choice.choose(labels, ()) == {}
    assert time.monotonic() - begun < 10
