"""What a worker holds, as the kernel counts it (proc(5))."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benches.processes import pss_bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """One look.

    Attributes:
        memory_bytes: its memory (PSS).
        file_count: its open files.
        thread_count: its threads.
    """

    memory_bytes: int
    file_count: int
    thread_count: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(pss_bytes([pid]), files, _number(pid, "status", r"^Threads:\s+(\d+)$"))

    def is_more_than(self, most: "Usage") -> bool:
        return (
            self.memory_bytes > most.memory_bytes
            or self.file_count > most.file_count
            or self.thread_count > most.thread_count
        )

    @property
    def text(self) -> str:
        mib = self.memory_bytes / 2**20
        return f"{mib:.1f} MiB, {self.file_count} files, {self.thread_count} threads"


def written_bytes(pid: int) -> int:
    """What it has given the kernel to write to devices, without what was removed before it was written."""
    written = _number(pid, "io", r"^write_bytes: (\d+)$")
    return written - _number(pid, "io", r"^cancelled_write_bytes: (\d+)$")


def stored_bytes(data: Path, suffix: str) -> int:
    """The sizes of all segments, ``.zst``, or journals, ``.journal``, of a store."""
    total = 0
    # It passes over folders that go meanwhile.
    for folder, _, names in os.walk(data / "containers"):
        for name in names:
            if name.endswith(suffix):
                with suppress(FileNotFoundError):
                    total += Path(folder, name).stat().st_size
    return total


def _number(pid: int, name: str, pattern: str) -> int:
    found = re.search(pattern, Path(f"/proc/{pid}/{name}").read_text(), re.MULTILINE)
    assert found is not None, f"/proc/{pid}/{name} has no {pattern}"
    return int(found[1])
