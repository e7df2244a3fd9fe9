"""Where a case is played: one container, whose output one plugin keeps.

There are three: the core in this process, ``logboom serve`` as a process, and a container on a real engine. A case knows
none of them, only what is here.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from tests.conformance.messages import Message, dated_messages, printed_messages
from tests.conformance.oracle import Query
from tests.support.fake_docker import Entry


class Following(Protocol):
    """A reading that has begun; also one that does not follow."""

    async def next(self) -> Entry:
        """The next entry, waited for."""

    async def rest(self) -> list[Entry]:
        """All further entries up to the end of the reading, waited for."""


class Stage(Protocol):
    """One container; entries are as they must be shown."""

    @property
    def can_choose_times(self) -> bool:
        """What is logged may have any time and any field. Else it is what a program prints."""

    @property
    def is_quick(self) -> bool:
        """A reading costs so little that there can be hundreds."""

    @property
    def folder(self) -> Path:
        """The container's folder in the store."""

    async def start(self, log_opts: Mapping[str, str] | None = None) -> None:
        """Begin a session. The options count the first time only, as a container's do."""

    async def log(self, messages: Sequence[Message]) -> list[Entry]:
        """Log, in this order; returns what must be read back."""

    async def stop(self) -> None:
        """End the session."""

    def open_logs(self, query: Query) -> AbstractAsyncContextManager[Following]:
        """A reading whose place in the log is fixed."""

    async def restart_worker(self) -> None:
        """Let the worker end in order, and the next one begin. Afterwards all is in blocks."""

    async def kill_worker(self) -> None:
        """SIGKILL, where that is possible, and the next one begins."""


async def read(stage: Stage, query: Query) -> list[Entry]:
    """What a reading gives from its beginning to its end."""
    async with stage.open_logs(query) as reading:
        return await reading.rest()


def seven_messages(stage: Stage) -> list[Message]:
    """Of all kinds that can be logged there."""
    return dated_messages() if stage.can_choose_times else printed_messages()


def segments(stage: Stage) -> list[Path]:
    """The stream's segments, oldest first."""
    return sorted(stage.folder.glob("*.zst"))
