"""The worker dies in the middle of each call of the plugin protocol: what dockerd and the user then see.

A connection that breaks when the request was sent is tried again by dockerd without the request's body.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.conformance.worker import new_container_id
from tests.crash.sick_service import STALLS
from tests.crash.supervised import DEADLINE_S, Supervised, supervised
from tests.crash.writers import POLL_S
from tests.support.fake_docker import Answer, Entry, FakeContainer, FakeDocker, container_info

SENT_S = 0.2
"""Nobody moves for so long: all requests have been sent."""

LINES = 50


def docker_of(service: Supervised) -> FakeDocker:
    """One that does not try again by itself."""
    return FakeDocker(service.docker.socket, service.docker.root)


async def log_lines(container: FakeContainer) -> list[Entry]:
    entries = [await container.log("stdout", b"%d" % number) for number in range(LINES)]
    return [entry.as_shown() for entry in entries]


async def break_off(service: Supervised, name: str, call: Callable[[], Awaitable[object]]) -> None:
    """Make a call, and kill the worker while it is in the store's call of that name."""

    async def expect_to_break() -> None:
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await call()

    (service.folder / name).unlink(missing_ok=True)
    (service.folder / "sick").touch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_to_break)
        await service.wait_for_file(name)
        worker = service.worker
        # Or it would go on when the illness is over.
        os.kill(worker, signal.SIGSTOP)
        (service.folder / "sick").unlink()
        os.kill(worker, signal.SIGKILL)


async def second_request(docker: FakeDocker, path: str) -> Answer:
    """What dockerd sends then."""
    return await docker.call(path, body=b"")


async def wait_without_records(service: Supervised) -> None:
    """Wait until no session is written down as running."""
    with trio.fail_after(DEADLINE_S):
        while list(service.folder.glob("run/docker/logboom/*")):
            await trio.sleep(POLL_S)


@pytest.mark.parametrize("moment", STALLS)
async def test_a_start_fails_clearly_and_the_next_one_works(
    moment: str, supervisor: Path, folder: Path
) -> None:
    with supervised(supervisor, folder, moment) as service, trio.fail_after(2 * DEADLINE_S):
        docker = docker_of(service)
        await service.wait_answer()
        container = FakeContainer(docker, container_info(new_container_id()))
        await break_off(service, "start_session", container.start)
        answer = await second_request(docker, "/LogDriver.StartLogging")
        assert answer.status == 400
        assert "the plugin ended before it had answered" in answer.error
        assert "try once more" in answer.error
        # dockerd gives the FIFO up, but leaves it; the container's user starts it again.
        container.abandon()
        if moment == "late":
            with trio.fail_after(DEADLINE_S):
                while container.fifo.exists():
                    await trio.sleep(POLL_S)
        await wait_without_records(service)
        await container.start()
        entries = await log_lines(container)
        await container.stop()
        assert await container.logs() == entries


@pytest.mark.parametrize("moment", STALLS)
async def test_a_stop_succeeds_and_the_session_is_drained(
    moment: str, supervisor: Path, folder: Path
) -> None:
    with supervised(supervisor, folder, moment) as service, trio.fail_after(2 * DEADLINE_S):
        docker = docker_of(service)
        await service.wait_answer()
        container = await docker.start_container(new_container_id())
        entries = await log_lines(container)
        await break_off(service, "stop_session", container.stop)
        answer = await second_request(docker, "/LogDriver.StopLogging")
        assert (answer.status, answer.error) == (200, "")
        container.abandon()
        container.fifo.unlink(missing_ok=True)
        # It ends, so the session has ended.
        async with container.open_logs(follow=True) as reading:
            assert await reading.rest() == entries
        await wait_without_records(service)


@pytest.mark.parametrize("moment", STALLS)
async def test_a_reading_that_has_not_begun_breaks_off_and_another_one_has_all(
    moment: str, supervisor: Path, folder: Path
) -> None:
    with supervised(supervisor, folder, moment) as service, trio.fail_after(2 * DEADLINE_S):
        docker = docker_of(service)
        await service.wait_answer()
        container = await docker.start_container(new_container_id())
        entries = await log_lines(container)
        await break_off(service, "read", container.logs)
        answer = await second_request(docker, "/LogDriver.ReadLogs")
        assert answer.status == 400
        assert "try once more" in answer.error
        assert await container.logs() == entries
        await container.stop()


async def test_a_follower_ends_with_the_worker(supervisor: Path, folder: Path) -> None:
    with supervised(supervisor, folder, "stalled") as service, trio.fail_after(2 * DEADLINE_S):
        await service.wait_answer()
        container = await docker_of(service).start_container(new_container_id())
        entries = await log_lines(container)
        async with container.open_logs(follow=True) as reading:
            assert [await reading.next() for _ in entries] == entries
            os.kill(service.worker, signal.SIGKILL)
            with pytest.raises((EOFError, trio.BrokenResourceError)):
                await reading.rest()
        assert await container.logs() == entries
        await container.stop()


async def test_calls_that_no_worker_has_accepted_are_answered_by_the_next(
    supervisor: Path, folder: Path
) -> None:
    with supervised(supervisor, folder, "stalled") as service, trio.fail_after(2 * DEADLINE_S):
        docker = docker_of(service)
        await service.wait_answer()
        ending, read = [await docker.start_container(new_container_id()) for _ in range(2)]
        entries = {
            container.container_id: await log_lines(container) for container in (ending, read)
        }
        starting = FakeContainer(docker, container_info(new_container_id()))
        readings: list[list[Entry]] = []

        async def keep_reading() -> None:
            readings.append(await read.logs())

        worker = service.worker
        os.kill(worker, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            for call in (starting.start, ending.stop, keep_reading):
                nursery.start_soon(call)
            await wait_all_tasks_blocked(SENT_S)
            os.kill(worker, signal.SIGKILL)
        assert readings == [entries[read.container_id]]
        assert await ending.logs() == entries[ending.container_id]
        entries_of_started = await log_lines(starting)
        for container in (starting, read):
            await container.stop()
        assert await starting.logs() == entries_of_started
