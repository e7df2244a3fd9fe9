"""A store in files, written by a core that has a stand-in for dockerd in this process."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from logboom._core import Store
from tests.format.frames import encode_frames
from tests.format.reader import Entry

SECOND_NS = 10**9

START_NS = 1_769_860_800 * SECOND_NS
"""2026-01-31 12:00:00 UTC."""


def entry(second: float, line: str | bytes, *, source: str = "stdout") -> Entry:
    """A line that was printed so many seconds after the start."""
    return Entry(
        source=source.encode(),
        time_ns=START_NS + round(second * SECOND_NS),
        line=line.encode() if isinstance(line, str) else line,
    )


class WrittenStore:
    """Containers print into it as long as its worker runs.

    Args:
        root: the folder for data and FIFOs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self._fifo_count = 0
        self._fifos: dict[str, tuple[str, int]] = {}
        self.worker = Store.open(
            data=str(self.data),
            fifo_root=str(root),
            block_seconds=300,
            pipe_budget_bytes=8 << 20,
            named_containers=0,
            sync="1s",
        )

    def start(
        self,
        container_id: str,
        name: str,
        *,
        image: str = "bb",
        labels: Mapping[str, str] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """A container starts."""
        self._fifo_count += 1
        file = f"/run/docker/logging/fifo{self._fifo_count}"
        path = self.root / file[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path, 0o600)
        self._fifos[container_id] = file, os.open(path, os.O_RDWR)
        facts = {
            "id": container_id,
            "name": name,
            "image": image,
            "labels": dict(labels or {}),
            "attributes": dict(attributes or {}),
        }
        self.worker.start_session(
            file=file,
            container_id=container_id,
            facts=json.dumps(facts),
        )

    def print(self, container_id: str, entries: Sequence[Entry]) -> None:
        """A container prints; it is in files afterwards."""
        _, fifo = self._fifos[container_id]
        data = encode_frames(entries)
        while data:
            data = data[os.write(fifo, data) :]
        self.worker.drain()

    def stop(self, container_id: str) -> None:
        """A container ends."""
        file, fifo = self._fifos.pop(container_id)
        self.worker.stop_session(file=file)
        os.close(fifo)
        (self.root / file[1:]).unlink(missing_ok=True)

    def run(
        self,
        container_id: str,
        name: str,
        entries: Sequence[Entry],
        *,
        image: str = "bb",
        labels: Mapping[str, str] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """A container starts, prints and ends."""
        self.start(container_id, name, image=image, labels=labels, attributes=attributes)
        self.print(container_id, entries)
        self.stop(container_id)


@contextmanager
def written_store(root: Path) -> Iterator[WrittenStore]:
    """A store with a worker, which ends with the context."""
    store = WrittenStore(root)
    try:
        yield store
    finally:
        store.worker.close()
