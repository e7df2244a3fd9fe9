"""The service as a task of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from logboom.app import serve
from logboom.settings import Settings
from logboom.store import Store


@dataclass(frozen=True, slots=True)
class Service:
    settings: Settings
    stop: trio.Event
    stopped: trio.Event


@asynccontextmanager
async def run_service(settings: Settings, store: Store) -> AsyncIterator[Service]:
    """Started when it listens; stopped in order at the end, or earlier by its ``stop``."""
    service = Service(settings, trio.Event(), trio.Event())

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(settings, service.stop, opener=lambda _: store, task_status=task_status)
        service.stopped.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield service
        service.stop.set()
