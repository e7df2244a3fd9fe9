"""``logboom serve`` with a settings file that changes, also while no worker runs."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import trio

from logboom.settings_file import FILE_NAME
from tests.conformance.worker import Worker
from tests.crash.writers import POLL_S
from tests.support.fake_docker import FakeContainer

DEADLINE_S = 60

SETTINGS = {"LOGBOOM_MAX_SIZE": "64k", "LOGBOOM_MAX_FILE": "1000"}
"""Each block has a segment of its own, and none goes."""

ENTRY_BYTES = 16 * 1024
FOUR_BLOCKS_BYTES = 5_000_000


async def wait_for(is_done: Callable[[], bool]) -> None:
    with trio.fail_after(DEADLINE_S):
        while not is_done():
            await trio.sleep(POLL_S)


async def print_noise(container: FakeContainer) -> None:
    for _ in range(FOUR_BLOCKS_BYTES // ENTRY_BYTES):
        await container.log("stdout", os.urandom(ENTRY_BYTES // 2).hex().encode())


async def test_limits_in_the_settings_file_hold_at_once_and_for_the_next_worker(
    folder: Path,
) -> None:
    with Worker(folder, SETTINGS) as worker:
        await worker.docker.wait_ready()
        container = await worker.docker.start_container("1" * 64)
        stream = worker.data / "containers" / container.container_id
        path = worker.data / FILE_NAME

        def count() -> int:
            return len(list(stream.glob("*.zst")))

        pid = worker.pid
        await print_noise(container)
        await wait_for(lambda: count() >= 4)
        path.write_text("max_bytes = 1\n")
        await wait_for(lambda: count() == 1)
        path.write_text("max_bytes = \n")
        await wait_for(lambda: f"error settings file {path}: it is not TOML" in worker.log)
        path.unlink()
        await wait_for(lambda: "now max_bytes is -1" in worker.log)

        assert worker.pid == pid
        await print_noise(container)
        await wait_for(lambda: count() >= 4)
        path.write_text("max_file = 1\n")
        worker.kill()
        await worker.docker.wait_ready()
        await wait_for(lambda: count() == 1)
        await container.stop()


async def test_a_hangup_ends_no_worker(folder: Path) -> None:
    with Worker(folder) as worker:
        await wait_for(lambda: "listening on" in worker.log)
        os.kill(worker.pid, signal.SIGHUP)
        await wait_for(lambda: "info SIGHUP: the settings file is read" in worker.log)
        await worker.docker.start_container("1" * 64)
