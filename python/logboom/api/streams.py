"""Which streams there are, what each holds, and the end of one."""

import json
from datetime import UTC, datetime
from typing import Final

from logboom import _core
from logboom.api.answers import Answer, Json, Problem, Request, Text, opened
from logboom.held import read_held
from logboom.store import OpenStore, Store
from logboom.threads import Lane, run_in_core

__all__ = ["PAGE_DEFAULT", "PAGE_LIMIT", "Streams"]

PAGE_LIMIT: Final = 1000
"""Streams in one answer at most: of one that is not in the catalogue the index is read, which takes some tenths of a millisecond."""

PAGE_DEFAULT: Final = 100

_SECOND_NS: Final = 10**9

_IN_USE: Final = (
    "its container runs, or the engine reads its log at this moment, or what it printed last cannot be compressed, of which"
    " /readyz says why; nothing was removed"
)


class Streams:
    """Answers ``/api/v1/streams`` and ``/api/v1/streams/{id}``.

    Args:
        open_store: where the store will be.
    """

    def __init__(self, open_store: OpenStore) -> None:
        self._open_store = open_store

    async def list(self, request: Request) -> Answer:
        """One page, in the order of container ids."""
        parameters = request.parameters("after", "limit")
        limit = _parse_limit(parameters.get("limit"))
        store = opened(self._open_store)
        after = parameters.get("after", "")
        page = await run_in_core(Lane.API_READS, _list, store, after, limit)
        return Text(page, "application/json")

    async def remove(self, request: Request) -> Answer:
        """Remove one, unless its container runs or its log is being read by the engine."""
        request.parameters()
        container_id = request.path_parameters["id"]
        store = opened(self._open_store)
        try:
            removed = await run_in_core(Lane.API, store.remove, container_id=container_id)
        except _core.InvalidArgumentError as error:
            raise Problem("bad-parameter", str(error)) from None
        except _core.StorageError as error:
            raise Problem("storage", str(error)) from None
        if removed == "missing":
            raise Problem("stream-not-found", f"nothing of {container_id!r} is in the store")
        if removed == "in-use":
            raise Problem("stream-in-use", _IN_USE)
        return Json({"removed": container_id})


def _parse_limit(text: str | None) -> int:
    if text is None:
        return PAGE_DEFAULT
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0
    if not 1 <= limit <= PAGE_LIMIT:
        raise Problem(
            "bad-parameter", f"limit is a number from 1 to {PAGE_LIMIT}, not {text[:64]!r}"
        )
    return limit


def _list(store: Store, after: str, limit: int) -> bytes:
    """A page as JSON. A thousand containers may have 256 MB of labels, so it is made here, and each stream by itself: the loop gets its turn in between."""
    view = store.view()
    # One more than is given: so it is known whether there are more.
    found = view.streams_page(after=after, limit=limit + 1)
    page = found[:limit]
    streams = ", ".join(json.dumps(_describe(view, stream)) for stream in page)
    following = json.dumps(page[-1].container_id if len(found) > limit else None)
    return f'{{"streams": [{streams}], "next": {following}}}\n'.encode()


def _describe(view: _core.StoreView, stream: _core.Stream) -> dict[str, object]:
    described: dict[str, object] = {
        "container_id": stream.container_id,
        "active": stream.is_active,
        "first_started": _show(stream.first_started_ns),
        "last_started": _show(stream.last_started_ns),
        "container": None if stream.facts is None else json.loads(stream.facts),
    }
    try:
        held = read_held(view, stream)
    except _core.StorageError as error:
        return {**described, "fault": str(error)}
    # There is none of a container that runs and has printed nothing.
    return {
        **described,
        "entries": 0 if held is None else held.entry_count,
        "first_time": None if held is None else _show(held.first_ns),
        "last_time": None if held is None else _show(held.last_ns),
        "text_bytes": 0 if held is None else held.text_bytes,
        "stored_bytes": 0 if held is None else held.stored_bytes,
        "segments": 0 if held is None else held.segment_count,
    }


def _show(time_ns: int | None) -> str | None:
    """RFC 3339 with nanoseconds, as entries have it."""
    if time_ns is None:
        return None
    seconds, fraction_ns = divmod(time_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction_ns:09}Z"
