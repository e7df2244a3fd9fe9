import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from logboom.api.doors import Doors
from logboom.app import (
    ANSWER_SECONDS,
    CONDITION_SECONDS,
    SETTINGS_SECONDS,
    STOP_SECONDS,
    _make_doors,
    open_store,
    serve,
    set_limits,
)
from logboom.engine_metrics import ENGINE_SOCKET
from logboom.server import LATE_REQUEST_SECONDS
from logboom.settings import Settings, read_settings
from logboom.settings_file import FILE_NAME
from logboom.store import Store
from tests.format.host import wait_until
from tests.support.api import http_answer, serving_metrics
from tests.support.fake_docker import Entry, FakeDocker, PluginError, container_info
from tests.support.fake_store import FakeStore
from tests.support.service import Service, run_service


@pytest.fixture
def settings(folder: Path) -> Settings:
    given = {
        "data": str(folder / "data"),
        "socket": str(folder / "plugin.sock"),
        "fifo_root": str(folder),
    }
    return read_settings({}, given)[0]


async def test_a_store_that_does_not_open_is_told_to_the_log(
    settings: Settings,
    store: FakeStore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("logboom.app.OPENING_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "logboom")
    may_open = threading.Event()
    async with run_service(settings, store, may_open=may_open):
        with trio.fail_after(10):
            while f"the store in {settings.data} is not open after" not in caplog.text:
                await trio.sleep(0.005)
        may_open.set()
        with trio.fail_after(10):
            while f"the store in {settings.data} is open" not in caplog.text:
                await trio.sleep(0.005)


async def test_the_service_listens_and_says_what_it_can_before_the_store_is_open(
    folder: Path, settings: Settings, store: FakeStore
) -> None:
    """dockerd disables a plugin that does not listen within seconds, however much there is to recover."""
    may_open = threading.Event()
    docker = FakeDocker(socket=Path(settings.socket), root=folder)
    started = trio.Event()

    async def start() -> None:
        await docker.start_container("c1")
        started.set()

    async with (
        run_service(settings, store, may_open=may_open),
        trio.open_nursery() as nursery,
    ):
        await docker.wait_ready()
        assert (await docker.call("/LogDriver.Capabilities")).document["Cap"] == {"ReadLogs": True}
        assert (await docker.call("/MetricsCollector.StartMetrics")).document == {"Err": ""}
        nursery.start_soon(start)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert store.sessions == {}
        assert not started.is_set()
        may_open.set()
        with trio.fail_after(10):
            await started.wait()
        assert len(store.sessions) == 1
    assert store.is_closed


async def test_an_engine_that_has_metrics_at_once_does_not_meet_the_modules_of_the_api(
    settings: Settings, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads read the package that both need, each was given a half of it, and the worker ended."""
    order: list[str] = []

    def make_slowly(*arguments: Any) -> Doors:
        order.append("begin")
        # The other one would come meanwhile.
        threading.Event().wait(0.1)
        order.append("end")
        return _make_doors(*arguments)

    def find_fault(_: bytes) -> None:
        order.append("engine")

    monkeypatch.setattr("logboom.app._make_doors", make_slowly)
    monkeypatch.setattr("logboom.engine_metrics._find_fault", find_fault)
    engine_socket = Path(settings.fifo_root + ENGINE_SOCKET)
    engine_socket.parent.mkdir(parents=True)
    async with (
        serving_metrics(engine_socket, lambda: http_answer(b"")),
        run_service(settings, store),
    ):
        docker = FakeDocker(socket=Path(settings.socket), root=Path(settings.fifo_root))
        await docker.call("/MetricsCollector.StartMetrics")
        with trio.fail_after(10):
            while len(order) < 3:
                await trio.sleep(0.001)
    assert order == ["begin", "end", "engine"]


def test_limits_over_all_streams_reach_the_core(folder: Path) -> None:
    containers = folder / "data" / "containers"
    for name in ("a", "b", "c"):
        (containers / name).mkdir(parents=True)
    given = {"data": str(folder / "data"), "fifo_root": str(folder)}
    environment = {"LOGBOOM_MAX_STREAMS": "2", "LOGBOOM_KEEP_ENDED": "-1"}
    store = open_store(read_settings(environment, given)[0])
    try:
        wait_until(lambda: len(list(containers.iterdir())) == 2)
    finally:
        store.close()


async def test_a_store_that_cannot_be_opened_ends_the_service_with_its_error(
    settings: Settings,
) -> None:
    def fail(_: Settings) -> Store:
        raise PluginError("no threads")

    with pytest.RaisesGroup(PluginError):
        await serve(settings, trio.Event(), opener=fail)
    assert not Path(settings.socket).exists()


async def test_stopping_ends_followers_then_closes_the_store(
    service: Service, docker: FakeDocker, store: FakeStore
) -> None:
    store.entries["c1"] = [Entry("stdout", 1, b"a")]
    container = await docker.start_container("c1")
    closed_before_end = []
    async with container.open_logs(follow=True) as reading:
        assert (await reading.next()).line == b"a\n"
        store.on_close = lambda: closed_before_end.append(store.readers[0].is_closed)
        service.stop.set()
        assert await reading.rest() == []
    with trio.fail_after(10):
        await service.stopped.wait()
    assert closed_before_end == [True]
    container.abandon()


async def test_a_reader_that_stalls_cannot_hold_up_the_stop(
    service: Service,
    docker: FakeDocker,
    store: FakeStore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ANSWER_SECONDS + LATE_REQUEST_SECONDS < STOP_SECONDS / 2
    monkeypatch.setattr("logboom.app.ANSWER_SECONDS", 0.1)
    store.entries["c1"] = [Entry("stdout", 1, b"x" * 16_000)] * 1000
    async with docker.open_logs(container_info("c1")):
        service.stop.set()
        with trio.fail_after(7):
            await service.stopped.wait()
    assert store.is_closed
    assert store.readers[0].is_closed
    assert "1 answers were cut" in caplog.text


async def test_a_call_that_is_under_way_is_answered_before_the_store_is_closed(
    service: Service, docker: FakeDocker, store: FakeStore
) -> None:
    in_core, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        in_core.set()
        may_go_on.wait(30)
        assert not store.is_closed

    container = await docker.start_container("c1")
    store.on_stop = wait
    async with trio.open_nursery() as nursery:
        nursery.start_soon(container.stop)
        with trio.fail_after(10):
            while not in_core.is_set():
                await trio.sleep(0.001)
        service.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        may_go_on.set()
    with trio.fail_after(10):
        await service.stopped.wait()
    assert store.is_closed


async def test_a_cancelled_service_still_closes_the_store(
    settings: Settings, store: FakeStore
) -> None:
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[None]) -> None:
            await serve(settings, trio.Event(), opener=lambda _: store, task_status=task_status)

        await nursery.start(run)
        await FakeDocker(Path(settings.socket), Path("/")).call(
            "/LogDriver.StopLogging", {"File": "/f"}
        )
        nursery.cancel_scope.cancel()
    assert store.is_closed


async def test_the_log_is_told_when_the_store_fails_and_when_it_is_well_again(
    settings: Settings,
    store: FakeStore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert CONDITION_SECONDS >= 1
    monkeypatch.setattr("logboom.app.CONDITION_SECONDS", 0.01)

    async def wait_for(text: str) -> None:
        with trio.fail_after(10):
            while text not in caplog.text:
                await trio.sleep(0.005)

    store.fault_text = "the data folder /x is gone"
    with caplog.at_level(logging.INFO, "logboom"):
        async with run_service(settings, store):
            await wait_for("the data folder /x is gone")
            store.fault_text = None
            await wait_for("the store is well again")
    assert caplog.text.count("is gone") == 1


async def test_the_settings_file_is_heeded_before_the_store_is_open_and_whenever_it_changes(
    folder: Path, settings: Settings, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0.5 <= SETTINGS_SECONDS <= 1
    monkeypatch.setattr("logboom.app.SETTINGS_SECONDS", 0.01)
    opened: list[Settings] = []
    stop = trio.Event()
    path = folder / "data" / FILE_NAME
    path.parent.mkdir()
    path.write_text('max_bytes = "1g"')

    def open_store(settings: Settings) -> Store:
        opened.append(settings)
        set_limits(store, settings)
        return store

    async def wait_for(is_done: Callable[[], bool]) -> None:
        with trio.fail_after(10):
            while not is_done():
                await trio.sleep(0.005)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve, settings, stop, opener=open_store))
        await wait_for(lambda: bool(store.limits))
        assert opened == [replace(settings, max_bytes=10**9)]
        path.write_text('max_size = "2m"')
        await wait_for(lambda: store.default_options["max_size_bytes"] == 2_000_000)
        assert store.limits["max_bytes"] is None
        path.unlink()
        await wait_for(lambda: store.default_options["max_size_bytes"] == 20_000_000)
        stop.set()
    assert store.is_closed


async def test_the_settings_file_sets_what_the_log_tells(
    folder: Path,
    settings: Settings,
    store: FakeStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("logboom.app.SETTINGS_SECONDS", 0.01)
    told: list[str] = []
    monkeypatch.setattr("logboom.app.set_level", told.append)
    (folder / "data").mkdir()
    (folder / "data" / FILE_NAME).write_text('log_level = "error"')
    async with run_service(settings, store):
        with trio.fail_after(10):
            while told != ["error"]:
                await trio.sleep(0.005)
            (folder / "data" / FILE_NAME).unlink()
            while told != ["error", "info"]:
                await trio.sleep(0.005)


async def test_nothing_is_left_open(settings: Settings, folder: Path, store: FakeStore) -> None:
    async def use() -> None:
        async with run_service(settings, store):
            docker = FakeDocker(socket=Path(settings.socket), root=folder)
            container = await docker.start_container("c1")
            await container.logs(follow=False)
            await container.stop()

    await use()
    before = list(Path("/proc/self/fd").iterdir())
    await use()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
