"""Our own metrics: one table of what each is, and how it is read.

Names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/), and all begin with ``logboom_``: the engine has
``go_*`` and ``process_*``. ``docs/metrics.md`` documents each; a test holds it complete.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from logboom import _core
from logboom.api.health import FAULTS, WARNINGS, Health
from logboom.measures import Measures
from logboom.store import OpenStore, Store

__all__ = ["OTHERS", "Families", "engine_up"]

OTHERS: Final = "(others)"
"""Stands for the containers that have no series of their own. No container can have such a name."""

_COUNTERS: Final = {
    "dropped_entries": "Entries that were read and could not be stored",
    "dropped_bytes": "Frame bytes that were read and could not be stored",
    "damaged_runs": "Runs of bytes from dockerd that were no entry; each is kept beside its stream",
    "damaged_bytes": "Bytes of these runs",
    "blocks": "Blocks cut",
    "block_frame_bytes": "Frame bytes that were cut into blocks",
    "block_stored_bytes": "Bytes of these blocks as stored",
    "retention_deleted_segments": "Segments that a limit has taken",
    "retention_deleted_bytes": "Bytes of these segments, and of journals of streams that were removed",
    "storage_errors": "Times that an operation on the store failed",
    "disk_stalls": "Times that the disk did not answer the intake for more than 2 seconds",
    "disk_stall_seconds": "Seconds that these have taken",
}
"""Those of the core's counters that are shown as they are, without ``_total``."""

_GAUGES: Final = {
    "store_bytes": "Bytes that all streams hold: segments and journals",
    "store_streams": "Streams in the store",
    "store_segments": "Segments in the store",
    "pipe_budget_used_bytes": "Bytes by which all FIFOs together are larger than the kernel's default",
    "sessions": "FIFOs that are read",
}
"""The same of its gauges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """Gives all families, for ``prometheus_client.generate_latest``."""

    open_store: OpenStore
    health: Health
    measures: Measures
    pipe_budget_bytes: int
    restart_count: int
    start_time_s: float

    def collect(self) -> Iterator[Metric]:
        """What is known now. Before the store is open, only what is not of the store."""
        yield InfoMetricFamily(
            "logboom_build",
            "What runs",
            {"version": _core.version(), "commit": _core.commit()},
        )
        yield from self._worker()
        yield from self._calls()
        yield from self._readers()
        store = self.open_store.get_nowait()
        if store is not None:
            yield from _store(store)

    def _worker(self) -> Iterator[Metric]:
        condition = self.health.look()
        found = {name for name, _ in (*condition.faults, *condition.warnings)}
        yield _gauge(
            "ready",
            "Whether entries are kept: 1, or 0 as long as there is a fault",
            not condition.faults,
        )
        faults = GaugeMetricFamily(
            "logboom_fault", "What is wrong: 1 as long as it is", labels=["fault"]
        )
        for name in (*FAULTS, *WARNINGS):
            faults.add_metric([name], name in found)
        yield faults
        yield _counter(
            "worker_restarts",
            "Times that the supervisor has started another worker",
            self.restart_count,
        )
        yield _gauge(
            "worker_start_time_seconds",
            "When this worker started; counters begin there",
            self.start_time_s,
        )
        yield _gauge(
            "pipe_budget_bytes",
            "What pipe_budget_used_bytes may grow to: LOGBOOM_PIPE_BUDGET",
            self.pipe_budget_bytes,
        )

    def _calls(self) -> Iterator[Metric]:
        calls = HistogramMetricFamily(
            "logboom_rpc_duration_seconds",
            "Calls of dockerd's by result, and the time until their answers began",
            labels=["call", "result"],
        )
        for (call, result), durations in self.measures.calls.items():
            calls.add_metric([call, result], _cumulative(durations.buckets), durations.sum_s)
        yield calls

    def _readers(self) -> Iterator[Metric]:
        measures = self.measures
        yield _gauge(
            "readers", "Answers to ReadLogs under way, followers among them", measures.readers
        )
        yield _gauge("followers", "Those of them that wait for more", measures.followers)
        yield _counter(
            "followers_cut_at_30s",
            "Followers that dockerd gave up after 30 seconds: the plugin was enabled without --timeout 0",
            measures.followers_cut_at_30s,
        )
        yield _counter("reader_entries", "Entries given to readers", measures.read_entries)
        yield _counter("reader_bytes", "Frame bytes given to readers", measures.read_bytes)


def engine_up(is_up: bool) -> Metric:
    """Whether the engine's metrics stand beside ours."""
    return _gauge("engine_up", "Whether dockerd gave its metrics for this scrape", is_up)


def _store(store: Store) -> Iterator[Metric]:
    statistics = store.statistics()
    for name, documentation in _COUNTERS.items():
        yield _counter(name, documentation, statistics[f"{name}_total"])
    for name, documentation in _GAUGES.items():
        yield _gauge(name, documentation, statistics[name])
    oldest = GaugeMetricFamily(
        "logboom_store_oldest_entry_timestamp_seconds",
        "When the newest entry of the oldest segment was printed",
    )
    if statistics["store_oldest_seconds"]:
        oldest.add_metric([], statistics["store_oldest_seconds"])
    yield oldest
    entries = CounterMetricFamily(
        "logboom_intake_entries", "Entries taken out of FIFOs and stored", labels=["container"]
    )
    length = CounterMetricFamily(
        "logboom_intake_bytes", "Frame bytes taken out of FIFOs", labels=["container"]
    )
    for container, entry_count, byte_count in store.traffic():
        label = OTHERS if container is None else container
        entries.add_metric([label], entry_count)
        length.add_metric([label], byte_count)
    yield entries
    yield length
    buckets, sum_s = store.sync_durations()
    syncs = HistogramMetricFamily(
        "logboom_sync_duration_seconds", "How long syncs of files and folders took"
    )
    syncs.add_metric([], _cumulative(buckets), sum_s)
    yield syncs


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(f"logboom_{name}", documentation, value=value)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"logboom_{name}", documentation, value=float(value))


def _cumulative(buckets: Iterable[tuple[float, int]]) -> list[tuple[str, float]]:
    """As Prometheus has them: each bucket holds what those before it hold."""
    total = 0
    cumulative = []
    for bound, count in buckets:
        total += count
        cumulative.append(("+Inf" if math.isinf(bound) else repr(bound), float(total)))
    return cumulative
