"""``logboom export`` over a store in files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from logboom.cli import export
from tests.support.written_store import WrittenStore, entry
from tests.unit.cli.conftest import Run, environment

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


def test_a_file_is_there_once_it_is_whole_and_nobody_elses_to_read(run: Run, folder: Path) -> None:
    target = folder / "out" / "web.txt"
    assert "cannot write" in run("export", "-o", str(target), "*", code=1).stderr.decode()
    target.parent.mkdir()
    done = run("export", "-o", str(target), "*", "--progress")
    assert (done.stdout, target.read_bytes()) == (b"", b"one\ntwo\nthree\n")
    assert done.stderr == b"3 entries, 14B - done\n"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_is_there_is_replaced_only_when_that_is_wanted(run: Run, folder: Path) -> None:
    target = folder / "web.txt"
    target.write_text("mine")
    link = folder / "link"
    link.symlink_to(target)
    refused = run("export", "--output", str(link), "db", code=1)
    assert b"--force replaces it" in refused.stderr
    assert target.read_text() == "mine"
    run("export", "--output", str(link), "--force", "db")
    assert target.read_text() == "two\n"
    assert link.is_symlink()
    assert b"no file" in run("export", "-o", "/dev/null", "--force", "db", code=1).stderr
    run("export", "--force", "db", code=2)


def test_an_export_that_is_stopped_leaves_nothing(written: WrittenStore, folder: Path) -> None:
    target = folder / "out"
    target.mkdir()
    written.run("e" * 64, "long", [entry(second, "x" * 15_000) for second in range(20_000)])
    with subprocess.Popen(
        [sys.executable, "-m", "logboom", "export", "-o", str(target / "long.txt"), "long"],
        env=environment(written, {}),
    ) as started:
        while not list(target.iterdir()) and started.poll() is None:
            time.sleep(0.001)
        started.send_signal(signal.SIGINT)
    assert started.returncode == 130
    assert list(target.iterdir()) == []


def test_a_file_that_was_made_just_when_it_was_stopped_does_not_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder / "out"
    target.mkdir()
    opens = os.open

    def open_and_stop(*arguments: Any) -> int:
        os.close(opens(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", open_and_stop)
    with (
        pytest.raises(KeyboardInterrupt),
        export._destination(target / "web.txt", is_forced=False),
    ):
        pass
    monkeypatch.undo()
    assert list(target.iterdir()) == []
