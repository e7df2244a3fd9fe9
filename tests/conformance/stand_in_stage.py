"""The stage for the stand-in for dockerd, over the core alone or over the service."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import trio

from tests.conformance.messages import Message
from tests.conformance.oracle import Query
from tests.conformance.stage import Following
from tests.support.fake_docker import Entry, FakeContainer, FakeDocker, container_info

DEADLINE_S = 30


class Plugin(Protocol):
    """What keeps the logs."""

    @property
    def data(self) -> Path:
        """Its data folder."""

    @property
    def docker(self) -> FakeDocker:
        """What starts and stops sessions; another one after each restart."""

    def open_reading(
        self, container: FakeContainer, query: Query
    ) -> AbstractAsyncContextManager[Following]:
        """Read a container's log."""

    def restart(self) -> None:
        """End in order, and begin again."""

    def kill(self) -> None:
        """SIGKILL, where that is possible, and begin again."""


class StandInStage:
    """One container of the stand-in."""

    can_choose_times = True
    is_quick = True

    def __init__(self, plugin: Plugin, container_id: str) -> None:
        self.container = FakeContainer(plugin.docker, container_info(container_id))
        self._plugin = plugin
        self._others: list[FakeContainer] = []
        self._is_running = False
        self._last_ns = 0

    @property
    def folder(self) -> Path:
        return self._plugin.data / "containers" / self.container.container_id

    async def start(self, log_opts: Mapping[str, str] | None = None) -> None:
        if log_opts is not None:
            self.container.info["Config"] = dict(log_opts)
        await self.container.start()
        self._is_running = True

    async def stop(self) -> None:
        self._is_running = False
        await self.container.stop()

    async def start_other(self) -> FakeContainer:
        """Another session of the same container, as after a crash of dockerd."""
        other = FakeContainer(self.container.docker, self.container.info)
        await other.start()
        self._others.append(other)
        return other

    async def log(
        self, messages: Sequence[Message], container: FakeContainer | None = None
    ) -> list[Entry]:
        entries = [self._with_time(message.entry) for message in messages]
        for entry in entries:
            await (container or self.container).log_entry(entry)
        return [entry.as_shown() for entry in entries]

    def _with_time(self, entry: Entry) -> Entry:
        if entry.time_ns:
            return entry
        # Two entries never have the same time here, so that it is known where a reading must begin.
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return replace(entry, time_ns=self._last_ns)

    @asynccontextmanager
    async def open_logs(self, query: Query) -> AsyncIterator[Following]:
        async with AsyncExitStack() as stack:
            if not self._is_running:
                # dockerd makes an empty session to read the log of a stopped container, and never follows.
                session = FakeContainer(self.container.docker, self.container.info)
                await session.start()
                stack.push_async_callback(session.stop)
                query = replace(query, follow=False)
            yield await stack.enter_async_context(self.open_reading(query))

    def open_reading(self, query: Query) -> AbstractAsyncContextManager[Following]:
        """The reading alone, without the session that dockerd might make for it."""
        return self._plugin.open_reading(self.container, query)

    async def cut(self) -> None:
        """Wait until all that was logged is in blocks. The end of an empty session of the container brings it about."""
        other = FakeContainer(self.container.docker, self.container.info)
        await other.start()
        records = self.container.docker.root / "run/docker/logboom"
        count = len(list(records.iterdir()))
        await other.stop()
        with trio.fail_after(DEADLINE_S):
            # A session's record goes when all of it is in blocks.
            while len(list(records.iterdir())) >= count:
                await trio.sleep(0.002)

    async def restart_worker(self) -> None:
        self._plugin.restart()
        self._renew()

    async def kill_worker(self) -> None:
        self._plugin.kill()
        self._renew()

    def _renew(self) -> None:
        for container in (self.container, *self._others):
            container.docker = self._plugin.docker

    def abandon(self) -> None:
        """Close what is open, without a word to the plugin."""
        for container in (self.container, *self._others):
            container.abandon()
