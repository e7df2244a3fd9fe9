"""The API as a whole: which path leads where, and who may come in through which door."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from logboom.api.doors import Door, Doors, MetricsDoor, TcpDoor, UnixDoor
from logboom.api.entries import Entries
from logboom.api.families import Families
from logboom.api.health import Health
from logboom.api.metrics import Metrics
from logboom.api.router import Route, Router
from logboom.api.stats import Stats
from logboom.api.streams import Streams
from logboom.engine_metrics import EngineMetrics
from logboom.keeper import Keeper
from logboom.measures import Measures
from logboom.settings import Settings
from logboom.store import OpenStore

__all__ = ["RESTARTS_VARIABLE", "make_doors"]

RESTARTS_VARIABLE: Final = "SUPERVISOR_RESTARTS"
"""Where the supervisor tells how many workers there were before this one."""


def make_doors(
    settings: Settings,
    setting_faults: Callable[[], Sequence[str]],
    open_store: OpenStore,
    measures: Measures,
    engine_metrics: EngineMetrics,
) -> Doors:
    """Everything, ready to be run. May block, since modules are read."""
    ending = trio.Event()
    health = Health(open_store, setting_faults, engine_metrics)
    families = Families(
        open_store=open_store,
        health=health,
        measures=measures,
        pipe_budget_bytes=settings.pipe_budget_bytes,
        restart_count=_restart_count(os.environ),
        start_time_s=time.time(),
    )
    streams = Streams(open_store)
    router = Router(
        (
            Route("/healthz", health.healthz, is_open=True),
            Route("/readyz", health.readyz, is_open=True),
            Route("/metrics", Metrics(families, engine_metrics).metrics, is_open=True),
            Route("/api/v1/stats", Stats(open_store).stats),
            Route("/api/v1/streams", streams.list),
            Route("/api/v1/streams/{id}", streams.remove, method="DELETE"),
            Route("/api/v1/streams/{id}/entries", Entries(open_store, ending).entries),
        )
    )

    async def folder() -> Path:
        store = await open_store.wait()
        return store.folder()

    doors: list[Door] = [
        UnixDoor(router, folder, settings.api_group_id, Keeper.from_environment(os.environ))
    ]
    if settings.listen is not None:
        doors.append(TcpDoor(router, folder, settings.listen))
    if settings.metrics_listen is not None:
        doors.append(MetricsDoor(router, settings.metrics_listen))
    return Doors(doors, ending)


def _restart_count(environment: Mapping[str, str]) -> int:
    told = environment.get(RESTARTS_VARIABLE, "")
    return int(told) if re.fullmatch(r"[0-9]{1,18}", told) else 0
