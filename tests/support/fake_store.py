"""A store in memory in place of the core's, for tests of the service alone.

It is simple on purpose: a list of entries for each container. What a test needs to happen inside the store (an error, a
wait) it puts into ``hooks``.
"""

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from logboom import _core
from tests.support.fake_docker import Entry, encode_frame

STATISTICS = (
    "intake_entries_total",
    "intake_bytes_total",
    "dropped_entries_total",
    "dropped_bytes_total",
    "damaged_runs_total",
    "damaged_bytes_total",
    "blocks_total",
    "block_frame_bytes_total",
    "block_stored_bytes_total",
    "retention_deleted_segments_total",
    "retention_deleted_bytes_total",
    "store_bytes",
    "store_streams",
    "store_segments",
    "store_oldest_seconds",
    "storage_errors_total",
    "disk_stalls_total",
    "disk_stall_seconds_total",
    "pipe_budget_used_bytes",
    "sessions",
)
"""What the core counts; a test compares it with the core's own."""


@dataclass(frozen=True)
class FakeSent:
    byte_count: int
    entry_count: int
    is_end: bool


@dataclass
class FakeReader:
    entries: list[Entry]
    follow: bool
    until_ns: int | None
    on_next: Callable[[], None] = lambda: None
    is_ended: bool = False
    is_closed: bool = False
    _waiting: bytes = b""
    _sent: FakeSent = FakeSent(0, 0, False)
    _eventfd: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))

    def fileno(self) -> int:
        return self._eventfd

    def next_frames(self, max_bytes: int) -> bytes | None:
        self.on_next()
        if self.follow:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._eventfd)
        frames = bytearray()
        while self.entries and len(frames) < max_bytes:
            if self.until_ns is not None and self.entries[0].time_ns > self.until_ns:
                self.entries.clear()
                self.is_ended = True
                break
            frames += encode_frame(self.entries.pop(0).as_shown())
        if frames:
            return bytes(frames)
        return b"" if self.follow and not self.is_ended else None

    def next_json(self, max_bytes: int) -> bytes | None:
        raise NotImplementedError("the API is tested over the core")

    def send_frames(self, socket: int, max_bytes: int) -> FakeSent | None:
        if not self._waiting:
            before = len(self.entries)
            frames = self.next_frames(max_bytes)
            count = before - len(self.entries)
            self._sent = FakeSent(len(frames or b""), count, frames is None)
            self._waiting = b"%x\r\n%b\r\n" % (len(frames), frames) if frames else b""
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(socket, self._waiting) :]
        except BlockingIOError:
            return None
        return self._sent

    @property
    def is_stalled(self) -> bool:
        """The socket takes no more of what was sent."""
        return bool(self._waiting)

    def push(self, entry: Entry) -> None:
        self.entries.append(entry)
        os.eventfd_write(self._eventfd, 1)

    def end(self) -> None:
        self.is_ended = True
        os.eventfd_write(self._eventfd, 1)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            os.close(self._eventfd)


@dataclass
class FakeStore:
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    readers: list[FakeReader] = field(default_factory=list)
    reads: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)
    default_options: dict[str, Any] = field(default_factory=dict)
    fault_text: str | None = None
    stalled_s: int | None = None
    stalled_total_s: int = 0
    fault_name: str = "store"
    folder_path: Path = Path("/nonexistent")
    counted: dict[str, int] = field(default_factory=dict)
    received: list[tuple[str | None, int, int]] = field(default_factory=lambda: [(None, 0, 0)])
    is_closed: bool = False
    drain_count: int = 0
    on_start: Callable[[], None] = lambda: None
    on_stop: Callable[[], None] = lambda: None
    on_read: Callable[[], None] = lambda: None
    on_next: Callable[[], None] = lambda: None
    on_has_log: Callable[[], None] = lambda: None
    on_close: Callable[[], None] = lambda: None

    def start_session(self, **arguments: Any) -> None:
        self.on_start()
        if arguments["file"] in self.sessions:
            raise _core.SessionExistsError(f"{arguments['file']} is started already")
        self.sessions[arguments["file"]] = arguments

    def drain(self) -> None:
        self.drain_count += 1

    def stop_session(self, *, file: str) -> bool:
        self.on_stop()
        session = self.sessions.pop(file, None)
        for reader in self.readers:
            if session is not None and reader.follow and not reader.is_closed:
                reader.end()
        return session is not None

    def read(
        self,
        *,
        container_id: str,
        tail: int | None,
        since_ns: int | None,
        until_ns: int | None,
        follow: bool,
    ) -> FakeReader:
        self.on_read()
        self.reads.append(
            {
                "container_id": container_id,
                "tail": tail,
                "since_ns": since_ns,
                "until_ns": until_ns,
                "follow": follow,
            }
        )
        entries = list(self.entries.get(container_id, []))
        if tail is not None:
            entries = entries[len(entries) - min(tail, len(entries)) :]
        while entries and since_ns is not None and entries[0].time_ns < since_ns:
            del entries[0]
        reader = FakeReader(entries, follow, until_ns, on_next=self.on_next)
        self.readers.append(reader)
        return reader

    def has_log(self, *, container_id: str) -> bool:
        self.on_has_log()
        return container_id in self.entries

    def remove(self, *, container_id: str) -> Literal["removed", "missing", "in-use"]:
        raise NotImplementedError("the API is tested over the core")

    def view(self) -> _core.StoreView:
        raise NotImplementedError("the API is tested over the core")

    def set_limits(self, **limits: Any) -> None:
        self.limits = limits

    def set_default_options(self, **options: Any) -> None:
        self.default_options = options

    def fault(self) -> str | None:
        return self.fault_text

    def faults(self) -> list[tuple[str, str]]:
        stall = [] if self.stalled_s is None else [("disk-stalled", f"not for {self.stalled_s} s")]
        return stall + ([] if self.fault_text is None else [(self.fault_name, self.fault_text)])

    def folder(self) -> Path:
        return self.folder_path

    def stall_seconds(self) -> int | None:
        return self.stalled_s

    def statistics(self) -> dict[str, int]:
        return {
            **dict.fromkeys(STATISTICS, 0),
            "disk_stall_seconds_total": self.stalled_total_s,
            **self.counted,
        }

    def traffic(self) -> list[tuple[str | None, int, int]]:
        return self.received

    def sync_durations(self) -> tuple[list[tuple[float, int]], float]:
        return [(0.001, 3), (1.0, 1), (math.inf, 1)], 7.5

    def close(self) -> None:
        self.on_close()
        self.is_closed = True
