"""All counters as one JSON document."""

from logboom import _core
from logboom.api.answers import Answer, Json, Request, opened
from logboom.store import OpenStore

__all__ = ["Stats"]


class Stats:
    """Answers ``/api/v1/stats``.

    Args:
        open_store: where the store will be.
    """

    def __init__(self, open_store: OpenStore) -> None:
        self._open_store = open_store

    async def stats(self, request: Request) -> Answer:
        """What the core has counted since the start of this worker."""
        request.parameters()
        store = opened(self._open_store)
        return Json(
            {
                "version": _core.version(),
                "commit": _core.commit(),
                "statistics": dict(sorted(store.statistics().items())),
                "containers": [
                    {"name": name, "entries": entries, "bytes": length}
                    for name, entries, length in store.traffic()
                ],
            }
        )
