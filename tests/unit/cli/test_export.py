"""``logboom export`` over a store in files."""

import json

import pytest

from tests.support.written_store import WrittenStore, entry
from tests.unit.cli.conftest import Run

WEB = "a" * 64
DATABASE = "c" * 64


@pytest.fixture(autouse=True)
def containers(written: WrittenStore) -> None:
    written.run(WEB, "web", [entry(0, "one"), entry(2, "three", source="stderr")])
    written.run(DATABASE, "db", [entry(1, "two")])


def test_text_is_the_lines_of_all_by_time(run: Run) -> None:
    done = run("export", "*")
    assert (done.stdout, done.stderr) == (b"one\ntwo\nthree\n", b"")
    stamped = run("export", "-t", "db", TZ="CET-1").stdout
    assert stamped == b"2026-01-31T12:00:01.000000000Z two\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "2026-01-31T12:00:01Z"], b"two\nthree\n"),
        (["--until", "2026-01-31T12:00:01Z"], b"one\ntwo\n"),
        (["--stream", "stderr"], b"three\n"),
    ],
)
def test_entries_are_chosen(run: Run, arguments: list[str], expected: bytes) -> None:
    assert run("export", *arguments, "*").stdout == expected


def test_of_each_name_only_the_newest_with_last(run: Run, written: WrittenStore) -> None:
    written.run("d" * 64, "db", [entry(9, "newest")])
    assert run("export", "--last", "db").stdout == b"newest\n"


def test_json_says_whose_each_entry_is(run: Run) -> None:
    documents = [json.loads(line) for line in run("export", "--json", "*").stdout.splitlines()]
    assert [(document["name"], document["line"]) for document in documents] == [
        *(("web", "one"), ("db", "two"), ("web", "three"))
    ]


def test_progress_is_told_when_it_is_wanted(run: Run) -> None:
    assert run("export", "--progress", "*").stderr == b"3 entries, 14B - done\n"
