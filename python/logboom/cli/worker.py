"""Requests to a worker: to its API (``docs/api.md``), and as dockerd makes them."""

import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from logboom.settings import SOCKET_FILE

__all__ = ["Reply", "WorkerGoneError", "ask", "exchange", "stream_path"]

TIMEOUT_S: Final = 60
"""So long the worker may be silent. A large log is compressed before it is removed, and the disk may be slow."""


class WorkerGoneError(Exception):
    """Nobody answers at a socket; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON, which all answers but the metrics are."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("logboom", timeout=TIMEOUT_S)
        self._path = path

    # typing.override is younger than Python 3.11
    def connect(self) -> None:  # type: ignore[explicit-override]
        """Connect to the socket."""
        # LIMIT: a socket's path has at most 107 bytes (unix(7)), and a plugin's id alone has 64.
        folder = os.open(self._path.parent, os.O_PATH | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def stream_path(container_id: str) -> str:
    """The path of a container's stream in the API."""
    return f"/api/v1/streams/{quote(container_id, safe='')}"


def ask(folder: str, method: str, path: str) -> Reply:
    """Ask the worker of a store.

    Args:
        folder: where the store is.
        method: of HTTP.
        path: what is asked for, as it stands in a request.

    Raises:
        WorkerGoneError: nobody answers.
    """
    return exchange(Path(folder, SOCKET_FILE), method, path)


def exchange(place: Path, method: str, path: str, body: str | None = None) -> Reply:
    """Ask whoever listens at a socket.

    Args:
        place: the socket.
        method: of HTTP.
        path: what is asked for, as it stands in a request.
        body: the request's.

    Raises:
        WorkerGoneError: nobody answers.
    """
    connection = _Connection(place)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise WorkerGoneError(f"no worker answers at {place}: {error}") from None
    finally:
        connection.close()
