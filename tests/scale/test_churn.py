"""Containers that come and go, by the thousand: what is left of each is small, and costs nobody who comes later anything."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import trio

from logboom._core import StoreView
from tests.conformance.worker import Worker, new_container_id
from tests.crash.writers import POLL_S
from tests.scale.sizes import IS_FULL
from tests.scale.usage import Usage
from tests.support.fake_docker import Entry, FakeContainer, container_info, encode_frame

RUN = 20_000 if IS_FULL else 200
"""Containers that run, one after the other."""

FIRST = 10
"""Containers before those."""

KEPT = 100_000 if IS_FULL else 1_000
"""Streams of which the store then has so many: all but those are copies."""

LINES = 5
BLOCK_BYTES = 8 << 10
"""What the files of a stream may take on the disk."""

INODES = 3
"""The folder, the facts, a segment."""

ANSWER_S = 0.4 if IS_FULL else 10
"""From the start of a worker to its first answer, and from a request to the beginning of a log. The small test runs beside others."""

LISTED_S = 1 if IS_FULL else 10
"""From the start of ``logboom ls`` to the last of all lines, at the best of a few times."""

LISTED_TIMES = 5

COME_S = 1_700_000_000
"""When all of them have come, as far as their folders tell."""

STREAM_MEMORY_BYTES = 100
"""What a stream that has ended may cost (docs/retention.md)."""

OPEN_STREAMS = 600
"""Streams that have ended stay open for a minute, but no more than about five hundred of them."""

OTHER_THREADS = 4
"""Of calls; they come and go."""

MEMORY_SLACK_BYTES = 4 << 20
SETTLED_S = 900 if IS_FULL else 60
"""Each log is synced when its container has ended, which a busy disk may do later than containers come."""


async def run_container(worker: Worker, container_id: str) -> None:
    container = FakeContainer(worker.docker, container_info(container_id))
    await container.start()
    lines = [Entry("stdout", time.time_ns(), b"line %d" % number) for number in range(LINES)]
    await container.write(b"".join(map(encode_frame, lines)))
    await container.stop()


async def read_begins_s(worker: Worker, container_id: str) -> float:
    """Seconds until the first line of a container is here."""
    began = time.perf_counter()
    async with worker.docker.open_logs(container_info(container_id)) as reading:
        first = await reading.next()
        seconds = time.perf_counter() - began
        assert [entry.line for entry in (first, *await reading.rest())] == [
            b"line %d\n" % number for number in range(LINES)
        ]
        return seconds


async def settle(worker: Worker, most: Usage) -> Usage:
    """What it holds as soon as that is not more, or when it should have been."""
    with trio.move_on_after(SETTLED_S):
        while (usage := Usage.of(worker.pid)).is_more_than(most):
            await trio.sleep(POLL_S)
        return usage
    return Usage.of(worker.pid)


def most_with(idle: Usage, streams: int) -> Usage:
    """What it may hold with so many streams that have ended."""
    return Usage(
        idle.memory_bytes + streams * STREAM_MEMORY_BYTES + MEMORY_SLACK_BYTES,
        idle.file_count + OPEN_STREAMS,
        idle.thread_count + OTHER_THREADS,
    )


def check_small(stream: Path) -> None:
    files = list(stream.iterdir())
    assert 1 + len(files) <= INODES, files
    assert sum(file.stat().st_blocks * 512 for file in files) <= BLOCK_BYTES, files


async def catalogued(data: Path) -> None:
    """Wait until the worker has written down what all streams hold."""
    view = StoreView.open(data=str(data), fifo_root=None)
    with trio.fail_after(SETTLED_S):
        while any(stream.held is None for stream in view.streams()):
            await trio.sleep(10 * POLL_S)


def least_listed_s(data: Path, command: str) -> float:
    """Seconds that a list of all streams takes, and Python's start."""
    taken = []
    for _ in range(LISTED_TIMES):
        began = time.perf_counter()
        words = [sys.executable, "-m", "logboom", *command.split(), "--data", str(data)]
        listed = subprocess.run(words, check=True, capture_output=True).stdout
        taken.append(time.perf_counter() - began)
        assert listed.count(b"busybox:latest") == KEPT
    return min(taken)


def copy_streams(folder: Path, count: int) -> None:
    """Make it so many streams, none of which has just come: faster than running them."""
    models = [
        {file.name: file.read_bytes() for file in stream.iterdir()} for stream in folder.iterdir()
    ]
    for number in range(count - len(models)):
        stream = folder / new_container_id()
        stream.mkdir()
        for name, content in models[number % len(models)].items():
            (stream / name).write_bytes(content)
    for stream in folder.iterdir():
        os.utime(stream, (COME_S, COME_S))


async def test_short_containers_leave_little_and_cost_nothing_when_they_are_gone(
    folder: Path, tell: Callable[[str], None]
) -> None:
    names = [new_container_id() for _ in range(RUN)]
    streams = folder / "data/containers"
    with Worker(folder) as worker:
        # The first ones bring code and threads into memory.
        for _ in range(FIRST):
            await run_container(worker, new_container_id())
        idle = Usage.of(worker.pid)
        began = time.perf_counter()
        for name in names:
            await run_container(worker, name)
        each_ms = (time.perf_counter() - began) * 1e3 / RUN
        at_once = Usage.of(worker.pid)
        most = most_with(idle, RUN)
        began = time.perf_counter()
        after = await settle(worker, most)
        settled_s = time.perf_counter() - began
        assert await read_begins_s(worker, names[0]) <= ANSWER_S
    for name in names:
        check_small(streams / name)
    tell(
        f"{RUN} containers, {each_ms:.1f} ms each: idle {idle.text}; then {at_once.text};"
        f" {settled_s:.1f} s later {after.text}"
    )
    assert not after.is_more_than(most)
    copy_streams(streams, KEPT)
    (folder / "s").unlink()
    with Worker(folder) as worker:
        began = time.perf_counter()
        await worker.docker.call_checked("/LogDriver.Capabilities")
        answer_s = time.perf_counter() - began
        read_s = max([await read_begins_s(worker, name) for name in names[:20]])
        most = most_with(idle, KEPT)
        await catalogued(worker.data)
        kept = await settle(worker, most)
    listed_s = {
        command: least_listed_s(folder / "data", command)
        for command in ["ls", "ls --json", "ls *_boom", "ls --label com.example.team=river"]
    }
    tell(
        f"{KEPT} streams: first answer after {answer_s * 1e3:.0f} ms, a log begins after"
        f" {read_s * 1e3:.0f} ms at most, {kept.text};"
        f" {', '.join(f'{command} {seconds:.2f} s' for command, seconds in listed_s.items())}"
    )
    assert not kept.is_more_than(most)
    assert answer_s <= ANSWER_S
    assert read_s <= ANSWER_S
    assert max(listed_s.values()) <= LISTED_S
