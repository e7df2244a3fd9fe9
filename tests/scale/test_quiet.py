"""A hundred quiet containers cost the disk a few small writes a second, not a hundred."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.conformance.worker import Worker, new_container_id
from tests.scale.lines import Lines
from tests.scale.sizes import IS_FULL, MINUTES
from tests.support.fake_docker import FakeContainer, container_info
from tests.support.file_systems import device_written_bytes, mounted

CONTAINERS = 100
LINES_PER_S = 3
"""Of each: about three hundred bytes."""

SECONDS = 60 * MINUTES
BEGIN_SECONDS = 40
"""Until folders and the first pages of files have been written, which is counted by no second."""

DEVICE_BYTES_PER_S = 120_000
"""Half of it is the kernel's write-back of their journals (docs/performance.md)."""

FILE_SYSTEM_BYTES = 256 << 20

# Else the kernel goes on with making it in the background.
AT_ONCE = ("-E", "lazy_itable_init=0,lazy_journal_init=0")


async def print_all(containers: list[FakeContainer], seconds: int) -> int:
    """Each container in its turn, all within each second; returns how many bytes that were."""
    lines = Lines(LINES_PER_S)
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
    own = mounted(folder / "image", data, size_bytes=FILE_SYSTEM_BYTES, make=AT_ONCE)
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
