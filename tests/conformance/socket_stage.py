"""The service as a process, with the stand-in for dockerd on its socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.oracle import Query
from tests.conformance.stand_in_stage import StandInStage
from tests.conformance.worker import Worker, new_container_id
from tests.support.fake_docker import Entry, FakeContainer, FakeDocker, LogReading


@dataclass
class SocketFollowing:
    """Gives what the plugin sends, without what dockerd itself would leave out."""

    reading: LogReading
    _given: int = 0

    async def next(self) -> Entry:
        while len(self.reading.received) == self._given:
            await self.reading.next()
        self._given += 1
        return self.reading.received[self._given - 1]

    async def rest(self) -> list[Entry]:
        await self.reading.rest()
        entries = self.reading.received[self._given :]
        self._given = len(self.reading.received)
        return entries


@dataclass(frozen=True)
class SocketPlugin:
    worker: Worker

    @property
    def data(self) -> Path:
        return self.worker.data

    @property
    def docker(self) -> FakeDocker:
        return self.worker.docker

    @asynccontextmanager
    async def open_reading(
        self, container: FakeContainer, query: Query
    ) -> AsyncIterator[SocketFollowing]:
        async with container.open_logs(
            tail=-1 if query.tail is None else query.tail,
            since_ns=query.since_ns,
            until_ns=query.until_ns,
            follow=query.follow,
        ) as reading:
            yield SocketFollowing(reading)

    def restart(self) -> None:
        self.worker.restart()

    def kill(self) -> None:
        self.worker.kill()


@asynccontextmanager
async def socket_stage(worker: Worker) -> AsyncIterator[StandInStage]:
    """A container with a new id, under a worker that is there already."""
    stage = StandInStage(SocketPlugin(worker), new_container_id())
    try:
        yield stage
    finally:
        stage.abandon()
