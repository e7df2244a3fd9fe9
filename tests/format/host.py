"""A core on folders of its own, and FIFOs that this process writes as dockerd would."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logboom._core import Store
from tests.format.frames import encode_frames
from tests.format.reader import Entry, Stream, decode_entry

CONTAINER_ID: Final = "web"

DEADLINE_S: Final = 30


def wait_until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_done():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.001)


@dataclass
class Session:
    file: str
    path: Path
    descriptor: int

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.descriptor, data) :]

    def print(self, entries: list[Entry]) -> None:
        self.write(encode_frames(entries))


MANY = 1_000_000
"""Segments, of which no test fills so many."""


class Host:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.folder = self.data / "containers" / CONTAINER_ID
        self._fifo_count = 0
        self.store = self._open()

    def _open(self) -> Store:
        return Store.open(
            data=str(self.data),
            fifo_root=str(self.root),
            block_seconds=300,
            pipe_budget_bytes=8 << 20,
            named_containers=100,
            sync="1s",
        )

    def restart(self) -> None:
        """A new worker; the old one cuts what it has."""
        self.store.close()
        self.store = self._open()

    def start(self, *, compress: bool = True, segment_bytes: int = 4 << 20) -> Session:
        self._fifo_count += 1
        file = f"/run/docker/logging/fifo{self._fifo_count}"
        path = self.root / file[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path, 0o600)
        session = Session(file, path, os.open(path, os.O_RDWR))
        self.store.start_session(
            file=file,
            container_id=CONTAINER_ID,
            facts='{"name":"/web"}',
            max_size_bytes=segment_bytes,
            max_file=MANY,
            compress=compress,
        )
        return session

    def stop(self, session: Session) -> None:
        """StopLogging, and then what dockerd does."""
        self.store.stop_session(file=session.file)
        os.close(session.descriptor)
        session.path.unlink(missing_ok=True)

    def wait_until_cut(self) -> None:
        """Until all lies in blocks."""
        wait_until(lambda: bool(self.names(".zst")) and not self.names(".journal"))

    def names(self, suffix: str) -> list[str]:
        if not self.folder.exists():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.suffix == suffix)

    def read_by_core(self) -> list[tuple[bytes, int, bytes]]:
        """Source, time and line of what ``ReadLogs`` gives; lines with their newlines."""
        reader = self.store.read(
            container_id=CONTAINER_ID, tail=None, since_ns=None, until_ns=None, follow=False
        )
        frames = b""
        while chunk := reader.next_frames(1 << 20):
            frames += chunk
        reader.close()
        found = []
        while frames:
            length = int.from_bytes(frames[:4], "big")
            entry = decode_entry(frames[4 : 4 + length])
            found.append((entry.source, entry.time_ns, entry.line))
            frames = frames[4 + length :]
        return found

    def read_by_reader(self) -> list[Entry]:
        """What the reader of this folder finds in the files; numbers without a gap."""
        stream = Stream(self.folder)
        found = list(stream)
        assert stream.losses == []
        assert [sequence for sequence, _ in found] == list(range(len(found)))
        return [entry for _, entry in found]


@contextmanager
def run_host(root: Path) -> Iterator[Host]:
    host = Host(root)
    yield host
    host.store.close()
