"""How long a line takes from the container that prints it to a follower."""

import time

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.connection import open_stream
from benches.progress import say
from benches.results import Row
from benches.spread import quantile
from benches.yard import LOGBOOM, READABLE, Container, Yard, open_yard, split_output

QUIET_RATE = 2
"""Lines a second where each is the first after a quiet time."""


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Follow containers that print their own time stamps."""
    rows: list[Row] = []
    summary: dict[str, float] = {}
    with open_yard(bench, READABLE) as yard:
        for driver in READABLE:
            for kind, rate, lines in (
                ("busy", sizes["rate"], sizes["rate"] * sizes["seconds"]),
                ("after_quiet", QUIET_RATE, sizes["quiet-lines"]),
            ):
                say(f"follow: {driver}, {lines} lines at {rate} a second")
                container = yard.create(driver, ["stamps", str(rate), str(lines)])
                delays = _follow(yard, container)
                container.remove()
                p50_ms, p99_ms = quantile(delays, 0.5), quantile(delays, 0.99)
                rows.append(
                    {
                        "driver": driver,
                        "lines_per_s": rate,
                        "p50_ms": p50_ms,
                        "p99_ms": p99_ms,
                        "max_ms": quantile(delays, 1.0),
                        "lines": len(delays),
                    }
                )
                if driver == LOGBOOM:
                    summary |= {f"{kind}_p50_ms": p50_ms, f"{kind}_p99_ms": p99_ms}
        facts = {"engine": yard.version}
    return Measured(rows, summary, facts)


def _follow(yard: Yard, container: Container) -> list[float]:
    """Milliseconds from the stamp in each line to its arrival here."""
    container.start()
    connection, received = open_stream(yard.engine.socket, container.logs_head(follow=1))
    opened_ns = time.time_ns()
    delays = []
    with connection:
        while True:
            now_ns = time.time_ns()
            whole, received = _take_whole(received)
            for content in split_output(whole):
                stamps = [int(line.split(b" ")[0]) for line in content.splitlines()]
                # What was printed before the follower was there says nothing.
                delays += [(now_ns - stamp) / 1e6 for stamp in stamps if stamp > opened_ns]
            piece = connection.recv(1 << 16)
            if not piece:
                return delays
            received += piece


def _take_whole(received: bytes) -> tuple[bytes, bytes]:
    """The whole pieces of the engine, and the beginning of the next."""
    position = 0
    while len(received) >= position + 8:
        end = position + 8 + int.from_bytes(received[position + 4 : position + 8], "big")
        if end > len(received):
            break
        position = end
    return received[:position], received[position:]


MEASUREMENT = Measurement(
    "follow",
    "from the time stamp that a container prints to the line's arrival at a follower",
    "engine",
    (
        Size("rate", 100, 100, "lines a second of a container that prints all the time"),
        Size("seconds", 20, 3, "how long it prints"),
        Size("quiet-lines", 60, 6, "lines of a container that prints two a second"),
    ),
    measure,
)
