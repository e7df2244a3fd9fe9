"""Many containers print at once for a long time, into a store that may not grow: what the worker holds stays the same."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import trio

from benches.processes import cpu_s
from tests.conformance.worker import DEADLINE_S, Worker, new_container_id
from tests.crash.numbered import NUMBER_DIGITS
from tests.crash.writers import POLL_S
from tests.scale.lines import Lines
from tests.scale.sizes import IS_FULL, MINUTES
from tests.scale.usage import Usage, stored_bytes, written_bytes
from tests.support.fake_docker import FakeContainer, FrameDecoder, container_info

CONTAINERS = 1000 if IS_FULL else 10
LINES_PER_S = 100_000 if IS_FULL else 20_000
SECONDS = 60 * MINUTES if IS_FULL else 6
MAX_BYTES = 800_000_000 if IS_FULL else 30_000_000
"""All logs together; but what is not compressed yet always stays (docs/retention.md)."""

JOURNAL_BYTES = 5_000_000
"""That much of each container, at most."""

SLACK = 1.1
"""Retention looks once a second."""

OPTIONS = {"max-size": "1m", "max-file": "5"} if IS_FULL else {"max-size": "64k", "max-file": "1"}
"""Of each container: together more than the store may hold, in the small test less."""

BLOCK_SECONDS = "300" if IS_FULL else "1"
"""The small test has no time to wait until blocks are full."""

AT_ONCE = 10
"""Lines of one write."""

ROUND_S = CONTAINERS * AT_ONCE / LINES_PER_S
CUT_S = 300
"""Each log is synced by itself when its container has ended."""

CHECKED = 20 if IS_FULL else 5
"""So many containers are read back."""

CALL_THREADS = 4
"""Of calls; they come and go. There is none of a container."""

MEMORY_SLACK_BYTES = 8 << 20


@dataclass
class Samples:
    """Looks at the worker, in the order of time."""

    usages: list[Usage]
    segments: list[int]
    journals: list[int]

    def check_flat(self) -> None:
        """The last third is like the one before: the first is the time in which files and memory fill."""
        third = len(self.usages) // 3
        before, after = self.usages[third : 2 * third], self.usages[2 * third :]
        most = self.usages[0].thread_count + CALL_THREADS
        assert max(usage.thread_count for usage in self.usages) <= most
        grown = median(usage.memory_bytes for usage in after) - median(
            usage.memory_bytes for usage in before
        )
        assert grown <= MEMORY_SLACK_BYTES, f"{grown} bytes more"
        most = max(usage.file_count for usage in before) + CONTAINERS
        # Each may have a file more or less at any moment.
        assert max(usage.file_count for usage in after) <= most


async def print_all(containers: list[FakeContainer], worker: Worker) -> tuple[int, float, Samples]:
    """Let all print at the rate; returns how many lines each has, and how long it took."""
    lines = Lines(AT_ONCE)
    samples = Samples([], [], [])
    number = 1
    began = trio.current_time()
    second = 0
    while (now := trio.current_time()) < began + SECONDS:
        if now - began >= second:
            second += 1
            lines.renew()
            samples.usages.append(Usage.of(worker.pid))
            # The small store is looked at each second, the large one is too large for that.
            if not IS_FULL or second % 10 == 0:
                samples.segments.append(stored_bytes(worker.data, ".zst"))
                samples.journals.append(stored_bytes(worker.data, ".journal"))
        for at, container in enumerate(containers):
            await container.write(lines.written(number, at + number // AT_ONCE))
        number += AT_ONCE
        await trio.sleep_until(began + (number - 1) / AT_ONCE * ROUND_S)
    return number - 1, trio.current_time() - began, samples


async def read_lines(container: FakeContainer) -> list[bytes]:
    """All that is there."""
    decoder = FrameDecoder()
    found: list[bytes] = []
    async with container.open_logs() as reading:
        async for piece in reading.connection.body():
            found += [entry.line for entry in decoder.feed(piece)]
    decoder.finish()
    return found


async def check_numbers(container: FakeContainer, count: int) -> None:
    """They are there without a gap up to the last; old ones go, as soon as the cutter has come so far."""
    with trio.fail_after(DEADLINE_S):
        while True:
            lines = await read_lines(container)
            # Where they go while they are read, an entry says so.
            if not any(line.startswith(b"logboom: ") for line in lines):
                numbers = [int(line[:NUMBER_DIGITS]) for line in lines]
                assert numbers == list(range(count - len(numbers) + 1, count + 1))
                if numbers[0] > 1:
                    return
            await trio.sleep(POLL_S)


async def test_what_the_worker_holds_does_not_grow_while_many_containers_print(
    folder: Path, tell: Callable[[str], None]
) -> None:
    settings = {"LOGBOOM_MAX_BYTES": str(MAX_BYTES), "LOGBOOM_BLOCK_SECONDS": BLOCK_SECONDS}
    with Worker(folder, settings) as worker:
        await worker.docker.call_checked("/LogDriver.Capabilities")
        containers = [
            FakeContainer(worker.docker, container_info(new_container_id(), OPTIONS))
            for _ in range(CONTAINERS)
        ]
        idle = Usage.of(worker.pid)
        for container in containers:
            await container.start()
        before_s, before_bytes = cpu_s([worker.pid]), written_bytes(worker.pid)
        count, seconds, samples = await print_all(containers, worker)
        spent_s = cpu_s([worker.pid]) - before_s
        device_bytes = written_bytes(worker.pid) - before_bytes
        last = samples.usages[-1]
        tell(
            f"{CONTAINERS} containers, {count * CONTAINERS / seconds:,.0f} lines/s for {seconds:.0f} s:"
            f" idle {idle.text}; at the end {last.text}; most"
            f" {max(usage.memory_bytes for usage in samples.usages) / 2**20:.1f} MiB;"
            f" {spent_s / seconds:.2f} cores; {device_bytes / seconds / 1e6:.2f} MB/s to the device;"
            f" segments {max(samples.segments) / 1e6:.0f} MB, journals {max(samples.journals) / 1e6:.0f} MB,"
            f" limit {MAX_BYTES / 1e6:.0f} MB"
        )
        for container in containers[:CHECKED]:
            await check_numbers(container, count)
        for container in containers:
            await container.stop()
        # Or it would not end in time, and leave the rest to the next worker.
        with trio.fail_after(CUT_S):
            while stored_bytes(worker.data, ".journal"):
                await trio.sleep(POLL_S)
    samples.check_flat()
    assert max(samples.segments) <= MAX_BYTES * SLACK
    assert max(samples.journals) <= JOURNAL_BYTES * CONTAINERS
