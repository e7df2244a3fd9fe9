"""What the service asks of the core's store, and how a request waits until the store is open.

The protocols are the part of ``logboom._core`` that the service uses, so that a test can put another store
in its place.
"""

from pathlib import Path
from typing import Literal, Protocol

import trio

from logboom import _core

__all__ = ["OpenStore", "Reader", "Sent", "Store"]


class Sent(Protocol):
    """``logboom._core.Sent``."""

    @property
    def byte_count(self) -> int: ...  # noqa: D102

    @property
    def entry_count(self) -> int: ...  # noqa: D102

    @property
    def is_end(self) -> bool: ...  # noqa: D102


class Reader(Protocol):
    """``logboom._core.Reader``."""

    def fileno(self) -> int: ...  # noqa: D102

    def next_json(self, max_bytes: int) -> bytes | None: ...  # noqa: D102

    def send_frames(self, socket: int, max_bytes: int) -> Sent | None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class Store(Protocol):
    """``logboom._core.Store``."""

    def start_session(  # noqa: D102, PLR0913
        self,
        *,
        file: str,
        container_id: str,
        facts: str,
        max_size_bytes: int | None = ...,
        max_file: int = ...,
        max_age_s: int | None = ...,
        compress: bool = ...,
    ) -> None: ...

    def stop_session(self, *, file: str) -> bool: ...  # noqa: D102

    def drain(self) -> None: ...  # noqa: D102

    def read(  # noqa: D102
        self,
        *,
        container_id: str,
        tail: int | None,
        since_ns: int | None,
        until_ns: int | None,
        follow: bool,
    ) -> Reader: ...

    def has_log(self, *, container_id: str) -> bool: ...  # noqa: D102

    def remove(  # noqa: D102
        self, *, container_id: str
    ) -> Literal["removed", "missing", "in-use"]: ...

    def view(self) -> _core.StoreView: ...  # noqa: D102

    def set_limits(  # noqa: D102
        self,
        *,
        max_bytes: int | None,
        min_free_bytes: int | None,
        max_streams: int | None,
        keep_ended_s: int | None,
    ) -> None: ...

    def set_default_options(  # noqa: D102
        self, *, max_size_bytes: int | None, max_file: int, max_age_s: int | None, compress: bool
    ) -> None: ...

    def fault(self) -> str | None: ...  # noqa: D102

    def faults(self) -> list[tuple[str, str]]: ...  # noqa: D102

    def folder(self) -> Path: ...  # noqa: D102

    def stall_seconds(self) -> int | None: ...  # noqa: D102

    def statistics(self) -> dict[str, int]: ...  # noqa: D102

    def traffic(self) -> list[tuple[str | None, int, int]]: ...  # noqa: D102

    def sync_durations(self) -> tuple[list[tuple[float, int]], float]: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class OpenStore:
    """A place for the store, filled when it is open.

    The service listens before the store is open, because dockerd gives a plugin only a few seconds to listen
    and the store may have much to recover. What needs the store waits here.
    """

    _store: Store

    def __init__(self) -> None:
        self._opened = trio.Event()

    def set(self, store: Store) -> None:
        """Let the waiting requests go on."""
        self._store = store
        self._opened.set()

    def get_nowait(self) -> Store | None:
        """The store, if it is open."""
        return self._store if self._opened.is_set() else None

    async def wait(self) -> Store:
        """The store, as soon as it is open."""
        await self._opened.wait()
        return self._store
