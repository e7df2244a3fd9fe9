"""hypercorn's HTTP on every connection to a listening socket.

hypercorn's own ``serve`` is not used, for two reasons. It shields its writes from being cancelled, so a client
that reads no more keeps it from ever ending; only who holds the connections can cut them. And it unlinks, binds and
closes sockets by its own rules, where ours belongs to the supervisor and lives longer than this process.
"""

import contextlib
import logging
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState

from logboom.asgi import Application
from logboom.listening import Listening

__all__ = [
    "CONNECTION_LIMIT",
    "HEAD_LIMIT_BYTES",
    "HEAD_TIME_LIMIT_S",
    "IDLE_CONNECTION_LIMIT",
    "IDLE_TIME_LIMIT_S",
    "Limits",
    "Server",
]

IDLE_TIME_LIMIT_S: Final = 600
"""How long a connection may stay without a complete request. Go's client sometimes dials once too often and keeps the
connection for later; closing it just then would cost a request its body."""

HEAD_LIMIT_BYTES: Final = 16 * 1024
"""The longest head of a request: its first line and its headers; a longer one gets status 431. dockerd's have a few hundred bytes."""

HEAD_TIME_LIMIT_S: Final = 30
"""How long a head may take from its first byte on."""

IDLE_CONNECTION_LIMIT: Final = 256
"""Connections that have not sent a whole head. For each one more the oldest of them is closed, so that whoever only dials
keeps nobody from being answered."""

CONNECTION_LIMIT: Final = 8192
"""All connections. dockerd needs one for each reader, and one for each container that starts or stops at the moment; open files are for
the containers. One more is closed at once."""

RECEIVE_BYTES: Final = 64 * 1024
"""How much is read at a time."""

LATE_REQUEST_SECONDS: Final = 0.2
"""When the service stops, a connection that has been accepted gets so long to send its request."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may take of a server. The defaults are for dockerd, which is trusted."""

    connections: int = CONNECTION_LIMIT
    """How many there may be at once."""
    refusal: bytes = b""
    """What one above that gets before it is closed: a whole answer. Over TLS it gets nothing."""
    request_s: float = IDLE_TIME_LIMIT_S
    """How long a request's head may take to arrive."""
    take_s: float = math.inf
    """How long a client may take to take a piece of its answer."""


class Server:
    """Serves an application on listening sockets until it is told to stop.

    Args:
        application: answers requests. ``scope["state"]["socket"]`` is the connection's, but not over TLS.
        listening: where. The server closes it.
        limits: what clients may take.
        tls: speak TLS by this.
    """

    def __init__(
        self,
        application: Application,
        listening: Listening,
        limits: Limits = Limits(),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._application = ASGIWrapper(cast("ASGIFramework", application))
        self._listening = listening
        self._limits = limits
        self._tls = tls
        self._config = _config(limits)
        self._context = WorkerContext(None)
        self._accepting = trio.CancelScope()
        self._connections: set[trio.SocketStream] = set()
        self._idle: dict[trio.SocketStream, None] = {}
        self._answered = trio.Event()

    async def run(self) -> None:
        """Accept connections and answer on them. Returns after ``stop_accepting``, when all have been answered."""
        async with trio.open_nursery() as nursery:
            try:
                with self._accepting:
                    await trio.serve_listeners(
                        self._answer, list(self._listening.listeners), handler_nursery=nursery
                    )
            finally:
                with trio.CancelScope(shield=True):
                    await self._listening.close()
            if self._connections:
                await trio.sleep(LATE_REQUEST_SECONDS)
            await self._context.terminated.set()
        self._answered.set()

    def stop_accepting(self) -> None:
        """Take no more connections; those that are there get their answers."""
        self._accepting.cancel()

    async def wait_answered(self) -> None:
        """Wait until ``run`` is at its end."""
        await self._answered.wait()

    def cut_connections(self) -> int:
        """End every connection, also one whose client does not read; returns how many there were."""
        for stream in self._connections:
            with contextlib.suppress(OSError):
                stream.socket.shutdown(socket.SHUT_RDWR)
        return len(self._connections)

    async def _answer(self, stream: trio.SocketStream) -> None:
        if len(self._connections) >= self._limits.connections:
            await self._refuse(stream)
            return
        self._connections.add(stream)
        self._idle[stream] = None
        self._close_oldest_idle()
        try:
            await self._serve(stream)
        except Exception:  # noqa: BLE001  (it is logged, and no reason to end the other connections)
            _log.exception("a connection failed")
        finally:
            self._connections.discard(stream)
            self._idle.pop(stream, None)
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        state: dict[str, object] = {}
        served: trio.abc.Stream = stream
        if self._tls is None:
            state["socket"] = stream.socket
        else:
            served = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        connection = _Connection(
            self._application,
            self._config,
            self._context,
            ConnectionState(cast("LifespanState", state)),
            # The type says TLS, but every stream is served.
            _Patient(served, self._limits.take_s),  # type: ignore[arg-type]
        )
        connection.on_head = lambda: self._idle.pop(stream, None)
        connection.head_s = min(HEAD_TIME_LIMIT_S, self._limits.request_s)
        await connection.run()

    def _close_oldest_idle(self) -> None:
        if len(self._idle) <= IDLE_CONNECTION_LIMIT:
            return
        oldest = next(iter(self._idle))
        del self._idle[oldest]
        # Its reader finds the end of the stream, and goes.
        with contextlib.suppress(OSError):
            oldest.socket.shutdown(socket.SHUT_RDWR)

    async def _refuse(self, stream: trio.SocketStream) -> None:
        if self._tls is None:
            # A new socket has room for it.
            with contextlib.suppress(OSError):
                await stream.socket.send(self._limits.refusal)
        await trio.aclose_forcefully(stream)


class _Patient:
    """A stream whose other side has only so long to take what it is sent. All else is the stream's own.

    hypercorn shields its writes from being cancelled, so it must be done below it.
    """

    def __init__(self, stream: trio.abc.Stream, take_s: float) -> None:
        self._stream = stream
        self._take_s = take_s

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    async def send_all(self, data: bytes) -> None:
        try:
            with trio.fail_after(self._take_s):
                await self._stream.send_all(data)
        except trio.TooSlowError:
            raise trio.BrokenResourceError("the client does not take its answer") from None

    async def aclose(self) -> None:
        # TLS says goodbye.
        with trio.move_on_after(self._take_s):
            await self._stream.aclose()


class _OneRequest(h11.Connection):
    """Takes one request, since every answer closes its connection, and throws away what comes behind it.

    h11 would have it wait, and hypercorn would then read no more: the client's end would not be noticed while a follower has
    nothing to write. A wish to change the protocol is no reason to wait either, as it is never granted.
    """

    # typing.override is younger than Python 3.11
    def receive_data(self, data: bytes) -> None:  # type: ignore[explicit-override]
        if self._is_expected():
            super().receive_data(data)

    def next_event(  # type: ignore[explicit-override]
        self,
    ) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        return super().next_event() if self._is_expected() else h11.NEED_DATA

    def _is_expected(self) -> bool:
        return self.their_state in {h11.IDLE, h11.SEND_BODY}


class _Http1(H11Protocol):
    """HTTP/1.1 and nothing else: a server need not grant what ``Upgrade`` asks for (RFC 9110, 7.8).

    hypercorn would change to HTTP/2 or a WebSocket, where none of the time limits here holds.
    """

    def __init__(self, wrapper: ProtocolWrapper) -> None:
        super().__init__(
            wrapper.app,
            wrapper.config,
            wrapper.context,
            wrapper.task_group,
            wrapper.state,
            wrapper.ssl,
            wrapper.client,
            wrapper.server,
            wrapper.send,
        )
        self.connection = _OneRequest(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )

    async def _check_protocol(self, event: h11.Request) -> None:  # type: ignore[explicit-override]
        pass

    async def _create_stream(self, request: h11.Request) -> None:  # type: ignore[explicit-override]
        wanted = [header for header in request.headers if header[0] != b"upgrade"]
        await super()._create_stream(
            h11.Request(
                method=request.method,
                target=request.target,
                headers=wanted,
                http_version=request.http_version,
            )
        )


class _Connection(TCPServer):
    """A connection that goes when its client does, also before a request: hypercorn's stays until its idle time is over.

    One whose request has begun, and does not come to the end of its head in time, goes as well.
    """

    on_head: Callable[[], object]
    """Is called when the head of a request has come."""
    head_s: float
    """How long one may take from its first byte on."""

    async def _read_data(self) -> None:  # type: ignore[explicit-override]
        self.protocol.protocol = _Http1(self.protocol)
        has_begun = False
        with (
            trio.CancelScope() as self._reading,
            contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError),
        ):
            while True:
                data = await self.stream.receive_some(RECEIVE_BYTES)
                if not has_begun:
                    self._reading.deadline = trio.current_time() + self.head_s
                    has_begun = True
                await self.protocol.handle(RawData(bytes(data)))
                if not data:
                    break
        await self.protocol.handle(Closed())
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:  # type: ignore[explicit-override]
        if isinstance(event, Updated) and not event.idle:
            self._reading.deadline = math.inf
            self.on_head()
        await super().protocol_send(event)


def _config(limits: Limits) -> Config:
    config = Config()
    config.keep_alive_timeout = limits.request_s
    config.ssl_handshake_timeout = limits.request_s
    config.h11_max_incomplete_size = HEAD_LIMIT_BYTES
    config.include_date_header = False
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = _log
    return config
