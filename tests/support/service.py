"""The service as a task of the test."""

import threading
from collections.abc import AsyncIterator, Sequence
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
async def run_service(
    settings: Settings,
    store: Store,
    setting_faults: Sequence[str] = (),
    *,
    may_open: threading.Event | None = None,
) -> AsyncIterator[Service]:
    """Started when it listens; stopped in order at the end, or earlier by its ``stop``.

    Args:
        settings: of the service.
        store: what it opens.
        setting_faults: what was wrong with the settings.
        may_open: the store is not open before this is set.
    """
    service = Service(settings, trio.Event(), trio.Event())

    def open_store(_: Settings) -> Store:
        if may_open is not None:
            may_open.wait(30)
        return store

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(
            settings, service.stop, setting_faults, opener=open_store, task_status=task_status
        )
        service.stopped.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield service
        service.stop.set()
