"""``logboom ls`` over a store in files."""

import json
import resource
import subprocess
import sys

import pytest

from tests.support.written_store import START_NS, WrittenStore, entry
from tests.unit.cli.conftest import Run

WEB = "a" * 64
OLD_WEB = "b" * 64
DATABASE = "c" * 64


@pytest.fixture(autouse=True)
def containers(written: WrittenStore) -> None:
    written.run(OLD_WEB, "web", [entry(0, "old")], labels={"tier": "front"})
    written.run(DATABASE, "db", [entry(5, "x" * 999)] * 10, image="postgres:17")
    written.start(WEB, "web", labels={"tier": "front", "canary": ""})
    written.print(WEB, [entry(1, "new"), entry(9, "newer")])


def names(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    return [json.loads(line)["id"][0] for line in done.stdout.splitlines()]


def test_a_table_says_what_there_is(run: Run) -> None:
    head, *rows = run("ls").stdout.decode().splitlines()
    assert head.split() == [
        *("NAME", "ID", "IMAGE", "STATE", "FIRST", "LAST", "ENTRIES", "SIZE", "STORED")
    ]
    cells = [row.split() for row in rows]
    assert cells[0][:-1] == [
        *("web", WEB[:12], "bb", "active", "2026-01-31", "12:00:01", "2026-01-31", "12:00:09"),
        *("2", "10B"),
    ]
    assert [row[:4] for row in cells[1:]] == [
        ["db", DATABASE[:12], "postgres:17", "ended"],
        ["web", OLD_WEB[:12], "bb", "ended"],
    ]
    assert cells[1][8:10] == ["10", "10kB"]


def test_json_has_it_exactly(run: Run) -> None:
    documents = [json.loads(line) for line in run("ls", "--json").stdout.splitlines()]
    (old,) = [document for document in documents if document["id"] == OLD_WEB]
    assert old.pop("stored_bytes") > 4
    assert old == {
        "name": "web",
        "id": OLD_WEB,
        "image": "bb",
        "labels": {"tier": "front"},
        "active": False,
        "first_ns": START_NS,
        "last_ns": START_NS,
        "entries": 1,
        "text_bytes": 4,
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "acb"),
        (["--sort", "first"], "bac"),
        (["--sort", "name"], "cba"),
        (["--sort", "size"], "cab"),
        (["--sort", "entries"], "cab"),
        (["web"], "ab"),
        (["w*", "d?"], "acb"),
        (["bbb"], "b"),
        (["--label", "tier"], "ab"),
        (["--label", "tier=front", "--label", "canary"], "a"),
        (["--label", "t*=f*"], "ab"),
        (["--label", "tier=back"], ""),
        (["--active"], "a"),
        (["--ended"], "cb"),
    ],
)
def test_it_is_sorted_and_filtered(run: Run, arguments: list[str], expected: str) -> None:
    assert names(run("ls", "--json", *arguments)) == list(expected)


def test_without_fifos_nobody_knows_what_runs(written: WrittenStore) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "logboom", "ls", "--data", str(written.data), "--json"],
        capture_output=True,
        check=True,
        env={},
    )
    assert [json.loads(line)["active"] for line in done.stdout.splitlines()] == [None] * 3


def test_a_folder_that_is_no_store_is_named(run: Run) -> None:
    done = run("ls", "--data", "/proc", code=1)
    assert done.stderr == b"Error: /proc holds no store of Logboom\n"


def test_neither_trio_nor_a_server_is_imported(written: WrittenStore) -> None:
    script = (
        "import sys; from logboom.cli import main; main(['ls', '--data', sys.argv[1]]);"
        "assert not {'trio', 'hypercorn', 'google.protobuf'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script, str(written.data)], check=True)


def test_it_starts_at_once(run: Run) -> None:
    """Beside a Python that does nothing, since machines differ: where that takes 15 ms these are 150."""

    def least_cpu_s(*arguments: str) -> float:
        taken = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(taken)

    assert least_cpu_s("-m", "logboom", "ls", "--help") < 10 * least_cpu_s("-c", "pass")
