"""The last ten lines, and those since a moment near the end, over the engine's API, on small and large logs."""

import datetime
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.errors import BenchError
from benches.plugin import UNLIMITED, write_frames
from benches.progress import say
from benches.results import Row
from benches.spread import quantile, rounded
from benches.yard import JSON_FILE, LOCAL, LOGBOOM, Container, Yard, open_yard

LAST_LINE = b"all printed"
"""What the printer prints before it waits (benches/micro/src/bin/printer.rs)."""

TAIL = 10

CALL_BUDGET_S = 10.0
"""A slow driver is not asked as often as it could be: not for longer than this in all for a log and a query."""

LEAST_CALLS = 5

CHUNK_BYTES = 256 * 1024

FRAME_EXTRA_BYTES = 24
"""About what a frame has beside its line."""

DAY_NS = 86_400 * 10**9


@dataclass(slots=True)
class Target:
    """A query on a log."""

    query: str
    container: Container
    megabytes: int
    head: bytes
    seconds: list[float] = field(default_factory=list)
    is_checked: bool = False

    def call(self) -> None:
        """Ask once."""
        elapsed_s, answer = self.container.timed_logs(self.head)
        if not self.is_checked and answer.count(b"\n") != TAIL:
            given = answer.count(b"\n")
            raise BenchError(
                f"{self.query} of {self.container.driver} at {self.megabytes} MB gives"
                f" {given} lines, not {TAIL}"
            )
        self.is_checked = True
        self.seconds.append(elapsed_s)

    @property
    def is_due(self) -> bool:
        """It may take more time."""
        return len(self.seconds) < LEAST_CALLS or sum(self.seconds) < CALL_BUDGET_S


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Ask for the same on all logs in turn, while their containers run and when they have ended."""
    rows: list[Row] = []
    with open_yard(bench, (LOGBOOM, JSON_FILE, LOCAL)) as yard:
        text = bench.corpora.usual_lines()
        path = yard.add_text("lines", text)
        logs = list(_make_logs(bench, yard, path, text, sizes))
        for state in ("running", "stopped"):
            if state == "stopped":
                for _, container in logs:
                    container.kill()
            targets = [
                target for megabytes, container in logs for target in _targets(megabytes, container)
            ]
            say(f"tail: {sizes['calls']} calls of each kind on {state} containers")
            for driver in (LOGBOOM, JSON_FILE, LOCAL):
                _call_all(
                    [target for target in targets if target.container.driver == driver], sizes
                )
            rows += [_row(state, target) for target in targets]
        facts = {"engine": yard.version}
    return Measured(rows, _summary(rows, sizes), facts)


def _call_all(targets: list[Target], sizes: Sizes) -> None:
    """Ask for each in turn, in another order each time, so that none is always the one behind a slow one."""
    order = random.Random(1)
    for _ in range(sizes["calls"]):
        due = [target for target in targets if target.is_due]
        order.shuffle(due)
        for target in due:
            target.call()


def _make_logs(
    bench: Bench, yard: Yard, path: str, text: bytes, sizes: Sizes
) -> Iterator[tuple[int, Container]]:
    """Containers with logs of each size, all of which wait after their last line."""
    line_bytes = len(text) / text.count(b"\n")
    small, middle, large = sizes["small-mb"], sizes["middle-mb"], sizes["large-mb"]
    for driver, megabytes in (
        *((LOGBOOM, size) for size in (small, middle, large)),
        *((driver, size) for driver in (JSON_FILE, LOCAL) for size in (small, middle)),
    ):
        say(f"tail: making a log of {megabytes} MB with {driver}")
        lines = int(megabytes * 1e6 / line_bytes)
        if driver == LOGBOOM:
            container = yard.create(driver, ["text", path, str(2 * TAIL), "wait"], UNLIMITED)
            _fill(bench, yard, container, lines)
        else:
            container = yard.create(driver, ["text", path, str(lines), "wait"])
        container.start()
        container.wait_for_line(LAST_LINE)
        yield megabytes, container


def _fill(bench: Bench, yard: Yard, container: Container, lines: int) -> None:
    """Give a container a past: an earlier session, over the plugin's socket, which is faster than any container."""
    path = yard.texts / "lines"
    text = path.read_bytes()
    frame_bytes = len(text) / text.count(b"\n") + FRAME_EXTRA_BYTES
    port = yard.port()
    session = port.start_session(container.id, UNLIMITED)
    write_frames(
        bench.programs,
        path,
        [session],
        bytes=int(lines * frame_bytes),
        chunk=CHUNK_BYTES,
        start_ns=time.time_ns() - DAY_NS,
        # All of it lies in the past, however large it is.
        gap_ns=DAY_NS // (2 * lines),
    )
    port.stop_session(session)


def _targets(megabytes: int, container: Container) -> list[Target]:
    stamped = container.lines(tail=TAIL, timestamps=1)
    since = _seconds(stamped[0].split(b" ")[0].decode())
    return [
        Target("tail", container, megabytes, container.logs_head(tail=TAIL)),
        Target("since", container, megabytes, container.logs_head(since=since)),
    ]


def _seconds(instant: str) -> str:
    """An instant as the engine prints it, in the form in which its API takes it: seconds and nanoseconds."""
    found = re.fullmatch(r"([^.]*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", instant)
    if found is None:
        raise BenchError(f"the engine gives {instant!r} as the time of a line")
    whole, fraction, zone = found.groups("0")
    seconds = datetime.datetime.fromisoformat(whole + zone).timestamp()
    return f"{seconds:.0f}.{fraction.ljust(9, '0')}"


def _row(state: str, target: Target) -> Row:
    milliseconds = [second * 1e3 for second in target.seconds]
    return {
        "query": target.query,
        "driver": target.container.driver,
        "log_mb": target.megabytes,
        "container": state,
        "p50_ms": quantile(milliseconds, 0.5),
        "p99_ms": quantile(milliseconds, 0.99),
        "calls": len(milliseconds),
    }


def _summary(rows: list[Row], sizes: Sizes) -> dict[str, float]:
    def p50(query: str, driver: str, size: str, state: str) -> float:
        wanted = (query, driver, sizes[size], state)
        for row in rows:
            if (row["query"], row["driver"], row["log_mb"], row["container"]) == wanted:
                return float(row["p50_ms"])
        raise BenchError(f"there is no row of {wanted}")

    summary: dict[str, float] = {}
    for state in ("running", "stopped"):
        small, middle, large = (
            p50("tail", LOGBOOM, f"{size}-mb", state) for size in ("small", "middle", "large")
        )
        since = p50("since", LOGBOOM, "middle-mb", state)
        summary |= {
            f"tail_{state}_ms": max(small, middle, large),
            f"tail_{state}_large_over_small": large / small,
            f"tail_{state}_over_json-file": middle / p50("tail", JSON_FILE, "middle-mb", state),
            f"tail_{state}_local_over_logboom": p50("tail", LOCAL, "middle-mb", state) / middle,
            f"since_{state}_ms": since,
            f"since_{state}_json-file_over_logboom": p50("since", JSON_FILE, "middle-mb", state)
            / since,
        }
    return {name: rounded(value) for name, value in summary.items()}


MEASUREMENT = Measurement(
    "tail",
    "tail=10, and since near the end, over the engine's API, on small and large logs",
    "engine",
    (
        Size("calls", 300, 20, "calls of each kind"),
        Size("small-mb", 10, 2, "size of a small log, in MB of text"),
        Size("middle-mb", 1000, 20, "size of a larger one, the largest for json-file and local"),
        Size("large-mb", 10_000, 100, "size of the largest, for Logboom alone"),
    ),
    measure,
)
