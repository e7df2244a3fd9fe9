"""The listening socket, and hypercorn's HTTP on every connection to it.

hypercorn's own ``serve`` is not used, for two reasons. It shields its writes from being cancelled, so a client
that reads no more keeps it from ever ending; only who holds the connections can cut them. And it unlinks, binds and
closes sockets by its own rules, where ours belongs to the supervisor and lives longer than this process.
"""

import contextlib
import errno
import logging
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState

from logboom.asgi import Application
from logboom.errors import SettingError

__all__ = ["Listening", "Server", "listen"]

BACKLOG: Final = 1024
"""Connections that wait to be accepted. dockerd calls for all containers at once when it starts."""

IDLE_TIME_LIMIT_S: Final = 600
"""How long a connection may stay without a complete request. Go's client sometimes dials once too often and keeps the
connection for later; closing it just then would cost a request its body."""

LATE_REQUEST_SECONDS: Final = 0.2
"""When the service stops, a connection that has been accepted gets so long to send its request."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that is listened on."""

    listener: trio.SocketListener
    own_path: str | None
    """Where we have bound it; ``None`` when it was handed down."""

    def close(self) -> None:
        """Listen no more. A socket that was handed down goes on elsewhere."""
        if self.own_path is not None:
            Path(self.own_path).unlink(missing_ok=True)
        self.listener.socket.close()


def listen(address: str) -> Listening:
    """Listen on a Unix socket.

    Args:
        address: a path, where a socket that nobody listens on is replaced; or ``fd://N``, a socket that listens already
            and is not ours to close or unlink.

    Raises:
        SettingError: it cannot be listened on.
    """
    is_handed_down = address.startswith("fd://")
    try:
        listening = _adopt(int(address[5:])) if is_handed_down else _bind(address)
    except OSError as error:
        raise SettingError(f"cannot listen on {address}: {error.strerror}") from None
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    return Listening(listener, None if is_handed_down else address)


def _adopt(file_descriptor: int) -> socket.socket:
    # A duplicate, so that closing it leaves the number itself as it was handed down.
    listening = socket.socket(fileno=os.dup(file_descriptor))
    if not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listening.close()
        raise OSError(errno.EINVAL, "it is not listening")
    return listening


def _bind(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        _unlink_stale(path)
        # Whoever can connect can read all logs: root alone, from the first moment.
        previous_mask = os.umask(0o177)
        try:
            listening.bind(path)
        finally:
            os.umask(previous_mask)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _unlink_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is something else than a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108
            return
    raise OSError(errno.EADDRINUSE, "another process listens there")


class Server:
    """Serves an application on a listening socket until it is told to stop."""

    def __init__(self, application: Application, listening: Listening) -> None:
        self._application = ASGIWrapper(cast("ASGIFramework", application))
        self._listening = listening
        self._config = _config()
        self._context = WorkerContext(None)
        self._accepting = trio.CancelScope()
        self._connections: set[trio.SocketStream] = set()
        self._answered = trio.Event()

    async def run(self) -> None:
        """Accept connections and answer on them. Returns after ``stop_accepting``, when all have been answered."""
        async with trio.open_nursery() as nursery:
            try:
                with self._accepting:
                    await trio.serve_listeners(
                        self._answer, [self._listening.listener], handler_nursery=nursery
                    )
            finally:
                self._listening.close()
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
        state = ConnectionState(cast("LifespanState", {"socket": stream.socket}))
        self._connections.add(stream)
        try:
            # The type of the last argument says TLS, but every stream is served.
            await _Connection(self._application, self._config, self._context, state, stream).run()  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  (it is logged, and no reason to end the other connections)
            _log.exception("a connection failed")
        finally:
            self._connections.discard(stream)
            await trio.aclose_forcefully(stream)


class _Connection(TCPServer):
    """A connection that goes when its client does, also before a request: hypercorn's stays until its idle time is over."""

    # typing.override is younger than Python 3.11
    async def _read_data(self) -> None:  # type: ignore[explicit-override]
        await super()._read_data()
        await self.idle_task.stop()


def _config() -> Config:
    config = Config()
    config.keep_alive_timeout = IDLE_TIME_LIMIT_S
    config.include_date_header = False
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = _log
    return config
