"""One container that prints flat out, with each driver; then its whole log read back."""

import hashlib
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.errors import BenchError
from benches.progress import say
from benches.results import Row
from benches.spread import rounded, spread
from benches.yard import (
    JSON_FILE,
    LOCAL,
    LOGBOOM,
    NONE,
    NULL,
    READABLE,
    Container,
    Yard,
    dockerd_and_plugin_cpu_s,
    open_yard,
)

DRIVERS = (LOGBOOM, JSON_FILE, LOCAL, NULL, NONE)

SETTLE_S = 3.0
"""What is done later than this after the container's end is not counted: compression must be over by then."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one container came to."""

    running_s: float
    ended_s: float
    dockerd_s: float
    plugin_s: float
    stored_bytes: int
    read_s: float | None
    read_cpu_s: float | None


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Print with one driver after the other, again and again."""
    lines = sizes["lines"]
    text = bench.corpora.usual_lines()
    runs: Mapping[str, list[Run]] = defaultdict(list)
    with open_yard(bench, DRIVERS) as yard:
        path = yard.add_text("lines", text)
        printed = _Printed(text, lines)
        for number in range(sizes["runs"]):
            for driver in DRIVERS:
                say(f"printing: {driver}, run {number + 1} of {sizes['runs']}")
                container = yard.create(driver, ["text", path, str(lines)])
                runs[driver].append(_run(yard, container, printed if number == 0 else None))
                container.remove()
        facts = {
            "engine": yard.version,
            "line_bytes": rounded(len(text) / text.count(b"\n")),
        }
    rows = [_row(driver, runs[driver], lines) for driver in DRIVERS]
    return Measured(rows, _summary({row["driver"]: row for row in rows}), facts)


def _run(yard: Yard, container: Container, check: "_Printed | None") -> Run:
    driver = container.driver
    before = dockerd_and_plugin_cpu_s(yard, driver)
    started = time.monotonic()
    container.start()
    container.wait()
    ended_s = time.monotonic() - started
    time.sleep(SETTLE_S)
    after = dockerd_and_plugin_cpu_s(yard, driver)
    stored_bytes = container.stored_bytes()
    read_s = read_cpu_s = None
    if driver in READABLE:
        if check is not None:
            check.compare(yard, container)
        before_reading = sum(dockerd_and_plugin_cpu_s(yard, driver))
        read_s = _read(yard, container)
        read_cpu_s = sum(dockerd_and_plugin_cpu_s(yard, driver)) - before_reading
    return Run(
        container.running_s(),
        ended_s,
        after[0] - before[0],
        after[1] - before[1],
        stored_bytes,
        read_s,
        read_cpu_s,
    )


def _read(yard: Yard, container: Container) -> float:
    """Seconds that ``docker logs`` takes, its output thrown away."""
    command = yard.engine.docker_command("logs", container.id)
    started = time.monotonic()
    subprocess.run(
        command,
        env=yard.engine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - started


class _Printed:
    """What the printer prints."""

    def __init__(self, text: bytes, lines: int) -> None:
        digest = hashlib.sha256()
        whole, rest = divmod(lines, text.count(b"\n"))
        for _ in range(whole):
            digest.update(text)
        digest.update(b"".join(text.splitlines(keepends=True)[:rest]))
        self._digest = digest.hexdigest()

    def compare(self, yard: Yard, container: Container) -> None:
        """Read a log back; a fast driver that keeps something else is no good.

        Raises:
            BenchError: it is not what was printed.
        """
        command = yard.engine.docker_command("logs", container.id)
        with subprocess.Popen(command, env=yard.engine.environment, stdout=subprocess.PIPE) as logs:
            assert logs.stdout is not None
            digest = hashlib.file_digest(logs.stdout, "sha256").hexdigest()  # type: ignore[arg-type]
        if digest != self._digest:
            raise BenchError(f"docker logs of {container.driver} is not what the container printed")


def _row(driver: str, runs: list[Run], lines: int) -> Row:
    row: dict[str, object] = {
        "driver": driver,
        "lines_per_s": spread(lines / run.running_s for run in runs),
        "until_stopped_s": spread(run.ended_s for run in runs),
        "dockerd_us_per_line": spread(run.dockerd_s / lines * 1e6 for run in runs),
        "plugin_us_per_line": spread(run.plugin_s / lines * 1e6 for run in runs),
        "both_us_per_line": spread((run.dockerd_s + run.plugin_s) / lines * 1e6 for run in runs),
    }
    if driver in READABLE:
        row["stored_mb"] = spread(run.stored_bytes / 1e6 for run in runs)
        row["docker_logs_s"] = spread(run.read_s for run in runs if run.read_s is not None)
        row["docker_logs_us_per_line"] = spread(
            run.read_cpu_s / lines * 1e6 for run in runs if run.read_cpu_s is not None
        )
    return row


def _summary(rows: Mapping[str, Row]) -> dict[str, float]:
    def median(driver: str, column: str) -> float:
        return float(rows[driver][column]["median"])

    summary: dict[str, float] = {}
    for other in (JSON_FILE, LOCAL):
        summary |= {
            f"lines_per_s_over_{other}": median(LOGBOOM, "lines_per_s")
            / median(other, "lines_per_s"),
            f"cpu_over_{other}": median(LOGBOOM, "both_us_per_line")
            / median(other, "both_us_per_line"),
            f"read_over_{other}": median(other, "docker_logs_s") / median(LOGBOOM, "docker_logs_s"),
        }
    summary["time_over_null"] = median(NULL, "lines_per_s") / median(LOGBOOM, "lines_per_s")
    summary["plugin_over_dockerd"] = median(LOGBOOM, "plugin_us_per_line") / median(
        LOGBOOM, "dockerd_us_per_line"
    )
    return {name: rounded(value) for name, value in summary.items()}


MEASUREMENT = Measurement(
    "printing",
    "one container that prints flat out: lines a second, CPU a line, and its whole log read back",
    "engine",
    (
        Size("lines", 2_000_000, 200_000, "lines that each container prints"),
        Size("runs", 5, 2, "containers with each driver"),
    ),
    measure,
)
