"""Sockets that are listened on: bound here, or handed down by the supervisor."""

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from logboom.errors import SettingError
from logboom.threads import Lane, run_in_core

__all__ = ["Listening", "bind_unix", "listen", "listen_tcp"]

BACKLOG: Final = 1024
"""Connections that wait to be accepted. dockerd calls for all containers at once when it starts."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Sockets that are listened on."""

    listeners: tuple[trio.SocketListener, ...]
    own_path: str | None = None
    """Where we have bound it; ``None`` when it was handed down, or has no path."""

    async def close(self) -> None:
        """Listen no more. A socket that was handed down goes on elsewhere."""
        if self.own_path is not None:
            # The API's lies on the disk of the data folder, which may hang, or take no change. What stays there the next one replaces.
            with contextlib.suppress(OSError):
                await run_in_core(Lane.API, Path(self.own_path).unlink)
        for listener in self.listeners:
            listener.socket.close()


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
        if is_handed_down:
            listening = _adopt(int(address[5:]))
        else:
            Path(address).parent.mkdir(parents=True, exist_ok=True)
            listening = bind_unix(address)
    except OSError as error:
        raise SettingError(f"cannot listen on {address}: {error.strerror}") from None
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    return Listening((listener,), None if is_handed_down else address)


async def listen_tcp(host: str, port: int) -> Listening:
    """Listen on all addresses that a host has.

    Raises:
        OSError: it has none here, or another process listens there.
    """
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    return Listening(tuple(listeners))


def _adopt(file_descriptor: int) -> socket.socket:
    # A duplicate, so that closing it leaves the number itself as it was handed down.
    listening = socket.socket(fileno=os.dup(file_descriptor))
    if not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listening.close()
        raise OSError(errno.EINVAL, "it is not listening")
    return listening


def bind_unix(path: str, group_id: int | None = None) -> socket.socket:
    """Listen on a path, where a socket that nobody listens on is replaced. May block.

    Args:
        path: where.
        group_id: whose members may connect, besides the owner.

    Raises:
        OSError: it cannot be listened on.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _unlink_stale(path)
        listening.bind(path)
        # ORDER: before it listens, until when nobody can connect: whoever can, can read all logs. The umask would do it as well, but all threads
        # share that, and the core makes folders meanwhile.
        if group_id is not None:
            os.chown(path, -1, group_id)
        Path(path).chmod(0o600 if group_id is None else 0o660)
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
            Path(path).unlink()
            return
    raise OSError(errno.EADDRINUSE, "another process listens there")
