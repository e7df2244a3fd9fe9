"""Puts the service together: the store, the plugin's calls, the socket; and the order in which they start and end.

Start: listen, answer what needs no store, open the store, answer the rest. dockerd waits for nothing but the first.

End, on SIGTERM: accept no more, end the followers, answer what is under way, cut who does not take his answer, close the
store. It must be over within ten seconds, when dockerd kills the plugin; what is not compressed by then is
recovered by the next worker.
"""

import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import trio

from logboom import _core
from logboom.condition import ConditionLog
from logboom.engine_metrics import ENGINE_SOCKET, EngineMetrics
from logboom.listening import listen
from logboom.measures import Measures
from logboom.memory import GIVE_BACK_SECONDS, give_back
from logboom.plugin.readlogs import LogStreams
from logboom.plugin.rpc import PluginRpc
from logboom.plugin.sessions import Sessions
from logboom.server import Server
from logboom.settings import Settings
from logboom.settings_file import SettingsFile
from logboom.store import OpenStore, Store
from logboom.telemetry import set_level
from logboom.threads import Lane, run_in_core

if TYPE_CHECKING:
    from logboom.api.doors import Doors

__all__ = ["HANG_SECONDS", "open_store", "run", "serve"]

ANSWER_SECONDS: Final = 2.0
"""How long answers that are under way may take when the service ends."""

STOP_SECONDS: Final = 8
"""How long the whole end may take. dockerd kills the plugin after 10 s; the supervisor needs a moment, too."""

CONDITION_SECONDS: Final = 1.0
"""How often the service looks whether the store fails, or its disk stalls, or both are well again, to tell its log."""

OPENING_SECONDS: Final = 5.0
"""A store that is not open after so long is told to the log: a stall of its disk has nobody else who could tell it."""

SETTINGS_SECONDS: Final = 1.0
"""How often the service looks whether the settings file has changed; it is read when two looks have found the same."""

HANG_SECONDS: Final = 10
"""A worker whose event loop has hung for so long ends, and the supervisor starts another; its intake goes on until then. Calls that wait for
the disk have threads of their own (``threads.py``), so a disk that stalls is no hang."""

BEAT_SECONDS: Final = 1.0
"""How often the event loop tells the watchdog that it goes round."""

_log: Final = logging.getLogger(__name__)


def open_store(settings: Settings) -> Store:
    """Open the core's store. May block."""
    store = _core.Store.open(
        data=settings.data,
        fifo_root=settings.fifo_root,
        block_seconds=settings.block_seconds,
        pipe_budget_bytes=settings.pipe_budget_bytes,
        named_containers=settings.metrics_containers,
        sync=settings.sync,
    )
    set_limits(store, settings)
    return store


def set_limits(store: Store, settings: Settings) -> None:
    """Hand on what the store goes by and can change."""
    store.set_default_options(
        max_size_bytes=settings.max_size_bytes,
        max_file=settings.max_file,
        max_age_s=settings.max_age_s,
        compress=settings.compress,
    )
    store.set_limits(
        max_bytes=settings.max_bytes,
        min_free_bytes=settings.min_free_bytes,
        max_streams=settings.max_streams,
        keep_ended_s=settings.keep_ended_s,
    )


def run(
    settings: Settings,
    setting_faults: Sequence[str] = (),
    *,
    opener: Callable[[Settings], Store] = open_store,
    hang_seconds: int = HANG_SECONDS,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: all settings.
        setting_faults: a sentence for each that could not be read.
        opener: opens the store, in a thread.
        hang_seconds: for tests.

    Raises:
        SettingError: the socket cannot be listened on.
        logboom._core.StorageError: the core cannot run here at all.
    """
    _raise_file_limit()
    watchdog = _core.Watchdog(hang_seconds=hang_seconds)
    try:
        trio.run(_run_until_signal, settings, setting_faults, opener, watchdog)
    finally:
        watchdog.close()


def _raise_file_limit() -> None:
    """Take all the open files that we may have: each container needs a few, and the usual 1,024 is soon used up."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run_until_signal(
    settings: Settings,
    setting_faults: Sequence[str],
    opener: Callable[[Settings], Store],
    watchdog: _core.Watchdog,
) -> None:
    stop = trio.Event()
    # SIGHUP, which the supervisor passes on, asks services to read their settings again.
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_beat, watchdog)
            nursery.start_soon(_heed_signals, signals, stop)
            await serve(settings, stop, setting_faults, opener=opener)
            nursery.cancel_scope.cancel()


async def _beat(watchdog: _core.Watchdog) -> None:
    while True:
        watchdog.beat()
        await trio.sleep(BEAT_SECONDS)


async def _heed_signals(signals: AsyncIterator[int], stop: trio.Event) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            _log.info(
                "SIGHUP: the settings file is read whenever it changes, other settings at a start"
            )
        elif not stop.is_set():
            _log.info("%s: stopping", signal.Signals(number).name)
            _limit_stop()
            stop.set()


def _limit_stop() -> None:
    """End this process in any case: a hung disk can hold a thread that nothing can cancel."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        _log.error(
            "not stopped within %d seconds; giving up, the next worker recovers", STOP_SECONDS
        )
        os._exit(1)

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)


async def serve(
    settings: Settings,
    stop: trio.Event,
    setting_faults: Sequence[str] = (),
    *,
    opener: Callable[[Settings], Store] = open_store,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen, open the store, serve until ``stop`` is set, and end in order.

    Args:
        settings: all settings; the settings file is looked for in their data folder.
        stop: asks for the end.
        setting_faults: a sentence for each setting that could not be read.
        opener: opens the store, in a thread.
        task_status: started when the service listens.
    """
    place = OpenStore()
    measures = Measures()
    engine_metrics = EngineMetrics(Path(settings.fifo_root + ENGINE_SOCKET))
    streams = LogStreams(place, measures)
    sessions = Sessions(place)
    settings_file = SettingsFile(settings)
    rpc = PluginRpc(sessions, streams, engine_metrics, measures)
    server = Server(rpc, listen(settings.socket))

    def look_at_faults() -> Sequence[str]:
        return (*setting_faults, *settings_file.faults)

    api = _Api(partial(_make_doors, settings, look_at_faults, place, measures, engine_metrics))
    _log.info("listening on %s", settings.socket)
    task_status.started()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        nursery.start_soon(api.run)
        nursery.start_soon(_watch_engine, api, engine_metrics)
        nursery.start_soon(_tell_slow_opening, place, settings.data)
        # ORDER: before the store is open, which would heed other limits else.
        await run_in_core(Lane.UPKEEP, settings_file.read)
        _tell(settings_file, settings)
        store = await run_in_core(Lane.STORE, opener, settings_file.settings)
        try:
            place.set(store)
            _log.info("the store in %s is open", settings.data)
            nursery.start_soon(_follow_settings, stop, settings_file, store)
            nursery.start_soon(_give_back_memory, stop)
            await _watch_until(stop, store)
            await _end_answers(server, api, streams)
            engine_metrics.close()
        finally:
            with trio.CancelScope(shield=True):
                await run_in_core(Lane.STORE, store.close)
            _log.info("the store is closed")


async def _tell_slow_opening(place: OpenStore, data: str) -> None:
    with trio.move_on_after(OPENING_SECONDS):
        await place.wait()
        return
    _log.error(
        "the store in %s is not open after %d s: its disk does not answer, or there is much to recover; containers wait to start",
        data,
        OPENING_SECONDS,
    )


async def _watch_until(stop: trio.Event, store: Store) -> None:
    """Wait for ``stop``; meanwhile tell the service's log how the store is."""
    condition = ConditionLog(store)
    while not stop.is_set():
        condition.tell()
        with trio.move_on_after(CONDITION_SECONDS):
            await stop.wait()


async def _follow_settings(stop: trio.Event, settings_file: SettingsFile, store: Store) -> None:
    """Heed the settings file whenever it changes, until ``stop``."""
    while not stop.is_set():
        before = settings_file.settings
        if await run_in_core(Lane.UPKEEP, settings_file.look):
            _tell(settings_file, before)
            if settings_file.settings != before:
                set_limits(store, settings_file.settings)
        with trio.move_on_after(SETTINGS_SECONDS):
            await stop.wait()


async def _give_back_memory(stop: trio.Event) -> None:
    while not stop.is_set():
        with trio.move_on_after(GIVE_BACK_SECONDS):
            await stop.wait()
            return
        # It holds up nobody but who allocates memory at that moment.
        await run_in_core(Lane.UPKEEP, give_back)


def _tell(settings_file: SettingsFile, before: Settings) -> None:
    """Tell the log what the settings file has changed, at the level that holds now."""
    if settings_file.settings.log_level != before.log_level:
        set_level(settings_file.settings.log_level)
    settings_file.tell(before)


def _make_doors(
    settings: Settings,
    setting_faults: Callable[[], Sequence[str]],
    place: OpenStore,
    measures: Measures,
    engine_metrics: EngineMetrics,
) -> "Doors":
    # Imported here because it takes a tenth of a second, and dockerd waits until the plugin listens.
    from logboom.api.application import make_doors  # noqa: PLC0415

    return make_doors(settings, setting_faults, place, measures, engine_metrics)


class _Api:
    """The API, whose modules are read while the store is being opened: neither waits for the other."""

    def __init__(self, make: Callable[[], "Doors"]) -> None:
        self.modules_read = trio.Event()
        self._make = make
        self._doors: Doors | None = None
        self._is_ending = False

    async def run(self) -> None:
        """Serve. Returns after ``stop_accepting``, when all requests have been answered."""
        doors = await run_in_core(Lane.API, self._make)
        self.modules_read.set()
        if not self._is_ending:
            self._doors = doors
            await doors.run()

    def stop_accepting(self) -> None:
        self._is_ending = True
        if self._doors is not None:
            self._doors.stop_accepting()

    async def wait_answered(self) -> None:
        if self._doors is not None:
            await self._doors.wait_answered()

    def cut_connections(self) -> int:
        return 0 if self._doors is None else self._doors.cut_connections()


async def _watch_engine(api: _Api, engine_metrics: EngineMetrics) -> None:
    # ORDER: both read modules of one package late. Two threads that begin in different places of it may wait for one another, and
    # Python then gives each a half of it.
    await api.modules_read.wait()
    await engine_metrics.watch()


async def _end_answers(server: Server, api: "_Api", streams: LogStreams) -> None:
    server.stop_accepting()
    api.stop_accepting()
    streams.end_followers()
    with trio.move_on_after(ANSWER_SECONDS):
        await server.wait_answered()
        await api.wait_answered()
    count = server.cut_connections() + api.cut_connections()
    if count:
        _log.warning("%d answers were cut since their callers did not take them", count)
