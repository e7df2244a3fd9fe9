"""What a write into a FIFO costs the one who writes, that is dockerd, beside many idle containers."""

import json

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.errors import BenchError
from benches.measurements.memory import raise_open_files, start_idle, ten_frames
from benches.plugin import start_writing
from benches.processes import cpu_s
from benches.progress import say
from benches.results import Row
from benches.service import running_service
from benches.spread import rounded

RATES = (2_000, 20_000, 100_000)
"""Writes a second over all busy containers."""

TARGET_RATE = 20_000


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Write one entry at a time, at several rates."""
    raise_open_files(sizes["containers"] + sizes["busy"])
    rows: list[Row] = []
    text = bench.corpora.usual_lines()
    with running_service(bench.build, bench.scratch) as service:
        lines = service.home / "lines"
        lines.write_bytes(text)
        say(f"writer: starting {sizes['containers']} idle containers")
        start_idle(service, range(sizes["containers"]), ten_frames(text))
        sessions = [service.port.start_session(f"busy{number}") for number in range(sizes["busy"])]
        pids = service.pids
        for rate in RATES:
            say(f"writer: {rate} entries a second")
            before_s = cpu_s(pids)
            writer = start_writing(
                bench.programs, lines, sessions, seconds=sizes["seconds"], rate=rate
            )
            output, _ = writer.communicate()
            if writer.returncode:
                raise BenchError("the writer of frames failed")
            result = json.loads(output)
            rows.append(
                {
                    "entries_per_s": rate,
                    "reached_per_s": rounded(result["lines"] / result["seconds"]),
                    "p50_ns": result["write_ns"]["p50"],
                    "p99_ns": result["write_ns"]["p99"],
                    "mean_ns": result["write_ns"]["mean"],
                    "plugin_cpu_percent": rounded(
                        (cpu_s(pids) - before_s) / result["seconds"] * 100
                    ),
                }
            )
    medians = {row["entries_per_s"]: row["p50_ns"] for row in rows}
    return Measured(rows, {"p50_ns": medians[TARGET_RATE]})


MEASUREMENT = Measurement(
    "writer",
    "what a write into a FIFO costs dockerd, beside many idle containers",
    "service",
    (
        Size("containers", 1000, 150, "idle containers"),
        Size("busy", 10, 10, "containers that are written to"),
        Size("seconds", 10, 1, "how long at each rate"),
    ),
    measure,
)
