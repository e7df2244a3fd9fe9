"""A worker whose event loop hangs is restarted; one that waits for the disk, or was stopped for a while, is not."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from logboom.app import BEAT_SECONDS, HANG_SECONDS
from tests.crash.numbered import Verdict
from tests.crash.patient import PatientDocker, read_verdict
from tests.crash.sick_service import HANGS
from tests.crash.writers import POLL_S, Writer
from tests.support.fake_docker import FakeContainer, FakeDocker, container_info

REPOSITORY = Path(__file__).parents[2]
HANG_S = 3
"""Short, but a busy machine must let the loop go round within it."""

HUNG = 3
"""The exit code of a worker that hung (docs/durability.md)."""

DEADLINE_S = 60
FILE_SYSTEM_BYTES = 64 << 20
MORE_THAN_FITS = 60_000
"""Lines: two megabytes, where a FIFO holds one at most."""


@pytest.fixture(scope="module")
def supervisor() -> Path:
    subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--package=logboom-init"],
        cwd=REPOSITORY,
        check=True,
    )
    target = os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")
    return Path(target, "debug/logboom-init")


class Supervised:
    """A service with an illness, under the supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.docker = PatientDocker(socket=folder / "s", root=folder)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def worker(self) -> int:
        """Which worker was started last."""
        return int(re.findall(r"logboom-init: worker ([0-9]+) started", self.log)[-1])

    async def wait_answer(self) -> None:
        """Wait until a worker runs: the supervisor listens before it has started one."""
        await self.docker.wait_ready(DEADLINE_S)
        await self.docker.call_checked("/LogDriver.Capabilities")

    async def wait_for_file(self, name: str) -> None:
        with trio.fail_after(DEADLINE_S):
            while not (self.folder / name).exists():
                await trio.sleep(POLL_S)

    async def answer_for(self, seconds: float) -> None:
        """See that it answers all the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert (await self.docker.call("/LogDriver.Capabilities")).status == 200
            await trio.sleep(POLL_S)


@contextmanager
def supervised(supervisor: Path, folder: Path, illness: str) -> Iterator[Supervised]:
    words = [sys.executable, "-m", "tests.crash.sick_service", illness, str(folder), str(HANG_S)]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LOGBOOM_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [supervisor, "--socket", folder / "s", "--", *words],
            cwd=REPOSITORY,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Supervised(folder)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0, (folder / "log").read_text()
    finally:
        # The worker ends with it.
        process.kill()
        process.wait()


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
    image, data = folder / "image", folder / "data"
    data.mkdir()
    with image.open("wb") as file:
        file.truncate(FILE_SYSTEM_BYTES)
    commands: tuple[list[str | Path], ...] = (
        ["mkfs.ext4", "-q", image],
        ["mount", "-o", "loop", image, data],
    )
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be made and mounted here: {error}")
    yield data
    subprocess.run(["umount", data], check=True)


@contextmanager
def frozen(data: Path) -> Iterator[None]:
    subprocess.run(["fsfreeze", "--freeze", data], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", data], check=True)


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
