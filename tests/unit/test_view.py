"""``logboom._core`` gives entries as lines, and a store to those who only look."""

import json
from pathlib import Path

import pytest

from logboom import _core
from tests.support.written_store import START_NS, entry, written_store

WEB = "a" * 64
CHUNK_BYTES = 1 << 20


def test_a_reader_gives_json_and_text_from_a_sequence_number_on(folder: Path) -> None:
    with written_store(folder) as store:
        store.start(WEB, "web")
        store.print(WEB, [entry(0, "one"), entry(1, "two"), entry(2, "three")])
        query = {"tail": None, "since_ns": None, "until_ns": None}

        reader = store.worker.read(container_id=WEB, follow=False, from_sequence=1, **query)
        lines = reader.next_json(CHUNK_BYTES)
        assert lines is not None
        shown = [json.loads(line) for line in lines.splitlines()]
        assert [(line["sequence"], line["line"]) for line in shown] == [(1, "two"), (2, "three")]
        assert reader.next_json(CHUNK_BYTES) is None

        view = store.worker.view()
        from_view = view.read(container_id=WEB, from_sequence=2, **query)
        assert from_view is not None
        text = b"2026-01-31T12:00:02.000000000Z three\n"
        assert from_view.next_text(CHUNK_BYTES, times=True) == text
        assert view.read(container_id="other", from_sequence=None, **query) is None


def test_a_worker_lists_and_describes_its_own_store(folder: Path) -> None:
    with written_store(folder) as store:
        store.start(WEB, "web")
        store.print(WEB, [entry(0, "one"), entry(1, "two")])
        view = store.worker.view()
        (stream,) = view.streams()
        assert (stream.container_id, stream.is_active) == (WEB, True)
        assert json.loads(stream.facts or "")["name"] == "web"
        held = view.describe(container_id=WEB)
        assert held is not None
        assert (held.first_ns, held.entry_count, held.text_bytes) == (START_NS, 2, 8)
        assert view.describe(container_id="other") is None
        with pytest.raises(_core.InvalidArgumentError):
            view.describe(container_id="../other")
    with pytest.raises(_core.ClosedError):
        store.worker.view()
