"""``logboom stats`` over a store in files."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from logboom import cli
from logboom._core import Container, StorageError, StoreView
from tests.support.written_store import SECOND_NS, WrittenStore, entry
from tests.unit.cli.conftest import Run

WEB = "a" * 64
OLD = "b" * 64
DATABASE = "c" * 64


@pytest.fixture(autouse=True)
def containers(written: WrittenStore) -> None:
    now_ns = time.time_ns()
    recent = [replace(entry(0, "x" * 99), time_ns=now_ns - 600 * SECOND_NS)] * 10
    written.run(WEB, "web", recent)
    written.start(DATABASE, "db")
    written.print(DATABASE, [replace(entry(0, "y" * 49), time_ns=now_ns - 3000 * SECOND_NS)])
    written.run(OLD, "old", [entry(0, "z" * 9999)])


def test_it_says_how_much_there_is_and_draws_when_it_came(run: Run) -> None:
    totals, _, drawing, span, _, _, *rows = (
        run("stats", "--since", "1h").stdout.decode().split("\n")
    )
    assert totals.startswith("3 containers, 1 of them active: 12 entries, 11.1kB of text in ")
    # 48 bars for an hour: ten minutes ago all of web's came, fifty minutes ago one line of db's.
    (high,) = [place for place, bar in enumerate(drawing) if bar == "█"]
    (low,) = [place for place, bar in enumerate(drawing) if bar == "▁"]
    assert 39 <= high <= 40
    assert 7 <= low <= 8
    assert span.startswith("1.05kB from ")
    assert [row.split()[0] for row in rows if row] == ["web", "db", "old"]
    assert [row.split()[-1] for row in rows if row] == ["1kB", "50B", "0B"]


def test_json_has_it_exactly(run: Run) -> None:
    document = json.loads(run("stats", "--since", "1h", "--json").stdout)
    assert (document["containers"], document["active"], document["entries"]) == (3, 1, 12)
    assert document["text_bytes"] == 11_050
    assert sum(document["spans_bytes"]) == 1_050
    assert len(document["spans_bytes"]) == 48
    assert [row["came_bytes"] for row in document["busiest"]] == [1_000, 50, 0]


def test_what_is_older_is_not_drawn(run: Run, written: WrittenStore) -> None:
    written.stop(DATABASE)
    assert json.loads(run("stats", "--since", "1s", "--json").stdout)["spans_bytes"] == [0] * 48
    assert b"0B from" in run("stats", "--since", "1s").stdout


class DamagedOnOpening:
    """A view that tells what logs hold without opening them, as by the catalogue, and cannot open one."""

    def __init__(self, view: StoreView) -> None:
        self._view = view

    def containers(self) -> Sequence[Container]:
        return self._view.containers()

    def describe(self, *, container_id: str) -> object:
        return self._view.describe(container_id=container_id)

    def activity(self, *, container_ids: list[str], **wanted: int) -> list[int]:
        if container_ids == [WEB]:
            raise StorageError("block 3 is damaged")
        return self._view.activity(container_ids=container_ids, **wanted)


def test_a_log_that_cannot_be_read_keeps_none_from_being_drawn(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    view = DamagedOnOpening(StoreView.open(data=str(written.data), fifo_root=str(written.root)))
    monkeypatch.setattr("logboom.cli.stats.open_view", lambda _data: view)
    assert cli.main(["stats", "--since", "1h"]) == 0
    assert capsys.readouterr().err == "Warning: web cannot be read: block 3 is damaged\n"
