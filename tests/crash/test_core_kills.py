"""SIGKILL of workers that have nothing but the core: hundreds at random moments, and one before each change of a file."""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest
import trio

from logboom import _core
from tests.crash.core_worker import CoreWorkers, core_workers
from tests.crash.numbered import FrameCheck, Verdict
from tests.crash.tracing import CHANGES
from tests.crash.writers import POLL_S, Writer, all_kinds

KILLS = int(os.environ.get("LOGBOOM_TEST_KILLS", "300"))
LIFE_S = 0.06
"""A worker lives up to so long; the first tenth of it goes by before it takes the first byte."""

CHUNK_BYTES = 1 << 20

LINES_OF_A_LIFE = {"flat out": 30_000, "restarting": 120, "quiet": 1}
"""What a writer of each kind logs in a life that is traced: some blocks, and a session that ends and another that begins.
Those of other kinds never pause, so that there is always something that is not in blocks yet."""

BACKLOG_BYTES = 8_000_000
"""Lives that are killed early leave journals behind; when there is so much, one that is not killed cuts it, else lives would
grow faster than kills come later."""

SYNC_LOG_HEADER_BYTES = 64

CHANGES_OF_EVERY_LIFE = {"write", "reserve", "sync", "rename", "remove"}
"""A block is written and synced, the journal that it was made from goes; room for another is reserved; the facts of a new
session are put in place by a rename."""

DEADLINE_S = 540
"""Less than pytest's own, which would leave processes behind."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """On a real disk: ``/tmp`` may be memory, where nothing is ever slow."""
    path = Path(tempfile.mkdtemp(prefix="logboom-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


def read_all(root: Path, writers: list[Writer]) -> dict[str, Verdict]:
    """What is in the store in the end, for each kind of writer."""
    store = _core.Store.open(
        data=str(root / "data"),
        fifo_root=str(root),
        block_seconds=1,
        pipe_budget_bytes=0,
        named_containers=100,
        sync="1s",
    )
    verdicts: dict[str, Verdict] = {}
    for writer in writers:
        check = FrameCheck(writer.frames)
        reader = store.read(
            container_id=writer.container_id, tail=None, since_ns=None, until_ns=None, follow=False
        )
        while frames := reader.next_frames(CHUNK_BYTES):
            check.feed(frames)
        reader.close()
        verdict = check.verdict(writer.logged)
        verdicts[writer.name] = verdicts.get(writer.name, Verdict(0)) + verdict
    fault = store.fault()
    store.close()
    assert fault is None
    return verdicts


KillAll: TypeAlias = Callable[[CoreWorkers], Awaitable[int]]
"""Given workers, one of which lives and takes from every writer, it kills that one and more; returns how many."""


async def run_and_kill(
    root: Path, writers: list[Writer], kill_all: KillAll
) -> tuple[int, dict[str, Verdict]]:
    """Let all writers log while ``kill_all`` kills workers; a last one takes what is left."""
    finish = trio.Event()
    with trio.fail_after(DEADLINE_S):
        async with core_workers(root) as workers, trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(writer.run, workers.docker, finish)
            await workers.start()
            while not all(writer.logged for writer in writers):
                await trio.sleep(POLL_S)
            kills = await kill_all(workers)
            await workers.start()
            finish.set()
    return kills, read_all(root, writers)


def check(kills: int, verdicts: dict[str, Verdict], tell: Callable[[str], None]) -> None:
    total = sum(verdicts.values(), Verdict(0))
    tell(f"{kills} kills, {total.text}")
    assert all(verdict.is_good for verdict in verdicts.values()), {
        name: verdict.text for name, verdict in verdicts.items()
    }


async def test_nothing_is_lost_doubled_or_out_of_order_when_workers_are_killed_at_random(
    folder: Path, tell: Callable[[str], None]
) -> None:
    seed = Random().getrandbits(32)
    random = Random(seed)

    async def kill_all(workers: CoreWorkers) -> int:
        workers.kill()
        for _ in range(KILLS - 1):
            await workers.start()
            await trio.sleep(random.uniform(0, LIFE_S))
            workers.kill()
        return KILLS

    kills, verdicts = await run_and_kill(folder, all_kinds(), kill_all)
    check(kills, verdicts, tell)


def sync_logs(data: Path) -> set[tuple[str, int]]:
    """Those that hold records, each with when it was written."""
    logs: set[tuple[str, int]] = set()
    for path in (data / "sync").iterdir():
        # The worker may remove it meanwhile.
        with suppress(FileNotFoundError):
            status = path.stat()
            if status.st_size > SYNC_LOG_HEADER_BYTES:
                logs.add((path.name, status.st_mtime_ns))
    return logs


async def log_for_a_life(data: Path, writers: list[Writer]) -> None:
    """Let each writer log its lines; they pause when this ends or is cancelled."""
    before = sync_logs(data)
    paused = [writer for writer in writers if writer.name in LINES_OF_A_LIFE]
    for writer in paused:
        writer.limit = writer.logged + LINES_OF_A_LIFE[writer.name]
    try:
        while not (all(writer.is_at_limit for writer in paused) and sync_logs(data) - before):
            await trio.sleep(POLL_S)
    finally:
        for writer in paused:
            writer.limit = 0


async def cut_backlog(workers: CoreWorkers) -> None:
    journals = (workers.data / "containers").glob("*/*.journal")
    if sum(path.stat().st_size for path in journals) > BACKLOG_BYTES:
        await workers.live_until_change(sys.maxsize, workers.docker.wait_answer)


@pytest.mark.skipif(not CHANGES, reason="the numbers of this machine's system calls are not known")
async def test_nothing_is_lost_doubled_or_out_of_order_when_workers_are_killed_before_each_change_of_a_file(
    folder: Path, tell: Callable[[str], None]
) -> None:
    """Also in the middle of cutting blocks, sealing segments and removing journals.

    Each life begins with what the kill before it has left, takes as much as the others, and ends in order when it is not
    killed. So the first that comes to its end has made no change before which there was no kill.
    """
    writers = all_kinds(steady=3, quiet=1)
    killed_at: Counter[str] = Counter()
    changes: list[str] = []

    async def kill_all(workers: CoreWorkers) -> int:
        workers.kill()
        for number in count(1):
            changes[:] = await workers.live_until_change(
                number, partial(log_for_a_life, workers.data, writers)
            )
            if len(changes) < number:
                break
            killed_at[changes[-1]] += 1
            await cut_backlog(workers)
        return killed_at.total()

    kills, verdicts = await run_and_kill(folder, writers, kill_all)
    check(kills, verdicts, tell)
    tell(", ".join(f"{number} before a {kind}" for kind, number in killed_at.most_common()))
    assert kills >= len(changes)
    assert set(killed_at) >= CHANGES_OF_EVERY_LIFE
    assert set(killed_at) >= set(changes)
