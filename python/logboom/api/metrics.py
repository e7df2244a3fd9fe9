"""``/metrics``: the engine's metrics and ours, in Prometheus' text format 0.0.4.

The engine's text is passed on as it is.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from logboom.api.answers import Answer, Problem, Request, Text
from logboom.api.families import Families, engine_up
from logboom.engine_metrics import EngineMetrics, EngineMetricsError

__all__ = ["Metrics"]


class Metrics:
    """Answers ``/metrics``.

    Args:
        families: ours.
        engine_metrics: the engine's.
    """

    def __init__(self, families: Families, engine_metrics: EngineMetrics) -> None:
        self._families = families
        self._engine_metrics = engine_metrics

    async def metrics(self, request: Request) -> Answer:
        """All, or one part."""
        part = request.parameters("part").get("part")
        if part not in {None, "engine", "logboom"}:
            raise Problem("bad-parameter", f"part is engine or logboom, not {part!r:.64}")
        if part == "logboom":
            return _text(_generate(self._families.collect()))
        try:
            engine = await self._engine_metrics.fetch()
        except EngineMetricsError as error:
            if part == "engine":
                raise Problem("engine-metrics", str(error)) from None
            ours = _generate([engine_up(False), *self._families.collect()])
            return _text(_comment(f"no metrics of the engine: {error}") + ours)
        if part == "engine":
            return _text(engine)
        return _text(engine + _generate([engine_up(True), *self._families.collect()]))


class _Collected(CollectorRegistry):
    """Families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = families

    # typing.override is younger than Python 3.11
    def collect(self) -> Iterator[Metric]:  # type: ignore[explicit-override]
        yield from self._families


def _generate(families: Iterable[Metric]) -> bytes:
    return generate_latest(_Collected(families))


def _comment(sentence: str) -> bytes:
    """A line that scrapers pass over, for whoever looks at what they get."""
    return f"# {' '.join(sentence.split())}\n".encode()


def _text(body: bytes) -> Answer:
    return Text(body, CONTENT_TYPE_PLAIN_0_0_4)
