"""The entries of a stream, one JSON object a line, for a follower as they come.

They are made in the core, half a megabyte at a time. Who does not take them is given up by the server; until then he holds no thread, and
nothing of the intake.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from logboom import _core
from logboom.api.answers import Answer, Problem, Request, opened
from logboom.asgi import Receive, Send, cancel_when_disconnected, send_chunk, send_end, start_stream
from logboom.errors import ValueSyntaxError
from logboom.instants import parse_instant_ns
from logboom.store import OpenStore, Reader, Store
from logboom.threads import Lane, run_in_core
from logboom.until import seconds_to_wait

__all__ = ["FOLLOWERS_LIMIT", "TAIL_LIMIT", "Entries"]

FOLLOWERS_LIMIT: Final = 32
"""Followers at once. They stay for hours, and must leave connections for others."""

TAIL_LIMIT: Final = 2**63 - 1
"""What the core counts in."""

CHUNK_BYTES: Final = 512 * 1024
"""About how much is read and sent at once."""

GATHER_SECONDS: Final = 0.05
"""A follower is sent what came in so long, at most, in one piece."""

CONTENT_TYPE: Final = "application/x-ndjson"

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Query:
    container_id: str
    tail: int | None
    since_ns: int | None
    until_ns: int | None
    follow: bool


class Entries:
    """Answers ``/api/v1/streams/{id}/entries``.

    Args:
        open_store: where the store will be.
        ending: set when the service ends, and with it all followers.
        clock_ns: the time of day in nanoseconds since 1970.
    """

    def __init__(
        self,
        open_store: OpenStore,
        ending: trio.Event,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._open_store = open_store
        self._ending = ending
        self._clock_ns = clock_ns
        self._follower_count = 0

    async def entries(self, request: Request) -> Answer:
        """What is asked for; start and end are fixed before anything is sent."""
        query = _parse(request)
        store = opened(self._open_store)
        try:
            reader = await run_in_core(Lane.API_READS, _open, store, query)
        except _core.InvalidArgumentError as error:
            raise Problem("bad-parameter", str(error)) from None
        except _core.StorageError as error:
            raise Problem("storage", str(error)) from None
        if reader is None:
            raise Problem("stream-not-found", f"nothing of {query.container_id!r} is in the store")
        return _Answer(self, query, reader, request.receive)

    async def send(self, query: _Query, reader: Reader, receive: Receive, send: Send) -> None:
        """Send a whole answer, and give the reader up.

        Raises:
            Problem: nothing has been sent; there are too many followers.
        """
        is_sent = False
        self._follower_count += query.follow
        try:
            if query.follow and self._follower_count > FOLLOWERS_LIMIT:
                raise Problem("too-many-followers", f"{FOLLOWERS_LIMIT} follow already; try again")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_when_disconnected, receive, nursery.cancel_scope)
                await start_stream(send, CONTENT_TYPE)
                await self._send_all(query, reader, send)
                is_sent = True
                nursery.cancel_scope.cancel()
        finally:
            self._follower_count -= query.follow
            with trio.CancelScope(shield=True):
                await run_in_core(Lane.API_READS, reader.close)
        if is_sent:
            # ORDER: when the watching is over, to which the end of an answer looks like a disconnect.
            await send_end(send)

    async def _send_all(self, query: _Query, reader: Reader, send: Send) -> None:
        try:
            while True:
                lines = await run_in_core(Lane.API_READS, reader.next_json, CHUNK_BYTES)
                if lines is None:
                    return
                if lines:
                    await send_chunk(send, lines)
                elif not await self._wait_for_more(query, reader):
                    return
        except _core.LogboomError as error:
            _log.warning("reading the log of %.12s: %s", query.container_id, error)
            await send_chunk(send, json.dumps({"fault": str(error)}).encode() + b"\n")

    async def _wait_for_more(self, query: _Query, reader: Reader) -> bool:
        """Wait until there may be more; ``False``: nothing more will come."""
        while not self._ending.is_set():
            seconds = seconds_to_wait(query.until_ns, self._clock_ns())
            if seconds <= 0:
                return False
            if await self._is_readable_within(reader, seconds):
                with trio.move_on_after(GATHER_SECONDS):
                    await self._ending.wait()
                return True
        return False

    async def _is_readable_within(self, reader: Reader, seconds: float) -> bool:
        is_readable = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_set, self._ending, nursery.cancel_scope)
            with trio.move_on_after(seconds):
                await trio.lowlevel.wait_readable(reader.fileno())
                is_readable = True
            nursery.cancel_scope.cancel()
        return is_readable


@dataclass(frozen=True, slots=True)
class _Answer:
    entries: Entries
    query: _Query
    reader: Reader
    receive: Receive

    async def send(self, send: Send) -> None:
        await self.entries.send(self.query, self.reader, self.receive, send)


def _parse(request: Request) -> _Query:
    parameters = request.parameters("tail", "since", "until", "follow")
    follow = parameters.get("follow", "false")
    if follow not in {"true", "false"}:
        raise Problem("bad-parameter", f"follow is true or false, not {follow[:64]!r}")
    return _Query(
        container_id=request.path_parameters["id"],
        tail=_parse_tail(parameters.get("tail")),
        since_ns=_parse_time("since", parameters),
        until_ns=_parse_time("until", parameters),
        follow=follow == "true",
    )


def _parse_tail(text: str | None) -> int | None:
    if text is None:
        return None
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(TAIL_LIMIT))
    if not is_number or int(text) > TAIL_LIMIT:
        raise Problem("bad-parameter", f"tail is a number up to {TAIL_LIMIT}, not {text[:64]!r}")
    return int(text)


def _parse_time(name: str, parameters: dict[str, str]) -> int | None:
    if name not in parameters:
        return None
    try:
        return parse_instant_ns(parameters[name])
    except ValueSyntaxError as error:
        raise Problem("bad-parameter", f"{name}: {error}; a + must be written as %2B") from None


def _open(store: Store, query: _Query) -> Reader | None:
    reader = store.read(
        container_id=query.container_id,
        tail=query.tail,
        since_ns=query.since_ns,
        until_ns=query.until_ns,
        follow=query.follow,
    )
    # ORDER: when the reader has taken what is in the FIFO. One that follows may wait for a container's first line.
    if query.follow or store.has_log(container_id=query.container_id):
        return reader
    reader.close()
    return None


async def _cancel_when_set(event: trio.Event, cancel_scope: trio.CancelScope) -> None:
    await event.wait()
    cancel_scope.cancel()
