"""``logboom serve`` with an illness, under the real supervisor."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from tests.crash.patient import PatientDocker
from tests.crash.writers import POLL_S

REPOSITORY = Path(__file__).parents[2]
HANG_S = 3
"""Short, but a busy machine must let the loop go round within it."""

DEADLINE_S = 60


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
