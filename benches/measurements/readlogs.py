"""``ReadLogs`` alone, over the plugin's socket, without an engine."""

import time

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.errors import BenchError
from benches.plugin import UNLIMITED, write_frames
from benches.processes import cpu_s
from benches.progress import say
from benches.service import Service, running_service
from benches.spread import spread

CHUNK_BYTES = 256 * 1024
CONTAINER = "readlogs"


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Read the same log again and again, and throw it away."""
    wall, cpu = [], []
    with running_service(bench.build, bench.scratch) as service:
        lines = service.home / "lines"
        lines.write_bytes(bench.corpora.usual_lines())
        session = service.port.start_session(CONTAINER, UNLIMITED)
        frame_bytes = sizes["mb"] * 1_000_000
        say(f"readlogs: filling a log of {sizes['mb']} MB of frames")
        write_frames(
            bench.programs,
            lines,
            [session],
            bytes=frame_bytes,
            chunk=CHUNK_BYTES,
            start_ns=1_700_000_000_000_000_000,
        )
        service.port.stop_session(session)
        # The first one warms the page cache.
        for number in range(sizes["runs"] + 1):
            say(f"readlogs: run {number} of {sizes['runs']}")
            received_bytes, wall_s, cpu_used_s = _read(service)
            if received_bytes < frame_bytes:
                raise BenchError(f"ReadLogs gave {received_bytes} bytes of {frame_bytes}")
            if number > 0:
                wall.append(received_bytes / 1e9 / wall_s)
                cpu.append(received_bytes / 1e9 / cpu_used_s)
    row = {
        "reading": f"{sizes['mb']} MB of frames",
        "gb_per_s": spread(wall),
        "gb_per_core_s": spread(cpu),
        "core_s_per_gb": spread(1 / speed for speed in cpu),
    }
    summary = {name: row[name]["median"] for name in ("gb_per_s", "gb_per_core_s")}  # type: ignore[index]
    return Measured([row], summary)


def _read(service: Service) -> tuple[int, float, float]:
    """Bytes received, seconds, and the plugin's seconds on a core."""
    pids = service.pids
    total = 0

    def count(piece: memoryview) -> None:
        nonlocal total
        total += len(piece)

    before_s = cpu_s(pids)
    started = time.monotonic()
    service.port.read_logs(CONTAINER, count)
    return total, time.monotonic() - started, cpu_s(pids) - before_s


MEASUREMENT = Measurement(
    "readlogs",
    "ReadLogs alone, over the plugin's socket, without an engine",
    "service",
    (
        Size("mb", 1000, 50, "size of the log, in MB of frames"),
        Size("runs", 5, 2, "how often it is read"),
    ),
    measure,
)
