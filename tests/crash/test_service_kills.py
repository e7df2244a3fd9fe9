"""SIGKILL of ``logboom serve``, behind a socket that outlives it, while followers read."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
import trio

from tests.conformance.messages import lines
from tests.conformance.oracle import Query
from tests.conformance.socket_stage import socket_stage
from tests.conformance.worker import Worker
from tests.crash.numbered import FrameCheck, NumberedFrames, Verdict
from tests.crash.patient import PatientDocker, read_verdict
from tests.crash.writers import POLL_S, all_kinds
from tests.support.fake_docker import FakeDocker, container_info

KILLS = int(os.environ.get("LOGBOOM_TEST_SERVICE_KILLS", "50"))
LIFE_S = 0.7
"""A worker lives up to so long, every second one from when it has answered: on a slow machine the others may take nothing."""

BURST = 20_000
"""Lines: about a megabyte, so that it stands in a full FIFO for most of the time."""

DEADLINE_S = 540
"""A backstop, less than pytest's own: that would leave processes behind."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """On a real disk: ``/tmp`` may be memory, where nothing is ever slow."""
    path = Path(tempfile.mkdtemp(prefix="logboom-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


@dataclass
class Follower:
    """Follows a container, again as often as a reading breaks off; what each gave must be without a gap."""

    docker: FakeDocker
    container_id: str
    frames: NumberedFrames
    readings: int = 0
    count: int = 0
    last: int = 0
    wrong: list[list[bytes]] = field(default_factory=list)

    async def run(self, finish: trio.Event) -> None:
        is_over = False
        while not is_over:
            check = FrameCheck(self.frames, first=None)
            try:
                async with self.docker.open_logs(
                    container_info(self.container_id), tail=10, follow=True
                ) as reading:
                    self.readings += 1
                    async for piece in reading.connection.body():
                        check.feed(piece)
                is_over = finish.is_set()
            except (EOFError, OSError, trio.BrokenResourceError):
                await trio.sleep(POLL_S)
            self.count += check.count
            if check.wrong:
                self.wrong.append(check.wrong[:3])
            if check.first is not None and check.count:
                self.last = check.first + check.count - 1


async def kill_again_and_again(
    worker: Worker, docker: FakeDocker, signal_number: signal.Signals
) -> int:
    random = Random()
    kills = KILLS if signal_number == signal.SIGKILL else KILLS // 5
    for number in range(kills):
        if number % 2:
            await docker.call_checked("/LogDriver.Capabilities")
        await trio.sleep(random.uniform(0, LIFE_S))
        if signal_number == signal.SIGKILL:
            worker.kill()
        else:
            await trio.to_thread.run_sync(worker.restart)
    return kills


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
async def test_nothing_is_lost_doubled_or_out_of_order_when_the_service_is(
    number: signal.Signals, folder: Path, tell: Callable[[str], None]
) -> None:
    """Ended in order, it may not lose or double anything either."""
    writers = all_kinds(burst=BURST)
    # Those whose log begins and ends once, so that the last reading has the last entry.
    followed = [writer for writer in writers if writer.restarts_after is None]
    finish = trio.Event()
    with Worker(folder, {"LOGBOOM_BLOCK_SECONDS": "1"}) as worker, trio.fail_after(DEADLINE_S):
        docker = PatientDocker(worker.docker.socket, worker.docker.root)
        followers = [Follower(docker, writer.container_id, writer.frames) for writer in followed]
        async with trio.open_nursery() as following, trio.open_nursery() as writing:
            for writer in writers:
                writing.start_soon(writer.run, docker, finish)
            while not all(writer.logged for writer in writers):
                await trio.sleep(POLL_S)
            for follower in followers:
                following.start_soon(follower.run, finish)
            kills = await kill_again_and_again(worker, docker, number)
            finish.set()
        verdicts = [await read_verdict(docker, writer) for writer in writers]
    total = sum(verdicts, Verdict(0))
    readings = sum(follower.readings for follower in followers)
    count = sum(follower.count for follower in followers)
    tell(f"{kills} times, {total.text}; {readings} followings gave {count} entries")
    assert not {
        f"{writer.name} {writer.container_id[-2:]}": verdict.text
        for writer, verdict in zip(writers, verdicts, strict=True)
        if not verdict.is_good
    }
    assert [follower.wrong for follower in followers if follower.wrong] == []
    assert [follower.last for follower in followers] == [writer.logged for writer in followed]


async def test_a_container_that_stops_while_the_worker_is_killed_loses_nothing(
    folder: Path,
) -> None:
    """dockerd asks again without a body, and unlinks the FIFO when it is answered, by a worker that has just begun."""
    with Worker(folder) as worker:
        for _ in range(10):
            async with socket_stage(worker) as stage:
                await stage.start()
                os.kill(worker.pid, signal.SIGSTOP)
                entries = await stage.log(lines(50))
                worker.kill()
                answer = await worker.docker.call("/LogDriver.StopLogging", body=b"")
                assert answer.status == 200
                stage.container.abandon()
                stage.container.fifo.unlink(missing_ok=True)
                async with stage.open_reading(Query()) as reading:
                    assert await reading.rest() == entries
