"""Whether the service lives, and whether it can do its work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from logboom.api.answers import Answer, Json, Request
from logboom.engine_metrics import EngineMetrics
from logboom.store import OpenStore

__all__ = ["FAULTS", "WARNINGS", "Condition", "Health"]

FAULTS: Final = ("starting", "disk-stalled", "store", "intake", "session-records")
"""By any of them entries wait, are dropped, or may be lost by the next restart."""

WARNINGS: Final = ("newer-format", "settings", "engine-metrics")
"""With them the service does its work, but not all that was asked for."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong: names and sentences."""

    faults: Sequence[tuple[str, str]]
    warnings: Sequence[tuple[str, str]]


class Health:
    """Answers ``/healthz`` and ``/readyz``.

    Args:
        open_store: where the store will be.
        setting_faults: gives a sentence for each setting that could not be read.
        engine_metrics: the engine's.
    """

    def __init__(
        self,
        open_store: OpenStore,
        setting_faults: Callable[[], Sequence[str]],
        engine_metrics: EngineMetrics,
    ) -> None:
        self._open_store = open_store
        self._setting_faults = setting_faults
        self._engine_metrics = engine_metrics

    def look(self) -> Condition:
        """What is wrong now."""
        store = self._open_store.get_nowait()
        found = [("starting", "the store is not open yet")] if store is None else store.faults()
        found += [("settings", fault) for fault in self._setting_faults()]
        if self._engine_metrics.problem is not None:
            found.append(("engine-metrics", self._engine_metrics.problem))
        return Condition(
            faults=[each for each in found if each[0] not in WARNINGS],
            warnings=[each for each in found if each[0] in WARNINGS],
        )

    async def healthz(self, request: Request) -> Answer:
        """The event loop goes round: it has answered."""
        request.parameters()
        return Json({"status": "ok"})

    async def readyz(self, request: Request) -> Answer:
        """200 when entries are kept, 503 else; what is wrong in any case."""
        request.parameters()
        condition = self.look()
        is_ready = not condition.faults
        document = {
            "ready": is_ready,
            "faults": _describe(condition.faults),
            "warnings": _describe(condition.warnings),
        }
        return Json(document, 200 if is_ready else 503)


def _describe(found: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "detail": sentence} for name, sentence in found]
