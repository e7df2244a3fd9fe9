"""The answer to ``ReadLogs``: a stream of frames, for a follower one without an end in sight.

Each answer is one task with its own reader. A client that does not read stops its own task and nothing else; one that
hangs up cancels it, also while it waits. Whichever way the task ends, the reader is closed.

Frames go from the core straight into the socket, as the chunks of the answer that the server has begun and will end: on
their way through Python and the server each byte would be copied twice (docs/decisions/0009-frames-into-the-socket.md).
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Final

import trio

from logboom import _core
from logboom.asgi import Receive, Send, cancel_when_disconnected, send_chunk, send_end, start_stream
from logboom.measures import Measures
from logboom.plugin.documents import ReadLogs
from logboom.store import OpenStore, Reader, Sent, Store
from logboom.threads import Lane, run_in_core
from logboom.until import seconds_to_wait

__all__ = ["SEND_BYTES", "LogStreams", "gather_seconds"]

SEND_BYTES: Final = 4 * 1024 * 1024
"""About how much one call of the core sends, chunk by chunk. The way into a thread and back costs as much as 100 KB of frames; an answer
that is cancelled goes on for so long."""

GATHER_SECONDS: Final = 0.002
"""A follower is sent what came in so long, at most, in one push: a push costs as much as many lines."""

BUSY_GATHER_SECONDS: Final = 0.010
"""The same while lines come faster than ``BUSY_LINES_PER_SECOND``."""

BUSY_LINES_PER_SECOND: Final = 10_000

CLIENT_TIMEOUT_S: Final = 30
"""After so long dockerd gives up every answer of a plugin that was enabled without ``--timeout 0``."""

CLIENT_TIMEOUT_WITHIN_S: Final = 1
"""A follower whose caller goes so shortly before or after that is taken for one that was given up."""

_log: Final = logging.getLogger(__name__)


def gather_seconds(entry_count: int, elapsed_seconds: float) -> float:
    """How long to gather for the next push, when the last one brought so many entries after so long a time."""
    is_busy = entry_count > elapsed_seconds * BUSY_LINES_PER_SECOND
    return BUSY_GATHER_SECONDS if is_busy else GATHER_SECONDS


class LogStreams:
    """All answers to ``ReadLogs`` that are under way.

    Args:
        open_store: where the store will be.
        measures: where answers are counted.
        clock_ns: the time of day in nanoseconds since 1970, which entries are dated by.
    """

    def __init__(
        self,
        open_store: OpenStore,
        measures: Measures,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._open_store = open_store
        self._measures = measures
        self._clock_ns = clock_ns
        self._answers: set[_Answer] = set()
        self._is_ending = False

    def end_followers(self) -> None:
        """Let every follower end when it has sent what there is: the service stops."""
        self._is_ending = True
        for answer in self._answers:
            answer.end_following()

    async def answer(
        self,
        request: ReadLogs,
        socket: trio.socket.SocketType,
        receive: Receive,
        send: Send,
    ) -> None:
        """Stream the entries that the request asks for.

        The headers are sent only when start and end of the reading are fixed, so that whoever has the headers sees
        everything that is logged later.

        Args:
            request: what is asked for.
            socket: where the answer goes, which ``send`` begins and ends.
            receive: tells when the caller has hung up.
            send: the server's.

        Raises:
            logboom._core.InvalidArgumentError: before anything has been sent.
            logboom._core.ClosedError: likewise; the service stops.
        """
        with self._counted(request.follow):
            await self._answer(request, socket, receive, send)

    @contextlib.contextmanager
    def _counted(self, follow: bool) -> Iterator[None]:
        self._measures.readers += 1
        self._measures.followers += follow
        try:
            yield
        finally:
            self._measures.readers -= 1
            self._measures.followers -= follow

    async def _answer(
        self,
        request: ReadLogs,
        socket: trio.socket.SocketType,
        receive: Receive,
        send: Send,
    ) -> None:
        begun_at = trio.current_time()
        store = await self._open_store.wait()
        answer = _Answer(request, send, self._measures, self._clock_ns)
        if self._is_ending:
            answer.end_following()
        self._answers.add(answer)
        try:
            reader = await _open_reader(store, request)
            try:
                # The server closes its own as soon as the caller hangs up, and the number may be another's then.
                with socket.dup() as outlet:
                    is_sent = await self._send_watched(answer, reader, outlet, store, receive)
            finally:
                with trio.CancelScope(shield=True):
                    await run_in_core(Lane.READS, reader.close)
            if is_sent:
                # ORDER: when the watching is over. The end of an answer looks like a disconnect to who watches, and
                # being cancelled for it just then would leave hypercorn's connection half closed, for ever.
                await send_end(send)
            elif request.follow:
                self._note_hang_up(trio.current_time() - begun_at)
        except _core.StorageError as error:
            _log.warning("reading the log of %.12s: %s", request.container_id, error)
            await answer.send_only_notice(f"this log cannot be read: {error}")
        finally:
            self._answers.discard(answer)

    def _note_hang_up(self, seconds: float) -> None:
        if abs(seconds - CLIENT_TIMEOUT_S) > CLIENT_TIMEOUT_WITHIN_S:
            return
        if not self._measures.followers_cut_at_30s:
            _log.warning(
                "a follower was given up after %d s: dockerd does that when a plugin was enabled without --timeout 0;"
                " `docker plugin disable -f logboom` and `docker plugin enable --timeout 0 logboom` mend it",
                CLIENT_TIMEOUT_S,
            )
        self._measures.followers_cut_at_30s += 1

    async def _send_watched(
        self,
        answer: "_Answer",
        reader: Reader,
        outlet: trio.socket.SocketType,
        store: Store,
        receive: Receive,
    ) -> bool:
        """Send all but the end; ``False`` when the caller hung up."""
        is_sent = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_when_disconnected, receive, nursery.cancel_scope)
            with contextlib.suppress(ConnectionError):
                await answer.send_all(reader, outlet, store)
                is_sent = True
            nursery.cancel_scope.cancel()
        return is_sent


class _Answer:
    """One answer: what to send next, and when."""

    def __init__(
        self, request: ReadLogs, send: Send, measures: Measures, clock_ns: Callable[[], int]
    ) -> None:
        self._request = request
        self._send = send
        self._measures = measures
        self._clock_ns = clock_ns
        # With a time that was past from the beginning only entries decide: theirs may be set back as well.
        until_ns = request.until_ns
        self._ends_at_ns = until_ns if until_ns is not None and until_ns > clock_ns() else None
        self._is_ending = False
        self._wait: trio.CancelScope | None = None
        # A follower is live once it has caught up; from then on pushes gather.
        self._is_live = False
        self._pushed_at = -math.inf
        self._gather_seconds = GATHER_SECONDS

    def end_following(self) -> None:
        """End as if the container had stopped."""
        self._is_ending = True
        if self._wait is not None:
            self._wait.cancel()

    async def send_all(self, reader: Reader, outlet: trio.socket.SocketType, store: Store) -> None:
        """Send headers and frames, with a notice among them when something is wrong.

        Raises:
            ConnectionError: the caller has hung up.
        """
        await start_stream(self._send)
        try:
            await self._send_frames(reader, outlet)
            fault = store.fault()
            if fault is not None:
                await self._send_notice(f"the store is not well: {fault}")
            while await self._wait_for_more(reader):
                await self._send_frames(reader, outlet)
        except _core.LogboomError as error:
            _log.warning("reading the log of %.12s: %s", self._request.container_id, error)
            await self._send_notice(f"the rest of this log cannot be read: {error}")

    async def send_only_notice(self, text: str) -> None:
        """Send a whole answer that says why there is nothing else in it."""
        await start_stream(self._send)
        await self._send_notice(text)
        await send_end(self._send)

    async def _send_frames(self, reader: Reader, outlet: trio.socket.SocketType) -> None:
        """Send all that there is now. At the reader's end, nothing more is waited for."""
        while not (self._is_ending and self._is_live):
            gathered_at = self._pushed_at + self._gather_seconds
            # A time that is over would still cost a way through the event loop, which the first line after a quiet time waits for.
            if self._is_live and trio.current_time() < gathered_at:
                await trio.sleep_until(gathered_at)
            sent = await _send_next(reader, outlet)
            self._is_ending |= sent.is_end
            self._measures.read_entries += sent.entry_count
            self._measures.read_bytes += sent.byte_count
            if sent.is_end or sent.byte_count == 0:
                self._is_live = True
                return
            self._note_push(sent)

    def _note_push(self, sent: Sent) -> None:
        now = trio.current_time()
        if self._request.follow:
            # A writer that is as fast as this loop would never let it see the end of what there is.
            self._is_live = sent.byte_count < SEND_BYTES // 2
            if self._is_live:
                self._gather_seconds = gather_seconds(sent.entry_count, now - self._pushed_at)
        self._pushed_at = now

    async def _wait_for_more(self, reader: Reader) -> bool:
        """Wait until there may be more; ``False``: nothing more will come."""
        while not self._is_ending:
            seconds = seconds_to_wait(self._ends_at_ns, self._clock_ns())
            if seconds <= 0:
                return False
            with trio.move_on_after(seconds) as self._wait:
                await trio.lowlevel.wait_readable(reader.fileno())
            if not self._wait.cancelled_caught:
                return True
        return False

    async def _send_notice(self, text: str) -> None:
        request = self._request
        notice = await run_in_core(
            Lane.READS,
            _encode_notice,
            text,
            now_ns=self._clock_ns(),
            since_ns=request.since_ns,
            until_ns=request.until_ns,
        )
        await send_chunk(self._send, notice)


def _encode_notice(text: str, *, now_ns: int, since_ns: int | None, until_ns: int | None) -> bytes:
    # Imported here because protobuf takes megabytes and a service that is well never needs it. The import reads files, perhaps
    # from the very disk that the notice is about.
    from logboom.plugin.notice import encode_notice  # noqa: PLC0415

    return encode_notice(text, now_ns=now_ns, since_ns=since_ns, until_ns=until_ns)


async def _open_reader(store: Store, request: ReadLogs) -> Reader:
    return await run_in_core(
        Lane.READS,
        store.read,
        container_id=request.container_id,
        tail=request.tail,
        since_ns=request.since_ns,
        until_ns=request.until_ns,
        follow=request.follow,
    )


async def _send_next(reader: Reader, outlet: trio.socket.SocketType) -> Sent:
    """Send about ``SEND_BYTES``, however long the caller takes to take them."""
    while True:
        sent = await run_in_core(Lane.READS, reader.send_frames, outlet.fileno(), SEND_BYTES)
        if sent is not None:
            return sent
        await trio.lowlevel.wait_writable(outlet)
