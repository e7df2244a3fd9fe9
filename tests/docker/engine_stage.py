"""A real container on a real engine, as a stage for the table of cases."""

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import trio

from engines.private import Engine
from tests.conformance.messages import Message
from tests.conformance.oracle import Query
from tests.conformance.stage import Following
from tests.docker.support import DEADLINE_S, POLL_S, Api, Printer, stream_folder, worker_pid
from tests.support.fake_docker import Entry


class EngineStage:
    """Entries get their times from dockerd, so they are known when they have been read.

    Args:
        engine: with the plugin.
        data: the source of the plugin's data mount.
        name: the container's.
    """

    can_choose_times = False
    is_quick = False

    def __init__(self, engine: Engine, data: Path, name: str) -> None:
        self._engine = engine
        self._api = Api(engine)
        self._data = data
        self._name = name
        self._printer: Printer | None = None
        self._last_ns = dict.fromkeys(("stdout", "stderr"), 0)

    @property
    def folder(self) -> Path:
        return stream_folder(self._data, self._engine, self._name)

    async def start(self, log_opts: Mapping[str, str] | None = None) -> None:
        if self._printer is None:
            options = [f"--log-opt={key}={value}" for key, value in (log_opts or {}).items()]
            self._printer = Printer(self._engine, self._name, ["--log-driver=logboom", *options])
        await self._printer.start()

    async def log(self, messages: Sequence[Message]) -> list[Entry]:
        entries: list[Entry] = []
        # dockerd reads the two streams on their own: order between them needs a wait.
        for source, run in groupby(messages, lambda message: message.entry.source):
            entries += await self._print(source, list(run))
        return entries

    async def _print(self, source: str, messages: Sequence[Message]) -> list[Entry]:
        assert self._printer is not None
        lines = [message.output for message in messages]
        await self._printer.print(source, b"".join(lines))
        query = Query(since_ns=self._last_ns[source] + 1)
        with trio.fail_after(DEADLINE_S):
            while True:
                async with self.open_logs(query) as reading:
                    entries = [entry for entry in await reading.rest() if entry.source == source]
                if len(entries) >= len(lines):
                    break
                await trio.sleep(POLL_S)
        assert [entry.line for entry in entries] == lines
        self._last_ns[source] = entries[-1].time_ns
        return entries

    async def stop(self) -> None:
        assert self._printer is not None
        await self._printer.stop()

    @asynccontextmanager
    async def open_logs(self, query: Query) -> AsyncIterator[Following]:
        before = WorkerFiles.of(self._engine)
        async with self._api.open_logs(self._name, query) as reading:
            # dockerd answers the client before it asks the plugin.
            deadline = trio.current_time() + DEADLINE_S
            while not (
                reading.has_begun or WorkerFiles.of(self._engine).has_more_readings_than(before)
            ):
                assert trio.current_time() < deadline, f"{query} has not begun"
                await trio.sleep(POLL_S)
            yield reading

    async def restart_worker(self) -> None:
        await end_worker(self._engine, signal.SIGTERM)

    async def kill_worker(self) -> None:
        await end_worker(self._engine, signal.SIGKILL)

    async def remove(self) -> None:
        if self._printer is not None:
            await self._printer.remove()


@dataclass(frozen=True)
class WorkerFiles:
    """What the worker has open, as far as it tells about readings: each has a connection, and once it has begun an eventfd.

    Attributes:
        sockets: each with a number that is not used again.
        eventfds: how many.
    """

    sockets: frozenset[str]
    eventfds: int

    @classmethod
    def of(cls, engine: Engine) -> "WorkerFiles":
        names = []
        for file in Path(f"/proc/{worker_pid(engine)}/fd").iterdir():
            with suppress(FileNotFoundError):
                names.append(str(file.readlink()))
        sockets = frozenset(name for name in names if name.startswith("socket:"))
        return cls(sockets, names.count("anon_inode:[eventfd]"))

    def has_more_readings_than(self, before: "WorkerFiles") -> bool:
        """One has begun since; nothing else may be under way."""
        return bool(self.sockets - before.sockets) and self._unmatched == before._unmatched

    def has_at_most_as_many_as(self, before: "WorkerFiles") -> bool:
        """Readings and connections."""
        return self.eventfds <= before.eventfds and len(self.sockets) <= len(before.sockets)

    @property
    def _unmatched(self) -> int:
        return len(self.sockets) - self.eventfds


async def end_worker(engine: Engine, number: signal.Signals) -> None:
    """Signal the plugin's worker and wait until it has ended and the supervisor has started another one."""
    ended = worker_pid(engine)
    assert ended is not None, engine.log[-2000:]
    os.kill(ended, number)
    with trio.fail_after(DEADLINE_S):
        while worker_pid(engine) in {ended, None}:
            await trio.sleep(POLL_S)


@asynccontextmanager
async def engine_stage(engine: Engine, data: Path, name: str) -> AsyncIterator[EngineStage]:
    stage = EngineStage(engine, data, name)
    try:
        yield stage
    finally:
        with trio.CancelScope(shield=True):
            await stage.remove()
