"""Where the API listens: its doors, each with what is behind it and who may come in.

A door that cannot be opened is a warning, and is tried again: containers' logs are kept without the API.
"""

import logging
import os
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import trio

from logboom.api.answers import encode_problem
from logboom.api.gate import Gate, read_token
from logboom.api.router import Router
from logboom.keeper import Keeper
from logboom.listening import Listening, bind_unix, listen_tcp
from logboom.server import Limits, Server
from logboom.settings import SOCKET_FILE
from logboom.threads import Lane, run_in_core

__all__ = [
    "CONNECTIONS_LIMIT",
    "REQUEST_TIME_LIMIT_S",
    "SOCKET_FILE",
    "TAKE_TIME_LIMIT_S",
    "Door",
    "Doors",
    "MetricsDoor",
    "TcpDoor",
    "UnixDoor",
]

RETRY_SECONDS: Final = 30
"""How often a door is tried that cannot be opened: a disk is mended, an address becomes free."""

CONNECTIONS_LIMIT: Final = 64
"""Connections at once through one door. Each may cost a megabyte."""

REQUEST_TIME_LIMIT_S: Final = 10
"""How long a connection may stay without a complete head of a request."""

TAKE_TIME_LIMIT_S: Final = 30
"""How long a client may take to take a piece of its answer."""

_DETAIL: Final = f"this address has {CONNECTIONS_LIMIT} connections, which is its limit; try again"

_log: Final = logging.getLogger(__name__)


def _refusal() -> bytes:
    body = encode_problem("too-many-connections", _DETAIL)
    return (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n"
        b"connection: close\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


LIMITS: Final = Limits(
    connections=CONNECTIONS_LIMIT,
    refusal=_refusal(),
    request_s=REQUEST_TIME_LIMIT_S,
    take_s=TAKE_TIME_LIMIT_S,
)


class Door(Protocol):
    """One address."""

    name: str
    """For the log."""

    async def open(self) -> Server:
        """Listen.

        Raises:
            OSError, ValueError: it cannot be done now.
        """


class UnixDoor:
    """``api.sock`` in the data folder, for root and perhaps a group. The supervisor keeps it from one worker to the next.

    Args:
        router: what is behind it.
        folder: gives the store's folder once the store is open.
        group_id: whose members may come in.
        keeper: the supervisor's, if there is one.
    """

    def __init__(
        self,
        router: Router,
        folder: Callable[[], Awaitable[Path]],
        group_id: int | None,
        keeper: Keeper | None,
    ) -> None:
        self._router = router
        self._folder = folder
        self._group_id = group_id
        self._keeper = keeper
        self.name = SOCKET_FILE

    async def open(self) -> Server:
        """Take the socket that an earlier worker has left, or bind one."""
        path = (await self._folder()) / SOCKET_FILE
        listening = await run_in_core(Lane.API, self._bind, path)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        # Who ends for good takes the path away; who is killed leaves it to the next worker.
        return Server(self._router, Listening((listener,), str(path)), LIMITS)

    def _bind(self, path: Path) -> socket.socket:
        kept = self._keeper.look() if self._keeper is not None else None
        if kept is not None:
            listening, note = kept
            if note and note == _describe(path):
                return listening
            listening.close()
        listening = bind_unix(str(path), self._group_id)
        if self._group_id is not None:
            # Else nobody of the group would get as far as the socket; files in the folder are root's alone.
            os.chown(path.parent, -1, self._group_id)
            path.parent.chmod(0o710)
        if self._keeper is not None:
            self._keeper.keep(listening, _describe(path))
        return listening


def _describe(path: Path) -> bytes:
    """Which file a socket is bound to: another one may stand at its path since, or none."""
    try:
        found = path.lstat()
    except OSError:
        return b""
    kind = "socket" if stat.S_ISSOCK(found.st_mode) else "other"
    return f"{kind} {found.st_dev} {found.st_ino} {path}".encode()


class TcpDoor:
    """An address of TCP, for who shows the token and only reads; with TLS where the data folder has a certificate.

    Args:
        router: what is behind it.
        folder: gives the store's folder, with the token.
        address: host and port.
    """

    def __init__(
        self, router: Router, folder: Callable[[], Awaitable[Path]], address: tuple[str, int]
    ) -> None:
        self._router = router
        self._folder = folder
        self._address = address
        self.name = _show(address)

    async def open(self) -> Server:
        """Listen; what stands behind the token is never open without one."""
        folder = await self._folder()
        token = await run_in_core(Lane.API, read_token, folder)
        tls = await run_in_core(Lane.API, _read_certificate, folder)
        listening = await listen_tcp(*self._address)
        return Server(Gate(self._router.reading_ones(), token), listening, LIMITS, tls)


class MetricsDoor:
    """An address of TCP for what needs no token.

    Args:
        router: what is behind it, nothing but what is open.
        address: host and port.
    """

    def __init__(self, router: Router, address: tuple[str, int]) -> None:
        self._router = router
        self._address = address
        self.name = _show(address)

    async def open(self) -> Server:
        """Listen."""
        return Server(self._router.open_ones(), await listen_tcp(*self._address), LIMITS)


def _show(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _read_certificate(folder: Path) -> ssl.SSLContext | None:
    certificate, key = folder / "tls.crt", folder / "tls.key"
    if not certificate.exists() and not key.exists():
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


class Doors:
    """Opens all doors and keeps them open.

    Args:
        doors: all of them.
        ending: is set when no more is accepted.
    """

    def __init__(self, doors: Iterable[Door], ending: trio.Event) -> None:
        self._doors = tuple(doors)
        self._servers: list[Server] = []
        self._ending = ending

    async def run(self) -> None:
        """Serve at all doors. Returns after ``stop_accepting``, when all requests have been answered."""
        async with trio.open_nursery() as nursery:
            for door in self._doors:
                nursery.start_soon(self._serve, door)

    def stop_accepting(self) -> None:
        """Take no more connections; those that are there get their answers."""
        self._ending.set()
        for server in self._servers:
            server.stop_accepting()

    async def wait_answered(self) -> None:
        """Wait until all requests have been answered."""
        for server in self._servers:
            await server.wait_answered()

    def cut_connections(self) -> int:
        """End every connection; returns how many there were."""
        return sum(server.cut_connections() for server in self._servers)

    async def _serve(self, door: Door) -> None:
        told = ""
        while not self._ending.is_set():
            try:
                server = await door.open()
            except (OSError, ValueError) as error:
                if str(error) != told:
                    told = str(error)
                    _log.warning("the API cannot listen on %s: %s", door.name, error)
                with trio.move_on_after(RETRY_SECONDS):
                    await self._ending.wait()
                continue
            _log.info("the API listens on %s", door.name)
            self._servers.append(server)
            if self._ending.is_set():
                server.stop_accepting()
            await server.run()
