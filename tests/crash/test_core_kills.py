"""SIGKILL of workers that have nothing but the core: hundreds at random moments, and one before each change of a file."""

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest
import trio

from logboom import _core
from tests.crash.core_worker import CoreWorkers, core_workers
from tests.crash.numbered import FrameCheck, Verdict
from tests.crash.tracing import CHANGES
from tests.crash.writers import Writer, all_kinds

KILLS = int(os.environ.get("LOGBOOM_TEST_KILLS", "300"))
LIFE_S = 0.06
"""A worker lives up to so long; the first tenth of it goes by before it takes the first byte."""

CHANGES_OF_A_LIFE = 150
CHUNK_BYTES = 1 << 20


@pytest.fixture
def folder() -> Iterator[Path]:
    """On a real disk: ``/tmp`` may be memory, where nothing is ever slow."""
    path = Path(tempfile.mkdtemp(prefix="logboom-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


def read_all(root: Path, writers: list[Writer]) -> dict[str, Verdict]:
    """What is in the store in the end, for each kind of writer."""
    store = _core.Store.open(
        data=str(root / "data"), fifo_root=str(root), block_seconds=1, pipe_budget_bytes=0
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


async def run_and_kill(root: Path, kill_all: KillAll) -> tuple[int, dict[str, Verdict]]:
    """Let all writers log while ``kill_all`` kills workers; a last one takes what is left."""
    writers = all_kinds([f"{number:064x}" for number in range(16)])
    finish = trio.Event()
    async with core_workers(root) as workers, trio.open_nursery() as nursery:
        for writer in writers:
            nursery.start_soon(writer.run, workers.docker, finish)
        await workers.start()
        while not all(writer.logged for writer in writers):
            await trio.sleep(0.01)
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

    kills, verdicts = await run_and_kill(folder, kill_all)
    check(kills, verdicts, tell)


@pytest.mark.skipif(not CHANGES, reason="the numbers of this machine's system calls are not known")
async def test_nothing_is_lost_doubled_or_out_of_order_when_workers_are_killed_before_each_change_of_a_file(
    folder: Path, tell: Callable[[str], None]
) -> None:
    """Also in the middle of cutting blocks, sealing segments and removing journals."""

    async def kill_all(workers: CoreWorkers) -> int:
        workers.kill()
        reached = 0
        for number in range(1, CHANGES_OF_A_LIFE + 1):
            reached += await workers.live_until_change(number, deadline_s=5)
        assert reached == CHANGES_OF_A_LIFE
        return reached

    kills, verdicts = await run_and_kill(folder, kill_all)
    check(kills, verdicts, tell)
