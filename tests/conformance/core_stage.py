"""The core in this process, without the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from logboom import _core
from logboom.app import set_limits
from logboom.options import parse_options
from logboom.settings import read_settings
from tests.conformance.oracle import Query
from tests.conformance.stand_in_stage import StandInStage
from tests.support.fake_docker import Entry, FakeContainer, FakeDocker, FrameDecoder

DEADLINE_S = 30
CHUNK_BYTES = 64 * 1024
PIPE_BUDGET_BYTES = 32_000_000

CONTAINER_ID = "0123456789abcdef" * 4


@dataclass(frozen=True, slots=True)
class CoreDocker(FakeDocker):
    """Makes FIFOs as its base does, and calls the core where that one sends requests."""

    store: _core.Store = field(kw_only=True)

    async def call_checked(  # type: ignore[explicit-override]  # typing has the mark from 3.12 on
        self, path: str, document: object = None
    ) -> Any:
        assert isinstance(document, dict)
        if path == "/LogDriver.StopLogging":
            return self.store.stop_session(file=document["File"])
        assert path == "/LogDriver.StartLogging"
        info = document["Info"]
        options, mistakes = parse_options(info["Config"] or {})
        assert not mistakes
        self.store.start_session(
            file=document["File"],
            container_id=info["ContainerID"],
            facts="{}",
            **options.given,
        )
        return None


@dataclass
class CoreFollowing:
    reader: _core.Reader
    _decoder: FrameDecoder = field(default_factory=FrameDecoder)
    _entries: list[Entry] = field(default_factory=list)
    _is_ended: bool = False

    async def next(self) -> Entry:
        with trio.fail_after(DEADLINE_S):
            while not self._entries:
                assert not self._is_ended, "the reading has ended"
                await self._fetch()
        return self._entries.pop(0)

    async def rest(self) -> list[Entry]:
        with trio.fail_after(DEADLINE_S):
            while not self._is_ended:
                await self._fetch()
        entries, self._entries = self._entries, []
        return entries

    async def _fetch(self) -> None:
        frames = self.reader.next_frames(CHUNK_BYTES)
        if frames is None:
            self._is_ended = True
            self._decoder.finish()
        elif frames:
            self._entries += self._decoder.feed(frames)
        else:
            await trio.lowlevel.wait_readable(self.reader.fileno())


class CorePlugin:
    """A store in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.data = root / "data"
        self._store = self._open()

    def _open(self) -> _core.Store:
        store = _core.Store.open(
            data=str(self.data),
            fifo_root=str(self._root),
            block_seconds=300,
            pipe_budget_bytes=PIPE_BUDGET_BYTES,
            named_containers=100,
            sync="1s",
        )
        set_limits(store, read_settings({}, {})[0])
        assert store.fault() is None
        return store

    @property
    def docker(self) -> CoreDocker:
        return CoreDocker(socket=self._root, root=self._root, store=self._store)

    @asynccontextmanager
    async def open_reading(
        self, container: FakeContainer, query: Query
    ) -> AsyncIterator[CoreFollowing]:
        reader = self._store.read(
            container_id=container.container_id,
            tail=query.tail,
            since_ns=query.since_ns,
            until_ns=query.until_ns,
            follow=query.follow,
        )
        try:
            yield CoreFollowing(reader)
        finally:
            reader.close()

    def restart(self) -> None:
        self._store.close()
        self._store = self._open()

    def kill(self) -> None:
        # This process cannot be killed; an end in order is what is left.
        self.restart()

    def close(self) -> None:
        fault = self._store.fault()
        self._store.close()
        assert fault is None


@asynccontextmanager
async def core_stage(root: Path) -> AsyncIterator[StandInStage]:
    plugin = CorePlugin(root)
    stage = StandInStage(plugin, CONTAINER_ID)
    try:
        yield stage
    finally:
        stage.abandon()
        plugin.close()
