"""What reaches the disk: of a hundred quiet containers a few small writes a second, of a busy one little more than its blocks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.conformance.worker import Worker, new_container_id
from tests.scale.lines import Lines
from tests.scale.sizes import IS_FULL, MINUTES
from tests.scale.usage import stored_bytes
from tests.support.fake_docker import FakeContainer, container_info
from tests.support.file_systems import device_written_bytes, mounted

CONTAINERS = 100
QUIET_LINES_PER_S = 3
"""Of each: about three hundred bytes."""

SECONDS = 60 * MINUTES
BEGIN_SECONDS = 40
"""Until folders and the first pages of files have been written, which is counted by no second."""

DEVICE_BYTES_PER_S = 100_000
"""Half of it is the kernel's write-back of their journals (docs/performance.md)."""

BUSY_BYTES_PER_S = 20_000_000
BUSY_SECONDS = 60
BEGIN_BUSY_SECONDS = 5
BUSY_OPTIONS = {"max-size": "4m", "max-file": "1000"}
"""It keeps all that it prints."""

AT_ONCE = 1000
"""Lines of one write."""

DEVICE_BYTES_PER_STORED = 1.2

FILE_SYSTEM_BYTES = 1 << 30

# Else the kernel goes on with making it in the background.
MADE_AT_ONCE = ("-E", "lazy_itable_init=0,lazy_journal_init=0")


async def print_all(containers: list[FakeContainer], seconds: int) -> int:
    """Each container in its turn, all within each second; returns how many bytes that were."""
    lines = Lines(QUIET_LINES_PER_S)
    began = trio.current_time()
    count = 0
    for second in range(seconds):
        lines.renew()
        for at, container in enumerate(containers):
            written = lines.written(1, at)
            count += len(written)
            await container.write(written)
            await trio.sleep_until(began + second + (at + 1) / len(containers))
    return count


@pytest.mark.skipif(not IS_FULL, reason="it takes minutes: `make scale`")
async def test_quiet_containers_cost_the_disk_little(
    folder: Path, tell: Callable[[str], None]
) -> None:
    data = folder / "data"
    own = mounted(folder / "image", data, size_bytes=FILE_SYSTEM_BYTES, make=MADE_AT_ONCE)
    with own, Worker(folder) as worker:
        containers = [
            FakeContainer(worker.docker, container_info(new_container_id()))
            for _ in range(CONTAINERS)
        ]
        for container in containers:
            await container.start()
        await print_all(containers, BEGIN_SECONDS)
        frame_bytes = 0
        counts = [device_written_bytes(data)]
        for _ in range(2):
            frame_bytes += await print_all(containers, SECONDS // 2)
            counts.append(device_written_bytes(data))
        for container in containers:
            await container.stop()
    first, second, whole = (
        (to - since) / seconds
        for since, to, seconds in (
            (counts[0], counts[1], SECONDS // 2),
            (counts[1], counts[2], SECONDS // 2),
            (counts[0], counts[2], SECONDS),
        )
    )
    tell(
        f"{CONTAINERS} containers with {frame_bytes / SECONDS / CONTAINERS:.0f} B/s each for"
        f" {SECONDS} s: {whole / 1e3:.1f} KB/s to the device, {first / 1e3:.1f} in the first half"
        f" and {second / 1e3:.1f} in the second"
    )
    assert whole <= DEVICE_BYTES_PER_S


async def print_fast(container: FakeContainer, seconds: int) -> int:
    """Print at the rate of a busy container; returns how many bytes that were."""
    lines = Lines(AT_ONCE)
    began = trio.current_time()
    count = 0
    number = 1
    while count < BUSY_BYTES_PER_S * seconds:
        written = lines.written(number, number // AT_ONCE)
        await container.write(written)
        number += AT_ONCE
        count += len(written)
        await trio.sleep_until(began + count / BUSY_BYTES_PER_S)
    return count


@pytest.mark.skipif(not IS_FULL, reason="it takes a minute: `make scale`")
async def test_a_busy_container_costs_the_disk_little_more_than_its_blocks(
    folder: Path, tell: Callable[[str], None]
) -> None:
    data = folder / "data"
    own = mounted(folder / "image", data, size_bytes=FILE_SYSTEM_BYTES, make=MADE_AT_ONCE)
    with own, Worker(folder) as worker:
        container = FakeContainer(worker.docker, container_info(new_container_id(), BUSY_OPTIONS))
        await container.start()
        await print_fast(container, BEGIN_BUSY_SECONDS)
        before = device_written_bytes(data), stored_bytes(data, ".zst")
        began = trio.current_time()
        frame_bytes = await print_fast(container, BUSY_SECONDS)
        seconds = trio.current_time() - began
        device_bytes = device_written_bytes(data) - before[0]
        block_bytes = stored_bytes(data, ".zst") - before[1]
        await container.stop()
    tell(
        f"a container with {frame_bytes / seconds / 1e6:.1f} MB/s for {seconds:.0f} s:"
        f" {device_bytes / 1e6:.1f} MB to the device for {block_bytes / 1e6:.1f} MB of blocks,"
        f" {device_bytes / block_bytes:.3f} times as much"
    )
    assert device_bytes <= DEVICE_BYTES_PER_STORED * block_bytes
