"""The results as tables in a document."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benches.errors import BenchError
from benches.measurements import MEASUREMENTS
from benches.results import Result, read_results, render_markdown, show_number

BEGIN = "<!-- results begin; made by `python -m benches report` -->"
END = "<!-- results end -->"

NOT_YET = "not measured yet"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach."""

    what: str
    measurement: str
    figure: str
    """Its name in the measurement's summary."""
    limit: float
    unit: str = ""
    is_least: bool = False
    """The limit is the least; otherwise it is the most."""
    least: float | None = None
    """Of a figure that must lie between."""

    @property
    def text(self) -> str:
        """The limit as a person reads it."""
        if self.least is not None:
            return f"{show_number(self.least)} to {show_number(self.limit)}{self.unit}"
        word = "at least" if self.is_least else "at most"
        return f"{word} {show_number(self.limit)}{self.unit}"

    def is_met(self, value: float) -> bool:
        """Whether a figure reaches it."""
        if self.least is not None:
            return self.least <= value <= self.limit
        return value >= self.limit if self.is_least else value <= self.limit


def _at_least(what: str, measurement: str, figure: str, limit: float, unit: str = "") -> Target:
    return Target(what, measurement, figure, limit, unit, is_least=True)


TARGETS = (
    _at_least(
        "lines/s of one container, over json-file's", "printing", "lines_per_s_over_json-file", 2.0
    ),
    _at_least("the same, over local's", "printing", "lines_per_s_over_local", 1.6),
    Target("time to print, over a plugin that reads and drops", "printing", "time_over_null", 1.1),
    Target("dockerd + plugin CPU a line, over json-file's", "printing", "cpu_over_json-file", 0.65),
    Target("the same, over local's", "printing", "cpu_over_local", 0.5),
    Target("plugin's CPU a line, over dockerd's", "printing", "plugin_over_dockerd", 0.35),
    _at_least(
        "`docker logs` of it all, times as fast as json-file",
        "printing",
        "read_over_json-file",
        1.7,
    ),
    _at_least("the same, as local", "printing", "read_over_local", 1.7),
    _at_least(
        "`.zst` files, times smaller than gzip -6 of local's format",
        "disk",
        "smaller_than_local_gzip",
        1.35,
    ),
    Target(
        "`tail=10` over the engine's API, running container", "tail", "tail_running_ms", 2.5, " ms"
    ),
    Target("the same, stopped container", "tail", "tail_stopped_ms", 6, " ms"),
    Target(
        "`tail=10` of the largest log over the smallest",
        "tail",
        "tail_running_large_over_small",
        1.2,
        least=0.8,
    ),
    Target(
        "`since` near the end of the larger log, running container",
        "tail",
        "since_running_ms",
        8,
        " ms",
    ),
    Target("the same, stopped container", "tail", "since_stopped_ms", 8, " ms"),
    Target("follow, 100 lines/s, p99", "follow", "busy_p99_ms", 5, " ms"),
    Target("follow, first line after quiet, p50", "follow", "after_quiet_p50_ms", 1, " ms"),
    _at_least("ReadLogs alone, a core", "readlogs", "gb_per_core_s", 1.5, " GB/s"),
    Target("memory, idle", "memory", "idle_mib", 40, " MiB"),
    Target("more for an idle container", "memory", "idle_container_kib", 64, " KiB"),
    Target("more for a busy container, one of many", "memory", "busy_many_mib_each", 4, " MiB"),
    Target("more for a busy container, alone", "memory", "busy_one_mib_each", 4, " MiB"),
    Target("a write into a FIFO, 20,000 a second, median", "writer", "p50_ns", 500, " ns"),
    Target("start to Capabilities, empty store", "start", "empty_ms", 400, " ms"),
    Target("the same, large store", "start", "large_ms", 400, " ms"),
    Target("the same, many ended streams", "start", "many_ms", 400, " ms"),
    _at_least(
        "core: split and compress, worst log, a core",
        "micro",
        "pack_worst_gb_per_core_s",
        0.6,
        " GB/s",
    ),
    _at_least("the same, geometric mean", "micro", "pack_mean_gb_per_core_s", 1.0, " GB/s"),
)


def render_report(folder: Path, document: Path) -> None:
    """Put the results of a folder between the markers of a document.

    Raises:
        BenchError: the markers are not there, or a file of the folder is no result.
    """
    results = read_results(folder)
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{document} has not the two lines {BEGIN!r} and {END!r}")
    parts = [_render_targets(results)]
    parts += [
        _render_result(result)
        for measurement in MEASUREMENTS
        for result in results.values()
        if result.measurement == measurement
    ]
    document.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}")


def _render_targets(results: Mapping[str, Result]) -> str:
    rows = []
    for target in TARGETS:
        result = results.get(target.measurement)
        value = result.summary.get(target.figure) if result else None
        rows.append(
            {
                "target": target.what,
                "must be": target.text,
                "is": NOT_YET if value is None else f"{show_number(value)}{target.unit}",
                "met": "" if value is None else ("yes" if target.is_met(value) else "**no**"),
                "measurement": target.measurement,
            }
        )
    return "### Targets\n\n" + render_markdown(rows)


def _render_result(result: Result) -> str:
    facts = result.facts
    machine = (
        f"{facts['machine']}, {facts['cores']} cores, {facts['memory_gb']} GB, {facts['system']},"
        f" Linux {facts['kernel']}, {facts['file_system']}, load {facts['load_before']} before"
    )
    versions = (
        f"Logboom {facts['logboom']}, commit {facts['commit']}, plugin {facts['plugin']},"
        f" {facts['rustc']}, Python {facts['python']}"
    )
    if "engine" in facts:
        versions += f", engine {facts['engine']}"
    text = MEASUREMENTS[result.measurement].help
    lines = [
        f"### {result.name}",
        "",
        f"{text[0].upper()}{text[1:]}.",
        "" if not result.is_quick else "\n**Only a try (`--quick`): believe no figure.**\n",
        f"`{result.command}`, {facts['time']}. Logs: {facts['logs']}. {machine}. {versions}.",
        "",
        render_markdown(result.rows),
    ]
    return "\n".join(lines)
