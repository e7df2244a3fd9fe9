"""A worker whose event loop hangs is restarted; one that waits for the disk, or was stopped for a while, is not."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from logboom.app import BEAT_SECONDS, HANG_SECONDS
from tests.crash.numbered import Verdict
from tests.crash.patient import read_verdict
from tests.crash.sick_service import HANGS
from tests.crash.supervised import DEADLINE_S, HANG_S, supervised
from tests.crash.writers import POLL_S, Writer
from tests.support.fake_docker import FakeContainer, FakeDocker, container_info
from tests.support.file_systems import frozen, mounted

HUNG = 3
"""The exit code of a worker that hung (docs/durability.md)."""

MORE_THAN_FITS = 40_000
"""Lines: a third more than a megabyte, which a FIFO holds at most. They are printed within the time in which it hangs."""


@pytest.mark.parametrize("kind", HANGS)
async def test_a_worker_that_hangs_takes_what_comes_until_another_takes_its_place(
    kind: str, supervisor: Path, folder: Path
) -> None:
    assert HANG_SECONDS > 5 * BEAT_SECONDS
    writer = Writer("flat out", "1" * 64)
    finish = trio.Event()
    with supervised(supervisor, folder, kind) as service, trio.fail_after(4 * DEADLINE_S):
        async with trio.open_nursery() as nursery:
            await service.wait_answer()
            nursery.start_soon(writer.run, service.docker, finish)
            while not writer.logged:
                await trio.sleep(POLL_S)
            (folder / "sick").touch()
            await service.wait_for_file("ill")
            hung, logged = service.worker, writer.logged
            assert (folder / "ill").read_text() == str(hung)
            while writer.logged < logged + MORE_THAN_FITS:
                await trio.sleep(POLL_S)
            assert service.worker == hung, "it was restarted before it could show that it takes"
            while f"worker {hung} ended with status {HUNG}" not in service.log:
                await trio.sleep(POLL_S)
            assert service.log.count("the event loop has hung for 3 s") == 1
            await service.docker.call_checked("/LogDriver.Capabilities")
            finish.set()
        assert service.worker != hung
        assert await read_verdict(service.docker, writer) == Verdict(writer.logged)


async def test_a_worker_that_waits_for_a_stalled_disk_lives_on(
    supervisor: Path, folder: Path
) -> None:
    with supervised(supervisor, folder, "stalled") as service, trio.fail_after(2 * DEADLINE_S):
        docker = service.docker
        await service.wait_answer()
        container = await docker.start_container("1" * 64)
        entry = await container.log("stdout", b"before")
        reader = docker.open_logs(container_info(container.container_id), follow=True)
        async with trio.open_nursery() as nursery:
            async with reader as reading:
                assert await reading.next() == entry.as_shown()
                (folder / "sick").touch()
            # The reader is closed, a container starts, one stops, a log is read: all in threads, all wait.
            other = FakeContainer(docker, container_info("2" * 64))
            nursery.start_soon(other.start)
            nursery.start_soon(container.stop)
            nursery.start_soon(read_all, docker, container.container_id)
            for call in ("close", "start_session", "stop_session", "read"):
                await service.wait_for_file(call)
            worker = service.worker
            await service.answer_for(2 * HANG_S)
            (folder / "sick").unlink()
        await other.stop()
        assert service.worker == worker
        assert "hung" not in service.log


async def read_all(docker: FakeDocker, container_id: str) -> None:
    async with docker.open_logs(container_info(container_id)) as reading:
        await reading.rest(DEADLINE_S)


@pytest.fixture
def data_mount(folder: Path) -> Iterator[Path]:
    """A file system of its own below the service's data folder, which can be frozen."""
    with mounted(folder / "image", folder / "data"):
        yield folder / "data"


async def test_a_frozen_file_system_is_said_and_costs_nothing(
    supervisor: Path, folder: Path, data_mount: Path
) -> None:
    with supervised(supervisor, folder, "sleeps") as service, trio.fail_after(2 * DEADLINE_S):
        await service.wait_answer()
        container = await service.docker.start_container("1" * 64)
        entries = [await container.log("stdout", b"before")]
        await container.logs(follow=False)
        worker = service.worker
        with frozen(data_mount):
            entries.append(await container.log("stdout", b"meanwhile"))
            await service.answer_for(2 * HANG_S)
            while "error the disk has not answered for " not in service.log:
                await trio.sleep(POLL_S)
        assert await container.logs(follow=False) == [entry.as_shown() for entry in entries]
        while "warning the disk answers again; it did not for " not in service.log:
            await trio.sleep(POLL_S)
        await container.stop()
        assert service.log.count("the disk") == 2
        assert service.worker == worker


async def test_a_worker_that_was_stopped_for_a_while_lives_on(
    supervisor: Path, folder: Path
) -> None:
    with supervised(supervisor, folder, "sleeps") as service, trio.fail_after(2 * DEADLINE_S):
        await service.wait_answer()
        worker = service.worker
        os.kill(worker, signal.SIGSTOP)
        # Nothing but time can pass here.
        await trio.sleep(2 * HANG_S)
        os.kill(worker, signal.SIGCONT)
        await service.answer_for(HANG_S)
        assert service.worker == worker
        assert "hung" not in service.log
